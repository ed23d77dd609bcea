"""Canonical Huffman codes (Huffman 1952), with which Deep Compression (Han et al. 2015) stores weights.

A table stores the length of each symbol's code in four bits, 0 for a symbol that does not occur. Codes are assigned in
order of length, then of symbol (Schwartz & Kallick 1964), so that the lengths determine them.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.range_coder import Decoder, Encoder

Symbols = npt.NDArray[np.int32]

LENGTH_BITS = 4
MAX_LENGTH = 2**LENGTH_BITS - 1
MAX_SYMBOLS = 2**12


@dataclass(frozen=True)
class Code:
    """A prefix code.

    Attributes:
        lengths: length of each symbol's code in bits; 0 for a symbol that does not occur.
    """

    lengths: tuple[int, ...]

    def codes(self) -> dict[tuple[int, int], int]:
        """Return the symbol of each (length, code)."""
        table: dict[tuple[int, int], int] = {}
        code, previous = 0, 0
        for length, symbol in sorted((length, symbol) for symbol, length in enumerate(self.lengths) if length):
            code <<= length - previous
            table[length, code] = symbol
            code, previous = code + 1, length
        return table

    @property
    def is_valid(self) -> bool:
        """Whether the lengths belong to a prefix code (Kraft's inequality)."""
        return 0 < sum(2.0**-length for length in self.lengths if length) <= 1

    def cost_bits(self, counts: npt.NDArray[np.int64]) -> int:
        """Return the length in bits of the table and of the symbols, which occur `counts` times."""
        return len(self.lengths) * LENGTH_BITS + int((counts * np.array(self.lengths)).sum())


def code_for(counts: npt.NDArray[np.int64]) -> Code:
    """Return the shortest code for symbols of these counts whose code lengths are at most `MAX_LENGTH`."""
    while True:
        lengths = _lengths(counts)
        if max(lengths, default=0) <= MAX_LENGTH:
            return Code(lengths)
        counts = (counts + 1) // 2


def _lengths(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Merge the two rarest groups until one is left; each merge makes their codes one bit longer."""
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
    """Write the number of symbols and the length of each code."""
    encoder.exp_golomb(len(code.lengths), 4)
    for length in code.lengths:
        encoder.uint(length, LENGTH_BITS)


def read_table(decoder: Decoder) -> Code:
    """Read a table that `write_table` wrote."""
    count = decoder.exp_golomb(4, MAX_SYMBOLS, "Huffman table")
    code = Code(tuple(decoder.uint(LENGTH_BITS) for _ in range(count)))
    if not code.is_valid:
        raise decoder.error("has a Huffman table that is not a prefix code")
    return code


def write_symbols(encoder: Encoder, code: Code, symbols: Symbols) -> None:
    """Write the code of each symbol."""
    codewords = {symbol: (value, length) for (length, value), symbol in code.codes().items()}
    for symbol in symbols.tolist():
        encoder.uint(*codewords[symbol])


def read_symbol(decoder: Decoder, codes: dict[tuple[int, int], int]) -> int:
    """Read the next symbol; `codes` is what `Code.codes` returns."""
    value = 0
    for length in range(1, MAX_LENGTH + 1):
        value = value << 1 | decoder.uint(1)
        if (length, value) in codes:
            return codes[length, value]
    raise decoder.error("has bits that are not a Huffman code")
