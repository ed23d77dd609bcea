"""Which networks are promising: the error of trainings of several lengths, and size, weighed against each other.

Errors of short trainings rank networks and do not measure them. Along the Pareto front of good designs the error falls
about as the size grows, so that error times size compares networks of different sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean, linear_regression
from typing import TypeVar

from smidgen.spec import NetSpec

Item = TypeVar("Item")

FIRST_GUESS = 0.7
"""The share of a training's error that one of the next length leaves, until trainings of two lengths have shown it."""

LEAST_SHARE, LEAST_ERROR = 0.05, 1e-6
"""Lower bounds of two denominators; both can be 0 on easy data."""

FITTED, FITTED_POINTS, LEAST_STEEPNESS = 4.0, 4, 0.25
"""Up to which multiple of the allowed error a front is fitted, by how many networks at least; the least steepness."""

GOOD_DESIGNS = 3
"""The expected size is that of the third best design: the best one may have been lucky."""


@dataclass(frozen=True)
class CandidateScore:
    """A network that was trained, its size, and its error on the selection half."""

    spec: NetSpec
    parameters: int
    error: float

    @property
    def error_times_size(self) -> float:
        """Compares designs of different sizes: the lower, the better the design."""
        return self.error * self.parameters


def first_of_each(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[Item]:
    """The items in their order, of those with the same key the first."""
    found: dict[Hashable, Item] = {}
    for item in items:
        found.setdefault(key(item), item)
    return list(found.values())


def by_error(score: CandidateScore) -> float:
    """Sorts scores by their error."""
    return score.error


def by_error_times_size(score: CandidateScore) -> float:
    """Sorts scores by error times size."""
    return score.error_times_size


def expected_share(
    shorter_runs: Sequence[CandidateScore], longer_runs: Sequence[CandidateScore], guess: float = FIRST_GUESS
) -> float:
    """The share of the error that longer trainings leave: the median over networks that had both, or the guess."""
    longer_error = {str(run.spec): run.error for run in longer_runs}
    both = [run for run in shorter_runs if str(run.spec) in longer_error and run.error]
    shares = sorted(longer_error[str(run.spec)] / run.error for run in both)
    return max(LEAST_SHARE, shares[len(shares) // 2]) if shares else guess


def expected_scores(rungs: Sequence[Sequence[CandidateScore]]) -> tuple[CandidateScore, ...]:
    """Every network once, with the error that the longest kind of training is expected to leave.

    Of a network's trainings those of its longest kind count, on average over their seeds. Their error is multiplied by
    the share that each longer kind leaves; where no network had that kind, by the share of the kind before.

    Args:
        rungs: The scores of the trainings of each kind, the shortest kind first.
    """
    shares, guess = [], FIRST_GUESS
    for rung, longer in pairwise(rungs):
        guess = expected_share(rung, longer, guess)
        shares.append(guess)
    share, expected = 1.0, dict[str, CandidateScore]()
    for rung, left in zip(reversed(rungs), (1.0, *reversed(shares)), strict=True):
        share *= left
        for mean in means(rung):
            expected.setdefault(str(mean.spec), replace(mean, error=share * mean.error))
    return tuple(expected.values())


def estimated_errors(errors: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Errors that owe less to luck on the selection half, which is small and chose among many.

    Each is the mean of two estimates: the error on the selection half, and the error on training images plus the
    average difference between the two (a control variate).

    Args:
        errors: (on the selection half, on training images) by the key of each network.
    """
    difference = fmean(selection - training for selection, training in errors.values()) if errors else 0.0
    return {key: (selection + training + difference) / 2 for key, (selection, training) in errors.items()}


def means(runs: Sequence[CandidateScore]) -> tuple[CandidateScore, ...]:
    """Every network once, with its mean error over seeds."""
    errors: dict[NetSpec, list[CandidateScore]] = {}
    for run in runs:
        errors.setdefault(run.spec, []).append(run)
    return tuple(replace(group[0], error=sum(run.error for run in group) / len(group)) for group in errors.values())


def expected_size(scores: Sequence[CandidateScore], allowed: float) -> float | None:
    """The size at which a good design is expected to err no more than `allowed`; None without scores."""
    power = 1 / steepness(scores, allowed)
    sizes = sorted(_size_at(score, allowed, power) for score in scores)
    return sizes[min(GOOD_DESIGNS, len(sizes)) - 1] if sizes else None


def steepness(scores: Sequence[CandidateScore], allowed: float) -> float:
    """How fast the error falls with the size along the Pareto front: like the size to this power, at most to 1.

    The front is fitted where it errs at most `FITTED` times what is allowed, by least squares on logarithms. On MNIST
    it is about 1 and on Fashion-MNIST a third, so that a tenth less error takes a third more parameters there.
    """
    front = [score for score in _front(scores) if 0 < score.error <= FITTED * allowed]
    if len(front) < FITTED_POINTS:
        return 1.0
    sizes, errors = [math.log(score.parameters) for score in front], [math.log(score.error) for score in front]
    return min(1.0, max(LEAST_STEEPNESS, -linear_regression(sizes, errors).slope))


def best_designs(scores: Sequence[CandidateScore], allowed: float | None) -> list[CandidateScore]:
    """The networks, those of the best designs first: of the least error times size, by how the front falls here.

    Args:
        scores: The networks, of all sizes.
        allowed: The error near which the front is fitted; None where none is known.
    """
    power = 1.0 if allowed is None else 1 / steepness(scores, allowed)
    return sorted(scores, key=lambda score: score.parameters * max(score.error, LEAST_ERROR) ** power)


def _front(scores: Sequence[CandidateScore]) -> Iterator[CandidateScore]:
    """The networks that err less than any smaller one."""
    least = math.inf
    for score in sorted(scores, key=lambda score: (score.parameters, score.error)):
        if score.error < least:
            least = score.error
            yield score


def promising(
    scores: Sequence[CandidateScore], known: Sequence[CandidateScore], allowed: float, count: int
) -> tuple[NetSpec, ...]:
    """The `count` networks that deserve a longer training and had none, the best first.

    Networks that err no more than `allowed` come by size. One that errs more may still be lucky; it is ranked as if it
    were larger by the square of what it lacks in size.

    Args:
        scores: The networks to choose from, with their expected errors.
        known: Those that had the longer training already.
        allowed: The error that a network may have.
        count: How many networks.
    """
    trained = {str(run.spec) for run in known}
    new = [score for score in scores if str(score.spec) not in trained]
    power = 2 / steepness(scores, allowed)
    new.sort(key=lambda score: (_size_at(score, allowed, power), score.parameters))
    return tuple(dict.fromkeys(score.spec for score in new))[:count]


def nearest(
    long_runs: Sequence[CandidateScore], allowed: float, count: int, most: float = math.inf
) -> tuple[NetSpec, ...]:
    """The `count` networks that came nearest to `allowed`, on average over their seeds.

    Only networks smaller than `most`, the parameters of the smallest that is known, and than any of these that errs no
    more than `allowed` are of interest.
    """
    smallest = min([most, *(run.parameters for run in long_runs if run.error <= allowed)])
    near = sorted(
        means([run for run in long_runs if run.parameters < smallest]),
        key=lambda mean: (_size_at(mean, allowed, 4), mean.parameters),
    )
    return tuple(mean.spec for mean in near[:count])


def _size_at(score: CandidateScore, allowed: float, power: float) -> float:
    """The size that a network counts for, raised if its error is more than allowed."""
    return float(score.parameters * max(1.0, score.error / max(allowed, LEAST_ERROR)) ** power)
