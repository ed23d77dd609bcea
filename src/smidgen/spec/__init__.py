"""A network as text and as data. `parse_spec` reads a text, `str` of a `NetSpec` writes it.

    >>> spec = parse_spec("conv 2x3x3 relu, maxpool 2, dense 10")
    >>> str(spec)
    'conv 2x3x3 relu, maxpool 2, dense 10'
    >>> spec.parameters((1, 28, 28))
    3410

Grammar, one layer between commas:

    conv CxKxK [same] [nobias] [ACT]     C output channels, kernel 1 to 7, stride 1, valid unless `same`
    depthwise KxK [same] [nobias] [ACT]  one kernel per channel
    pointwise C [nobias] [ACT]           a 1x1 convolution
    maxpool N | avgpool N                window and stride N; rows and columns left over are dropped
    globalavgpool                        the mean of each channel
    dense N [nobias] [ACT]               N units, fully connected; flattens a map first
    batchnorm [ACT]                      batch normalization per channel
    prelu                                a trained slope for negative values, one per channel
    dropout P                            zeroes values with probability P while training
    repeat K [LAYER, LAYER, ...]         the layers K times in sequence, with one set of weights

ACT is `relu`, `leaky_relu(S)` or nothing (linear). The code stores an activation as its slope for negative values:
relu is 0, linear is 1. `flatten` is accepted and ignored, because `dense` implies it. The rounds of a `repeat` share
their weights, except that each batch norm in each round has its own. Shapes are (channels, height, width); a vector of
n features is (n, 1, 1).
"""

from __future__ import annotations

from smidgen.spec.grammar import parse_spec
from smidgen.spec.input import UNSTATED, InputSpec
from smidgen.spec.layers import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    LINEAR,
    MAX_KERNEL,
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
    Pointwise,
    PReLU,
    Repeat,
)
from smidgen.spec.plan import LayerPlan, NetSpec, Shape

__all__ = [
    "BATCH_NORM_EPSILON",
    "BATCH_NORM_MOMENTUM",
    "LINEAR",
    "MAX_KERNEL",
    "MAX_REPEATS",
    "RELU",
    "UNSTATED",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Dense",
    "Depthwise",
    "Dropout",
    "GlobalAvgPool",
    "InputSpec",
    "Layer",
    "LayerPlan",
    "MaxPool",
    "NetSpec",
    "PReLU",
    "Pointwise",
    "Repeat",
    "Shape",
    "parse_spec",
]
