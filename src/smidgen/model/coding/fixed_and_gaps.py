"""The coders without adaptive models: fixed width, Huffman, and Huffman with the gaps between nonzero levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smidgen.model.coding import huffman
from smidgen.model.coding.contexts import (
    MAX_LEVEL,
    MAX_OCTAVES,
    Counts,
    Levels,
    fresh_models,
    remembered,
    zero_counts,
)
from smidgen.model.coding.range_coder import BYPASS, BitModels, Decoder, Encoder, exp_golomb_bits, unzigzag, zigzag

GAP_BITS = (3, 4, 5, 6, 7, 8)
"""Bits of a gap that "gaps" chooses from; Han et al. take 5 for dense layers and 8 for convolutions."""


# --- fixed -----------------------------------------------------------------------------------


def _fixed_width(levels: Levels) -> tuple[int, int]:
    """Return the lowest level and the bits per level."""
    lowest, highest = int(levels.min()), int(levels.max())
    return lowest, max(1, (highest - lowest).bit_length())


def fixed_bits(levels: Levels, _counts: Counts) -> float:
    """Return the length of `write_fixed` in bits."""
    return 5 + exp_golomb_bits(zigzag(_fixed_width(levels)[0]), 3) + levels.size * _fixed_width(levels)[1]


def write_fixed(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    """Write levels as one width for all levels."""
    lowest, width = _fixed_width(levels)
    encoder.exp_golomb(zigzag(lowest), 3)
    encoder.uint(width, 5)
    shifted = (levels.ravel() - lowest)[:, None] >> np.arange(width - 1, -1, -1) & 1
    encoder.write(fresh_models(), [BYPASS] * shifted.size, shifted.ravel().tolist())


def read_fixed(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    """Read levels that `write_fixed` wrote."""
    lowest = unzigzag(decoder.exp_golomb(3, 2 * MAX_LEVEL, "lowest level"))
    width = decoder.uint(5)
    if not 1 <= width <= MAX_OCTAVES + 1:
        raise decoder.error(f"has levels of {width} bits; from 1 to {MAX_OCTAVES + 1} can be")
    return [lowest + decoder.uint(width) for _ in range(rows * columns)]


# --- huffman ---------------------------------------------------------------------------------


@remembered
def _symbols(levels: Levels) -> tuple[int, Levels, huffman.Code]:
    """Return the lowest level, the levels as offsets from it, and a code for these."""
    lowest = int(levels.min(initial=0))
    symbols = levels.ravel() - lowest
    return lowest, symbols, _code_for(symbols)


def _code_for(symbols: Levels) -> huffman.Code:
    return huffman.code_for(np.bincount(symbols, minlength=1))


def huffman_bits(levels: Levels, _counts: Counts) -> float:
    """Return the length of `write_huffman` in bits."""
    if int(levels.max()) - int(levels.min()) >= huffman.MAX_SYMBOLS:
        return math.inf
    lowest, symbols, code = _symbols(levels)
    table = exp_golomb_bits(zigzag(lowest), 3) + exp_golomb_bits(len(code.lengths), 4)
    return table + code.cost_bits(np.bincount(symbols))


def write_huffman(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    """Write levels as a canonical Huffman code."""
    lowest, symbols, code = _symbols(levels)
    encoder.exp_golomb(zigzag(lowest), 3)
    huffman.write_table(encoder, code)
    huffman.write_symbols(encoder, code, symbols)


def read_huffman(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    """Read levels that `write_huffman` wrote."""
    lowest = unzigzag(decoder.exp_golomb(3, 2 * MAX_LEVEL, "lowest level"))
    codes = huffman.read_table(decoder).codes()
    return [lowest + huffman.read_symbol(decoder, codes) for _ in range(rows * columns)]


# --- gaps ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Levels as pairs of (number of zeros before it, level); an entry of level 0 splits a gap that is too long."""

    width: int
    gaps: Levels
    levels: Levels
    gap_code: huffman.Code

    @property
    def bits(self) -> float:
        codes = self.gap_code.cost_bits(np.bincount(self.gaps, minlength=1)) + huffman_bits(self.levels, zero_counts())
        return codes + exp_golomb_bits(len(self.gaps), 8) + 3


def _gaps_of(levels: Levels, width: int) -> _Gaps:
    flat = levels.ravel()
    places = np.flatnonzero(flat)
    runs = np.diff(places, prepend=-1) - 1
    fillers = runs >> width  # each filler covers 2**width weights: a gap of 2**width - 1 and one zero
    count = len(places) + int(fillers.sum())
    ends = np.cumsum(fillers + 1) - 1
    gaps, kept = np.full(count, (1 << width) - 1, np.int32), np.zeros(count, np.int32)
    gaps[ends], kept[ends] = runs - (fillers << width), flat[places]
    return _Gaps(width, gaps, kept, _code_for(gaps))


@remembered
def _best_gaps(levels: Levels) -> _Gaps:
    if not levels.any():
        return _Gaps(GAP_BITS[0], np.zeros(0, np.int32), np.zeros(0, np.int32), huffman.Code((0,)))
    return min((_gaps_of(levels, width) for width in GAP_BITS), key=lambda gaps: gaps.bits)


def gaps_bits(levels: Levels, _counts: Counts) -> float:
    """Return the length of `write_gaps` in bits."""
    if not levels.any() or int(levels.max()) - int(levels.min()) >= huffman.MAX_SYMBOLS:
        return math.inf
    return _best_gaps(levels).bits


def write_gaps(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    """Write levels as the nonzero levels and the gaps between them."""
    best = _best_gaps(levels)
    encoder.exp_golomb(len(best.gaps), 8)
    if len(best.gaps):
        encoder.uint(best.width - GAP_BITS[0], 3)
        huffman.write_table(encoder, best.gap_code)
        huffman.write_symbols(encoder, best.gap_code, best.gaps)
        write_huffman(encoder, best.levels, models)


def read_gaps(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    """Read levels that `write_gaps` wrote."""
    count = decoder.exp_golomb(8, rows * columns, "number of entries")
    levels = [0] * (rows * columns)
    if not count:
        return levels
    width = decoder.uint(3) + GAP_BITS[0]
    codes = huffman.read_table(decoder).codes()
    if max(codes.values()) >> width:
        raise decoder.error(f"has a gap of {max(codes.values())} in {width} bits")
    gaps = [huffman.read_symbol(decoder, codes) for _ in range(count)]
    if sum(gaps) + count > len(levels):
        raise decoder.error(f"has gaps over {sum(gaps) + count} weights for {len(levels)}")
    place = -1
    for gap, level in zip(gaps, read_huffman(decoder, 1, count, models), strict=True):
        place += gap + 1
        levels[place] = level
    return levels
