"""Where a training begins, and what its weights are constrained to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import EngineError
from smidgen.records import Weights
from smidgen.spec import NetSpec, Shape


@dataclass(frozen=True, eq=False)
class Projection:
    """The values that weights may take. The network computes with each weight's nearest level; the gradient
    moves the weight itself (the straight-through estimator: Bengio et al. 2013, arXiv 1308.3432, section 2.3).

    codebook: int32 [weights], which of the codebooks a weight has; -1 leaves it free
    levels: for each codebook its levels, float32, ascending
    costs: for each codebook what a weight at each level adds to the loss, float32; straight lines between
        them push weights to cheap levels. None: nothing
    """

    codebook: npt.NDArray[np.int32]
    levels: tuple[npt.NDArray[np.float32], ...]
    costs: tuple[npt.NDArray[np.float32], ...] | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """Where a training begins, and what its weights are held to; all by place in the flat weights.

    weights: float32 [weights]
    fixed: bool [weights]; where it is True the weight stays as it is (zero, for one that is pruned). None: nowhere
    tied: int32 [weights]; weights of one number have one gradient, the sum of theirs, so that those that
        begin equal stay equal; -1 for none (Han et al. 2015, arXiv 1510.00149, section 3.3). None: none
    projection: the values that they may take; what is kept are those values
    """

    weights: Weights = field(repr=False)
    fixed: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    tied: npt.NDArray[np.int32] | None = field(default=None, repr=False)
    projection: Projection | None = field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """A SHA-256 of all of it, in hex: `records.Trial.start`."""
        sha = hashlib.sha256()
        for array in self._arrays():
            sha.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
        return sha.hexdigest()

    def _arrays(self) -> list[npt.NDArray[np.generic] | None]:
        p = self.projection
        held = [] if p is None else [p.codebook, *p.levels, None, *(p.costs or ())]
        return [self.weights, self.fixed, self.tied, None, *held]


def is_running_stat(spec: NetSpec, input_shape: Shape) -> npt.NDArray[np.bool_]:
    """Which of the flat weights are moments of a batch norm: bool [weights]."""
    plans = spec.plan(input_shape)
    pieces = [np.repeat([False, True], [plan.parameters, plan.running_stats]) for plan in plans]
    return np.concatenate(pieces)


def check_start(spec: NetSpec, input_shape: Shape, start: Start) -> None:
    """Raise EngineError unless a start fits a network: the one check, for every engine."""
    running_stats = is_running_stat(spec, input_shape)
    _check_places("weights", start.weights, np.float32, running_stats, spec)
    _check_numbers("weights", start.weights)
    if start.fixed is not None:
        _check_places("fixed", start.fixed, np.bool_, running_stats, spec)
    if start.tied is not None:
        _check_places("tied", start.tied, np.int32, running_stats, spec)
        _check_range("tied", start.tied, running_stats, running_stats.size)
    if start.projection is not None:
        _check_places("codebook", start.projection.codebook, np.int32, running_stats, spec)
        _check_range("codebook", start.projection.codebook, running_stats, len(start.projection.levels))
        _check_books(start.projection)
        _check_fixed_levels(start, start.projection)


def _check_places(
    name: str,
    array: npt.NDArray[np.generic],
    kind: type[np.generic],
    running_stats: npt.NDArray[np.bool_],
    spec: NetSpec,
) -> None:
    if array.dtype != kind or array.shape != running_stats.shape:
        raise EngineError(
            f"the start's {name} is {array.dtype} {list(array.shape)}; '{spec}' needs {kind.__name__} "
            f"[{running_stats.size}], a value for each of its weights"
        )


def _check_numbers(name: str, values: npt.NDArray[np.float32]) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise EngineError(f"the start's {name} has {bad} of {values.size} values that are not finite; give numbers")


def _check_range(name: str, numbers: npt.NDArray[np.int32], running_stats: npt.NDArray[np.bool_], end: int) -> None:
    outside = numbers[(numbers < -1) | (numbers >= end)]
    if outside.size:
        raise EngineError(f"the start's {name} has the number {outside[0]}; give -1 for none, or 0 to {end - 1}")
    if (numbers[running_stats] >= 0).any():
        raise EngineError(f"the start's {name} names moments of a batch norm, which follow the data; give them -1")


def _check_books(projection: Projection) -> None:
    costs = projection.levels if projection.costs is None else projection.costs
    if len(costs) != len(projection.levels):
        raise EngineError(f"there are {len(projection.levels)} codebooks and {len(costs)} lists of costs; give as many")
    for number, (levels, cost) in enumerate(zip(projection.levels, costs, strict=True)):
        for name, array in ((f"levels of codebook {number}", levels), (f"costs of codebook {number}", cost)):
            if array.dtype != np.float32 or array.ndim != 1 or not array.size or array.size != levels.size:
                raise EngineError(
                    f"the {name} are {array.dtype} {list(array.shape)}; give float32 [levels], a cost for each level"
                )
            _check_numbers(name, array)
        if (np.diff(levels) <= 0).any():
            raise EngineError(f"the levels of codebook {number} do not ascend; sort them, each once")


def _check_fixed_levels(start: Start, projection: Projection) -> None:
    """A fixed weight stays as it is, so its codebook must have its value."""
    for number, levels in enumerate(projection.levels):
        fixed = start.weights[(projection.codebook == number) & (False if start.fixed is None else start.fixed)]
        other = fixed[~np.isin(fixed, levels)]
        if other.size:
            raise EngineError(
                f"a weight is fixed at {other[0]:g}, which is no level of its codebook {number}; give it codebook -1"
            )
