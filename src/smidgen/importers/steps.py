"""The steps of a foreign network: layers of the spec language with their weights, and what has no layer of its own.

A reader calls the methods of `Steps` in the order of the computation. Values are known by the reader's names. Maps are
(channels, height, width), so a reader of another layout transposes the weights that it hands over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError, SpecError
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    NO_CEILING,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    InputSpec,
    LayerPlan,
    NetSpec,
    PlannedLayer,
    Pointwise,
    PReLU,
    Shape,
    same_padding,
)
from smidgen.spec.input import IMAGE_BYTES, IMAGE_FLOATS, SIGNAL, VECTOR
from smidgen.spec.shapes import shape_text

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating[Any]]
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
"""Zeros before and after the rows, before and after the columns."""

NO_PADS: Pads = ((0, 0), (0, 0))

BYTE_DIVISOR = 255.0


@dataclass(frozen=True)
class Activation:
    """An activation that is yet to join the layer before it."""

    slope: float
    ceiling: float = NO_CEILING


@dataclass(frozen=True)
class Sum:
    """The sum of two values."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    Attributes:
        name: what errors call it.
        action: what it computes.
        inputs: the values that it reads.
        output: the value that it makes.
        arrays: the weights, in the order of `model.tensor_shapes`.
    """

    name: str
    action: PlannedLayer | Activation | Sum
    inputs: tuple[str, ...]
    output: str
    arrays: tuple[Floats, ...] = ()


@dataclass
class Steps:
    """The steps of a network so far.

    Attributes:
        input_name: the value that is the network's input.
        input_shape: its shape.
        steps: in order.
        notes: what a user should know, a sentence each.
        is_softmax: whether the network ends in a softmax, or in a sigmoid of one output, which is left out.
        offset: what the network subtracts from its input first, a number a channel; float64 [channels].
        scale: what it multiplies that by; float64 [channels]. Both become the description of the network's input.
    """

    input_name: str
    input_shape: Shape
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_softmax: bool = False
    offset: Doubles = field(init=False)
    scale: Doubles = field(init=False)
    _shapes: dict[str, Shape] = field(default_factory=dict)
    _same_as: dict[str, str] = field(default_factory=dict)
    _pads: dict[str, Pads] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shapes[self.input_name] = self.input_shape
        self.offset, self.scale = np.zeros(self.input_shape[0]), np.ones(self.input_shape[0])

    @property
    def described(self) -> InputSpec | None:
        """The input's description; None if the network reads its input as it is."""
        if not self.offset.any() and (self.scale == 1).all():
            return None
        if not self.offset.any() and np.allclose(self.scale * BYTE_DIVISOR, 1, atol=1e-6):
            return InputSpec(IMAGE_BYTES, self.input_shape)
        kind = VECTOR if self.input_shape[1:] == (1, 1) else SIGNAL if self.input_shape[1] == 1 else IMAGE_FLOATS
        return InputSpec(kind, self.input_shape, tuple(self.offset.tolist()), tuple(self.scale.tolist()))

    def in_units(self, maps: Floats) -> Floats:
        """Return inputs [n, channels, height, width] that the first layer reads as the network itself is given them."""
        return (maps / self.scale[:, None, None] + self.offset[:, None, None]).astype(np.float32)

    def shape(self, value: str) -> Shape:
        """Return the shape of a value."""
        return self._shapes[self.real(value)]

    def real(self, value: str) -> str:
        """Return the value that this one is another name of."""
        return self._same_as.get(value, value)

    def scaling(self, name: str, source: str, output: str, offset: Numbers, scale: Numbers) -> None:
        """Take (value - offset) * scale, one number for all or one a channel, into the description of the input.

        Raises:
            RequestError: A layer comes before it, or a scale is not a number above 0.
        """
        if self.real(source) != self.input_name or self.steps:
            raise RequestError(f"{name} scales a map inside the network, which has no layer in the spec language")
        if not (np.isfinite(offset).all() and np.isfinite(scale).all() and (np.asarray(scale) > 0).all()):
            raise RequestError(
                f"{name} scales the input by {np.min(scale):g}, which must be above 0; scale the data outside it"
            )
        self.offset, self.scale = self.offset + np.ravel(offset) / self.scale, self.scale * np.ravel(scale)
        self.same(source, output)

    def layer(self, name: str, layer: PlannedLayer, source: str, output: str, *arrays: Numbers) -> None:
        """Add a layer.

        Raises:
            RequestError: it does not fit the map that it is given.
        """
        given = self._unpadded(name, source)
        try:
            (plan,) = NetSpec((layer,)).plan(self._shapes[given])  # type: ignore[arg-type]
        except SpecError as error:
            raise RequestError(f"{name} cannot be imported: {error}") from error
        self._check_arrays(name, plan, arrays)
        self._shapes[output] = plan.output_shape
        self.steps.append(Step(name, layer, (given,), output, tuple(np.asarray(array, np.float32) for array in arrays)))

    def convolution(
        self,
        name: str,
        source: str,
        output: str,
        weight: Numbers,
        bias: Numbers | None,
        *,
        stride: Pair = (1, 1),
        pads: Pads = NO_PADS,
        is_depthwise: bool = False,
    ) -> None:
        """Add a convolution; its weight is [channels, channels in, kernel_y, kernel_x].

        Raises:
            RequestError: the spec language cannot pad like this.
        """
        given = self.real(source)
        pads = _sum_of_pads(pads, self._pads.get(given, NO_PADS))
        self._pads.pop(given, None)
        weight, same = self._padded_kernel(name, given, weight, stride, pads)
        kernel = (weight.shape[2], weight.shape[3])
        layer: Conv | Depthwise | Pointwise
        if is_depthwise:
            layer = Depthwise(kernel, same, bias=bias is not None, stride=stride)
        elif kernel == (1, 1):
            layer = Pointwise(weight.shape[0], bias=bias is not None, stride=stride)
        else:
            layer = Conv(weight.shape[0], kernel, same, bias=bias is not None, stride=stride)
        self.layer(name, layer, source, output, weight, *([] if bias is None else [bias]))

    def dense(
        self,
        name: str,
        source: str,
        output: str,
        weight: Numbers,
        bias: Numbers | None,
    ) -> None:
        """Add a dense layer; its weight is [units, inputs], inputs in channel, row, column order."""
        layer = Dense(len(weight), bias=bias is not None)
        self.layer(name, layer, source, output, weight, *([] if bias is None else [bias]))

    def batch_norm(self, name: str, source: str, output: str, parts: Sequence[Numbers], epsilon: float) -> None:
        """Add a batch norm from its scale, shift, mean and variance; the scale takes up another epsilon than ours."""
        scale, shift, mean, variance = (np.asarray(part, np.float64) for part in parts)
        scale = scale * np.sqrt((variance + BATCH_NORM_EPSILON) / (variance + epsilon))
        self.layer(name, BatchNorm(), source, output, scale, shift, mean, variance)

    def prelu(self, name: str, source: str, output: str, slopes: Numbers) -> None:
        """Add a PReLU with a slope for each channel, or one for all.

        Raises:
            RequestError: there are other numbers of slopes.
        """
        channels = self.shape(source)[0]
        if slopes.size not in (1, channels):
            raise RequestError(f"{name} has {slopes.size} slopes for {channels} channels; a prelu has one a channel")
        self.layer(name, PReLU(), source, output, np.broadcast_to(slopes.ravel(), (channels,)))

    def activation(self, name: str, source: str, output: str, slope: float, ceiling: float = NO_CEILING) -> None:
        """Add an activation; a linear one is the value itself."""
        if slope == LINEAR and ceiling == NO_CEILING:
            self.same(source, output)
        else:
            self._value(name, Activation(slope, ceiling), (source,), output)

    def dropout(self, name: str, source: str, output: str, rate: float) -> None:
        """Add a dropout; one of rate 0 is the value itself."""
        if 0 < rate < 1:
            self.layer(name, Dropout(rate), source, output)
        else:
            self.same(source, output)

    def global_average(self, name: str, source: str, output: str) -> None:
        """Add the mean of each channel."""
        self.layer(name, GlobalAvgPool(), source, output)

    def add(self, name: str, sources: Sequence[str], output: str) -> None:
        """Add a sum of two values.

        Raises:
            RequestError: there are more or fewer than two.
        """
        if len(sources) != 2:
            raise RequestError(f"{name} adds {len(sources)} values; a residual adds two")
        self._value(name, Sum(), tuple(sources), output)

    def add_bias(self, name: str, source: str, output: str, bias: Numbers) -> None:
        """Give the layer that makes a value a bias.

        Raises:
            RequestError: it has one, or the value is read before.
        """
        given = self._unpadded(name, source)
        place = next((at for at, step in enumerate(self.steps) if step.output == given), -1)
        step = self.steps[place] if place >= 0 else None
        read = any(given in each.inputs for each in self.steps)
        layer = step.action if step is not None and not read else None
        is_free = isinstance(layer, Conv | Depthwise | Pointwise | Dense) and not layer.bias
        if step is None or not is_free or bias.size != self._shapes[given][0]:
            raise RequestError(f"{name} adds constants to a value; only a layer's bias can be imported")
        action = _with_bias(layer)
        arrays = (*step.arrays, np.asarray(bias, np.float32).ravel())
        self.steps[place] = replace(step, action=action, arrays=arrays, output=output)
        self._shapes[output] = self._shapes.pop(given)

    def pad(self, name: str, source: str, output: str, pads: Pads) -> None:
        """Put zeros around a map; the convolution that reads it pads instead."""
        given = self.real(source)
        self._shapes[output] = self._shapes[given]
        self._pads[output] = _sum_of_pads(pads, self._pads.get(given, NO_PADS))
        self.steps.append(Step(name, Dropout(0.0), (given,), output))

    def same(self, source: str, output: str) -> None:
        """Say that a value is another by a new name."""
        self._same_as[output] = self.real(source)

    def softmax(self, source: str, output: str) -> None:
        """Leave out a softmax, which must be the last step."""
        self.is_softmax = True
        self.same(source, output)

    def sigmoid(self, name: str, source: str, output: str) -> None:
        """Leave out a sigmoid of one output, which must be the last step: it is the softmax of (0, output)."""
        if self.shape(source) != (1, 1, 1):
            raise RequestError(
                f"{name} is a sigmoid of {shape_text(self.shape(source))}; only one of one output for two classes, at "
                "the network's end, can be imported"
            )
        self.softmax(source, output)

    def _value(self, name: str, action: Activation | Sum, sources: tuple[str, ...], output: str) -> None:
        given = tuple(self._unpadded(name, source) for source in sources)
        self._shapes[output] = self._shapes[given[0]]
        self.steps.append(Step(name, action, given, output))

    def _unpadded(self, name: str, source: str) -> str:
        if self.is_softmax:
            raise RequestError(f"{name} reads the result of a softmax or sigmoid; only the last step may be one")
        given = self.real(source)
        if given not in self._shapes:
            raise RequestError(f"{name} reads a value without the bias that is added to it; it cannot be imported")
        if given in self._pads:
            raise RequestError(f"{name} reads a map with zeros around it; only a convolution may")
        return given

    def _check_arrays(self, name: str, plan: LayerPlan, arrays: Sequence[Numbers]) -> None:
        wanted = plan.parameters + plan.running_stats
        found = sum(array.size for array in arrays)
        if found != wanted:
            raise RequestError(
                f"{name} has {found:,} weights, and '{plan.layer}' has {wanted:,}; it cannot be imported"
            )

    def _padded_kernel(self, name: str, given: str, weight: Numbers, stride: Pair, pads: Pads) -> tuple[Numbers, bool]:
        """Return the kernel, and whether it pads; zeros are appended to it where only that makes `same` fit."""
        if pads == NO_PADS:
            return weight, False
        kernel = weight.shape[2:]
        rows, columns = (
            _same_kernel(size, k, step, pad)
            for size, k, step, pad in zip(self._shapes[given][1:], kernel, stride, pads, strict=True)
        )
        if not rows or not columns:
            raise RequestError(
                f"{name} has a kernel of {kernel[0]}x{kernel[1]}, a stride of {stride[0]}x{stride[1]} and zeros {pads} "
                "around the map, which neither 'same' nor no padding gives; it cannot be imported"
            )
        if (rows, columns) != kernel:
            self.notes.append(
                f"{name}: the kernel of {kernel[0]}x{kernel[1]} became one of {rows}x{columns} with zeros at its end, "
                "because 'same' puts its zeros elsewhere"
            )
        return np.pad(weight, ((0, 0), (0, 0), (0, rows - kernel[0]), (0, columns - kernel[1]))), True


def _with_bias(layer: object) -> PlannedLayer:
    assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
    return replace(layer, bias=True)


def _same_kernel(size: int, kernel: int, stride: int, pads: Pair) -> int:
    """Return the length from `kernel` on at which `same` puts as many zeros before a row; 0 if there is none."""
    steps = (size + sum(pads) - kernel) // stride + 1
    if steps != -(-size // stride):
        return 0
    lengths = range(kernel, kernel + stride + 1)
    return next((length for length in lengths if same_padding(size, length, stride)[0] == pads[0]), 0)


def _sum_of_pads(one: Pads, other: Pads) -> Pads:
    (top, bottom), (left, right) = ((a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True))
    return (top, bottom), (left, right)
