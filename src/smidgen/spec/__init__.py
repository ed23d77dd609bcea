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
    prelu                                a slope below zero that is trained, one a channel
    dropout P
    repeat K [LAYER, LAYER, ...]         the layers K times over, with one set of weights

ACT is `relu`, `leaky_relu(S)` or nothing (linear). An activation is one number in the code:
the slope below zero (relu 0, linear 1). `flatten` is accepted and dropped: `dense` implies it.
Layers that are repeated share their weights but for batch norms: each of those normalizes what it is given.
Shapes are (channels, height, width); a vector of n features is (n, 1, 1).
"""

from __future__ import annotations

from smidgen.spec.grammar import parse_spec
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
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Dense",
    "Depthwise",
    "Dropout",
    "GlobalAvgPool",
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
