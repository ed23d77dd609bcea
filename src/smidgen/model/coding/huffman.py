"""Huffman's code (1952) in its canonical form, as Deep Compression (Han et al. 2015) stores weights.

A table is stored as the length of each symbol's code in four bits, 0 for a symbol that does not occur. Codes are
given out in order of length, then of symbol (Schwartz & Kallick 1964), so the lengths are all that is needed.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.range_coder import Decoder, Encoder

Symbols = npt.NDArray[np.int32]

LENGTH_BITS = 4
MOST_LENGTH = 2**LENGTH_BITS - 1
MOST_SYMBOLS = 2**12


@dataclass(frozen=True)
class Code:
    """The length of each symbol's code in bits; symbols are 0 and up."""

    lengths: tuple[int, ...]

    def codes(self) -> dict[tuple[int, int], int]:
        """(length, code) -> symbol."""
        table: dict[tuple[int, int], int] = {}
        code, before = 0, 0
        for length, symbol in sorted((length, symbol) for symbol, length in enumerate(self.lengths) if length):
            code <<= length - before
            table[length, code] = symbol
            code, before = code + 1, length
        return table

    @property
    def fits(self) -> bool:
        """Whether the codes are a tree: none is the beginning of another."""
        return 0 < sum(2.0**-length for length in self.lengths if length) <= 1

    def cost_bits(self, counts: npt.NDArray[np.int64]) -> int:
        """The table, and so many of each symbol."""
        return len(self.lengths) * LENGTH_BITS + int((counts * np.array(self.lengths)).sum())


def code_for(counts: npt.NDArray[np.int64]) -> Code:
    """The shortest code for symbols that occur so often, none longer than `MOST_LENGTH`."""
    while True:
        lengths = _lengths(counts)
        if max(lengths, default=0) <= MOST_LENGTH:
            return Code(lengths)
        counts = (counts + 1) // 2


def _lengths(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Join the two rarest groups until one is left; each joining makes their codes one bit longer."""
    lengths = [0] * len(counts)
    groups = [(int(count), symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    if len(groups) == 1:
        lengths[groups[0][1]] = 1
    heapq.heapify(groups)
    while len(groups) > 1:
        rare, rarer = heapq.heappop(groups), heapq.heappop(groups)
        for symbol in rare[2] + rarer[2]:
            lengths[symbol] += 1
        heapq.heappush(groups, (rare[0] + rarer[0], min(rare[1], rarer[1]), rare[2] + rarer[2]))
    return tuple(lengths)


def write_table(encoder: Encoder, code: Code) -> None:
    """The number of symbols, and the length of each."""
    encoder.growing(len(code.lengths), 4)
    for length in code.lengths:
        encoder.number(length, LENGTH_BITS)


def read_table(decoder: Decoder) -> Code:
    """What `write_table` wrote."""
    count = decoder.growing(4, MOST_SYMBOLS, "Huffman table")
    code = Code(tuple(decoder.number(LENGTH_BITS) for _ in range(count)))
    if not code.fits:
        raise decoder.error("has a Huffman table that is no code")
    return code


def write_symbols(encoder: Encoder, code: Code, symbols: Symbols) -> None:
    """Each symbol by its code."""
    ways = {symbol: (value, length) for (length, value), symbol in code.codes().items()}
    for symbol in symbols.tolist():
        encoder.number(*ways[symbol])


def read_symbol(decoder: Decoder, codes: dict[tuple[int, int], int]) -> int:
    """The next symbol; `codes` are a code's `codes()`."""
    value = 0
    for length in range(1, MOST_LENGTH + 1):
        value = value << 1 | decoder.number(1)
        if (length, value) in codes:
            return codes[length, value]
    raise decoder.error("has bits that are in no Huffman code")
