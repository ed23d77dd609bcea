"""The layers of a network: frozen records whose `str` is the text that `parse_spec` reads."""

from __future__ import annotations

from dataclasses import dataclass

RELU, LINEAR = 0.0, 1.0
"""Slopes of an activation for negative values."""

MAX_KERNEL, MAX_REPEATS = 7, 1000
"""The largest kernel that the native core has code for, and a limit on the work that one layer's text can ask for."""

BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-3, 0.99
"""Keras's constants; the native core has its own copy."""


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
    """A convolution of each channel with a kernel of its own; weights [channels, 1, kernel_y, kernel_x]."""

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
    """Batch normalization per channel (Ioffe & Szegedy 2015): trained scale and shift, running mean and variance."""

    slope: float = LINEAR

    def __str__(self) -> str:
        return f"batchnorm{_activation(self.slope)}"


@dataclass(frozen=True)
class PReLU:
    """A leaky relu with a trained slope per channel (He et al. 2015, section 2.1), which starts at 0.25."""

    def __str__(self) -> str:
        return "prelu"


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
        return f"repeat {self.times} [{', '.join(map(str, self.layers))}]"


Layer = Conv | Depthwise | Pointwise | MaxPool | AvgPool | GlobalAvgPool | Dense | BatchNorm | PReLU | Dropout | Repeat


def _same(layer: Conv | Depthwise) -> str:
    return " same" if layer.same else ""


def _nobias(layer: Conv | Depthwise | Pointwise | Dense) -> str:
    return "" if layer.bias else " nobias"


def _activation(slope: float) -> str:
    if slope == LINEAR:
        return ""
    return " relu" if slope == RELU else f" leaky_relu({_number(slope)})"


def _number(value: float) -> str:
    """The shortest text that reads back as the same number, so that different networks have different texts."""
    return str(float(value)).removesuffix(".0")
