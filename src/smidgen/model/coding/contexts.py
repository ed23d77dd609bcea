"""What a weight's level is made of: yes-or-no decisions, each with the model that codes it.

A level is coded as: is it zero? its sign; then its size m in the way of Elias (1975): is m at least 2, 4, 8, ...?
and the bits below its first, of which the first three have models and the rest none. This is the idea of
DeepCABAC (Wiedemann et al. 2019) with octaves in the place of unary numbers, so that 8-bit levels are as cheap to
code as ternary ones.

A tensor is read as a matrix of rows [channels out, everything else], row by row. "adaptive" has one set of
models. "neighbours" has six, and chooses by how large the levels nearby are: those before it in the row, and
those at its place in the rows above. Where whole columns or regions are zero, this is what makes zeros cheap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.range_coder import BYPASS, ONE, BitModels

Levels = npt.NDArray[np.int32]
Contexts = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
"""int64 [2, models]: how often each model has seen a 0 and a 1."""

MOST_OCTAVES = 20
MOST_LEVEL = 2**MOST_OCTAVES - 1
BUCKETS = 6
MODELLED_BITS = 3

ZERO, SIGN = 1, 1 + BUCKETS
OCTAVE = SIGN + 3
MANTISSA = OCTAVE + BUCKETS * (MOST_OCTAVES - 1)
MODELS = MANTISSA + 8 * MOST_OCTAVES
"""Numbers of the models: zero [bucket], sign [sign of the level before], octave [bucket, octave],
mantissa [octave, 1 and the bits so far]."""

STEEPNESS = 16
THRESHOLDS = (1, 8, 20, 40, 80)
"""Where the buckets of "neighbours" begin; activity is 16 times a mean level."""


BEGIN_SEEN = 4
BEGIN_SOME, BEGIN_MANTISSA = ONE // 4 * 3, ONE // 8 * 3
"""Models begin as if they had seen four: that a level is not zero is begun at 3/4, a bit of a mantissa at 3/8,
all else at 1/2. Small networks of 3 to 5 bits are about so, and few weights need not teach it."""


def fresh_models() -> BitModels:
    """Models at their beginning."""
    models = BitModels(MODELS)
    for index in range(BYPASS + 1, MODELS):
        models.seen[index] = BEGIN_SEEN
        if index < SIGN:
            models.probability[index] = BEGIN_SOME
        elif index >= MANTISSA:
            models.probability[index] = BEGIN_MANTISSA
    return models


def no_counts() -> Counts:
    """Of models that have seen nothing."""
    return np.zeros((2, MODELS), np.int64)


def as_matrix(levels: Levels) -> Levels:
    """[channels out, the rest]; what has one axis is one row."""
    return levels.reshape(len(levels), -1) if levels.ndim > 1 else levels.reshape(1, -1)


def decisions(levels: Levels, neighbours: bool) -> tuple[Contexts, Bits]:
    """Every decision of a tensor in order: the number of its model, and the bit."""
    matrix = as_matrix(levels)
    flat = matrix.ravel()
    bucket, before = _surroundings(matrix) if neighbours else (np.zeros_like(flat), np.zeros_like(flat))
    size = np.abs(flat)
    octave = np.where(size > 0, np.frexp(size.astype(np.float64))[1] - 1, 0)
    count = np.where(size > 0, 2 + np.minimum(octave + 1, MOST_OCTAVES - 1) + octave, 1)
    starts = np.cumsum(count) - count
    contexts, bits = np.zeros(count.sum(), np.int32), np.zeros(count.sum(), np.uint8)
    contexts[starts], bits[starts] = ZERO + bucket, size > 0
    some = size > 0
    _fill(contexts, bits, starts[some] + 1, flat[some], octave[some], bucket[some], before[some])
    return contexts, bits


def _fill(
    contexts: Contexts,
    bits: Bits,
    place: npt.NDArray[np.intp],
    level: Levels,
    octave: Levels,
    bucket: Levels,
    before: Levels,
) -> None:
    """The decisions after the first of the levels that are not zero; `place` is where each one's begin."""
    contexts[place], bits[place] = SIGN + before, level < 0
    size, place = np.abs(level), place + 1
    for step in range(min(int(octave.max(initial=-1)) + 1, MOST_OCTAVES - 1)):
        asked = octave >= step
        contexts[place[asked] + step] = OCTAVE + bucket[asked] * (MOST_OCTAVES - 1) + step
        bits[place[asked] + step] = octave[asked] > step
    place = place + np.minimum(octave + 1, MOST_OCTAVES - 1)
    for depth in range(int(octave.max(initial=0))):
        has = octave > depth
        node = size[has] >> (octave[has] - depth)
        contexts[place[has] + depth] = MANTISSA + 8 * octave[has] + node if depth < MODELLED_BITS else BYPASS
        bits[place[has] + depth] = size[has] >> (octave[has] - 1 - depth) & 1


def _surroundings(matrix: Levels) -> tuple[Levels, Levels]:
    """Of each level its bucket, and the sign of the one before it as 0, 1 (above zero) or 2 (below)."""
    size = np.abs(matrix).astype(np.int64)
    above, left = np.zeros_like(size), np.zeros(size.size, np.int64)
    for row in range(1, len(size)):
        above[row] = _moved(above[row - 1], size[row - 1])
    activity, flat = 0, size.ravel()
    for place, one in enumerate(flat[:-1].tolist(), 1):
        activity = activity + STEEPNESS * one - (activity >> 2) if one or activity else 0
        left[place] = activity
    signs = np.where(matrix < 0, 2, np.sign(matrix)).ravel()
    before = np.concatenate([[0], signs[:-1]])
    return np.searchsorted(THRESHOLDS, left // 4 + above.ravel(), "right").astype(np.int32), before.astype(np.int32)


def _moved(activity: npt.NDArray[np.int64], size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The activity after one more level: it moves an eighth of the way."""
    moved: npt.NDArray[np.int64] = activity + 2 * size - (activity >> 3)
    return moved
