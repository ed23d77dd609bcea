"""Text of unknown origin, such as class names and file names, made safe for the language that it is written into.

Every function keeps the characters on a list and replaces all others, so that a character nobody thought of is
replaced too. HTML and SVG are escaped by Jinja's autoescape; what goes there passes `shown` first.
"""

from __future__ import annotations

import re
import string
import unicodedata

from smidgen.errors import RequestError

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Characters without a shape that words of several scripts, and some emoji, cannot do without."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a cell that begins with one of these for a formula, which can run programs (CWE-1236)."""


def shown(text: object) -> str:
    r"""Return a text for a terminal or a page: a character without a shape becomes its escape, such as \x1b.

    Line breaks and spaces of every width stay. Control characters, which move a cursor or set a title, characters that
    turn the direction of writing, and bytes of a file name that are not UTF-8 are escaped.
    """
    found = str(text)
    if found.isprintable():
        return found
    return "".join(character if _has_shape(character) else _escaped(character) for character in found)


def in_c_comment(text: str) -> str:
    """Return a text for a C comment: letters, digits, and punctuation that cannot end, nest or continue a comment."""
    return "".join(character if character.isalnum() or character in " ,.;:'_+-()" else "_" for character in text)


def c_string(text: str) -> str:
    """Return a text as a C string literal of ASCII letters, digits and punctuation; all else is octal UTF-8."""
    plain = set(string.ascii_letters + string.digits + " ,.;:'_+-()")
    pieces = (chr(byte) if chr(byte) in plain else f"\\{byte:03o}" for byte in shown(text).encode(errors="replace"))
    return f'"{"".join(pieces)}"'


def in_csv(cell: object) -> object:
    """Return a cell of a CSV file: a text that a spreadsheet would compute gets an apostrophe before it."""
    if not isinstance(cell, str):
        return cell
    text = f"'{cell}" if cell.startswith(_FORMULA_STARTS) and not _is_number(cell) else cell
    return shown(text)


def c_identifier(text: str) -> str:
    """Return a name for C: ASCII letters, digits and underscores, of which a digit is never the first."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"network_{name}" if not name or name[0].isdigit() else name


def check_c_include(name: str) -> None:
    """Check that a file's name can stand between the quotation marks of `#include`.

    Raises:
        RequestError: It has a character that the compiler could take for something else.
    """
    if not re.fullmatch(r"[\w .,+=@()-]+", name):
        raise RequestError(
            f"'{shown(name)}' cannot be the name of a C file; use letters, digits, spaces and . , + = @ ( ) - _"
        )


def _has_shape(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or character == "\n" or _is_space(character)


def _is_space(character: str) -> bool:
    return unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
