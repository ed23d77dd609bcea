"""How many images a network classifies correctly, and the accuracy floor that it must meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from smidgen.errors import RequestError
from smidgen.records.recipe import _one_of


@dataclass(frozen=True)
class Score:
    """How many images were classified right, of how many."""

    correct: int
    total: int

    @property
    def rate(self) -> float:
        return self.correct / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The Wilson score interval of the rate (Wilson 1927), two-sided."""
        if self.total == 0:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        n, p = self.total, self.rate
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.total + other.total)

    def __str__(self) -> str:
        return f"{100 * self.rate:.2f} % ({self.correct}/{self.total})"


RULES = ("wilson", "rate")


@dataclass(frozen=True)
class Floor:
    """An accuracy to hold, 0 to 1, and when it is held.

    rule: "wilson" holds when the lower end of the 95 % Wilson interval is at or above it; "rate" when the
        plain rate is.
    """

    accuracy: float
    rule: str = "wilson"

    def __post_init__(self) -> None:
        _one_of("rule", self.rule, RULES)
        if not 0 < self.accuracy < 1:
            share = self.accuracy / 100 if 1 < self.accuracy < 100 else 0.97
            raise RequestError(f"floor={self.accuracy:g} must lie between 0 and 1; give for example {share:g}")

    def holds(self, score: Score) -> bool:
        """Whether a score holds the floor by the rule."""
        return (score.interval()[0] if self.rule == "wilson" else score.rate) >= self.accuracy

    def needed(self, total: int) -> Score | None:
        """The least score of `total` images that holds, or None when even all of them right would not."""
        return next(
            (s for c in range(math.ceil(self.accuracy * total), total + 1) if self.holds(s := Score(c, total))), None
        )
