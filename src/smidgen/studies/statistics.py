"""Paired tests and straight lines: the arithmetic of the findings, without input or output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from smidgen.studies.phrases import p_text, points, signed
from smidgen.studies.trainings import Runs

SIGNIFICANT = 0.05
"""A difference with a smaller p-value is one of the networks, and not of chance alone."""


@dataclass(frozen=True)
class Paired:
    """Images that only the first of two networks classifies right (gained), and only the second (lost), of `total`."""

    gained: int
    lost: int
    total: int

    @property
    def difference(self) -> float:
        """The first network's rate minus the second's."""
        return (self.gained - self.lost) / self.total

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of the difference, by the normal approximation (Agresti 2002, section 10.1.1)."""
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        variance = self.gained + self.lost - (self.gained - self.lost) ** 2 / self.total
        half = z * sqrt(variance) / self.total
        return self.difference - half, self.difference + half

    @property
    def p_value(self) -> float:
        """McNemar's exact two-sided test: where one network alone is right, is each as likely to be the one?"""
        count = self.gained + self.lost
        tail = sum(comb(count, k) for k in range(min(self.gained, self.lost) + 1))
        return float(min(1.0, 2 * tail / 2**count))

    @property
    def is_significant(self) -> bool:
        return self.p_value < SIGNIFICANT

    def __str__(self) -> str:
        low, high = map(signed, self.interval())
        return f"{points(self.difference)} ({low} to {high}, {p_text(self.p_value)} by McNemar's exact test)"


def paired(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], labels: npt.NDArray[np.integer]) -> Paired:
    """Compare two networks' classes, int [n], by the labels, int [n]."""
    right, other = first == labels, second == labels
    return Paired(int((right & ~other).sum()), int((other & ~right).sum()), len(labels))


def compare(first: Runs, second: Runs) -> Paired:
    """Compare the middle seeds of two jobs on the test images."""
    return paired(first.answers[first.middle], second.answers[second.middle], first.labels)


@dataclass(frozen=True)
class Line:
    """A straight line by least squares, and the share of the variance that it explains."""

    slope: float
    intercept: float
    r_squared: float


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line through points with at least two different x; R² is 1 where y does not vary."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    slope, intercept = np.polyfit(xs, ys, 1)
    left = ((ys - slope * xs - intercept) ** 2).sum()
    spread = ((ys - ys.mean()) ** 2).sum()
    return Line(float(slope), float(intercept), float(1 - left / spread) if spread > 0 else 1.0)
