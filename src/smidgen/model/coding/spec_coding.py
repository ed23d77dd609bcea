"""Writes the layers of a network (`NetSpec`) in a few bits each; docs/reference/file-format.md has the tables."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from smidgen.errors import ModelFileError
from smidgen.model.coding.layer_codes import (
    BIAS,
    DISJOINT,
    HALVED,
    KERNEL,
    KINDS,
    LINEAR_FLAG,
    MAX_CHANNELS,
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
from smidgen.model.coding.range_coder import Encoder
from smidgen.spec import (
    LINEAR,
    NO_CEILING,
    RELU,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    Layer,
    MaxPool,
    NetSpec,
    Pointwise,
    Repeat,
    Residual,
    Shape,
    inner_layers,
)


def write_spec(encoder: Encoder, spec: NetSpec, input_shape: Shape, version: int) -> None:
    """Write the shape of the input and the layers.

    Args:
        encoder: where to.
        spec: the layers.
        input_shape: (channels, height, width) of one input.
        version: of the file format, at least `layer_codes.version_of(spec)`.

    Raises:
        ModelFileError: the network is larger than the format allows.
    """
    _check_size(spec, input_shape)
    writer = _LayerWriter(encoder, version)
    writer.shape(input_shape)
    writer.layers(spec.layers)


def _check_size(spec: NetSpec, input_shape: Shape) -> None:
    layers = list(_all_layers(spec.layers))
    sizes = [getattr(layer, name, 1) for layer in layers for name in ("channels", "units")]
    sizes += [side for layer in layers if isinstance(layer, MaxPool | AvgPool) for side in layer.window + layer.stride]
    widest, places = max([1, *sizes]), len(spec.plan(input_shape))
    if max(widest, input_shape[0]) > MAX_CHANNELS or max(input_shape[1:]) > MAX_SIDE or places > MAX_UNROLLED_LAYERS:
        raise ModelFileError(
            f"the file holds at most {MAX_UNROLLED_LAYERS} layers, {MAX_CHANNELS} channels and a side of {MAX_SIDE}; "
            f"the network has {places} layers, {widest} channels and an input of {input_shape}: save it as safetensors"
        )
    longest = max(len(spec.layers), *(len(inner_layers(layer)) for layer in layers))
    if longest > MAX_LIST_LAYERS:
        raise ModelFileError(
            f"the file holds at most {MAX_LIST_LAYERS} layers in a row, and the network has {longest}; "
            "save it as safetensors"
        )


def _all_layers(layers: Iterable[Layer]) -> Iterable[Layer]:
    for layer in layers:
        yield layer
        yield from _all_layers(inner_layers(layer))


class _LayerWriter:
    """Writes layers to an encoder in one version of the format."""

    def __init__(self, encoder: Encoder, version: int) -> None:
        self.encoder, self.version, self.models = encoder, version, fresh_flags()

    def shape(self, input_shape: Shape) -> None:
        channels, height, width = input_shape
        self.encoder.exp_golomb(channels - 1, 0)
        self.encoder.exp_golomb(height - 1, 4)
        if not self._flag(SQUARE, height == width):
            self.encoder.exp_golomb(width - 1, 4)

    def layers(self, layers: tuple[Layer, ...], order: int = 2) -> None:
        self.encoder.exp_golomb(len(layers), order)
        for layer in layers:
            bits = KINDS[type(layer)]
            self.encoder.uint(int(bits, 2), len(bits))
            self._layer(layer)

    def _layer(self, layer: Layer) -> None:
        match layer:
            case Conv() | Depthwise() | Pointwise() | Dense():
                self._weighted(layer)
            case MaxPool() | AvgPool():
                self._pool(layer)
            case BatchNorm():
                self._activation(layer)
            case Dropout(rate):
                self._fraction(rate)
            case Repeat(times, layers):
                self.encoder.exp_golomb(times - 1, 1)
                self.layers(layers)
            case Residual(layers, shortcut):
                self.layers(layers)
                self.layers(shortcut, order=0)
                self._activation(layer)

    def _weighted(self, layer: Conv | Depthwise | Pointwise | Dense) -> None:
        if not isinstance(layer, Depthwise):
            outputs = layer.units if isinstance(layer, Dense) else layer.channels
            self.encoder.exp_golomb(outputs - 1, 2)
        if isinstance(layer, Conv | Depthwise):
            self._kernel(layer)
        if self.version > 1 and not isinstance(layer, Dense):
            self._stride(layer)
        self._flag(BIAS, layer.bias)
        self._activation(layer)

    def _kernel(self, layer: Conv | Depthwise) -> None:
        if not self._flag(KERNEL, layer.kernel == (3, 3)):
            for side in layer.kernel:
                if self.version == 1:
                    self.encoder.uint(side, 3)
                else:
                    self.encoder.exp_golomb(side - 1, 1)
        self._flag(SAME, not layer.same)
        if self.version > 1 and isinstance(layer, Depthwise) and not self._flag(OWN, layer.shared == 0):
            self.encoder.exp_golomb(layer.shared - 1, 1)

    def _stride(self, layer: Conv | Depthwise | Pointwise) -> None:
        if not self._flag(STEP, layer.stride == (1, 1)) and not self._flag(HALVED, layer.stride == (2, 2)):
            for step in layer.stride:
                self.encoder.exp_golomb(step - 1, 0)

    def _pool(self, layer: MaxPool | AvgPool) -> None:
        if not self._flag(POOL, layer.window == (2, 2)):
            for side in layer.window[: 1 if self.version == 1 else 2]:
                self.encoder.exp_golomb(side - 1, 2)
        if self.version > 1 and not self._flag(DISJOINT, layer.stride == layer.window):
            for step in layer.stride:
                self.encoder.exp_golomb(step - 1, 0)

    def _activation(self, layer: Conv | Depthwise | Pointwise | Dense | BatchNorm | Residual) -> None:
        slope, has_ceiling = layer.slope, layer.ceiling != NO_CEILING
        if self._flag(RELU_FLAG, slope == RELU and not has_ceiling) or self._flag(LINEAR_FLAG, slope == LINEAR):
            return
        if self.version == 1 or not self._flag(RELU6_FLAG, has_ceiling):
            self._fraction(slope)

    def _fraction(self, value: float) -> None:
        """Write a decimal fraction as its digits and their number of decimals; the shortest repr makes this exact."""
        _, digits, exponent = Decimal(repr(value)).as_tuple()
        whole = int("".join(map(str, digits)))
        assert isinstance(exponent, int) and exponent <= 0, f"{value} is a fraction"
        self.encoder.exp_golomb(whole, 3)
        self.encoder.exp_golomb(-exponent, 0)

    def _flag(self, flag: int, value: bool) -> bool:
        """Write a flag and return it."""
        self.encoder.write(self.models, [flag], [value])
        return value
