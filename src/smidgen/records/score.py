"""How many images a network classifies correctly, and the accuracy floor that it must meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

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

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.total + other.total)

    def __str__(self) -> str:
        return f"{100 * self.rate:.2f} % ({self.correct}/{self.total})"


RULES = ("wilson", "rate")


@dataclass(frozen=True)
class Floor:
    """The least accuracy that a network must have, and the rule by which a score is compared with it.

    Attributes:
        accuracy: The least accuracy, between 0 and 1.
        rule: "wilson" compares the lower end of the score's 95 % Wilson interval, "rate" compares its plain rate.
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
        return (score.interval()[0] if self.rule == "wilson" else score.rate) >= self.accuracy

    def needed(self, total: int) -> Score | None:
        """Return the lowest score on `total` images that meets the floor, or None if not even `total` correct do."""
        scores = (Score(correct, total) for correct in range(math.ceil(self.accuracy * total), total + 1))
        return next(filter(self.is_met_by, scores), None)
