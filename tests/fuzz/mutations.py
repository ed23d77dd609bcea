"""Changes to files: what transmission, careless programs and hostile authors do to them."""

from __future__ import annotations

import re
from binascii import crc_hqx
from random import Random

LARGE = (0, 1, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
WORDS = (
    *(b"nan", b"inf", b"-1", b"1e999", b"9" * 4500, b"[" * 2000, b"{" * 500, b'"', b"\n", b",", b"\x00", b"\xff\xfe"),
    *(b"repeat 1000 [", b"residual [", b"]", b"999999999", b"dense ", b"\xed\xa0\x80", b"../", b"=1+1", b"\x1b[2J"),
)


def mutated(content: bytes, others: list[bytes], chance: Random, most_bytes: int = 2**16) -> bytes:
    """Return the content with one to four changes; at most `most_bytes` of it."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(CHANGES)(content, others, chance)
    return content[:most_bytes]


def _flip(content: bytes, _: list[bytes], chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(content: bytes, _: list[bytes], chance: Random) -> bytes:
    start, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return chance.choice((content[:start], content[:start] + content[end:]))


def _insert(content: bytes, _: list[bytes], chance: Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    return content[:place] + chance.choice((chance.randbytes(chance.randrange(1, 9)), *WORDS)) + content[place:]


def _number(content: bytes, _: list[bytes], chance: Random) -> bytes:
    """Write a number where headers have lengths: 1 to 8 bytes, either order."""
    width, place = chance.choice((1, 2, 4, 8)), chance.randrange(max(1, min(len(content), 256)))
    value = chance.choice(LARGE) % 2 ** (8 * width)
    return content[:place] + value.to_bytes(width, chance.choice(("little", "big"))) + content[place + width :]


def _text_number(content: bytes, _: list[bytes], chance: Random) -> bytes:
    """Replace a number in text by another one."""
    found = list(re.finditer(rb"\d+", content[:4096]))
    if not found:
        return content
    match = chance.choice(found)
    number = str(chance.choice((*LARGE, -1, 10**30))).encode()
    return content[: match.start()] + number + content[match.end() :]


def _join(content: bytes, others: list[bytes], chance: Random) -> bytes:
    other = chance.choice(others)
    return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other) + 1) :]


def _repeat(content: bytes, _: list[bytes], chance: Random) -> bytes:
    start, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[start:end] * chance.choice((1, 2, 50)) + content[end:]


CHANGES = (_flip, _cut, _insert, _number, _text_number, _join, _repeat)


def sealed(content: bytes) -> bytes:
    """Return a `.smidgen` file whose checksum is right again, so that what is behind it is read."""
    return content[:-2] + crc_hqx(content[:-2], 0xFFFF).to_bytes(2) if len(content) > 4 else content
