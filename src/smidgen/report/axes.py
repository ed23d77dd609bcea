"""Ticks, limits and number texts that the pictures and the page share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smidgen.records import Score
from smidgen.teacher import TeacherOutputs

MOST_SIZE_TICKS = 8

FLOOR_REACH, SWEEP_REACH = 5.0, 10.0
"""How far a window extends below its anchor, as a multiple of the distance between the best rate and the anchor."""


def count_text(count: int) -> str:
    """Return 1199882 as "1,199,882"."""
    return f"{count:,}"


def percent_text(rate: float, decimals: int = 2) -> str:
    """Return 0.976 as "97.60 %"."""
    return f"{100 * rate:.{decimals}f} %"


def short_percent_text(rate: float) -> str:
    """Return 0.97 as "97 %" and 0.975 as "97.5 %", for floors and ticks."""
    return f"{100 * rate:.4f}".rstrip("0").rstrip(".") + " %"


def interval_text(score: Score) -> str:
    """Return the 95 % interval of a score: "97.28 % to 97.88 %"."""
    low, high = score.interval()
    return f"{percent_text(low)} to {percent_text(high)}"


@dataclass(frozen=True)
class TeacherMark:
    """The teacher on a picture: a level line at its rate on the validation split, with a label.

    Attributes:
        rate: The rate.
        size: ", 1,199,882 parameters"; "" if its size is unknown.
    """

    rate: float
    size: str = ""

    @classmethod
    def of(cls, teacher: TeacherOutputs) -> TeacherMark:
        """Return the mark of a teacher."""
        size = f", {count_text(teacher.parameters)} parameters" if teacher.parameters else ""
        return cls(teacher.validation.rate, size)

    @property
    def text(self) -> str:
        """The label."""
        return f"teacher{self.size}: {percent_text(self.rate)}"


def size_ticks(low: float, high: float) -> list[int]:
    """Return the numbers 1, 2, 5 · 10^k within [low, high]; 1, 3 · 10^k or 1 · 10^k if those are more than eight."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10**power for power in decades if power >= 0 for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= MOST_SIZE_TICKS:
            break
    return inside


def size_window(sizes: Iterable[int]) -> tuple[float, float]:
    """Return the limits of the size axis: the sizes and a margin of 4 % of their logarithmic range."""
    known = list(sizes)
    low, high = min(known), max(known)
    margin = max(1.15, (high / low) ** 0.04)
    return low / margin, high * margin


def rate_window(
    rates: Sequence[float], anchor: float, reach: float = FLOOR_REACH, levels: Sequence[float] = ()
) -> tuple[float, float]:
    """Return the limits of the accuracy axis.

    The axis leaves out rates far below the anchor, which would compress the rest; they are drawn on its lower edge.

    Args:
        rates: The rates of the networks.
        anchor: The accuracy that matters: a floor, or a turning point.
        reach: How far the axis extends below the anchor, as a multiple of the distance between it and the best rate.
        levels: Further rates that the axis must show, which do not change how far down it extends.
    """
    best = max(*rates, anchor, *levels)
    span = max(abs(max(rates) - anchor), 0.005)
    lowest = anchor - reach * span
    inside = [rate for rate in rates if rate >= lowest]
    low = min([*inside, anchor])
    margin = 0.08 * max(best - low, 0.005)
    return max(0.0, low - margin), min(1.0, best + margin)


def rate_ticks(low: float, high: float) -> list[float]:
    """Return two to nine round rates within [low, high]."""
    steps = (factor * 10.0**power for power in range(-6, 1) for factor in (1, 2, 5))
    step = next(step for step in steps if high - low <= 8 * step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 8) for index in range(first, last + 1)]
