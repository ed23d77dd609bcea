"""Which networks are promising: the error of short trainings, long trainings, and size, weighed against each other.

Errors of short trainings rank networks and do not measure them. Along the Pareto front of good designs the error falls
about as the size grows, so that error times size compares networks of different sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.spec import NetSpec

FIRST_GUESS = 0.7
"""The share of a short training's error that a long training leaves, until some long trainings have shown it."""

LEAST_SHARE, LEAST_ERROR = 0.05, 1e-6
"""Lower bounds of two denominators; both can be 0 on easy data."""

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


def by_error(score: CandidateScore) -> float:
    """Sorts scores by their error."""
    return score.error


def by_error_times_size(score: CandidateScore) -> float:
    """Sorts scores by error times size."""
    return score.error_times_size


def expected_share(short_runs: Sequence[CandidateScore], long_runs: Sequence[CandidateScore]) -> float:
    """The share of the error that long trainings leave: the median over networks that had both trainings."""
    long_error = {str(run.spec): run.error for run in long_runs}
    both = [run for run in short_runs if str(run.spec) in long_error and run.error]
    shares = sorted(long_error[str(run.spec)] / run.error for run in both)
    return max(LEAST_SHARE, shares[len(shares) // 2]) if shares else FIRST_GUESS


def corrected(short_runs: Sequence[CandidateScore], long_runs: Sequence[CandidateScore]) -> tuple[CandidateScore, ...]:
    """The short runs, with errors corrected by the long trainings of the same networks.

    Some designs gain more from long trainings than others. Their best long error, divided by the expected share, takes
    the place of the short one, so that they become parents.
    """
    share = expected_share(short_runs, long_runs)
    long_error: dict[str, float] = {}
    for run in long_runs:
        long_error[str(run.spec)] = min(run.error, long_error.get(str(run.spec), math.inf))
    return tuple(
        replace(run, error=long_error[str(run.spec)] / share) if str(run.spec) in long_error else run
        for run in short_runs
    )


def expected_size(scores: Sequence[CandidateScore], allowed: float) -> float | None:
    """The size at which a good design is expected to err no more than `allowed`; None without scores."""
    sizes = sorted(_size_at(score, allowed, 1) for score in scores)
    return sizes[min(GOOD_DESIGNS, len(sizes)) - 1] if sizes else None


def promising(
    short_runs: Sequence[CandidateScore], long_runs: Sequence[CandidateScore], allowed: float, count: int
) -> tuple[NetSpec, ...]:
    """The `count` networks that deserve a long training and had none, the best first.

    Networks that err no more than `allowed` come by size. One that errs more may still be lucky; it is ranked as if it
    were larger by the square of the excess.

    Args:
        short_runs: The networks to choose from.
        long_runs: Those that were trained long already.
        allowed: The error that a short training may have.
        count: How many networks.
    """
    known = {str(run.spec) for run in long_runs}
    new = [run for run in short_runs if str(run.spec) not in known]
    new.sort(key=lambda run: (_size_at(run, allowed, 2), run.parameters))
    return tuple(dict.fromkeys(run.spec for run in new))[:count]


def nearest(long_runs: Sequence[CandidateScore], allowed: float, count: int) -> tuple[NetSpec, ...]:
    """The `count` networks that came nearest to `allowed`, on average over their seeds.

    Only networks smaller than any that errs no more than `allowed` are of interest.
    """
    smallest = min((run.parameters for run in long_runs if run.error <= allowed), default=math.inf)
    runs_of: dict[NetSpec, list[CandidateScore]] = {}
    for run in long_runs:
        if run.parameters < smallest:
            runs_of.setdefault(run.spec, []).append(run)
    means = [replace(runs[0], error=sum(run.error for run in runs) / len(runs)) for runs in runs_of.values()]
    means.sort(key=lambda mean: (_size_at(mean, allowed, 4), mean.parameters))
    return tuple(mean.spec for mean in means[:count])


def _size_at(score: CandidateScore, allowed: float, power: int) -> float:
    """The size that a network counts for, raised if its error is more than allowed."""
    return score.parameters * max(1.0, score.error / max(allowed, LEAST_ERROR)) ** power
