"""The arithmetic of the findings: paired tests, straight lines, and what a difference is worth. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Paired:
    """Two networks on the same images. `gained`: only the first is right; `lost`: only the second."""

    gained: int
    lost: int
    total: int

    @property
    def difference(self) -> float:
        """The first one's rate minus the second's."""
        return (self.gained - self.lost) / self.total

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Of the difference, by the normal approximation for paired counts (Agresti 2002, section 10.1.1)."""
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        variance = self.gained + self.lost - (self.gained - self.lost) ** 2 / self.total
        half = z * sqrt(variance) / self.total
        return self.difference - half, self.difference + half

    @property
    def p_value(self) -> float:
        """The exact McNemar test, two-sided: of the images on which one is right, is each as likely to be?"""
        count = self.gained + self.lost
        tail = sum(comb(count, k) for k in range(min(self.gained, self.lost) + 1))
        return float(min(1.0, 2 * tail / 2**count))

    def __str__(self) -> str:
        low, high = self.interval()
        return (
            f"{100 * self.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}, {p_text(self.p_value)} by "
            f"McNemar's exact test)"
        )


def paired(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], labels: npt.NDArray[np.integer]) -> Paired:
    """The counts from each network's classes and the labels, all int [n]."""
    right, other = first == labels, second == labels
    return Paired(int((right & ~other).sum()), int((other & ~right).sum()), len(labels))


@dataclass(frozen=True)
class Line:
    """A straight line by least squares, and the share of the variance that it explains."""

    slope: float
    intercept: float
    r_squared: float


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through at least two different x; R² is 1 where y does not vary."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    slope, intercept = np.polyfit(xs, ys, 1)
    left = ((ys - slope * xs - intercept) ** 2).sum()
    spread = ((ys - ys.mean()) ** 2).sum()
    return Line(float(slope), float(intercept), float(1 - left / spread) if spread > 0 else 1.0)


def p_text(p: float) -> str:
    """A p-value as it is written: "p = 0.032", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
