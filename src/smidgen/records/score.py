"""How many images a network classifies correctly, and the accuracy floor that it must meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from smidgen.elementary import exponential, logarithm
from smidgen.errors import RequestError
from smidgen.records.recipe import _one_of


@dataclass(frozen=True)
class Score:
    """A count of correctly classified images.

    Attributes:
        correct: How many images were classified correctly.
        total: How many images were classified.
    """

    correct: int
    total: int

    @property
    def rate(self) -> float:
        """The accuracy, 0 to 1; 0 for no images."""
        return self.correct / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided Wilson score interval of the rate (Wilson 1927) as (low, high)."""
        if self.total == 0:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        n, p = self.total, self.rate
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def lower_bound(self, confidence: float) -> float:
        """Return the exact one-sided lower bound of the rate (Clopper & Pearson 1934).

        It is the rate at which so many correct images, or more, have the probability 1 - confidence.
        """
        if self.correct == 0:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._tail(middle) < 1 - confidence else (low, middle)
        return low

    def _tail(self, rate: float) -> float:
        """The probability of at least so many correct images at this rate."""
        wrong = np.arange(self.total - self.correct + 1)
        logarithms = _log_factorials(self.total)
        ways = logarithms[self.total] - logarithms[wrong] - logarithms[self.total - wrong]
        terms = ways + wrong * logarithm(1 - rate) + (self.total - wrong) * logarithm(rate)
        return float(exponential(terms).sum())

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.total + other.total)

    def __str__(self) -> str:
        return f"{100 * self.rate:.2f} % ({self.correct}/{self.total})"


@lru_cache(maxsize=8)
def _log_factorials(most: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of n! for n from 0 to `most`."""
    return np.concatenate([[0.0], np.cumsum(logarithm(np.arange(1, most + 1)))])


RULES = ("wilson", "rate", "strict")

STRICT_ERROR = 0.05
"""How often, at most, the rule "strict" passes a network that is below its floor."""

BISECTIONS = 40
"""Halvings of an interval from 0 to 1, which leave 1e-12."""


def look_confidence(look: int) -> float:
    """The confidence that is asked of a network, from 1, at its turn on the confirmation half.

    The k-th network may pass wrongly with the probability `STRICT_ERROR` / 2**k. All together pass wrongly with at most
    `STRICT_ERROR`, whatever they have in common (Bonferroni's inequality).
    """
    return 1.0 - STRICT_ERROR * 0.5**look


@dataclass(frozen=True)
class Floor:
    """The least accuracy that a network must have, and the rule by which a score is compared with it.

    Attributes:
        accuracy: The least accuracy, between 0 and 1.
        rule: "wilson" compares the lower end of the score's 95 % Wilson interval, "rate" compares its plain rate,
            "strict" compares the exact lower bound of a score on the confirmation half alone, at the confidence of
            `look_confidence(1)`.
    """

    accuracy: float
    rule: str = "wilson"

    def __post_init__(self) -> None:
        _one_of("rule", self.rule, RULES)
        if not 0 < self.accuracy < 1:
            share = self.accuracy / 100 if 1 < self.accuracy < 100 else 0.97
            raise RequestError(f"floor={self.accuracy:g} must lie between 0 and 1; give for example {share:g}")

    def is_met_by(self, score: Score) -> bool:
        """Return whether a score meets the floor by the rule."""
        return self.shown_by(score) >= self.accuracy

    def shown_by(self, score: Score) -> float:
        """Return the highest floor that a score meets by the rule."""
        if self.rule == "strict":
            return score.lower_bound(look_confidence(1))
        return score.interval()[0] if self.rule == "wilson" else score.rate

    def needed(self, total: int) -> Score | None:
        """Return the lowest score on `total` images that meets the floor, or None if not even `total` correct do."""
        least = max(0, math.ceil(self.accuracy * total) - 1)  # the product may be rounded up
        scores = (Score(correct, total) for correct in range(least, total + 1))
        return next(filter(self.is_met_by, scores), None)
