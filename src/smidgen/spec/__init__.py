"""A network as text and as data. `parse_spec` reads a text, `str` of a `NetSpec` writes it.

    >>> spec = parse_spec("conv 2x3x3 relu, maxpool 2, dense 10")
    >>> str(spec)
    'conv 2x3x3 relu, maxpool 2, dense 10'
    >>> spec.parameters((1, 28, 28))
    3410

Grammar, one layer between commas:

    conv CxKYxKX [stride S] [same] [nobias] [ACT]      C output channels; valid unless `same`
    depthwise KYxKX [shared N] [stride S] [same] [nobias] [ACT]
                                                       each channel alone, with a kernel of its own or one of N
    pointwise C [stride S] [nobias] [ACT]              a 1x1 convolution
    maxpool W [stride S] | avgpool W [stride S]        windows; the stride is the window unless given
    globalavgpool                                      the mean of each channel
    dense N [nobias] [ACT]                             N units, fully connected; flattens a map first
    batchnorm [ACT]                                    batch normalization per channel
    prelu                                              a trained slope for negative values, one per channel
    crelu                                              relu(x) of all channels, then relu(-x) of all
    dropout P                                          zeroes values with probability P while training
    repeat K [LAYER, LAYER, ...]                       the layers K times in sequence, with one set of weights
    residual [LAYER, ... | LAYER, ...] [ACT]           the sum of both lists' outputs for one input; without a bar
                                                       and a second list, the input itself is added

S and W are one number for a square or `YxX`. ACT is `relu`, `relu6`, `leaky_relu(A)` or nothing (linear). The code
stores an activation as its slope for negative values (relu is 0, linear is 1) and its ceiling (6 for relu6). With
`same`, n rows become ceil(n / stride), with zeros around them as TensorFlow has them. `flatten` is accepted and
ignored, because `dense` implies it. The rounds of a `repeat` share their weights, except that each batch norm in each
round has its own. Shapes are (channels, height, width); a vector of n features is (n, 1, 1), a signal of n steps
(channels, 1, n).
"""

from __future__ import annotations

from smidgen.spec.grammar import parse_spec
from smidgen.spec.input import UNSTATED, InputSpec
from smidgen.spec.layers import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    LINEAR,
    MAX_DEPTH,
    MAX_FIRST_KERNEL,
    MAX_KERNEL,
    MAX_LINE_KERNEL,
    MAX_REPEATS,
    MAX_STRIDE,
    NO_CEILING,
    RELU,
    RELU6_CEILING,
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    PlannedLayer,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
    inner_layers,
    is_first_language,
    is_linear,
    is_weighted,
)
from smidgen.spec.limits import MAX_LAYERS, MAX_MACS, MAX_PARAMETERS, MAX_VALUES, planned_count
from smidgen.spec.liveness import Lifetime, lifetimes
from smidgen.spec.placing import same_padding
from smidgen.spec.plan import NetSpec, classes_of, outputs_for
from smidgen.spec.shapes import LayerPlan, Shape

__all__ = [
    "BATCH_NORM_EPSILON",
    "BATCH_NORM_MOMENTUM",
    "LINEAR",
    "MAX_DEPTH",
    "MAX_FIRST_KERNEL",
    "MAX_KERNEL",
    "MAX_LAYERS",
    "MAX_LINE_KERNEL",
    "MAX_MACS",
    "MAX_PARAMETERS",
    "MAX_REPEATS",
    "MAX_STRIDE",
    "MAX_VALUES",
    "NO_CEILING",
    "RELU",
    "RELU6_CEILING",
    "UNSTATED",
    "Add",
    "AvgPool",
    "BatchNorm",
    "CReLU",
    "Conv",
    "Dense",
    "Depthwise",
    "Dropout",
    "GlobalAvgPool",
    "InputSpec",
    "Layer",
    "LayerPlan",
    "Lifetime",
    "MaxPool",
    "NetSpec",
    "PReLU",
    "PlannedLayer",
    "Pointwise",
    "Repeat",
    "Residual",
    "Shape",
    "classes_of",
    "inner_layers",
    "is_first_language",
    "is_linear",
    "is_weighted",
    "lifetimes",
    "outputs_for",
    "parse_spec",
    "planned_count",
    "same_padding",
]
