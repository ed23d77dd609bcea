"""Networks as data: text <-> `NetSpec`, and what follows from it by arithmetic alone.

    >>> spec = parse_spec("conv 2x3x3 relu, maxpool 2, dense 10")
    >>> str(spec)
    'conv 2x3x3 relu, maxpool 2, dense 10'
    >>> spec.parameters((1, 28, 28))
    3410

Grammar, one layer between commas:

    conv CxKxK [same] [nobias] [ACT]     C output channels, kernel 1 to 7, stride 1, valid unless `same`
    depthwise KxK [same] [nobias] [ACT]  one kernel a channel
    pointwise C [nobias] [ACT]           a 1x1 convolution
    maxpool N | avgpool N                window and stride N, the remainder is dropped
    globalavgpool                        one mean a channel
    dense N [nobias] [ACT]               flattens first when it is given a map
    batchnorm [ACT]
    dropout P

ACT is `relu`, `leaky_relu(S)` or nothing (linear). An activation is one number in the code:
the slope below zero (relu 0, linear 1). `flatten` is accepted and dropped: `dense` implies it.
Shapes are (channels, height, width); a vector of n features is (n, 1, 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from smidgen.errors import SpecError

Shape = tuple[int, int, int]

RELU, LINEAR = 0.0, 1.0
MAX_KERNEL = 7


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1; weights float32 [channels, channels in, kernel_y, kernel_x]."""

    channels: int
    kernel: tuple[int, int]
    same: bool = False
    slope: float = LINEAR
    bias: bool = True

    def __str__(self) -> str:
        kernel_y, kernel_x = self.kernel
        return f"conv {self.channels}x{kernel_y}x{kernel_x}{_same(self)}{_nobias(self)}{_activation(self.slope)}"


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel with its own kernel; weights [channels, 1, kernel_y, kernel_x]."""

    kernel: tuple[int, int]
    same: bool = False
    slope: float = LINEAR
    bias: bool = True

    def __str__(self) -> str:
        kernel_y, kernel_x = self.kernel
        return f"depthwise {kernel_y}x{kernel_x}{_same(self)}{_nobias(self)}{_activation(self.slope)}"


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution; weights [channels, channels in, 1, 1]."""

    channels: int
    slope: float = LINEAR
    bias: bool = True

    def __str__(self) -> str:
        return f"pointwise {self.channels}{_nobias(self)}{_activation(self.slope)}"


@dataclass(frozen=True)
class MaxPool:
    """The maximum over windows of size x size, stride size; rows and columns left over are dropped."""

    size: int

    def __str__(self) -> str:
        return f"maxpool {self.size}"


@dataclass(frozen=True)
class AvgPool:
    """The mean over windows of size x size, stride size; rows and columns left over are dropped."""

    size: int

    def __str__(self) -> str:
        return f"avgpool {self.size}"


@dataclass(frozen=True)
class GlobalAvgPool:
    """The mean of each channel's map."""

    def __str__(self) -> str:
        return "globalavgpool"


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; weights [units, inputs], inputs in channel, row, column order."""

    units: int
    slope: float = LINEAR
    bias: bool = True

    def __str__(self) -> str:
        return f"dense {self.units}{_nobias(self)}{_activation(self.slope)}"


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization per channel: a scale and a shift that are trained, two moments that are not."""

    slope: float = LINEAR

    def __str__(self) -> str:
        return f"batchnorm{_activation(self.slope)}"


@dataclass(frozen=True)
class Dropout:
    """In training, each value is zero with probability `rate`, else divided by 1 - rate."""

    rate: float

    def __str__(self) -> str:
        return f"dropout {_number(self.rate)}"


Layer = Conv | Depthwise | Pointwise | MaxPool | AvgPool | GlobalAvgPool | Dense | BatchNorm | Dropout


@dataclass(frozen=True)
class LayerPlan:
    """One layer in place: what goes in, what comes out, what it costs for one image.

    `parameters` are trained; `moments` are the running statistics of a batch norm, stored and not trained.
    `macs` are multiply-accumulates.
    """

    layer: Layer
    input_shape: Shape
    output_shape: Shape
    weight_shape: tuple[int, ...]
    bias_count: int
    macs: int
    moments: int = 0

    @property
    def weight_count(self) -> int:
        return _product(self.weight_shape) if self.weight_shape else 0

    @property
    def parameters(self) -> int:
        return self.weight_count + self.bias_count

    @property
    def fan(self) -> tuple[int, int]:
        """(fan in, fan out) as Glorot & Bengio (2010) and Keras count them; (0, 0) without a matrix."""
        if len(self.weight_shape) < 2:
            return (0, 0)
        field = _product(self.weight_shape[2:])
        return self.weight_shape[1] * field, self.weight_shape[0] * field


@dataclass(frozen=True)
class NetSpec:
    """A network as a tuple of layers. Its shapes follow once the input shape is given."""

    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return ", ".join(str(layer) for layer in self.layers)

    def plan(self, input_shape: Shape) -> tuple[LayerPlan, ...]:
        """Each layer in place.

        Raises:
            SpecError: a layer does not fit the map that it is given.
        """
        return _plan(self.layers, tuple(input_shape))

    def parameters(self, input_shape: Shape) -> int:
        """The number of trained parameters."""
        return sum(plan.parameters for plan in self.plan(input_shape))

    def macs(self, input_shape: Shape) -> int:
        """Multiply-accumulates for one image, forward."""
        return sum(plan.macs for plan in self.plan(input_shape))

    def activation_count(self, input_shape: Shape) -> int:
        """The most values alive at once in a forward pass, layer by layer: input plus output."""
        return max(_product(p.input_shape) + _product(p.output_shape) for p in self.plan(input_shape))

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out of the last layer."""
        return self.plan(input_shape)[-1].output_shape

    def check_head(self, input_shape: Shape, classes: int | None = None) -> None:
        """Raise SpecError unless the network ends in `classes` linear outputs (of any number, for None)."""
        outputs = self.output_shape(input_shape)
        if outputs[1:] != (1, 1):
            raise SpecError(
                f"the network has no head: it ends in {_shape_text(outputs)}; end it with 'dense {classes or 10}', "
                "one unit a class"
            )
        classes = classes or outputs[0]
        if outputs != (classes, 1, 1):
            raise SpecError(
                f"the network ends in {_shape_text(outputs)} and the data has {classes} classes; "
                f"end it with 'dense {classes}'"
            )
        trained = [p.layer for p in self.plan(input_shape) if p.parameters]
        if not trained:
            raise SpecError(f"the network '{self}' has no parameters to train; end it with 'dense {classes}'")
        last = trained[-1]
        if getattr(last, "slope", LINEAR) != LINEAR:
            raise SpecError(f"the last layer '{last}' must give logits; leave its activation out")


def parse_spec(text: str) -> NetSpec:
    """Parse a network text (the grammar is the module's docstring).

    Raises:
        SpecError: names the layer that is wrong and what would be right.
    """
    pieces = [piece.strip() for piece in text.split(",")]
    if not any(pieces):
        raise SpecError("the network text is empty; give for example 'conv 2x3x3 relu, maxpool 2, dense 10'")
    return NetSpec(tuple(_parse_layer(piece) for piece in pieces if piece != "flatten"))


# --- text -> layer ---------------------------------------------------------------------------

_NUMBER = r"(\d+)"
_KERNEL = r"(\d+)x(\d+)"
_SAME = r"(?: (same|valid))?"
_NOBIAS = r"(?: (nobias))?"
_ACT = r"(?: (relu|linear|leaky_relu\([0-9.e-]+\)))?"

_GRAMMAR = {
    "conv": (rf"conv {_NUMBER}x{_KERNEL}{_SAME}{_NOBIAS}{_ACT}", "conv 2x3x3 relu"),
    "depthwise": (rf"depthwise {_KERNEL}{_SAME}{_NOBIAS}{_ACT}", "depthwise 3x3 relu"),
    "pointwise": (rf"pointwise {_NUMBER}{_NOBIAS}{_ACT}", "pointwise 4 relu"),
    "maxpool": (rf"maxpool {_NUMBER}", "maxpool 2"),
    "avgpool": (rf"avgpool {_NUMBER}", "avgpool 2"),
    "globalavgpool": (r"globalavgpool", "globalavgpool"),
    "dense": (rf"dense {_NUMBER}{_NOBIAS}{_ACT}", "dense 10"),
    "batchnorm": (rf"batchnorm{_ACT}", "batchnorm"),
    "dropout": (r"dropout ([0-9.e-]+)", "dropout 0.25"),
}


def _parse_layer(piece: str) -> Layer:
    words = piece.split()
    kind = words[0] if words else ""
    if kind not in _GRAMMAR:
        raise SpecError(f"unknown layer '{piece}'; known: {', '.join(_GRAMMAR)}{_near(kind)}")
    pattern, example = _GRAMMAR[kind]
    match = re.fullmatch(pattern, " ".join(words))
    if match is None:
        raise SpecError(f"cannot read layer '{piece}'; write it like '{example}'")
    return _build(kind, match.groups(), piece)


def _build(kind: str, groups: tuple[str | None, ...], piece: str) -> Layer:
    match kind, groups:
        case "conv", (channels, ky, kx, same, nobias, act):
            kernel = _kernel(ky, kx, piece)
            return Conv(_positive(channels, piece), kernel, same == "same", _slope(act, piece), nobias is None)
        case "depthwise", (ky, kx, same, nobias, act):
            return Depthwise(_kernel(ky, kx, piece), same == "same", _slope(act, piece), nobias is None)
        case "pointwise", (channels, nobias, act):
            return Pointwise(_positive(channels, piece), _slope(act, piece), nobias is None)
        case "maxpool", (size,):
            return MaxPool(_positive(size, piece))
        case "avgpool", (size,):
            return AvgPool(_positive(size, piece))
        case "dense", (units, nobias, act):
            return Dense(_positive(units, piece), _slope(act, piece), nobias is None)
        case "batchnorm", (act,):
            return BatchNorm(_slope(act, piece))
        case "dropout", (rate,):
            return Dropout(_rate(rate, piece))
    return GlobalAvgPool()


def _positive(text: str | None, piece: str) -> int:
    value = int(text or 0)
    if value < 1:
        raise SpecError(f"'{piece}' has a size of {value}; the least is 1")
    return value


def _kernel(ky: str | None, kx: str | None, piece: str) -> tuple[int, int]:
    kernel = (_positive(ky, piece), _positive(kx, piece))
    if max(kernel) > MAX_KERNEL:
        raise SpecError(f"'{piece}' has a kernel of {max(kernel)}; the largest is {MAX_KERNEL}")
    return kernel


def _slope(act: str | None, piece: str) -> float:
    if act in (None, "linear"):
        return LINEAR
    if act == "relu":
        return RELU
    return _fraction(act[len("leaky_relu(") : -1], piece)


def _rate(text: str | None, piece: str) -> float:
    return _fraction(text or "", piece)


def _fraction(text: str, piece: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise SpecError(f"'{piece}' needs a number of at least 0 and below 1, not '{text}'")
    return value


def _near(kind: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(kind, _GRAMMAR, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


# --- layer -> text ---------------------------------------------------------------------------


def _same(layer: Conv | Depthwise) -> str:
    return " same" if layer.same else ""


def _nobias(layer: Conv | Depthwise | Pointwise | Dense) -> str:
    return "" if layer.bias else " nobias"


def _activation(slope: float) -> str:
    if slope == LINEAR:
        return ""
    return " relu" if slope == RELU else f" leaky_relu({_number(slope)})"


def _number(value: float) -> str:
    """The shortest text that reads back as the same number: two networks that differ have two texts."""
    return str(float(value)).removesuffix(".0")


# --- layer -> shapes and counts ---------------------------------------------------------------


@lru_cache(maxsize=4096)
def _plan(layers: tuple[Layer, ...], input_shape: Shape) -> tuple[LayerPlan, ...]:
    if not layers:
        raise SpecError("the network has no layers; end it with a dense layer, one unit a class")
    plans, shape = [], input_shape
    for layer in layers:
        plans.append(_place(layer, shape))
        shape = plans[-1].output_shape
    return tuple(plans)


def _place(layer: Layer, shape: Shape) -> LayerPlan:
    channels = shape[0]
    match layer:
        case Conv(out, kernel, same, _, bias):
            return _place_conv(layer, shape, (out, channels, *kernel), same, bias)
        case Depthwise(kernel, same, _, bias):
            return _place_conv(layer, shape, (channels, 1, *kernel), same, bias)
        case Pointwise(out, _, bias):
            return _place_conv(layer, shape, (out, channels, 1, 1), True, bias)
        case MaxPool(size) | AvgPool(size):
            return LayerPlan(layer, shape, _pooled(layer, shape, size), (), 0, 0)
        case GlobalAvgPool():
            return LayerPlan(layer, shape, (channels, 1, 1), (), 0, 0)
        case Dense(units, _, bias):
            inputs = _product(shape)
            return LayerPlan(layer, shape, (units, 1, 1), (units, inputs), units * bias, units * inputs)
        case BatchNorm():
            return LayerPlan(layer, shape, shape, (channels,), channels, _product(shape), 2 * channels)
        case Dropout():
            return LayerPlan(layer, shape, shape, (), 0, 0)


def _place_conv(
    layer: Layer, shape: Shape, weight_shape: tuple[int, int, int, int], same: bool, bias: bool
) -> LayerPlan:
    _, height, width = shape
    out_channels, _, kernel_y, kernel_x = weight_shape
    if not same:
        height, width = height - kernel_y + 1, width - kernel_x + 1
    if min(height, width) < 1:
        raise SpecError(
            f"'{layer}' has a kernel of {kernel_y}x{kernel_x} and is given a map of {shape[1]}x{shape[2]}; "
            "use a smaller kernel, 'same', or fewer pools before it"
        )
    macs = _product(weight_shape) * height * width
    return LayerPlan(layer, shape, (out_channels, height, width), weight_shape, out_channels * bias, macs)


def _pooled(layer: Layer, shape: Shape, size: int) -> Shape:
    channels, height, width = shape
    if min(height, width) < size:
        raise SpecError(f"'{layer}' is given a map of {height}x{width}; use a smaller pool or fewer layers before it")
    return channels, height // size, width // size


def _product(numbers: tuple[int, ...]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def _shape_text(shape: Shape) -> str:
    return f"{shape[0]} values" if shape[1:] == (1, 1) else "a map of " + "x".join(map(str, shape))
