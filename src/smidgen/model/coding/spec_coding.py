"""Codes the layers of a network (`NetSpec`) in a few bits each; docs/reference/file-format.md has the tables."""

from __future__ import annotations

import math
from decimal import Decimal

from smidgen.errors import ModelFileError
from smidgen.model.coding.range_coder import ONE, BitModels, Decoder, Encoder
from smidgen.spec import (
    LINEAR,
    MAX_FIRST_KERNEL,
    MAX_REPEATS,
    RELU,
    AvgPool,
    BatchNorm,
    Conv,
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
    Shape,
    is_first_language,
)

MAX_LAYERS = 1024
MAX_UNROLLED_LAYERS = 4096
"""Limit of layers with repeats written out."""
MAX_CHANNELS, MAX_SIDE = 2**16, 2**14
MAX_DIGITS, MAX_DECIMALS = 2**60, 2**9
"""Limits of a slope or rate: its digits as an integer, and the number of decimals."""

KINDS: dict[type[Layer], str] = {
    Conv: "00",
    Pointwise: "010",
    Depthwise: "011",
    MaxPool: "100",
    Dense: "101",
    AvgPool: "11000",
    GlobalAvgPool: "11001",
    BatchNorm: "11010",
    PReLU: "11011",
    Repeat: "11100",
    Dropout: "11101",
}
"""Prefix code of the layer kinds; 11110 and 11111 are free."""

(_SQUARE, _KERNEL, _SAME, _BIAS, _RELU, _LINEAR, _POOL) = range(1, 8)
"""Models of the flags; the likely value of each is 1."""
FLAG_PROBABILITY, FLAG_SEEN = ONE // 4 * 3, 2
"""Initial state of a flag's model: probability 3/4 of a 1, as if two decisions had been seen."""


def fresh_flags() -> BitModels:
    """Return the models of the flags in their initial state."""
    models = BitModels(_POOL + 1)
    for index in range(1, _POOL + 1):
        models.probability[index], models.seen[index] = FLAG_PROBABILITY, FLAG_SEEN
    return models


# --- writing ---------------------------------------------------------------------------------


def write_spec(encoder: Encoder, spec: NetSpec, input_shape: Shape) -> None:
    """Write the shape of the input and the layers.

    Raises:
        ModelFileError: the network is larger than the format allows.
    """
    _check_size(spec, input_shape)
    if other := [layer for layer in spec.layers if not is_first_language(layer)]:
        raise ModelFileError(f"a .smidgen file of version 1 cannot hold '{other[0]}'; save the network as safetensors")
    models = fresh_flags()
    channels, height, width = input_shape
    encoder.exp_golomb(channels - 1, 0)
    encoder.exp_golomb(height - 1, 4)
    encoder.write(models, [_SQUARE], [height == width])
    if height != width:
        encoder.exp_golomb(width - 1, 4)
    _write_layers(encoder, models, spec.layers)


def _check_size(spec: NetSpec, input_shape: Shape) -> None:
    layers = [part for layer in spec.layers for part in (layer, *getattr(layer, "layers", ()))]
    widest = max([1, *(getattr(layer, name, 1) for layer in layers for name in ("channels", "units"))])
    widest = max([widest, *(max(layer.window) for layer in layers if isinstance(layer, MaxPool | AvgPool))])
    places = len(spec.plan(input_shape))
    if max(widest, input_shape[0]) > MAX_CHANNELS or max(input_shape[1:]) > MAX_SIDE or places > MAX_UNROLLED_LAYERS:
        raise ModelFileError(
            f"the file holds at most {MAX_UNROLLED_LAYERS} layers, {MAX_CHANNELS} channels and a side of {MAX_SIDE}; "
            f"the network has {places} layers, {widest} channels and an input of {input_shape}: save it as safetensors"
        )


def _write_layers(encoder: Encoder, models: BitModels, layers: tuple[Layer, ...]) -> None:
    encoder.exp_golomb(len(layers), 2)
    for layer in layers:
        bits = KINDS[type(layer)]
        encoder.uint(int(bits, 2), len(bits))
        _write_layer(encoder, models, layer)


def _write_layer(encoder: Encoder, models: BitModels, layer: Layer) -> None:
    match layer:
        case Conv(channels, kernel, same, slope, bias):
            encoder.exp_golomb(channels - 1, 2)
            _write_kernel(encoder, models, kernel, same)
            _write_ending(encoder, models, slope, bias)
        case Depthwise(kernel, same, slope, bias):
            _write_kernel(encoder, models, kernel, same)
            _write_ending(encoder, models, slope, bias)
        case Pointwise(out, slope, bias) | Dense(out, slope, bias):
            encoder.exp_golomb(out - 1, 2)
            _write_ending(encoder, models, slope, bias)
        case MaxPool((size, _)) | AvgPool((size, _)):
            encoder.write(models, [_POOL], [size == 2])
            if size != 2:
                encoder.exp_golomb(size - 1, 2)
        case BatchNorm(slope):
            _write_slope(encoder, models, slope)
        case Dropout(rate):
            _write_fraction(encoder, rate)
        case Repeat(times, layers):
            encoder.exp_golomb(times - 1, 1)
            _write_layers(encoder, models, layers)


def _write_kernel(encoder: Encoder, models: BitModels, kernel: tuple[int, int], same: bool) -> None:
    encoder.write(models, [_KERNEL], [kernel == (3, 3)])
    if kernel != (3, 3):
        encoder.uint(kernel[0], 3)
        encoder.uint(kernel[1], 3)
    encoder.write(models, [_SAME], [not same])


def _write_ending(encoder: Encoder, models: BitModels, slope: float, bias: bool) -> None:
    encoder.write(models, [_BIAS], [bias])
    _write_slope(encoder, models, slope)


def _write_slope(encoder: Encoder, models: BitModels, slope: float) -> None:
    encoder.write(models, [_RELU], [slope == RELU])
    if slope != RELU:
        encoder.write(models, [_LINEAR], [slope == LINEAR])
        if slope != LINEAR:
            _write_fraction(encoder, slope)


def _write_fraction(encoder: Encoder, value: float) -> None:
    """Write a decimal fraction as its digits and their number of decimals; the shortest repr makes this exact."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    whole = int("".join(map(str, digits)))
    assert isinstance(exponent, int) and exponent <= 0, f"{value} is a fraction"
    encoder.exp_golomb(whole, 3)
    encoder.exp_golomb(-exponent, 0)


# --- reading ---------------------------------------------------------------------------------


def read_spec(decoder: Decoder) -> tuple[NetSpec, Shape]:
    """Read what `write_spec` wrote. The caller checks whether the layers fit each other."""
    models = fresh_flags()
    channels = 1 + decoder.exp_golomb(0, MAX_CHANNELS - 1, "number of channels")
    height = width = 1 + decoder.exp_golomb(4, MAX_SIDE - 1, "height")
    if not decoder.bit(models, _SQUARE):
        width = 1 + decoder.exp_golomb(4, MAX_SIDE - 1, "width")
    layers = _read_layers(decoder, models, outer=True)
    places = sum(layer.times * len(layer.layers) if isinstance(layer, Repeat) else 1 for layer in layers)
    if places > MAX_UNROLLED_LAYERS:
        raise decoder.error(f"has {places} layers with repeats written out; the most is {MAX_UNROLLED_LAYERS}")
    return NetSpec(layers), (channels, height, width)


def _read_layers(decoder: Decoder, models: BitModels, outer: bool) -> tuple[Layer, ...]:
    count = decoder.exp_golomb(2, MAX_LAYERS, "number of layers")
    return tuple(_read_layer(decoder, models, outer) for _ in range(count))


def _read_kind(decoder: Decoder) -> type[Layer]:
    kinds = {bits: kind for kind, bits in KINDS.items()}
    bits = ""
    while bits not in kinds:
        if len(bits) == max(map(len, kinds)):
            raise decoder.error(f"has a layer of an unknown kind ({bits})")
        bits += str(decoder.uint(1))
    return kinds[bits]


def _read_layer(decoder: Decoder, models: BitModels, outer: bool) -> Layer:
    kind = _read_kind(decoder)
    if kind is Conv:
        channels = 1 + decoder.exp_golomb(2, MAX_CHANNELS - 1, "number of channels")
        return Conv(channels, *_read_kernel(decoder, models), *_read_ending(decoder, models))
    if kind is Depthwise:
        return Depthwise(*_read_kernel(decoder, models), *_read_ending(decoder, models))
    if kind is Pointwise or kind is Dense:
        out = 1 + decoder.exp_golomb(2, MAX_CHANNELS - 1, "number of channels")
        return kind(out, *_read_ending(decoder, models))
    if kind is MaxPool or kind is AvgPool:
        usual = decoder.bit(models, _POOL)
        return kind(2 if usual else 1 + decoder.exp_golomb(2, MAX_CHANNELS - 1, "pool size"))
    if kind is BatchNorm:
        return BatchNorm(_read_slope(decoder, models))
    if kind is Dropout:
        return Dropout(_read_fraction(decoder))
    if kind is Repeat:
        return _read_repeat(decoder, models, outer)
    return PReLU() if kind is PReLU else GlobalAvgPool()


def _read_repeat(decoder: Decoder, models: BitModels, outer: bool) -> Repeat:
    if not outer:
        raise decoder.error("has a repeat in a repeat")
    times = 1 + decoder.exp_golomb(1, MAX_REPEATS - 1, "number of repeats")
    layers = _read_layers(decoder, models, outer=False)
    if not layers:
        raise decoder.error("has a repeat of nothing")
    return Repeat(times, layers)


def _read_kernel(decoder: Decoder, models: BitModels) -> tuple[tuple[int, int], bool]:
    kernel = (3, 3)
    if not decoder.bit(models, _KERNEL):
        kernel = (decoder.uint(3), decoder.uint(3))
        if not 1 <= min(kernel) <= max(kernel) <= MAX_FIRST_KERNEL:
            raise decoder.error(f"has a kernel of {kernel[0]}x{kernel[1]}")
    return kernel, not decoder.bit(models, _SAME)


def _read_ending(decoder: Decoder, models: BitModels) -> tuple[float, bool]:
    """Read (slope, bias), in the order of the layers' fields."""
    bias = bool(decoder.bit(models, _BIAS))
    return _read_slope(decoder, models), bias


def _read_slope(decoder: Decoder, models: BitModels) -> float:
    if decoder.bit(models, _RELU):
        return RELU
    return LINEAR if decoder.bit(models, _LINEAR) else _read_fraction(decoder)


def _read_fraction(decoder: Decoder) -> float:
    digits = decoder.exp_golomb(3, MAX_DIGITS, "number of digits")
    value = float(f"{digits}e-{decoder.exp_golomb(0, MAX_DECIMALS, 'number of digits')}")
    if not (math.isfinite(value) and 0 <= value < 1):
        raise decoder.error(f"has a slope or a rate of {value:g}")
    return value
