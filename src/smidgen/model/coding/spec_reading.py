"""Reads the layers of a network that `spec_coding` wrote; docs/reference/file-format.md has the tables."""

from __future__ import annotations

import math

from smidgen.model.coding.layer_codes import (
    BIAS,
    DISJOINT,
    HALVED,
    KERNEL,
    KINDS_BY_BITS,
    LINEAR_FLAG,
    LONGEST_SIDES,
    MAX_CHANNELS,
    MAX_DECIMALS,
    MAX_DIGITS,
    MAX_LIST_LAYERS,
    MAX_SIDE,
    MAX_UNROLLED_LAYERS,
    OWN,
    POOL,
    RELU6_FLAG,
    RELU_FLAG,
    SAME,
    SQUARE,
    STEP,
    fresh_flags,
)
from smidgen.model.coding.range_coder import Decoder
from smidgen.spec import (
    LINEAR,
    MAX_DEPTH,
    MAX_REPEATS,
    MAX_STRIDE,
    NO_CEILING,
    RELU,
    RELU6_CEILING,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
    Shape,
    inner_layers,
)

Pair = tuple[int, int]


def read_spec(decoder: Decoder, version: int) -> tuple[NetSpec, Shape]:
    """Read what `write_spec` wrote. The caller checks whether the layers fit each other.

    Args:
        decoder: where from.
        version: of the file format.

    Raises:
        ModelFileError: the file was damaged.
    """
    reader = _LayerReader(decoder, version)
    shape = reader.shape()
    layers = reader.layers()
    places = _written_out(layers)
    if places > MAX_UNROLLED_LAYERS:
        raise decoder.error(f"has {places} layers with repeats written out; the most is {MAX_UNROLLED_LAYERS}")
    return NetSpec(layers), shape


def _written_out(layers: tuple[Layer, ...]) -> int:
    return sum(
        layer.times * _written_out(layer.layers) if isinstance(layer, Repeat) else 1 + _written_out(inner_layers(layer))
        for layer in layers
    )


class _LayerReader:
    """Reads layers from a decoder in one version of the format."""

    def __init__(self, decoder: Decoder, version: int) -> None:
        self.decoder, self.version, self.models, self.depth = decoder, version, fresh_flags(), 0

    def shape(self) -> Shape:
        channels = 1 + self.decoder.exp_golomb(0, MAX_CHANNELS - 1, "number of channels")
        height = 1 + self.decoder.exp_golomb(4, MAX_SIDE - 1, "height")
        if self._flag(SQUARE):
            return channels, height, height
        return channels, height, 1 + self.decoder.exp_golomb(4, MAX_SIDE - 1, "width")

    def layers(self, order: int = 2) -> tuple[Layer, ...]:
        count = self.decoder.exp_golomb(order, MAX_LIST_LAYERS, "number of layers")
        return tuple(self._layer() for _ in range(count))

    def _layer(self) -> Layer:
        kind = self._kind()
        if kind is Conv or kind is Depthwise or kind is Pointwise or kind is Dense:
            return self._weighted(kind)
        if kind is MaxPool or kind is AvgPool:
            return self._pool(kind)
        if kind is BatchNorm:
            return BatchNorm(*self._activation())
        if kind is Dropout:
            return Dropout(self._fraction())
        if kind is Repeat or kind is Residual:
            return self._bracketed(kind)
        return CReLU() if kind is CReLU else PReLU() if kind is PReLU else GlobalAvgPool()

    def _kind(self) -> type[Layer]:
        bits = ""
        while bits not in KINDS_BY_BITS:
            bits += str(self.decoder.uint(1))
        kind = KINDS_BY_BITS[bits]
        if self.version == 1 and kind in (Residual, CReLU):
            raise self.decoder.error(f"has a layer of an unknown kind ({bits})")
        return kind

    def _weighted(self, kind: type[Conv | Depthwise | Pointwise | Dense]) -> Layer:
        outputs = 1 if kind is Depthwise else 1 + self.decoder.exp_golomb(2, MAX_CHANNELS - 1, "number of channels")
        kernel, same, shared = self._kernel(kind) if kind in (Conv, Depthwise) else ((1, 1), False, 0)
        stride = self._stride() if self.version > 1 and kind is not Dense else (1, 1)
        bias = self._flag(BIAS)
        slope, ceiling = self._activation()
        if kind is Conv:
            return Conv(outputs, kernel, same, slope, bias, stride, ceiling)
        if kind is Depthwise:
            return Depthwise(kernel, same, slope, bias, stride, ceiling, shared)
        if kind is Pointwise:
            return Pointwise(outputs, slope, bias, stride, ceiling)
        return Dense(outputs, slope, bias, ceiling)

    def _kernel(self, kind: type[Layer]) -> tuple[Pair, bool, int]:
        """Read the kernel, whether it is padded, and how many kernels the channels share."""
        kernel = (3, 3) if self._flag(KERNEL) else (self._side(), self._side())
        if not 1 <= min(kernel) <= max(kernel) <= LONGEST_SIDES[self.version]:
            raise self.decoder.error(f"has a kernel of {kernel[0]}x{kernel[1]}")
        same, shared = not self._flag(SAME), 0
        if self.version > 1 and kind is Depthwise and not self._flag(OWN):
            shared = 1 + self.decoder.exp_golomb(1, MAX_CHANNELS - 1, "number of kernels")
        return kernel, same, shared

    def _side(self) -> int:
        if self.version == 1:
            return self.decoder.uint(3)
        return 1 + self.decoder.exp_golomb(1, LONGEST_SIDES[self.version] - 1, "side of a kernel")

    def _stride(self) -> Pair:
        if self._flag(STEP):
            return 1, 1
        return (2, 2) if self._flag(HALVED) else self._steps(MAX_STRIDE)

    def _steps(self, most: int) -> Pair:
        down, right = (1 + self.decoder.exp_golomb(0, most - 1, "stride") for _ in range(2))
        return down, right

    def _pool(self, kind: type[MaxPool | AvgPool]) -> Layer:
        window = (2, 2)
        if not self._flag(POOL):
            rows = columns = 1 + self.decoder.exp_golomb(2, MAX_CHANNELS - 1, "pool size")
            if self.version > 1:
                columns = 1 + self.decoder.exp_golomb(2, MAX_CHANNELS - 1, "pool size")
            window = (rows, columns)
        if self.version == 1 or self._flag(DISJOINT):
            return kind(window)
        return kind(window, self._steps(MAX_CHANNELS))

    def _bracketed(self, kind: type[Repeat | Residual]) -> Layer:
        self.depth += 1
        if self.depth > (1 if self.version == 1 else MAX_DEPTH):
            raise self.decoder.error(f"has a {kind.__name__.lower()} in too many others")
        times = 1 + self.decoder.exp_golomb(1, MAX_REPEATS - 1, "number of repeats") if kind is Repeat else 1
        layers = self.layers()
        shortcut = self.layers(order=0) if kind is Residual else ()
        self.depth -= 1
        if not layers:
            raise self.decoder.error(f"has a {kind.__name__.lower()} of nothing")
        return Repeat(times, layers) if kind is Repeat else Residual(layers, shortcut, *self._activation())

    def _activation(self) -> tuple[float, float]:
        """Read the slope and the ceiling of an activation."""
        if self._flag(RELU_FLAG):
            return RELU, NO_CEILING
        if self._flag(LINEAR_FLAG):
            return LINEAR, NO_CEILING
        if self.version > 1 and self._flag(RELU6_FLAG):
            return RELU, RELU6_CEILING
        return self._fraction(), NO_CEILING

    def _fraction(self) -> float:
        digits = self.decoder.exp_golomb(3, MAX_DIGITS, "number of digits")
        value = float(f"{digits}e-{self.decoder.exp_golomb(0, MAX_DECIMALS, 'number of digits')}")
        if not (math.isfinite(value) and 0 <= value < 1):
            raise self.decoder.error(f"has a slope or a rate of {value:g}")
        return value

    def _flag(self, flag: int) -> bool:
        return bool(self.decoder.bit(self.models, flag))
