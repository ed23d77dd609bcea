"""The layers of a network: frozen records whose `str` is the text that `parse_spec` reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

Pair = tuple[int, int]
"""A size in rows and columns: (y, x)."""

RELU, LINEAR = 0.0, 1.0
"""Slopes of an activation for negative values."""

NO_CEILING, RELU6_CEILING = math.inf, 6.0
"""Upper limits of an activation; only relu6 has one (Krizhevsky 2010, "Convolutional deep belief networks")."""

MAX_KERNEL, MAX_LINE_KERNEL = 11, 63
"""The longest side of a kernel; the second is for a kernel that is one row or one column."""

MAX_FIRST_KERNEL = 7
"""The longest side of a kernel in version 1 of the file format."""

MAX_STRIDE = 63

MAX_REPEATS, MAX_DEPTH = 1000, 3
"""Limits on the rounds of a repeat, and on brackets within brackets."""

BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-3, 0.99
"""Keras's constants; the native core has its own copy."""


@dataclass(frozen=True)
class Conv:
    """A convolution; weights float32 [channels, channels in, kernel_y, kernel_x].

    With `same`, the output has ceil(n / stride) rows for n rows of input, and of the zeros around the map half, rounded
    down, come first (TensorFlow's SAME). An activation is `slope * x` below zero and `ceiling` above it.
    """

    channels: int
    kernel: Pair
    same: bool = False
    slope: float = LINEAR
    bias: bool = True
    stride: Pair = (1, 1)
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        return f"conv {self.channels}x{_kernel(self)}{_stride(self)}{_same(self)}{_nobias(self)}{_activation(self)}"


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel alone; weights [channels, 1, kernel_y, kernel_x].

    With `shared` above 0, there are only so many kernels, weights [shared, 1, kernel_y, kernel_x], and channel c uses
    kernel c % shared. Each channel keeps a bias of its own.
    """

    kernel: Pair
    same: bool = False
    slope: float = LINEAR
    bias: bool = True
    stride: Pair = (1, 1)
    ceiling: float = NO_CEILING
    shared: int = 0

    def __str__(self) -> str:
        shared = f" shared {self.shared}" if self.shared else ""
        return f"depthwise {_kernel(self)}{shared}{_stride(self)}{_same(self)}{_nobias(self)}{_activation(self)}"


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution; weights [channels, channels in, 1, 1]."""

    channels: int
    slope: float = LINEAR
    bias: bool = True
    stride: Pair = (1, 1)
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        return f"pointwise {self.channels}{_stride(self)}{_nobias(self)}{_activation(self)}"


@dataclass(frozen=True, init=False)
class MaxPool:
    """The maximum over windows; the stride is the window unless given; rows and columns left over are dropped.

    Args:
        window: rows and columns of a window; one number for a square.
        stride: rows and columns from one window to the next; None for the window's.
    """

    window: Pair
    stride: Pair

    def __init__(self, window: int | Pair, stride: int | Pair | None = None) -> None:
        object.__setattr__(self, "window", _pair(window))
        object.__setattr__(self, "stride", self.window if stride is None else _pair(stride))

    def __str__(self) -> str:
        return f"maxpool {_window(self)}"


@dataclass(frozen=True, init=False)
class AvgPool:
    """The mean over windows; the stride is the window unless given; rows and columns left over are dropped.

    Args:
        window: rows and columns of a window; one number for a square.
        stride: rows and columns from one window to the next; None for the window's.
    """

    window: Pair
    stride: Pair

    def __init__(self, window: int | Pair, stride: int | Pair | None = None) -> None:
        object.__setattr__(self, "window", _pair(window))
        object.__setattr__(self, "stride", self.window if stride is None else _pair(stride))

    def __str__(self) -> str:
        return f"avgpool {_window(self)}"


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
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        return f"dense {self.units}{_nobias(self)}{_activation(self)}"


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization per channel (Ioffe & Szegedy 2015): trained scale and shift, running mean and variance."""

    slope: float = LINEAR
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        return f"batchnorm{_activation(self)}"


@dataclass(frozen=True)
class PReLU:
    """A leaky relu with a trained slope per channel (He et al. 2015, section 2.1), which starts at 0.25."""

    def __str__(self) -> str:
        return "prelu"


@dataclass(frozen=True)
class CReLU:
    """The relu of every channel, then the relu of every negated channel (Shang et al. 2016): twice the channels."""

    def __str__(self) -> str:
        return "crelu"


@dataclass(frozen=True)
class Dropout:
    """Dropout: in training each value is zero with probability `rate`, else divided by 1 - rate."""

    rate: float

    def __str__(self) -> str:
        return f"dropout {_number(self.rate)}"


@dataclass(frozen=True)
class Repeat:
    """The same layers `times` times in sequence; later rounds use the weights of the first."""

    times: int
    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return f"repeat {self.times} [{_list(self.layers)}]"


@dataclass(frozen=True)
class Residual:
    """The sum of what the layers and the shortcut make of one input, then an activation (He et al. 2015).

    Attributes:
        layers: the block.
        shortcut: the layers beside it, for example a strided pointwise convolution; () adds the input itself.
        slope: of the activation below zero.
        ceiling: of the activation.
    """

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    slope: float = LINEAR
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        shortcut = f" | {_list(self.shortcut)}" if self.shortcut else ""
        return f"residual [{_list(self.layers)}{shortcut}]{_activation(self)}"


@dataclass(frozen=True)
class Add:
    """The sum at the end of a residual. It stands in plans only: no text has it."""

    slope: float = LINEAR
    ceiling: float = NO_CEILING

    def __str__(self) -> str:
        return f"add{_activation(self)}"


PlainLayer = (
    Conv | Depthwise | Pointwise | MaxPool | AvgPool | GlobalAvgPool | Dense | BatchNorm | PReLU | CReLU | Dropout
)
"""A layer without layers in it."""

Layer = PlainLayer | Repeat | Residual
"""A layer of a network's text."""

PlannedLayer = PlainLayer | Add
"""A layer of a plan, in which repeats and residuals are written out."""

Weighted = Conv | Depthwise | Pointwise | Dense
"""A layer that sums its inputs with weights."""

Activated = Conv | Depthwise | Pointwise | Dense | BatchNorm | Residual | Add


def is_weighted(layer: object) -> TypeGuard[Weighted]:
    """Return whether a layer sums its inputs with weights."""
    return isinstance(layer, Weighted)


def is_linear(layer: object) -> TypeGuard[Weighted]:
    """Return whether a layer sums its inputs with weights and has no activation."""
    return is_weighted(layer) and layer.slope == LINEAR and layer.ceiling == NO_CEILING


def inner_layers(layer: Layer) -> tuple[Layer, ...]:
    """Return the layers within a layer, of a residual the block's and then the shortcut's."""
    match layer:
        case Repeat():
            return layer.layers
        case Residual():
            return (*layer.layers, *layer.shortcut)
    return ()


def is_first_language(layer: Layer) -> bool:
    """Return whether version 1 of the file format can say a layer.

    It has no strides but those of pools, which are square, no kernel above 7, relu6, crelu, shared kernels or residual,
    and no brackets in brackets.
    """
    if isinstance(layer, Repeat):
        return all(not inner_layers(inner) and is_first_language(inner) for inner in layer.layers)
    if isinstance(layer, MaxPool | AvgPool):
        return layer.window[0] == layer.window[1] and layer.stride == layer.window
    settings = (getattr(layer, "stride", (1, 1)), getattr(layer, "ceiling", NO_CEILING), getattr(layer, "shared", 0))
    usual = settings == ((1, 1), NO_CEILING, 0) and max(getattr(layer, "kernel", (1, 1))) <= MAX_FIRST_KERNEL
    return usual and not isinstance(layer, CReLU | Residual)


# --- the parts of a text ----------------------------------------------------------------------


def _list(layers: tuple[Layer, ...]) -> str:
    return ", ".join(map(str, layers))


def _kernel(layer: Conv | Depthwise) -> str:
    return "x".join(map(str, layer.kernel))


def _stride(layer: Conv | Depthwise | Pointwise) -> str:
    return "" if layer.stride == (1, 1) else f" stride {_square_text(layer.stride)}"


def _window(layer: MaxPool | AvgPool) -> str:
    stride = "" if layer.stride == layer.window else f" stride {_square_text(layer.stride)}"
    return _square_text(layer.window) + stride


def _square_text(size: Pair) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def _pair(size: int | Pair) -> Pair:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _same(layer: Conv | Depthwise) -> str:
    return " same" if layer.same else ""


def _nobias(layer: Conv | Depthwise | Pointwise | Dense) -> str:
    return "" if layer.bias else " nobias"


def _activation(layer: Activated) -> str:
    if layer.ceiling != NO_CEILING:
        return " relu6"
    if layer.slope == LINEAR:
        return ""
    return " relu" if layer.slope == RELU else f" leaky_relu({_number(layer.slope)})"


def _number(value: float) -> str:
    """The shortest text that reads back as the same number, so that different networks have different texts."""
    return str(float(value)).removesuffix(".0")
