"""The binary decisions of a weight's integer level, and the context (number of the bit model) of each.

A level is coded as a zero flag, a sign, and its magnitude m in the Elias gamma code (1975): is m at least 2, 4, 8, ...,
then the bits below the leading one. The first three of these have models, the others are coded at one half. DeepCABAC
(Wiedemann et al. 2019) codes magnitudes in unary; octaves make 8-bit levels as fast to code as ternary ones.

A tensor is coded row by row as a matrix [channels out, everything else]. The coder "adaptive" has one set of models.
"neighbours" has six and chooses by activity, a decaying average of the magnitudes to the left and above: where whole
columns or regions are zero, zeros become cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.range_coder import BYPASS, ONE, BitModels

P = ParamSpec("P")
T = TypeVar("T")
Levels = npt.NDArray[np.int32]
Contexts = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
"""int64 [2, models]: how many zeros and ones each model has seen."""

MAX_OCTAVES = 20
MAX_LEVEL = 2**MAX_OCTAVES - 1
BUCKETS = 6
MODELLED_BITS = 3

ZERO, SIGN = 1, 1 + BUCKETS
OCTAVE = SIGN + 3
MANTISSA = OCTAVE + BUCKETS * (MAX_OCTAVES - 1)
MODEL_COUNT = MANTISSA + 8 * MAX_OCTAVES
"""First numbers of the models: zero flag [bucket], sign [sign of the previous level], octave [bucket, octave],
mantissa [octave, the leading one and the bits so far]; and the count of all."""

ACTIVITY_SCALE = 16
BUCKET_THRESHOLDS = (1, 8, 20, 40, 80)
"""Activities at which the buckets 1 to 5 of "neighbours" begin; an activity is 16 times a mean magnitude."""

REMEMBERED_LEVELS, REMEMBERED_TENSORS = 2_000, 500
"""The most levels of a tensor whose coding is remembered, and how many tensors are: some megabytes in all."""

INITIAL_SEEN = 4
INITIAL_NONZERO, INITIAL_MANTISSA = ONE // 4 * 3, ONE // 8 * 3
"""Initial state of the models, typical of small networks of 3 to 5 bits: as if four decisions had been seen, with
probability 3/4 that a level is not zero, 3/8 that a mantissa bit is 1, and 1/2 for all others."""


def fresh_models() -> BitModels:
    """Return models in their initial state."""
    return _initial_models().copy()


@cache
def _initial_models() -> BitModels:
    models = BitModels(MODEL_COUNT)
    for index in range(BYPASS + 1, MODEL_COUNT):
        models.seen[index] = INITIAL_SEEN
        if index < SIGN:
            models.probability[index] = INITIAL_NONZERO
        elif index >= MANTISSA:
            models.probability[index] = INITIAL_MANTISSA
    return models


def zero_counts() -> Counts:
    """Return the counts of models that have seen no decision."""
    return np.zeros((2, MODEL_COUNT), np.int64)


def as_matrix(levels: Levels) -> Levels:
    """Reshape a tensor to [channels out, everything else]; a vector becomes one row."""
    return levels.reshape(len(levels), -1) if levels.ndim > 1 else levels.reshape(1, -1)


def remembered(function: Callable[Concatenate[Levels, P], T]) -> Callable[Concatenate[Levels, P], T]:
    """Remember what a function of a small tensor's levels returned.

    The shortest file is found by trying several coders for each tensor, in several streams and orders of channels, so
    that the same levels come by tens of times. Arrays that are returned are shared: nobody may write to them.
    """

    @lru_cache(REMEMBERED_TENSORS)
    def of_bytes(data: bytes, shape: tuple[int, ...], arguments: tuple[Any, ...], named: tuple[Any, ...]) -> T:
        return function(np.frombuffer(data, np.int32).reshape(shape), *arguments, **dict(named))

    def of_levels(levels: Levels, /, *arguments: P.args, **named: P.kwargs) -> T:
        if levels.size > REMEMBERED_LEVELS:
            return function(levels, *arguments, **named)
        return of_bytes(np.asarray(levels, np.int32).tobytes(), levels.shape, arguments, tuple(named.items()))

    update_wrapper(of_levels, function)
    return of_levels


@remembered
def decisions(levels: Levels, neighbours: bool) -> tuple[Contexts, Bits]:
    """Return every decision of a tensor in coding order.

    Args:
        levels: int32 of any shape.
        neighbours: choose the models by the levels nearby, as the coder "neighbours" does.

    Returns:
        The number of each decision's model (int32 [n]), and its bit (uint8 [n]).
    """
    matrix = as_matrix(levels)
    flat = matrix.ravel()
    bucket, previous = _neighbourhood(matrix) if neighbours else (np.zeros_like(flat), np.zeros_like(flat))
    size = np.abs(flat)
    octave = np.where(size > 0, np.frexp(size.astype(np.float64))[1] - 1, 0)
    count = np.where(size > 0, 2 + np.minimum(octave + 1, MAX_OCTAVES - 1) + octave, 1)
    starts = np.cumsum(count) - count
    contexts, bits = np.zeros(count.sum(), np.int32), np.zeros(count.sum(), np.uint8)
    contexts[starts], bits[starts] = ZERO + bucket, size > 0
    nonzero = size > 0
    _fill(contexts, bits, starts[nonzero] + 1, flat[nonzero], octave[nonzero], bucket[nonzero], previous[nonzero])
    return contexts, bits


def _fill(
    contexts: Contexts,
    bits: Bits,
    place: npt.NDArray[np.intp],
    level: Levels,
    octave: Levels,
    bucket: Levels,
    previous: Levels,
) -> None:
    """Fill in the decisions of the nonzero levels after their zero flags; `place` is the index of each one's sign."""
    contexts[place], bits[place] = SIGN + previous, level < 0
    size, place = np.abs(level), place + 1
    for step in range(min(int(octave.max(initial=-1)) + 1, MAX_OCTAVES - 1)):
        reached = octave >= step
        contexts[place[reached] + step] = OCTAVE + bucket[reached] * (MAX_OCTAVES - 1) + step
        bits[place[reached] + step] = octave[reached] > step
    place = place + np.minimum(octave + 1, MAX_OCTAVES - 1)
    for depth in range(int(octave.max(initial=0))):
        has = octave > depth
        node = size[has] >> (octave[has] - depth)
        contexts[place[has] + depth] = MANTISSA + 8 * octave[has] + node if depth < MODELLED_BITS else BYPASS
        bits[place[has] + depth] = size[has] >> (octave[has] - 1 - depth) & 1


def _neighbourhood(matrix: Levels) -> tuple[Levels, Levels]:
    """Return each level's bucket, and the sign of the level before it: 0, 1 (positive) or 2 (negative)."""
    size = np.abs(matrix).astype(np.int64)
    above, left = np.zeros_like(size), np.zeros(size.size, np.int64)
    for row in range(1, len(size)):
        above[row] = _updated(above[row - 1], size[row - 1])
    activity, flat = 0, size.ravel()
    for place, one in enumerate(flat[:-1].tolist(), 1):
        activity = activity + ACTIVITY_SCALE * one - (activity >> 2) if one or activity else 0
        left[place] = activity
    signs = np.where(matrix < 0, 2, np.sign(matrix)).ravel()
    previous = np.concatenate([[0], signs[:-1]])
    buckets = np.searchsorted(BUCKET_THRESHOLDS, left // 4 + above.ravel(), "right")
    return buckets.astype(np.int32), previous.astype(np.int32)


def _updated(activity: npt.NDArray[np.int64], size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the activity after one more level: a decaying average with weight 1/8."""
    updated: npt.NDArray[np.int64] = activity + 2 * size - (activity >> 3)
    return updated
