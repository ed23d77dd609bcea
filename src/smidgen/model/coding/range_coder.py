"""A binary range coder: integers alone, so that it gives the same bytes on every machine and in every language.

Everything in a `.smidgen` file is a sequence of yes-or-no decisions, each coded with the probability that its
model has at that moment (Martin 1979; the carry is handled as in LZMA). There is one operation and no other:
a bit that nothing is known about is a decision at one half. `docs/format.md` has the decoder in twenty lines.

A model is a probability in 22 bits and a count n of the decisions it has seen. After a decision the probability
moves towards it by 1 / (n + 2), which is the estimator of Krichevsky & Trofimov (1981), until n reaches 1022:
from there on it forgets. It never comes closer to 0 or 1 than 1/4096, so each decision costs at least
`LEAST_BITS`, and a file of so many bytes cannot hold more than so many decisions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from smidgen.errors import ModelFileError

ONE = 1 << 22
HALF = ONE // 2
MOST_SEEN = 1022
FROZEN = MOST_SEEN + 1
"""The count of a model that does not learn."""

LEAST_BITS = 3.5e-4
MOST_PAST_END = 4
"""Bytes that a decoder may read past the end, as zeros: what the end of a stream can leave out."""

_RATES = [65536 // (seen + 2) for seen in range(FROZEN)] + [0]
_NEXT = [*range(1, FROZEN), MOST_SEEN, FROZEN]
_TOP, _FULL = 1 << 24, (1 << 32) - 1


class BitModels:
    """So many models; all begin at one half, and number 0 stays there."""

    def __init__(self, count: int) -> None:
        self.probability = [HALF] * count
        self.seen = [0] * count
        self.seen[0] = FROZEN

    def freeze(self, index: int, probability: int) -> None:
        """Set a model to a probability, of 2**22, that stays."""
        self.probability[index], self.seen[index] = probability, FROZEN


BYPASS = 0
"""The model of a bit that nothing is known about, in every `Models`."""


class Encoder:
    """Decisions -> bytes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._low, self._range = 0, _FULL

    def write(self, models: BitModels, contexts: Iterable[int], bits: Iterable[int]) -> None:
        """Decisions in order: of each the number of its model, and 0 or 1."""
        probability, seen, low, wide = models.probability, models.seen, self._low, self._range
        for context, bit in zip(contexts, bits, strict=True):
            p, n = probability[context], seen[context]
            bound = (wide >> 16) * (p >> 6)
            if bit:
                wide = bound
                probability[context] = p + (((ONE - p) >> 6) * _RATES[n] >> 10)
            else:
                low += bound
                wide -= bound
                probability[context] = p - ((p >> 6) * _RATES[n] >> 10)
            seen[context] = _NEXT[n]
            while wide < _TOP:
                self._shift(low >> 24)
                low, wide = (low & 0xFFFFFF) << 8, wide << 8
        self._low, self._range = low, wide

    def number(self, value: int, width: int) -> None:
        """`width` bits, the highest first."""
        self.write(_PLAIN, [BYPASS] * width, [value >> place & 1 for place in reversed(range(width))])

    def growing(self, value: int, order: int) -> None:
        """A number of 0 and up in Exp-Golomb code of this order: small ones are short."""
        width = (value + (1 << order)).bit_length()
        self.number((1 << (width - 1 - order)) - 1 << 1, width - order)
        self.number(value + (1 << order) - (1 << (width - 1)), width - 1)

    def finish(self) -> bytes:
        """The shortest bytes, read as if zeros followed them, that lie in what is left of the interval."""
        for count in range(MOST_PAST_END + 1):
            rest = (1 << (32 - 8 * count)) - 1
            value = (self._low + rest) & ~rest
            if value < self._low + self._range:
                break
        if value >> 32:
            self._carry()
        return bytes(self.out) + (value & _FULL).to_bytes(4)[:count]

    def _shift(self, byte: int) -> None:
        if byte > 0xFF:
            self._carry()
        self.out.append(byte & 0xFF)

    def _carry(self) -> None:
        place = len(self.out) - 1
        while self.out[place] == 0xFF:
            self.out[place] = 0
            place -= 1
        self.out[place] += 1


class Decoder:
    """Bytes -> decisions. `first` is where the stream begins in its file, for messages.

    Raises, from every method:
        ModelFileError: the stream ends before its decisions do, or cannot have been written by an encoder.
    """

    def __init__(self, stream: bytes, first: int = 0) -> None:
        self._stream, self._first = stream, first
        self._end = len(stream) + MOST_PAST_END
        self._padded = stream + bytes(MOST_PAST_END)
        self._code, self._range, self._place = int.from_bytes(self._padded[:4]), _FULL, 4
        if self._code == _FULL:
            raise self.error("begins with four bytes that no encoder writes")

    @property
    def bits_read(self) -> float:
        """Bits that the decisions so far took, fractions included."""
        return 8 * self._place - math.log2(self._range)

    @property
    def decisions_left(self) -> int:
        """The most decisions that the rest of the stream can hold."""
        return int((8 * self._end - self.bits_read + 32) / LEAST_BITS)

    def bit(self, models: BitModels, context: int) -> int:
        """The next decision, by this model."""
        p, n = models.probability[context], models.seen[context]
        bound = (self._range >> 16) * (p >> 6)
        if self._code < bound:
            bit, self._range = 1, bound
            models.probability[context] = p + (((ONE - p) >> 6) * _RATES[n] >> 10)
        else:
            bit = 0
            self._code -= bound
            self._range -= bound
            models.probability[context] = p - ((p >> 6) * _RATES[n] >> 10)
        models.seen[context] = _NEXT[n]
        while self._range < _TOP:
            self._shift()
        return bit

    def number(self, width: int) -> int:
        """`width` bits, the highest first."""
        value = 0
        for _ in range(width):
            value = value << 1 | self.bit(_PLAIN, BYPASS)
        return value

    def growing(self, order: int, most: int, what: str) -> int:
        """A number of 0 to `most` in Exp-Golomb code of this order."""
        width = order
        while self.number(1):
            width += 1
            if width > most.bit_length() + order:
                raise self.error(f"has a {what} of more than {most}")
        value = (1 << width | self.number(width)) - (1 << order)
        if value > most:
            raise self.error(f"has a {what} of {value}; the most is {most}")
        return value

    def finish(self) -> None:
        """Check that nothing is left over."""
        if self._place < len(self._stream):
            raise self.error(f"has {len(self._stream) - self._place} bytes after its last weight")

    def error(self, fact: str) -> ModelFileError:
        """An error that says where the decoder stands in the file."""
        place = self._first + min(self._place, len(self._stream))
        return ModelFileError(f"at byte {place} the file {fact}; get the file again, or write it again")

    def _shift(self) -> None:
        if self._place >= self._end:
            raise self.error("ends before its last weight")
        self._code = self._code << 8 | self._padded[self._place]
        self._range <<= 8
        self._place += 1


_PLAIN = BitModels(1)


def unsigned(value: int) -> int:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def signed(value: int) -> int:
    return -(value + 1 >> 1) if value & 1 else value >> 1


def growing_bits(value: int, order: int) -> int:
    """The length of `Encoder.growing`."""
    width = (value + (1 << order)).bit_length()
    return 2 * width - 1 - order
