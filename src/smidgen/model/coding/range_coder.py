"""A binary range coder in integer arithmetic: it gives the same bytes on every machine and in every language.

A `.smidgen` file is a sequence of binary decisions, each coded with the probability that its bit model has at that
moment (Martin 1979; carries are handled as in LZMA). A bit without a model is a decision at probability one half.

A bit model is a probability in 22 bits and a count n of the decisions it has seen. Each decision moves the probability
towards itself by 1 / (n + 2), the estimator of Krichevsky & Trofimov (1981). n stops at 1022, so older decisions are
forgotten. The probability stays at least 1/4096 away from 0 and 1: every decision costs at least `MIN_DECISION_BITS`,
which bounds the number of decisions in a file of a given length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from smidgen.errors import ModelFileError

ONE = 1 << 22
HALF = ONE // 2
MAX_SEEN = 1022
FROZEN = MAX_SEEN + 1
"""Count of a bit model whose probability is fixed."""

MIN_DECISION_BITS = 3.5e-4
MAX_PAST_END = 4
"""An encoder drops up to this many zero bytes from the end of a stream; a decoder reads them as zeros."""

_RATES = [65536 // (seen + 2) for seen in range(FROZEN)] + [0]
_NEXT = [*range(1, FROZEN), MAX_SEEN, FROZEN]
_TOP, _FULL = 1 << 24, (1 << 32) - 1


class BitModels:
    """Adaptive probabilities of binary decisions.

    Attributes:
        probability: probability of a 1 by model number, in units of 2**-22. Every model begins at one half.
        seen: number of decisions that each model has seen. Model 0 (`BYPASS`) is frozen at one half.
    """

    def __init__(self, count: int) -> None:
        self.probability = [HALF] * count
        self.seen = [FROZEN, *[0] * (count - 1)]

    def copy(self) -> BitModels:
        """Return models in the same state, which learn apart from these."""
        twin = BitModels(0)
        twin.probability, twin.seen = self.probability.copy(), self.seen.copy()
        return twin

    def freeze(self, index: int, probability: int) -> None:
        """Fix a model's probability of a 1, in units of 2**-22."""
        self.probability[index], self.seen[index] = probability, FROZEN


BYPASS = 0
"""Number of the model that is frozen at one half, in every `BitModels`."""


class Encoder:
    """Encodes binary decisions into bytes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._low, self._range = 0, _FULL

    def write(self, models: BitModels, contexts: Iterable[int], bits: Iterable[int]) -> None:
        """Encode decisions in order: `contexts` are the numbers of their models, `bits` are 0 or 1."""
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

    def uint(self, value: int, width: int) -> None:
        """Encode an integer in `width` bits at probability one half, the highest bit first."""
        self.write(_HALF_ONLY, [BYPASS] * width, [value >> place & 1 for place in reversed(range(width))])

    def exp_golomb(self, value: int, order: int) -> None:
        """Encode an integer of at least 0 in the Exp-Golomb code of this order, in which small numbers are short."""
        width = (value + (1 << order)).bit_length()
        self.uint((1 << (width - 1 - order)) - 1 << 1, width - order)
        self.uint(value + (1 << order) - (1 << (width - 1)), width - 1)

    def finish(self) -> bytes:
        """Return the stream, ended by the fewest bytes that lie in the final interval if zeros follow them."""
        for count in range(MAX_PAST_END + 1):
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
    """Decodes bytes into binary decisions.

    Every method that reads raises ModelFileError if the stream ends too early or no encoder can have written it.

    Args:
        stream: what `Encoder.finish` returned.
        first: offset of the stream in its file, for error messages.
    """

    def __init__(self, stream: bytes, first: int = 0) -> None:
        self._stream, self._first = stream, first
        self._end = len(stream) + MAX_PAST_END
        self._padded = stream + bytes(MAX_PAST_END)
        self._code, self._range, self._place = int.from_bytes(self._padded[:4]), _FULL, 4
        if self._code == _FULL:
            raise self.error("begins with four bytes that no encoder writes")

    @property
    def bits_read(self) -> float:
        """Bits that the decisions so far took, including fractions."""
        return 8 * self._place - math.log2(self._range)

    @property
    def decisions_left(self) -> int:
        """Upper bound on the number of decisions in the rest of the stream."""
        return int((8 * self._end - self.bits_read + 32) / MIN_DECISION_BITS)

    def bit(self, models: BitModels, context: int) -> int:
        """Decode the next decision with the model of this number."""
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

    def uint(self, width: int) -> int:
        """Decode an integer of `width` bits, the highest bit first."""
        value = 0
        for _ in range(width):
            value = value << 1 | self.bit(_HALF_ONLY, BYPASS)
        return value

    def exp_golomb(self, order: int, most: int, what: str) -> int:
        """Decode an integer of 0 to `most` in the Exp-Golomb code of this order; `what` names it in an error."""
        width = order
        while self.uint(1):
            width += 1
            if width > most.bit_length() + order:
                raise self.error(f"has a {what} of more than {most}")
        value = (1 << width | self.uint(width)) - (1 << order)
        if value > most:
            raise self.error(f"has a {what} of {value}; the most is {most}")
        return value

    def finish(self) -> None:
        """Raise ModelFileError if bytes are left over."""
        if self._place < len(self._stream):
            raise self.error(f"has {len(self._stream) - self._place} bytes after its last weight")

    def error(self, fact: str) -> ModelFileError:
        """Build an error that gives the decoder's position in the file."""
        place = self._first + min(self._place, len(self._stream))
        return ModelFileError(f"at byte {place} the file {fact}; get the file again, or write it again")

    def _shift(self) -> None:
        if self._place >= self._end:
            raise self.error("ends before its last weight")
        self._code = self._code << 8 | self._padded[self._place]
        self._range <<= 8
        self._place += 1


_HALF_ONLY = BitModels(1)


def zigzag(value: int) -> int:
    """Map 0, -1, 1, -2, ... to 0, 1, 2, 3, ... (zigzag code)."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Invert `zigzag`."""
    return -(value + 1 >> 1) if value & 1 else value >> 1


def exp_golomb_bits(value: int, order: int) -> int:
    """Return the length of an Exp-Golomb code in bits."""
    width = (value + (1 << order)).bit_length()
    return 2 * width - 1 - order
