"""A network and the arithmetic of its layers: shapes, parameters, multiply-accumulates, memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from smidgen.errors import SpecError
from smidgen.spec.layers import (
    LINEAR,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Pointwise,
    PReLU,
    Repeat,
)

Shape = tuple[int, int, int]
"""(channels, height, width); (n, 1, 1) for a vector of n values."""


@dataclass(frozen=True)
class LayerPlan:
    """A layer of a network for a given input shape.

    Attributes:
        layer: The layer.
        input_shape: The shape of its input.
        output_shape: The shape of its output.
        weight_shape: The shape of its weights; () without weights.
        bias_count: How many biases it has (for a batch norm, how many shifts).
        macs: Multiply-accumulates of one forward pass of one image.
        running_stats: How many running means and variances a batch norm stores; they are not trained.
        source: The index of the layer whose weights this one uses, in a later round of a repeat; None if it has
            weights of its own. `weight_shape` is then that of the shared weights, and `parameters` is 0.
    """

    layer: Layer
    input_shape: Shape
    output_shape: Shape
    weight_shape: tuple[int, ...]
    bias_count: int
    macs: int
    running_stats: int = 0
    source: int | None = None

    @property
    def weight_count(self) -> int:
        """How many weights it computes with, shared ones included, biases excluded."""
        return _product(self.weight_shape) if self.weight_shape else 0

    @property
    def parameters(self) -> int:
        """How many trained numbers of its own it has."""
        return self.weight_count + self.bias_count if self.source is None else 0

    @property
    def fan(self) -> tuple[int, int]:
        """(fan in, fan out) as Glorot & Bengio (2010) and Keras count them; (0, 0) without a weight matrix."""
        if len(self.weight_shape) < 2:
            return (0, 0)
        field = _product(self.weight_shape[2:])
        return self.weight_shape[1] * field, self.weight_shape[0] * field


@dataclass(frozen=True)
class NetSpec:
    """A network: a tuple of layers. Its shapes depend on the input shape, which every method takes."""

    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return ", ".join(str(layer) for layer in self.layers)

    def plan(self, input_shape: Shape) -> tuple[LayerPlan, ...]:
        """Return the plan of every layer, repeats written out.

        Raises:
            SpecError: A layer does not fit its input.
        """
        return _plan(self.layers, tuple(input_shape))

    def parameters(self, input_shape: Shape) -> int:
        """Return how many trained parameters the network has."""
        return sum(plan.parameters for plan in self.plan(input_shape))

    def macs(self, input_shape: Shape) -> int:
        """Return the multiply-accumulates of one forward pass of one image."""
        return sum(plan.macs for plan in self.plan(input_shape))

    def activation_count(self, input_shape: Shape) -> int:
        """Return the most values in memory at once in a forward pass: the largest sum of a layer's input and output."""
        return max(_product(p.input_shape) + _product(p.output_shape) for p in self.plan(input_shape))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the last layer's output."""
        return self.plan(input_shape)[-1].output_shape

    def check_head(self, input_shape: Shape, classes: int | None = None) -> None:
        """Check that the network ends in one linear output per class.

        Args:
            input_shape: The shape of an image.
            classes: How many classes there are; None allows any number.

        Raises:
            SpecError: The network has no such outputs, or nothing to train.
        """
        outputs = self.output_shape(input_shape)
        if outputs[1:] != (1, 1):
            raise SpecError(
                f"the network has no head: it ends in {_shape_text(outputs)}; end it with 'dense {classes or 10}', "
                "one unit per class"
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
        if isinstance(last, PReLU) or getattr(last, "slope", LINEAR) != LINEAR:
            raise SpecError(f"the last layer '{last}' must give logits; leave its activation out")


# --- the plan of one layer --------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _plan(layers: tuple[Layer, ...], input_shape: Shape) -> tuple[LayerPlan, ...]:
    if not layers:
        raise SpecError("the network has no layers; end it with a dense layer, one unit per class")
    plans: list[LayerPlan] = []
    _append(plans, layers, input_shape)
    return tuple(plans)


def _append(plans: list[LayerPlan], layers: tuple[Layer, ...], shape: Shape) -> None:
    for layer in layers:
        if isinstance(layer, Repeat):
            _append_rounds(plans, layer, shape)
        else:
            plans.append(_place(layer, shape))
        shape = plans[-1].output_shape if plans else shape


def _append_rounds(plans: list[LayerPlan], repeat: Repeat, shape: Shape) -> None:
    """Append all rounds of a repeat; later ones use the first round's weights."""
    first = len(plans)
    _append(plans, repeat.layers, shape)
    length = len(plans) - first
    for _ in range(1, repeat.times if length else 1):
        start = len(plans)
        _append(plans, repeat.layers, plans[-1].output_shape)
        for place in range(start, len(plans)):
            plans[place] = _sharing(plans[place], plans, first + place - start)


def _sharing(plan: LayerPlan, plans: list[LayerPlan], source: int) -> LayerPlan:
    if isinstance(plan.layer, BatchNorm) or not plan.weight_shape:
        return plan
    if plan.weight_shape != plans[source].weight_shape:
        raise SpecError(
            f"'{plan.layer}' is repeated with weights of shape {_sizes(plans[source].weight_shape)} and then "
            f"{_sizes(plan.weight_shape)}; repeat layers that keep their shape, as 'same' and equal channels do"
        )
    return replace(plan, source=source)


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
        case PReLU():
            return LayerPlan(layer, shape, shape, (channels,), 0, _product(shape))
        case Dropout():
            return LayerPlan(layer, shape, shape, (), 0, 0)
        case Repeat():
            raise SpecError(f"'{layer}' must be written out before it is planned")


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
    return f"{shape[0]} values" if shape[1:] == (1, 1) else "a map of " + _sizes(shape)


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
