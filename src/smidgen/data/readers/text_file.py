"""Text files in the encodings that spreadsheets and loggers write, decoded without a replacement character."""

from __future__ import annotations

import codecs
from pathlib import Path

from smidgen.errors import DataError

OLD_ENCODING = "cp1252"
"""Windows-1252: what Windows writes as "ANSI" in the west of Europe and in America; it includes Latin-1's letters."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK_BYTES = 1 << 20


def encoding_of(path: Path) -> tuple[str, str]:
    """Find the encoding of a text file: what its byte order mark says, UTF-8, or Windows-1252 if it is not UTF-8.

    Returns:
        (the name of the encoding for `open`, a note for the user; "" for UTF-8 and UTF-16).

    Raises:
        DataError: The file is not text.
    """
    with path.open("rb") as file:
        head = file.read(4)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    wrong = first_wrong_line(path, encoding)
    if wrong is None:
        return encoding, ""
    if encoding == "utf-8" and b"\0" not in path.read_bytes() and first_wrong_line(path, OLD_ENCODING) is None:
        return OLD_ENCODING, f"line {wrong} is not UTF-8, so the file is read as Windows-1252 (Latin-1)"
    raise DataError(
        f"cannot read {path} as a table of numbers: line {wrong} is not {encoding.removesuffix('-sig').upper()}; write "
        "the file as UTF-8 text"
    )


def first_wrong_line(path: Path, encoding: str) -> int | None:
    """Return the number of the first line, from 1, that is not text in this encoding; None if all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(encoding, "ignore")
                return line + good.count("\n")
            if "\0" in text:
                return line + text[: text.index("\0")].count("\n")
            line += text.count("\n")
            if not chunk:
                return None
