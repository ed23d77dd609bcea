"""The turning point of a curve: the last size before accuracy breaks down.

The curve is the logarithm of the error against the logarithm of the size, where a power law is a straight line and
noise is about equal everywhere. A turning point is where two straight lines meet of which the left one, towards smaller
networks, is clearly steeper (broken-line regression; Muggeo 2003). Then:

    points  sizes that err on more than `MOST_ERROR` are left out, and in a search those far from the allowed error
    noise   the binomial spread of a count, and the spread between seeds: measured where a size has several, and never
            less than `SEED_SPREAD`
    knee    the size, among those tried, at which two lines fit best (least squares, weighted by the noise)
    exists  if two lines fit better than one by more than noise explains, and the left is steep enough beside the right
    range   the sizes at which two lines fit not much worse than best (profile likelihood, 95 %, by what the best fit
            leaves unexplained where that is more than the noise)

If three lines fit clearly better than two, the curve has two bends, and the sharper one is the turning point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from smidgen.elementary import LN2, logarithm
from smidgen.records import Score
from smidgen.search.frontier import Point, TurningPoint, pareto

Floats = npt.NDArray[np.float64]

MOST_ERROR = 0.45
"""Networks that err more often are hardly better than guessing, and tell nothing about the bend."""

REACH = 8.0
"""In a search, the errors that matter are within this factor of the allowed error."""

SEED_SPREAD = 0.08
"""Least standard deviation of the logarithm of the error between seeds (MNIST, 300 to 500 parameters: 0.04 to 0.2)."""

LEAST_GAIN = 8.0
"""By how much two lines must fit better than one, in squared standard errors; at most 5 % of simulated straight lines
exceed it (results/2026-11-29-turning-point)."""

LEAST_STEEPENING, LEAST_CHANGE = 1.5, 0.1
"""The left slope must be so many times the right one, and exceed it by so much in error doublings a size doubling."""

FRONT_WIDTH = 2.0
"""Factor of the likelihood's threshold for the front of a search, which is made of its luckiest trainings."""

SQUARED_T = (161.4, 18.5, 10.1, 7.71, 6.61, 5.99, 5.59, 5.32, 5.12, 4.96)
"""Squares of the two-sided 95 % quantile of Student's t for 1 to 10 degrees of freedom; for more, 3.84 + 11 / n."""

LEAST_SIZES = 4
"""A bend takes two sizes on one side of it and one on the other."""


@dataclass(frozen=True, eq=False)
class _Curve:
    """Log2 of sizes, ascending; log2 of errors; the variance of each: float64 [n]."""

    sizes: Floats
    errors: Floats
    variances: Floats


@dataclass(frozen=True, eq=False)
class _Fit:
    """Lines that meet at breaks (log2 sizes), the squared standard errors that they leave, and each line's slope."""

    breaks: tuple[float, ...]
    left_over: float
    slopes: tuple[float, ...]


def turning_point(groups: Mapping[int, Sequence[Score]]) -> TurningPoint | None:
    """Find the turning point of a sweep.

    Args:
        groups: Scores of the seeds of each size, by parameters; the median counts.

    Returns:
        None if there are fewer than four sizes, or no bend is certain.
    """
    groups = {size: scores for size, scores in groups.items() if scores}
    rates = {size: float(np.median([score.rate for score in scores])) for size, scores in groups.items()}
    spread = max(SEED_SPREAD, _seed_spread(list(groups.values())))
    points = [
        (size, 1 - rates[size], groups[size][0].total, spread**2 / len(groups[size]))
        for size in sorted(groups)
        if 1 - rates[size] <= MOST_ERROR
    ]
    return _found(points, rates)


def turning_point_of_front(points: Iterable[Point], allowed_error: float | None = None) -> TurningPoint | None:
    """Find the turning point of the Pareto front of everything tried.

    Args:
        points: Every training.
        allowed_error: The error that was asked for, near which the curve matters; None for all of the curve.
    """
    front = {point.parameters: point.score for point in pareto(points)}
    errors = {size: 1 - score.rate for size, score in front.items()}
    low, high = (0.0, MOST_ERROR) if allowed_error is None else (allowed_error / REACH, allowed_error * REACH)
    near = [
        (size, errors[size], score.total, SEED_SPREAD**2)
        for size, score in sorted(front.items())
        if low <= errors[size] <= min(high, MOST_ERROR)
    ]
    return _found(near, {size: score.rate for size, score in front.items()}, FRONT_WIDTH)


def _seed_spread(groups: Sequence[Sequence[Score]]) -> float:
    """The standard deviation of the logarithm of the error between seeds, over the sizes that have several; else 0."""
    logs = [
        logarithm([_error(1 - score.rate, score.total) for score in scores]) for scores in groups if len(scores) > 1
    ]
    return float(np.sqrt(np.median([np.var(each, ddof=1) for each in logs]))) if logs else 0.0


def _error(rate: float, images: int) -> float:
    """An error rate that is never 0, so that it has a logarithm."""
    return (rate * images + 0.5) / (images + 1)


def _found(
    points: Sequence[tuple[int, float, int, float]], rates: Mapping[int, float], width: float = 1.0
) -> TurningPoint | None:
    """The turning point of (size, error, images, variance between seeds of the log error), ascending in size."""
    if len(points) < LEAST_SIZES:
        return None
    sizes = [size for size, *_ in points]
    errors = np.array([_error(error, images) for _, error, images, _ in points])
    images, between = (np.array([point[k] for point in points], np.float64) for k in (2, 3))
    variances = ((1 - errors) / (errors * images) + between) / LN2**2
    curve = _Curve(logarithm(sizes) / LN2, logarithm(errors) / LN2, variances)
    best = _best(curve, 1)
    if best is None or not _is_bend(curve, best):
        return None
    turn, note = _sharper(curve, best)
    low, high = _range(curve, turn, best, width)
    size = sizes[int(np.argmin(np.abs(curve.sizes - turn)))]
    return TurningPoint(size, rates[size], round(2**low), round(2**high), note)


def _fit(curve: _Curve, breaks: tuple[float, ...]) -> _Fit:
    """Fit lines that meet at the breaks, by weighted least squares."""
    columns = [np.ones_like(curve.sizes), curve.sizes, *(np.maximum(0.0, at - curve.sizes) for at in breaks)]
    weights = 1 / np.sqrt(curve.variances)
    design = np.stack(columns, axis=1) * weights[:, None]
    coefficients = np.linalg.lstsq(design, curve.errors * weights, rcond=None)[0]
    left_over = float(np.sum((design @ coefficients - curve.errors * weights) ** 2))
    slopes = -coefficients[1] + np.concatenate([np.cumsum(coefficients[2:][::-1])[::-1], [0.0]])
    return _Fit(breaks, left_over, tuple(map(float, slopes)))


def _best(curve: _Curve, count: int) -> _Fit | None:
    """The best fit with so many breaks at sizes that were tried, but the smallest and the largest two."""
    inner = [float(size) for size in curve.sizes[1:-1]]
    fits = [_fit(curve, breaks) for breaks in combinations(inner, count)]
    return min(fits, key=lambda fit: fit.left_over, default=None)


def _noise(curve: _Curve, fit: _Fit) -> float:
    """What a fit leaves for each degree of freedom, at least 1: the noise of the points that is not explained."""
    freedom = len(curve.sizes) - 2 - 2 * len(fit.breaks)
    return max(1.0, fit.left_over / freedom) if freedom >= LEAST_SIZES else 1.0


def _is_bend(curve: _Curve, fit: _Fit) -> bool:
    """Whether two lines fit better than one beyond noise, and the left one is steep enough."""
    gain = (_fit(curve, ()).left_over - fit.left_over) / _noise(curve, fit)
    return gain > LEAST_GAIN and _is_steeper(*fit.slopes)


def _is_steeper(left: float, right: float) -> bool:
    return left > LEAST_STEEPENING * right and left > right + LEAST_CHANGE


def _sharper(curve: _Curve, one: _Fit) -> tuple[float, str]:
    """The bend, or the sharper one of two, with what was found as a sentence."""
    two = _best(curve, 2) if len(curve.sizes) >= 2 * LEAST_SIZES else None
    if two is None or (one.left_over - two.left_over) / _noise(curve, two) <= LEAST_GAIN:
        return one.breaks[0], _slopes_text(one.slopes)
    changes = [left - right for left, right in zip(two.slopes, two.slopes[1:], strict=False)]
    if min(changes) < LEAST_CHANGE:  # one of them bends the other way
        return one.breaks[0], _slopes_text(one.slopes)
    sharper = int(np.argmax(changes))
    other = two.breaks[1 - sharper]
    return two.breaks[sharper], f"{_slopes_text(two.slopes)}; the curve also bends at {2**other:,.0f}"


def _slopes_text(slopes: Sequence[float]) -> str:
    factors = ", ".join(f"{2**slope:.1f}" for slope in slopes)
    return f"halving the size multiplies the error by {factors}, from the smallest sizes on"


def _range(curve: _Curve, turn: float, best: _Fit, width: float) -> tuple[float, float]:
    """The log2 sizes at which one bend fits not much worse than best; the turning point is among them."""
    freedom = max(1, len(curve.sizes) - 4)
    scale = max(1.0, best.left_over / freedom)
    quantile = SQUARED_T[freedom - 1] if freedom <= len(SQUARED_T) else 3.84 + 11 / freedom
    grid = np.linspace(curve.sizes[0], curve.sizes[-1], 400)[1:-1]
    inner = np.concatenate([grid[(grid > curve.sizes[1]) & (grid < curve.sizes[-2])], curve.sizes[1:-1]])
    near = [at for at in inner if _fit(curve, (float(at),)).left_over <= best.left_over + quantile * scale * width]
    low, high = min([*near, turn]), max([*near, turn])
    # Lines that meet beyond the last size but one fit as well as lines that meet at it.
    low = curve.sizes[0] if low == curve.sizes[1] else low
    high = curve.sizes[-1] if high == curve.sizes[-2] else high
    return float(low), float(high)
