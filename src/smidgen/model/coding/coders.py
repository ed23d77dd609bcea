"""The entropy coders of integer levels, in one table. Each estimates the length of a tensor, writes it and reads it.

    fixed        every level in the same number of bits
    huffman      a canonical Huffman code over the levels
    gaps         the nonzero levels and the gaps between them, a Huffman code for each
                 (Deep Compression: Han et al. 2015, arXiv 1510.00149, section 2)
    static       the decisions of `contexts.py` by models of fixed probability, stored in a table
    adaptive     the same decisions by adaptive models: no table
    neighbours   the same by adaptive models that are chosen by the levels nearby
    rising       levels that never fall: the first, then the differences. The hidden channels of a network may stand in
                 any order, so its biases can be sorted (`transforms.sort_channels`)

The last three can continue with the models of an earlier tensor, so that small tensors do not pay for learning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from smidgen.elementary import LN2, logarithm
from smidgen.model.coding import fixed_and_gaps
from smidgen.model.coding.contexts import (
    ACTIVITY_SCALE,
    BUCKET_THRESHOLDS,
    INITIAL_SEEN,
    MANTISSA,
    MAX_LEVEL,
    MAX_OCTAVES,
    MODEL_COUNT,
    MODELLED_BITS,
    OCTAVE,
    SIGN,
    ZERO,
    Bits,
    Contexts,
    Counts,
    Levels,
    decisions,
    fresh_models,
    remembered,
)
from smidgen.model.coding.range_coder import BYPASS, ONE, BitModels, Decoder, Encoder, exp_golomb_bits, unzigzag, zigzag

FIRST_ORDER = 3
REMEMBERED_COUNTS = 50_000
"""How many pairs of counts are remembered with their lengths: those of small tensors come by again and again."""


@dataclass(frozen=True)
class Coder:
    """One way to code a tensor of integer levels.

    Attributes:
        bits: estimated length in bits, from the levels and the counts that the models have already seen.
        write: writes the levels; an adaptive coder updates the models.
        read: reads rows * columns levels; an adaptive coder updates the models.
        is_adaptive: whether it uses the models that it is given.
    """

    bits: Callable[[Levels, Counts], float]
    write: Callable[[Encoder, Levels, BitModels], None]
    read: Callable[[Decoder, int, int, BitModels], list[int]]
    is_adaptive: bool = False


@remembered
def counts_of(levels: Levels, neighbours: bool = False) -> Counts:
    """Return how many zeros and ones each model sees when these levels are coded."""
    return _count(*decisions(levels, neighbours))


def counts_by(coder: str, levels: Levels) -> Counts:
    """Return `counts_of` for the adaptive coder of this name."""
    return _count(*_differences(levels)) if coder == "rising" else counts_of(levels, coder == "neighbours")


def _count(contexts: Contexts, bits: Bits) -> Counts:
    ones = np.bincount(contexts[bits == 1], minlength=MODEL_COUNT)
    return np.array([np.bincount(contexts, minlength=MODEL_COUNT) - ones, ones])


@cache
def _initial_counts() -> npt.NDArray[np.float64]:
    """Return the initial state of the models as counts of zeros and ones, fractions included: float64 [2, models]."""
    models = fresh_models()
    ones = np.array(models.probability) / ONE * (INITIAL_SEEN + 1)
    return np.array([INITIAL_SEEN + 1 - ones, ones])


def level_costs(levels: Levels, largest: int) -> npt.NDArray[np.float64]:
    """Return the rate of each level under the coder "adaptive" once it has seen `levels`.

    Quantization-aware training adds these rates to its loss (`engine.Projection.costs`).

    Args:
        levels: int32 of any shape, from which the probabilities are estimated.
        largest: the rates are those of the levels from -largest to largest.

    Returns:
        Bits of each level: float64 [2 * largest + 1].
    """
    counts = counts_of(levels) + _initial_counts()
    counts[:, BYPASS] = 1
    bits = -logarithm(counts / counts.sum(axis=0)) / LN2
    return np.array([_cost(level, bits) for level in range(-largest, largest + 1)])


def _cost(level: int, bits: npt.NDArray[np.float64]) -> float:
    contexts, taken = decisions(np.array([level], np.int32), neighbours=False)
    return float(bits[taken, contexts].sum())


def encode_levels(levels: Levels) -> bytes:
    """Code levels alone as one stream of the coder "adaptive", for programs with a decoder of their own."""
    encoder = Encoder()
    _write_adaptive(encoder, levels.reshape(1, -1), fresh_models())
    return encoder.finish()


# --- static ----------------------------------------------------------------------------------


@cache
def _models_below(octaves: int) -> tuple[int, ...]:
    """Return the models that code levels below 2**octaves: zero flag, sign, octaves, mantissas."""
    nodes = [
        MANTISSA + 8 * octave + node
        for octave in range(1, octaves)
        for node in range(1, 1 << min(octave, MODELLED_BITS))
    ]
    return (ZERO, SIGN, *range(OCTAVE, OCTAVE + min(octaves, MAX_OCTAVES - 1)), *nodes)


def _octaves(levels: Levels) -> int:
    """Return the number of bits of the largest magnitude."""
    return int(np.abs(levels).max(initial=0)).bit_length()


def _table(counts: Counts) -> Levels:
    """Return each model's probability of a 1 as an integer from 0 to 255."""
    share = (counts[1] + 0.5) / (counts.sum(axis=0) + 1)
    stored: Levels = np.clip(share * 256, 0, 255).astype(np.int32)
    return stored


@cache
def _log2_of_stored() -> npt.NDArray[np.float64]:
    """Return log2((2 n + 1) / 512) for each n that `_table` gives: float64 [256].

    Decimal arithmetic rounds it correctly, so that it has the same bits with every C library and processor.
    """
    with localcontext(Context(prec=40)):
        two = Decimal(2).ln()
        return np.array([float(Decimal(2 * n + 1).ln() / two - 9) for n in range(256)])


def _static_bits(levels: Levels, _counts: Counts) -> float:
    return _static_length(levels)


@remembered
def _static_length(levels: Levels) -> float:
    counts = counts_of(levels)
    stored = _table(counts)
    ones, zeros = _log2_of_stored()[np.stack([stored, 255 - stored])]
    ones[BYPASS] = zeros[BYPASS] = -1.0
    modelled = -(counts[1] * ones + counts[0] * zeros).sum()
    return 5 + 8 * len(_models_below(_octaves(levels))) + float(modelled)


def _write_static(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    encoder.uint(_octaves(levels), 5)
    models, stored = fresh_models(), _table(counts_of(levels))
    for index in _models_below(_octaves(levels)):
        encoder.uint(int(stored[index]), 8)
        _freeze(models, index, int(stored[index]))
    contexts, bits = decisions(levels, neighbours=False)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_static(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    octaves = decoder.uint(5)
    if octaves > MAX_OCTAVES:
        raise decoder.error(f"has levels of {octaves} bits; the most is {MAX_OCTAVES}")
    models = fresh_models()
    for index in _models_below(octaves):
        _freeze(models, index, decoder.uint(8))
    return [_read_level(decoder, models, 0, 0) for _ in range(rows * columns)]


def _freeze(models: BitModels, index: int, stored: int) -> None:
    models.freeze(index, (2 * stored + 1) * ONE // 512)


# --- adaptive and neighbours -----------------------------------------------------------------


def _adaptive_length(counts: Counts, seen: Counts) -> float:
    """Return the bits of decisions with these counts after those in `seen`; their order does not matter."""
    used = np.flatnonzero(counts.sum(axis=0))
    used = used[used != BYPASS]
    before = (seen + _initial_counts())[:, used]
    states = zip(*before.tolist(), *(before + counts[:, used]).tolist(), strict=True)
    modelled = sum(_log2_beta(zeros, ones) - _log2_beta(*after) for zeros, ones, *after in states)
    return float(modelled + counts[:, BYPASS].sum())


@lru_cache(REMEMBERED_COUNTS)
def _log2_beta(zeros: float, ones: float) -> float:
    return (math.lgamma(zeros) + math.lgamma(ones) - math.lgamma(zeros + ones)) / math.log(2)


def _write_decisions(encoder: Encoder, levels: Levels, models: BitModels, neighbours: bool) -> None:
    contexts, bits = decisions(levels, neighbours)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_adaptive(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    return [_read_level(decoder, models, 0, 0) for _ in range(rows * columns)]


def _read_neighbours(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    """Read level by level with the activities of `contexts._neighbourhood`."""
    levels: list[int] = []
    above, left, level = [0] * columns, 0, 0
    for _ in range(rows):
        for column in range(columns):
            activity = left // 4 + above[column]
            bucket = 0 if not activity else sum(activity >= least for least in BUCKET_THRESHOLDS)
            level = _read_level(decoder, models, bucket, 2 if level < 0 else int(level > 0))
            levels.append(level)
            left += ACTIVITY_SCALE * abs(level) - (left >> 2)
            above[column] += 2 * abs(level) - (above[column] >> 3)
    return levels


def _read_level(decoder: Decoder, models: BitModels, bucket: int, previous_sign: int) -> int:
    if not decoder.bit(models, ZERO + bucket):
        return 0
    negative = decoder.bit(models, SIGN + previous_sign)
    size = _read_size(decoder, models, bucket)
    return -size if negative else size


def _read_size(decoder: Decoder, models: BitModels, bucket: int) -> int:
    """Read the magnitude of a nonzero level."""
    bit = decoder.bit
    octave, first = 0, OCTAVE + bucket * (MAX_OCTAVES - 1)
    while octave < MAX_OCTAVES - 1 and bit(models, first + octave):
        octave += 1
    size = 1
    for depth in range(octave):
        size = size << 1 | bit(models, MANTISSA + 8 * octave + size if depth < MODELLED_BITS else BYPASS)
    return size


# --- rising ----------------------------------------------------------------------------------


def is_rising(levels: Levels) -> bool:
    """Return whether each level is at least the one before it, and above it by `MAX_LEVEL` at most."""
    rises = np.diff(levels.ravel())
    return bool(((rises >= 0) & (rises <= MAX_LEVEL)).all())


def _differences(levels: Levels) -> tuple[Contexts, Bits]:
    """Return the decisions of the differences, without signs because none is negative."""
    contexts, bits = decisions(np.diff(levels.ravel()), neighbours=False)
    kept = contexts != SIGN
    return contexts[kept], bits[kept]


def _rising_bits(levels: Levels, seen: Counts) -> float:
    if not is_rising(levels):
        return math.inf
    first_bits = exp_golomb_bits(zigzag(int(levels.flat[0])), FIRST_ORDER)
    return first_bits + _adaptive_length(_count(*_differences(levels)), seen)


def _write_rising(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    contexts, bits = _differences(levels)
    encoder.exp_golomb(zigzag(int(levels.flat[0])), FIRST_ORDER)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_rising(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    levels = [unzigzag(decoder.exp_golomb(FIRST_ORDER, 2 * MAX_LEVEL, "first level"))]
    while len(levels) < rows * columns:
        levels.append(levels[-1] + (_read_size(decoder, models, 0) if decoder.bit(models, ZERO) else 0))
        if levels[-1] > MAX_LEVEL:
            raise decoder.error(f"has a level of {levels[-1]}; the most is {MAX_LEVEL}")
    return levels


# --- the table -------------------------------------------------------------------------------


def _adaptive_bits(levels: Levels, seen: Counts) -> float:
    return _adaptive_length(counts_of(levels), seen)


def _neighbours_bits(levels: Levels, seen: Counts) -> float:
    return _adaptive_length(counts_of(levels, neighbours=True), seen)


def _write_adaptive(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    _write_decisions(encoder, levels, models, neighbours=False)


def _write_neighbours(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    _write_decisions(encoder, levels, models, neighbours=True)


CODERS: dict[str, Coder] = {
    "adaptive": Coder(_adaptive_bits, _write_adaptive, _read_adaptive, is_adaptive=True),
    "neighbours": Coder(_neighbours_bits, _write_neighbours, _read_neighbours, is_adaptive=True),
    "fixed": Coder(fixed_and_gaps.fixed_bits, fixed_and_gaps.write_fixed, fixed_and_gaps.read_fixed),
    "huffman": Coder(fixed_and_gaps.huffman_bits, fixed_and_gaps.write_huffman, fixed_and_gaps.read_huffman),
    "gaps": Coder(fixed_and_gaps.gaps_bits, fixed_and_gaps.write_gaps, fixed_and_gaps.read_gaps),
    "static": Coder(_static_bits, _write_static, _read_static),
    "rising": Coder(_rising_bits, _write_rising, _read_rising, is_adaptive=True),
}
"""Coders by name, in the order of their numbers in a file."""
