"""The curve of accuracy against size: its Pareto front, and the smallest size at an accuracy.

Its turning point is found by `smidgen.search.turning_point`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from smidgen.records import Score


@dataclass(frozen=True)
class Point:
    """One network on the curve.

    Attributes:
        parameters: Its size.
        score: Its score.
        label: Its name for a reader: its spec, or "width 2".
        seed: The seed of its training.
        is_brief: Whether its training was much shorter than the search's longest: it would be more accurate.
    """

    parameters: int
    score: Score
    label: str
    seed: int = 0
    is_brief: bool = False


@dataclass(frozen=True)
class TurningPoint:
    """The last size before accuracy breaks down.

    Attributes:
        parameters: The size.
        rate: The median rate at that size.
        low: The lower end of its range, 95 %.
        high: The upper end.
        note: How steep the curve is on both sides, as a sentence.
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


def _parameters(point: Point) -> int:
    return point.parameters
