"""Published networks for small devices, by name: functions from a width to a network. `REFERENCES` lists them.

The first three are the reference models of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597; code: mlcommons/tiny,
benchmark/training) with as many weights as Keras counts there. They end in a pool over the whole map, which
`globalavgpool` is at every input. The counts are trained parameters at the published width, input and classes; that of
`tcn` is this definition's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smidgen.spec.layers import (
    RELU,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    Pair,
    Pointwise,
    Residual,
)
from smidgen.spec.plan import NetSpec
from smidgen.spec.shapes import Shape


@dataclass(frozen=True)
class Reference:
    """A published network.

    Attributes:
        build: A function of (width, classes).
        width: The published width.
        input_shape: The published input.
        classes: The published number of classes.
        parameters: The trained parameters at that width, input and number of classes.
    """

    build: Callable[[int, int], NetSpec]
    width: int
    input_shape: Shape
    classes: int
    parameters: int


def ds_cnn(width: int, classes: int) -> NetSpec:
    """DS-CNN for keywords: a convolution of n channels and four depthwise-separable blocks (arXiv 1711.07128)."""
    first = (Conv(width, (10, 4), same=True, stride=(2, 2)), BatchNorm(RELU), Dropout(0.2))
    blocks = [layer for _ in range(4) for layer in _separable(width)]
    return NetSpec((*first, *blocks, Dropout(0.4), GlobalAvgPool(), Dense(classes)))


def resnet8(width: int, classes: int) -> NetSpec:
    """ResNet-8 for small pictures: a convolution and three residual blocks of n, 2 n and 4 n channels."""
    layers: list[Layer] = [Conv(width, (3, 3), same=True), BatchNorm(RELU)]
    for channels, stride in ((width, (1, 1)), (2 * width, (2, 2)), (4 * width, (2, 2))):
        first, second = Conv(channels, (3, 3), same=True, stride=stride), Conv(channels, (3, 3), same=True)
        block = (first, BatchNorm(RELU), second, BatchNorm())
        shortcut = () if stride == (1, 1) else (Pointwise(channels, stride=stride),)
        layers.append(Residual(block, shortcut, RELU))
    return NetSpec((*layers, GlobalAvgPool(), Dense(classes)))


def mobilenet(width: int, classes: int) -> NetSpec:
    """MobileNetV1 (arXiv 1704.04861): a strided convolution of n channels and 13 separable blocks, of up to 32 n."""
    layers: list[Layer] = [Conv(width, (3, 3), same=True, stride=(2, 2)), BatchNorm(RELU)]
    channels = width
    for factor, stride in ((2, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), *5 * [(1, 1)], (2, 2), (1, 1)):
        channels *= factor
        layers += _separable(channels, (stride, stride))
    return NetSpec((*layers, GlobalAvgPool(), Dense(classes)))


def tcn(width: int, classes: int) -> NetSpec:
    """TC-ResNet8 for signals (Choi et al. 2019, arXiv 1904.03814): three strided residual blocks along time.

    They have 1.5 n, 2 n and 3 n channels and kernels of 9 steps, after a convolution of 3 steps to n.
    """
    layers: list[Layer] = [Conv(width, (1, 3), same=True, bias=False), BatchNorm(RELU)]
    for channels in (3 * width // 2, 2 * width, 3 * width):
        first = Conv(channels, (1, 9), same=True, bias=False, stride=(1, 2))
        second = Conv(channels, (1, 9), same=True, bias=False)
        shortcut = (Pointwise(channels, bias=False, stride=(1, 2)), BatchNorm(RELU))
        layers.append(Residual((first, BatchNorm(RELU), second, BatchNorm()), shortcut, RELU))
    return NetSpec((*layers, GlobalAvgPool(), Dropout(0.5), Dense(classes, bias=False)))


REFERENCES: dict[str, Reference] = {
    "ds-cnn": Reference(ds_cnn, 64, (1, 49, 10), 12, 23_756),
    "resnet8": Reference(resnet8, 16, (3, 32, 32), 10, 78_186),
    "mobilenet-0.25": Reference(mobilenet, 8, (3, 96, 96), 2, 216_322),
    "tcn": Reference(tcn, 16, (40, 1, 98), 12, 65_168),
}


def _separable(channels: int, stride: Pair = (1, 1)) -> tuple[Layer, ...]:
    depthwise = Depthwise((3, 3), same=True, stride=stride)
    return depthwise, BatchNorm(RELU), Pointwise(channels), BatchNorm(RELU)
