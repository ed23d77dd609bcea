"""Values as people write them on a command line: accuracies, differences of accuracies, lists of whole numbers.

A caller may pass the text or the value: `accuracy("97%") == accuracy(0.97) == 0.97`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from smidgen.errors import RequestError

AMBIGUOUS_POINTS = 0.1
"""Without a percent sign, `within` from here on could mean a share (0.5 = 50 points) or percent (0.5 points)."""


def accuracy(value: float | str, name: str = "floor") -> float:
    """Read an accuracy: 0.97, "0.97" or "97%" is 0.97.

    Raises:
        RequestError: the text is not a number.
    """
    try:
        return float(_number(str(value)))
    except (InvalidOperation, ValueError):  # ValueError: a signaling NaN
        raise RequestError(f"{name}={value} is not a number; give an accuracy, for example 0.97 or 97%") from None


def points(value: float | str, name: str = "within") -> float:
    """Read a difference of two accuracies: 0.005, "0.005" or "0.5%" is half a point.

    Raises:
        RequestError: the text is not a number, or a number without a percent sign may mean either a share or percent.
    """
    found = accuracy(value, name)
    if found >= AMBIGUOUS_POINTS and math.isfinite(found) and not str(value).strip().endswith("%"):
        raise RequestError(f"{name}={value} would be {100 * found:g} points; write {value}% for {value} points")
    return found


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
    try:
        numbers = tuple(int(part) for part in (value.split(separator) if isinstance(value, str) else value))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1 or (count and len(numbers) != count):
        example = separator.join(("1", "28", "28")[-count:] if count else ("8", "4", "2", "1"))
        shown = value if isinstance(value, str) else separator.join(map(str, value))
        raise RequestError(f"{name}={shown} cannot be read; give whole numbers of at least 1, for example {example}")
    return numbers


def _number(text: str) -> Decimal:
    """Divide percents exactly, so that "0.7%" and "0.007" are one number."""
    text = text.strip()
    return Decimal(text[:-1].strip()) / 100 if text.endswith("%") else Decimal(text)
