"""The coders of levels that need no models: bits of one width, Huffman codes, and gaps between what is not zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smidgen.model.coding import huffman
from smidgen.model.coding.contexts import MOST_LEVEL, MOST_OCTAVES, Counts, Levels, fresh_models, no_counts
from smidgen.model.coding.range_coder import BYPASS, BitModels, Decoder, Encoder, growing_bits, signed, unsigned

GAP_BITS = (3, 4, 5, 6, 7, 8)
"""The widths of a gap that "gaps" chooses from; Han et al. take 5 for dense layers and 8 for convolutions."""


# --- fixed -----------------------------------------------------------------------------------


def _fixed_width(levels: Levels) -> tuple[int, int]:
    """(the lowest level, bits of each)."""
    lowest, highest = int(levels.min()), int(levels.max())
    return lowest, max(1, (highest - lowest).bit_length())


def fixed_bits(levels: Levels, _counts: Counts) -> float:
    return 5 + growing_bits(unsigned(_fixed_width(levels)[0]), 3) + levels.size * _fixed_width(levels)[1]


def write_fixed(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    lowest, width = _fixed_width(levels)
    encoder.growing(unsigned(lowest), 3)
    encoder.number(width, 5)
    shifted = (levels.ravel() - lowest)[:, None] >> np.arange(width - 1, -1, -1) & 1
    encoder.write(fresh_models(), [BYPASS] * shifted.size, shifted.ravel().tolist())


def read_fixed(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    lowest = signed(decoder.growing(3, 2 * MOST_LEVEL, "lowest level"))
    width = decoder.number(5)
    if not 1 <= width <= MOST_OCTAVES + 1:
        raise decoder.error(f"has levels of {width} bits; from 1 to {MOST_OCTAVES + 1} can be")
    return [lowest + decoder.number(width) for _ in range(rows * columns)]


# --- huffman ---------------------------------------------------------------------------------


def _symbols(levels: Levels) -> tuple[int, Levels, huffman.Code]:
    """(the lowest level, levels counted from it, their code)."""
    lowest = int(levels.min(initial=0))
    symbols = levels.ravel() - lowest
    return lowest, symbols, _code_for(symbols)


def _code_for(symbols: Levels) -> huffman.Code:
    return huffman.code_for(np.bincount(symbols, minlength=1))


def huffman_bits(levels: Levels, _counts: Counts) -> float:
    if int(levels.max()) - int(levels.min()) >= huffman.MOST_SYMBOLS:
        return math.inf
    lowest, symbols, code = _symbols(levels)
    table = growing_bits(unsigned(lowest), 3) + growing_bits(len(code.lengths), 4)
    return table + code.cost_bits(np.bincount(symbols))


def write_huffman(encoder: Encoder, levels: Levels, _models: BitModels) -> None:
    lowest, symbols, code = _symbols(levels)
    encoder.growing(unsigned(lowest), 3)
    huffman.write_table(encoder, code)
    huffman.write_symbols(encoder, code, symbols)


def read_huffman(decoder: Decoder, rows: int, columns: int, _models: BitModels) -> list[int]:
    lowest = signed(decoder.growing(3, 2 * MOST_LEVEL, "lowest level"))
    codes = huffman.read_table(decoder).codes()
    return [lowest + huffman.read_symbol(decoder, codes) for _ in range(rows * columns)]


# --- gaps ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Entries (zeros before it, level); a gap that is too long is filled by an entry of level zero."""

    width: int
    gaps: Levels
    levels: Levels
    gap_code: huffman.Code

    @property
    def bits(self) -> float:
        codes = self.gap_code.cost_bits(np.bincount(self.gaps, minlength=1)) + huffman_bits(self.levels, no_counts())
        return codes + growing_bits(len(self.gaps), 8) + 3


def _gaps_of(levels: Levels, width: int) -> _Gaps:
    flat = levels.ravel()
    places = np.flatnonzero(flat)
    runs = np.diff(places, prepend=-1) - 1
    fillers = runs >> width  # each filler stands for 2**width weights: a gap of 2**width - 1 and a zero
    count = len(places) + int(fillers.sum())
    ends = np.cumsum(fillers + 1) - 1
    gaps, kept = np.full(count, (1 << width) - 1, np.int32), np.zeros(count, np.int32)
    gaps[ends], kept[ends] = runs - (fillers << width), flat[places]
    return _Gaps(width, gaps, kept, _code_for(gaps))


def _best_gaps(levels: Levels) -> _Gaps:
    if not levels.any():
        return _Gaps(GAP_BITS[0], np.zeros(0, np.int32), np.zeros(0, np.int32), huffman.Code((0,)))
    return min((_gaps_of(levels, width) for width in GAP_BITS), key=lambda gaps: gaps.bits)


def gaps_bits(levels: Levels, _counts: Counts) -> float:
    if not levels.any() or int(levels.max()) - int(levels.min()) >= huffman.MOST_SYMBOLS:
        return math.inf
    return _best_gaps(levels).bits


def write_gaps(encoder: Encoder, levels: Levels, models: BitModels) -> None:
    best = _best_gaps(levels)
    encoder.growing(len(best.gaps), 8)
    if len(best.gaps):
        encoder.number(best.width - GAP_BITS[0], 3)
        huffman.write_table(encoder, best.gap_code)
        huffman.write_symbols(encoder, best.gap_code, best.gaps)
        write_huffman(encoder, best.levels, models)


def read_gaps(decoder: Decoder, rows: int, columns: int, models: BitModels) -> list[int]:
    count = decoder.growing(8, rows * columns, "number of entries")
    levels = [0] * (rows * columns)
    if not count:
        return levels
    width = decoder.number(3) + GAP_BITS[0]
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
