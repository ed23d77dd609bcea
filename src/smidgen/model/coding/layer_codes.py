"""The codes of layers in a file: kinds, flags and bounds. docs/reference/file-format.md has the tables."""

from __future__ import annotations

from smidgen.model.coding.range_coder import ONE, BitModels
from smidgen.spec import (
    MAX_FIRST_KERNEL,
    MAX_LINE_KERNEL,
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
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
    is_first_language,
)

VERSIONS = (1, 2)
"""Versions of the file format that are read; `version_of` says which one is written."""

MAX_LIST_LAYERS = 1024
MAX_UNROLLED_LAYERS = 4096
"""Limit of layers with repeats written out."""
MAX_CHANNELS, MAX_SIDE = 2**16, 2**14
MAX_DIGITS, MAX_DECIMALS = 2**60, 2**9
"""Limits of a slope or rate: its digits as an integer, and the number of decimals."""
LONGEST_SIDES = {1: MAX_FIRST_KERNEL, 2: MAX_LINE_KERNEL}
"""The longest side of a kernel by version."""

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
    Residual: "11110",
    CReLU: "11111",
}
"""Prefix code of the layer kinds; version 1 has none from 11110 on."""

KINDS_BY_BITS: dict[str, type[Layer]] = {bits: kind for kind, bits in KINDS.items()}

(SQUARE, KERNEL, SAME, BIAS, RELU_FLAG, LINEAR_FLAG, POOL, STEP, HALVED, OWN, DISJOINT, RELU6_FLAG) = range(1, 13)
"""Models of the flags; the likely value of each is 1. Those from STEP on are of version 2."""
FLAG_PROBABILITY, FLAG_SEEN = ONE // 4 * 3, 2
"""Initial state of a flag's model: probability 3/4 of a 1, as if two decisions had been seen."""


def fresh_flags() -> BitModels:
    """Return the models of the flags in their initial state."""
    models = BitModels(RELU6_FLAG + 1)
    for index in range(1, RELU6_FLAG + 1):
        models.probability[index], models.seen[index] = FLAG_PROBABILITY, FLAG_SEEN
    return models


def version_of(spec: NetSpec) -> int:
    """Return the lowest version of the file format that can say these layers."""
    return 1 if all(map(is_first_language, spec.layers)) else 2
