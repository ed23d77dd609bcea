"""The coders of integer levels, in one table. Each can say what a tensor would cost, write it, and read it.

    fixed        every level in the same number of bits
    huffman      a canonical Huffman code over the levels
    gaps         the levels that are not zero and the gaps between them, a Huffman code for each
                 (Deep Compression: Han et al. 2015, arXiv 1510.00149, section 2)
    static       the decisions of `levels.py`, each model's probability stored and then fixed
    adaptive     the same decisions by models that learn: no table
    neighbours   models that learn and know what is nearby
    rising       levels that never fall: the first, and by how much each is above the one before it. Channels may
                 stand in any order, so biases can be put in this one (`order.py`)

The three that learn may go on with the models of an earlier tensor, so that few weights need not teach them anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from smidgen.model.coding import fixed_and_gaps as plain
from smidgen.model.coding.contexts import (
    BEGIN_SEEN,
    MANTISSA,
    MODELLED_BITS,
    MODELS,
    MOST_LEVEL,
    MOST_OCTAVES,
    OCTAVE,
    SIGN,
    STEEPNESS,
    THRESHOLDS,
    ZERO,
    Bits,
    Contexts,
    Counts,
    Levels,
    decisions,
    fresh_models,
    no_counts,
)
from smidgen.model.coding.range_coder import BYPASS, ONE, BitModels, Decoder, Encoder, growing_bits, signed, unsigned

FIRST_ORDER = 3


@dataclass(frozen=True)
class Coder:
    """write and read take the models that the learning coders use; bits is what `write` would take, about."""

    bits: Callable[[Levels, Counts], float]
    write: Callable[[Encoder, Levels, BitModels], None]
    read: Callable[[Decoder, int, int, BitModels], list[int]]
    learns: bool = False


def counts_of(levels: Levels, neighbours: bool = False) -> Counts:
    """How often each model would see a 0 and a 1."""
    return _counted(*decisions(levels, neighbours))


def counts_by(coder: str, levels: Levels) -> Counts:
    """The same for a coder that learns, by its name."""
    return _counted(*_rises(levels)) if coder == "rising" else counts_of(levels, coder == "neighbours")


def _counted(contexts: Contexts, bits: Bits) -> Counts:
    ones = np.bincount(contexts[bits == 1], minlength=MODELS)
    return np.array([np.bincount(contexts, minlength=MODELS) - ones, ones])


@cache
def _begun() -> npt.NDArray[np.float64]:
    """What the models begin with, as counts of 0 and 1: they are halves and quarters. float64 [2, models]."""
    models = fresh_models()
    ones = np.array(models.probability) / ONE * (BEGIN_SEEN + 1)
    return np.array([BEGIN_SEEN + 1 - ones, ones])


def estimate_bits(levels: Levels, neighbours: bool = False) -> float:
    """What "adaptive" (or "neighbours") takes for these levels alone, without writing them."""
    return _learned_bits(counts_of(levels, neighbours), no_counts())


def level_costs(levels: Levels, largest: int) -> npt.NDArray[np.float64]:
    """Bits of each level from -largest to largest by "adaptive", after it has seen these levels.

    float64 [2 * largest + 1]; what a rate term in training adds to the loss (`engine.Projection.costs`).
    """
    counts = counts_of(levels) + _begun()
    counts[:, BYPASS] = 1
    bits = -np.log2(counts / counts.sum(axis=0))
    return np.array([_cost(level, bits) for level in range(-largest, largest + 1)])


def _cost(level: int, bits: npt.NDArray[np.float64]) -> float:
    contexts, taken = decisions(np.array([level], np.int32), neighbours=False)
    return float(bits[taken, contexts].sum())


def encode_levels(levels: Levels) -> bytes:
    """The levels alone as one stream of "adaptive", for programs that carry their own decoder."""
    encoder = Encoder()
    _write_adaptive(encoder, levels.reshape(1, -1), fresh_models())
    return encoder.finish()


# --- static ----------------------------------------------------------------------------------


@cache
def _reached(octaves: int) -> tuple[int, ...]:
    """The models that levels below 2**octaves need: zero, sign, octaves, mantissas."""
    nodes = [
        MANTISSA + 8 * octave + node
        for octave in range(1, octaves)
        for node in range(1, 1 << min(octave, MODELLED_BITS))
    ]
    return (ZERO, SIGN, *range(OCTAVE, OCTAVE + min(octaves, MOST_OCTAVES - 1)), *nodes)


def _octaves(levels: Levels) -> int:
    """The bits of the largest level."""
    return int(np.abs(levels).max(initial=0)).bit_length()


def _stored(counts: Counts) -> Levels:
    """The probability of a 1 as 0 to 255."""
    share = (counts[1] + 0.5) / (counts.sum(axis=0) + 1)
    stored: Levels = np.clip(share * 256, 0, 255).astype(np.int32)
    return stored


def _static_bits(levels: Levels, _counts: Counts) -> float:
    counts = counts_of(levels)
    share = (2 * _stored(counts) + 1) / 512
    share[BYPASS] = 0.5
    coded = -(counts[1] * np.log2(share) + counts[0] * np.log2(1 - share)).sum()
    return 5 + 8 * len(_reached(_octaves(levels))) + float(coded)


def _write_static(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    encoder.number(_octaves(levels), 5)
    models, stored = fresh_models(), _stored(counts_of(levels))
    for index in _reached(_octaves(levels)):
        encoder.number(int(stored[index]), 8)
        _freeze(models, index, int(stored[index]))
    contexts, bits = decisions(levels, neighbours=False)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_static(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    octaves = decoder.number(5)
    if octaves > MOST_OCTAVES:
        raise decoder.error(f"has levels of {octaves} bits; the most is {MOST_OCTAVES}")
    models = fresh_models()
    for index in _reached(octaves):
        _freeze(models, index, decoder.number(8))
    return [_read_level(decoder, models, 0, 0) for _ in range(rows * columns)]


def _freeze(models: BitModels, index: int, stored: int) -> None:
    models.freeze(index, (2 * stored + 1) * ONE // 512)


# --- adaptive and neighbours -----------------------------------------------------------------


def _learned_bits(counts: Counts, before: Counts) -> float:
    """The length that the models' estimator gives: it depends on the counts alone, not on their order."""
    used = np.flatnonzero(counts.sum(axis=0))
    used = used[used != BYPASS]
    begun = before + _begun()
    coded = sum(_log2_beta(*begun[:, model]) - _log2_beta(*(begun + counts)[:, model]) for model in used)
    return float(coded + counts[:, BYPASS].sum())


def _log2_beta(zeros: float, ones: float) -> float:
    return (math.lgamma(zeros) + math.lgamma(ones) - math.lgamma(zeros + ones)) / math.log(2)


def _write_learned(encoder: Encoder, levels: Levels, models: BitModels, neighbours: bool) -> None:
    contexts, bits = decisions(levels, neighbours)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_adaptive(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    return [_read_level(decoder, models, 0, 0) for _ in range(rows * columns)]


def _read_neighbours(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    """As `levels._surroundings` has it, one level at a time."""
    levels: list[int] = []
    above, left, level = [0] * columns, 0, 0
    for _ in range(rows):
        for column in range(columns):
            activity = left // 4 + above[column]
            bucket = 0 if not activity else sum(activity >= least for least in THRESHOLDS)
            level = _read_level(decoder, models, bucket, 2 if level < 0 else int(level > 0))
            levels.append(level)
            left += STEEPNESS * abs(level) - (left >> 2)
            above[column] += 2 * abs(level) - (above[column] >> 3)
    return levels


def _read_level(decoder: Decoder, models: BitModels, bucket: int, before: int) -> int:
    if not decoder.bit(models, ZERO + bucket):
        return 0
    negative = decoder.bit(models, SIGN + before)
    size = _read_size(decoder, models, bucket)
    return -size if negative else size


def _read_size(decoder: Decoder, models: BitModels, bucket: int) -> int:
    """Of a level that is not zero."""
    bit = decoder.bit
    octave, first = 0, OCTAVE + bucket * (MOST_OCTAVES - 1)
    while octave < MOST_OCTAVES - 1 and bit(models, first + octave):
        octave += 1
    size = 1
    for depth in range(octave):
        size = size << 1 | bit(models, MANTISSA + 8 * octave + size if depth < MODELLED_BITS else BYPASS)
    return size


# --- rising ----------------------------------------------------------------------------------


def is_rising(levels: Levels) -> bool:
    """Whether no level is below the one before it, or further above it than a level can be."""
    rises = np.diff(levels.ravel())
    return bool(((rises >= 0) & (rises <= MOST_LEVEL)).all())


def _rises(levels: Levels) -> tuple[Contexts, Bits]:
    """The decisions of the differences; none of them is below zero, so their signs are left out."""
    contexts, bits = decisions(np.diff(levels.ravel()), neighbours=False)
    kept = contexts != SIGN
    return contexts[kept], bits[kept]


def _rising_bits(levels: Levels, before: Counts) -> float:
    if not is_rising(levels):
        return math.inf
    return growing_bits(unsigned(int(levels.flat[0])), FIRST_ORDER) + _learned_bits(_counted(*_rises(levels)), before)


def _write_rising(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    contexts, bits = _rises(levels)
    encoder.growing(unsigned(int(levels.flat[0])), FIRST_ORDER)
    encoder.write(models, contexts.tolist(), bits.tolist())


def _read_rising(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    levels = [signed(decoder.growing(FIRST_ORDER, 2 * MOST_LEVEL, "first level"))]
    while len(levels) < rows * columns:
        levels.append(levels[-1] + (_read_size(decoder, models, 0) if decoder.bit(models, ZERO) else 0))
        if levels[-1] > MOST_LEVEL:
            raise decoder.error(f"has a level of {levels[-1]}; the most is {MOST_LEVEL}")
    return levels


# --- the table -------------------------------------------------------------------------------


def _adaptive_bits(levels: Levels, before: Counts) -> float:
    return _learned_bits(counts_of(levels), before)


def _neighbours_bits(levels: Levels, before: Counts) -> float:
    return _learned_bits(counts_of(levels, neighbours=True), before)


def _write_adaptive(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    _write_learned(encoder, levels, models, neighbours=False)


def _write_neighbours(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    _write_learned(encoder, levels, models, neighbours=True)


CODERS: dict[str, Coder] = {
    "adaptive": Coder(_adaptive_bits, _write_adaptive, _read_adaptive, learns=True),
    "neighbours": Coder(_neighbours_bits, _write_neighbours, _read_neighbours, learns=True),
    "fixed": Coder(plain.fixed_bits, plain.write_fixed, plain.read_fixed),
    "huffman": Coder(plain.huffman_bits, plain.write_huffman, plain.read_huffman),
    "gaps": Coder(plain.gaps_bits, plain.write_gaps, plain.read_gaps),
    "static": Coder(_static_bits, _write_static, _read_static),
    "rising": Coder(_rising_bits, _write_rising, _read_rising, learns=True),
}
"""In the order of their numbers in a file."""
