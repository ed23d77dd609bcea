"""Values as people write them on a command line: accuracies, differences of accuracies, lists of whole numbers.

A caller may pass the text or the value: `accuracy("97%") == accuracy(0.97) == 0.97`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from smidgen.errors import RequestError

AMBIGUOUS_POINTS = 0.1
"""Without a percent sign, `within` from here on could mean a share (0.5 = 50 points) or percent (0.5 points)."""


MOST_CHARACTERS = 40
"""Longer values are cut in messages."""


def accuracy(value: float | str, name: str = "floor") -> float:
    """Read an accuracy: 0.97, "0.97" or "97%" is 0.97.

    Raises:
        RequestError: the text is not a number.
    """
    try:
        return float(_number(str(value)))
    except (InvalidOperation, ValueError):  # ValueError: a signaling NaN
        raise RequestError(
            f"{name}={shortened(value)} is not a number; give an accuracy, for example 0.97 or 97%"
        ) from None


def points(value: float | str, name: str = "within") -> float:
    """Read a difference of two accuracies: 0.005, "0.005" or "0.5%" is half a point.

    Raises:
        RequestError: the text is not a number, or a number without a percent sign may mean either a share or percent.
    """
    found = accuracy(value, name)
    if found >= AMBIGUOUS_POINTS and math.isfinite(found) and not str(value).strip().endswith("%"):
        raise RequestError(f"{name}={value} would be {100 * found:g} points; write {value}% for {value} points")
    return found


def whole_number(value: object, name: str, remedy: str, least: int = 1) -> int:
    """Read a whole number: 50, "50" or a NumPy integer.

    Args:
        value: the number, or its text.
        name: the parameter, for the error.
        remedy: what to do instead, for the error.
        least: the smallest number that is allowed.

    Raises:
        RequestError: the value is not a whole number, or is below `least`.
    """
    number = _as_whole(value)
    if number is None:
        raise RequestError(f"{name}={shortened(value)} is not a whole number; give one, or {remedy}")
    if number < least:
        raise RequestError(f"{name}={number} must be at least {least}; {remedy}")
    return number


def optional_whole(value: int | str | None, name: str, remedy: str) -> int | None:
    """A whole number of at least 1, or None if it is left out; `whole_number` has the rest."""
    return None if value is None else whole_number(value, name, remedy)


def whole_numbers(value: Iterable[int] | str, name: str, separator: str = ",", count: int = 0) -> tuple[int, ...]:
    """Read whole numbers of at least 1: (8, 4, 2) or "8,4,2"; with separator "x" (32, 32) or "32x32".

    Args:
        value: the numbers, or their text.
        name: the option, for the error.
        separator: what stands between two numbers in a text.
        count: how many numbers there must be; 0 takes any number of them.

    Raises:
        RequestError: the text cannot be read, a number is below 1, or there are fewer or more than `count`.
    """
    parts = value.split(separator) if isinstance(value, str) else value
    listed = tuple(map(_as_whole, parts)) if isinstance(parts, Iterable) else ()
    numbers = tuple(number for number in listed if number is not None)
    if len(numbers) < len(listed) or not numbers or min(numbers) < 1 or (count and len(numbers) != count):
        example = separator.join(("1", "28", "28")[-count:] if count else ("8", "4", "2", "1"))
        text = separator.join(map(str, parts)) if isinstance(parts, Iterable) else value
        raise RequestError(
            f"{name}={shortened(text)} cannot be read; give whole numbers of at least 1, for example {example}"
        )
    return numbers


def path_of(value: object, name: str) -> Path:
    """Read a path: a text or a `Path`.

    Raises:
        RequestError: it is something else.
    """
    if not isinstance(value, str | Path):
        raise RequestError(f"{name}={shortened(value)} is not a path; give the name of a file or folder")
    return Path(value)


def shortened(value: object) -> str:
    """The text of a value for a message, in one line of at most `MOST_CHARACTERS` characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 seed", "3 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def points_text(difference: float) -> str:
    """A difference of two accuracies as text: "1 point", "0.5 points"."""
    return f"{100 * difference:g} point{'' if round(100 * difference, 9) == 1 else 's'}"


def _as_whole(value: object) -> int | None:
    """The whole number that a text or an integer of any type stands for; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, str) else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _number(text: str) -> Decimal:
    """Divide percents exactly, so that "0.7%" and "0.007" are one number."""
    text = text.strip()
    return Decimal(text[:-1].strip()) / 100 if text.endswith("%") else Decimal(text)
