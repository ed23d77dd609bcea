"""How numbers are written in the tables and the findings of every document."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from smidgen.records import Score

NOTHING = "Nothing was trained that would answer it; run it without --quick."
"""The answer to a question whose trainings the effort leaves out."""


def rate_text(rate: float | None) -> str:
    """A rate for a column of percentages: "97.31", or "" for None."""
    return "" if rate is None else f"{100 * rate:.2f}"


def percent(rate: float) -> str:
    """A rate in a sentence: "97.31 %"."""
    return f"{100 * rate:.2f} %"


def points(difference: float) -> str:
    """A difference between two rates: "+0.31 points"."""
    return f"{signed(difference)} points"


def signed(difference: float) -> str:
    """A difference between two rates in percentage points, without the word: "+0.31"."""
    return f"{100 * difference:+.2f}"


def span(ends: tuple[float, float]) -> str:
    """Two rates as a range of percentages: "97.00 to 97.40"."""
    low, high = ends
    return f"{rate_text(low)} to {rate_text(high)}"


def seeds_text(rates: Sequence[float]) -> str:
    """The mean, the standard deviation and the number of seeds in a sentence: "97.31 ± 0.12 % (10 seeds)"."""
    if len(rates) == 1:
        return f"{percent(rates[0])} (one seed)"
    return f"{rate_text(fmean(rates))} ± {percent(stdev(rates))} ({len(rates)} seeds)"


def errors(score: Score) -> str:
    """An error rate in percent with its count: "1.50 (15/1000)"."""
    return f"{rate_text(1 - score.rate)} ({score.total - score.correct}/{score.total})"


def p_text(p: float) -> str:
    """A p-value: "p = 0.032", or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
