"""The curve of accuracy against size: its Pareto front, the smallest size at an accuracy, and its turning point.

**The turning point**, or knee, is the size from which on more parameters gain too little. The curve is accuracy against
log2(parameters), since sizes are compared by doublings. It is made monotone first (isotonic least squares), because a
larger network that scored worse did so by chance. Then:

    rise    from the lowest fitted rate to the highest
    climb   the part of the curve between 10 % and 90 % of the rise
    price   half of what a doubling of the parameters gains on the climb, on average
    knee    the size that maximises rate - price * log2(parameters): up to there a doubling gains more than the price,
            past it less

Kneedle (Satopaa et al. 2011) maximises the same expression, but its price is the slope of the chord over *all* sizes,
so that its knee moves when sizes are added at either end that gain nothing. Here sizes on the plateau, or at chance, do
not change the price. If the best size is the largest one, more parameters still gain, and there is no turning point:
straight and convex curves have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from smidgen.elementary import LN2, logarithm
from smidgen.records import Score

Floats = npt.NDArray[np.float64]

FOOT, SHOULDER = 0.1, 0.9
"""Where the climb begins and ends, as shares of the rise."""

PRICE_SHARE = 0.5
"""The price, as a share of what a doubling gains on the climb."""

RISE_NOISE, BEND_NOISE = 4.0, 3.0
"""Standard errors that the rise must exceed, and that the loss of the sizes past the knee must exceed.

Of simulated curves of noise alone (3 to 40 sizes) 5 % pass with two seeds a size and none with one, three or five; of
1,200 straight lines with the same noise none passes."""


@dataclass(frozen=True)
class Point:
    """One network on the curve.

    Attributes:
        parameters: Its size.
        score: Its score.
        label: Its name for a reader: its spec, or "width 2".
        seed: The seed of its training.
    """

    parameters: int
    score: Score
    label: str
    seed: int = 0


@dataclass(frozen=True)
class TurningPoint:
    """The size from which on more parameters gain too little.

    Attributes:
        parameters: The size.
        rate: The median rate at that size.
        low: The lower end of the range of `parameters` under resampling (2.5 %).
        high: The upper end (97.5 %).
        note: What was resampled, and how often a turning point was found in it, as a sentence.
    """

    parameters: int
    rate: float
    low: int
    high: int
    note: str


def pareto(points: Iterable[Point]) -> tuple[Point, ...]:
    """The Pareto front: the points that no other beats in both size and rate, by size; exact ties are all kept."""
    front: list[Point] = []
    best = -1.0
    for _, same_size in groupby(sorted(points, key=_parameters), key=_parameters):
        contenders = list(same_size)
        top = max(point.score.rate for point in contenders)
        if top > best:
            front += [point for point in contenders if point.score.rate == top]
            best = top
    return tuple(front)


def smallest_holding(points: Iterable[Point], floor: float) -> Point | None:
    """The smallest point whose rate is at least `floor`; of equals the most accurate."""
    holding = (point for point in points if point.score.rate >= floor)
    return min(holding, key=lambda point: (point.parameters, -point.score.rate), default=None)


def knee(sizes: Sequence[int], rates: Sequence[float] | Floats) -> int | None:
    """The index of the turning point, or None if the curve has none (see the module's docstring).

    Args:
        sizes: Parameters, ascending and distinct. Fewer than three have no turning point.
        rates: The accuracy at each size.
    """
    fitted = isotonic(rates)
    if len(sizes) < 3 or fitted[-1] <= fitted[0]:
        return None
    index = int(np.argmax(_worth(sizes, fitted)))
    return index if index < len(sizes) - 1 else None


def turning_point(groups: Mapping[int, Sequence[Score]], resamples: int = 1000, seed: int = 0) -> TurningPoint | None:
    """Find the knee of the median rate of each size, with its range under resampling.

    The median is taken so that one seed that diverged does not move the curve. If a size has several seeds, they are
    resampled with replacement; if it has one, its count is drawn again from a binomial distribution.

    Args:
        groups: Scores of the seeds of each size, by parameters.
        resamples: How many curves are resampled.
        seed: Seed of the resampling.

    Returns:
        None if there are fewer than three sizes, if the largest still gains, if the rise or the bend is within its
        noise, or if fewer than half of the resampled curves have a turning point.
    """
    sizes = sorted(size for size, scores in groups.items() if scores)
    if len(sizes) < 3:
        return None
    rates = np.array([np.median([score.rate for score in groups[size]]) for size in sizes])
    generator = np.random.default_rng(seed)
    curves = np.stack([_resampled(groups[size], resamples, generator) for size in sizes], axis=1)
    index = knee(sizes, rates)
    if index is None or not _above_noise(sizes, rates, index, float(np.median(curves.std(axis=0)))):
        return None
    found = [sizes[at] for curve in curves if (at := knee(sizes, curve)) is not None]
    if 2 * len(found) < resamples:
        return None
    low, high = np.percentile(found, [2.5, 97.5], method="nearest")
    note = _note(groups, len(found), resamples)
    return TurningPoint(sizes[index], float(rates[index]), int(low), int(high), note)


def isotonic(rates: Sequence[float] | Floats) -> Floats:
    """The non-decreasing curve nearest to the rates in squares: float64 [n].

    Pool adjacent violators (Ayer et al. 1955): rates that fall are replaced by their mean.
    """
    means: list[float] = []
    counts: list[int] = []
    for rate in rates:
        mean, count = float(rate), 1
        while means and means[-1] >= mean:
            pooled = counts.pop()
            mean = (means.pop() * pooled + mean * count) / (pooled + count)
            count += pooled
        means.append(mean)
        counts.append(count)
    return np.repeat(np.array(means, np.float64), counts)


def _worth(sizes: Sequence[int], fitted: Floats) -> Floats:
    """Rate - price * log2(parameters) of a fitted curve that rises: float64 [n], -inf left of the climb.

    Left of the climb the curve may be flat over many sizes, which is no knee.
    """
    doublings = logarithm(sizes) / LN2
    rise = fitted[-1] - fitted[0]
    foot, shoulder = (_first_at(doublings, fitted, fitted[0] + share * rise) for share in (FOOT, SHOULDER))
    price = PRICE_SHARE * (SHOULDER - FOOT) * rise / (shoulder - foot)
    worth: Floats = np.where(doublings >= foot, fitted - price * doublings, -np.inf)
    return worth


def _first_at(doublings: Floats, fitted: Floats, rate: float) -> float:
    """The log2 of the size at which the fitted curve, joined by straight lines, first reaches the rate."""
    right = int(np.argmax(fitted >= rate))
    left = right - 1
    share = (rate - fitted[left]) / (fitted[right] - fitted[left])
    return float(doublings[left] + share * (doublings[right] - doublings[left]))


def _resampled(scores: Sequence[Score], resamples: int, generator: np.random.Generator) -> Floats:
    """The median rate of one size, resampled: float64 [resamples]."""
    if len(scores) == 1:
        (score,) = scores
        return generator.binomial(score.total, score.rate, resamples) / max(1, score.total)
    rates = np.array([score.rate for score in scores])
    drawn = generator.integers(len(rates), size=(resamples, len(rates)))
    return np.asarray(np.median(rates[drawn], axis=1), np.float64)


def _above_noise(sizes: Sequence[int], rates: Floats, index: int, noise: float) -> bool:
    """Whether the rise, and the loss of the sizes past the knee, exceed the noise by enough standard errors."""
    fitted = isotonic(rates)
    worth = _worth(sizes, fitted)
    rise, bend = float(fitted[-1] - fitted[0]), float(worth[index] - worth[-1])
    return rise > RISE_NOISE * noise and bend > BEND_NOISE * noise


def _note(groups: Mapping[int, Sequence[Score]], found: int, resamples: int) -> str:
    most = max(len(scores) for scores in groups.values())
    what = "the seeds of each size" if most > 1 else "the counts of the one seed of each size"
    return f"found in {found:,} of {resamples:,} curves drawn again from {what}"


def _parameters(point: Point) -> int:
    return point.parameters
