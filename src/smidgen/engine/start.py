"""The first weights of a training and the constraints on its weights."""

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
    """Codebooks that limit the values of weights, for quantization-aware training.

    The network computes with each weight's nearest level; the gradient changes the weight itself (the
    straight-through estimator: Bengio et al. 2013, arXiv 1308.3432, section 2.3).

    Attributes:
        codebook: int32 [weights], the codebook of each weight; -1 for a weight that may take any value.
        levels: The levels of each codebook, float32 [levels], ascending.
        costs: What a weight at each level adds to the loss, float32 [levels] for each codebook, linear in between, so
            that training prefers cheap levels. None for no costs.
    """

    codebook: npt.NDArray[np.int32]
    levels: tuple[npt.NDArray[np.float32], ...]
    costs: tuple[npt.NDArray[np.float32], ...] | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """First weights, and constraints on each weight, all in the order of the flat weights.

    Attributes:
        weights: float32 [weights], the first weights.
        fixed: bool [weights], True where a weight keeps its first value (zero for a pruned one). None if all are free.
        tied: int32 [weights]; weights with the same number share one gradient, the sum of theirs, so that equal
            weights stay equal (Han et al. 2015, arXiv 1510.00149, section 3.3); -1 for an untied weight. None if no
            weights are tied.
        projection: The values that weights may take; the trained weights have these values. None for any value.
    """

    weights: Weights = field(repr=False)
    fixed: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    tied: npt.NDArray[np.int32] | None = field(default=None, repr=False)
    projection: Projection | None = field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, in hex: `records.Trial.start_digest`."""
        sha = hashlib.sha256()
        for array in self._arrays():
            sha.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
        return sha.hexdigest()

    def _arrays(self) -> list[npt.NDArray[np.generic] | None]:
        p = self.projection
        projected = [] if p is None else [p.codebook, *p.levels, None, *(p.costs or ())]
        return [self.weights, self.fixed, self.tied, None, *projected]


def is_running_stat(spec: NetSpec, input_shape: Shape) -> npt.NDArray[np.bool_]:
    """Return which of the flat weights are running statistics of a batch norm: bool [weights]."""
    plans = spec.plan(input_shape)
    pieces = [np.repeat([False, True], [plan.parameters, plan.running_stats]) for plan in plans]
    return np.concatenate(pieces)


def check_start(spec: NetSpec, input_shape: Shape, start: Start) -> None:
    """Check that a start fits a network. Every engine calls this before it trains.

    Raises:
        EngineError: An array has the wrong dtype or shape, or a value that is not allowed.
    """
    running_stats = is_running_stat(spec, input_shape)
    _check_array("weights", start.weights, np.float32, running_stats.size, spec)
    _check_finite("weights", start.weights)
    if start.fixed is not None:
        _check_array("fixed", start.fixed, np.bool_, running_stats.size, spec)
    if start.tied is not None:
        _check_array("tied", start.tied, np.int32, running_stats.size, spec)
        _check_range("tied", start.tied, running_stats, running_stats.size)
    if start.projection is not None:
        _check_array("codebook", start.projection.codebook, np.int32, running_stats.size, spec)
        _check_range("codebook", start.projection.codebook, running_stats, len(start.projection.levels))
        _check_codebooks(start.projection)
        _check_fixed_levels(start, start.projection)


def _check_array(
    name: str, array: npt.NDArray[np.generic], kind: type[np.generic], weight_count: int, spec: NetSpec
) -> None:
    if array.dtype != kind or array.shape != (weight_count,):
        raise EngineError(
            f"the start's {name} is {array.dtype} {list(array.shape)}; '{spec}' needs {kind.__name__} "
            f"[{weight_count}], a value for each of its weights"
        )


def _check_finite(name: str, values: npt.NDArray[np.float32]) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise EngineError(f"the start's {name} has {bad} of {values.size} values that are not finite; give numbers")


def _check_range(name: str, numbers: npt.NDArray[np.int32], running_stats: npt.NDArray[np.bool_], end: int) -> None:
    outside = numbers[(numbers < -1) | (numbers >= end)]
    if outside.size:
        raise EngineError(f"the start's {name} has the number {outside[0]}; give -1 for none, or 0 to {end - 1}")
    if (numbers[running_stats] >= 0).any():
        raise EngineError(
            f"the start's {name} constrains running statistics of a batch norm, which follow the data; give them -1"
        )


def _check_codebooks(projection: Projection) -> None:
    costs = projection.levels if projection.costs is None else projection.costs
    if len(costs) != len(projection.levels):
        raise EngineError(f"there are {len(projection.levels)} codebooks and {len(costs)} lists of costs; give as many")
    for number, (levels, cost) in enumerate(zip(projection.levels, costs, strict=True)):
        for name, array in ((f"levels of codebook {number}", levels), (f"costs of codebook {number}", cost)):
            if array.dtype != np.float32 or array.ndim != 1 or not array.size or array.size != levels.size:
                raise EngineError(
                    f"the {name} are {array.dtype} {list(array.shape)}; give float32 [levels], a cost for each level"
                )
            _check_finite(name, array)
        if (np.diff(levels) <= 0).any():
            raise EngineError(f"the levels of codebook {number} do not ascend; sort them, each once")


def _check_fixed_levels(start: Start, projection: Projection) -> None:
    """Check that the value of each fixed weight is a level of its codebook."""
    for number, levels in enumerate(projection.levels):
        fixed = start.weights[(projection.codebook == number) & (False if start.fixed is None else start.fixed)]
        other = fixed[~np.isin(fixed, levels)]
        if other.size:
            raise EngineError(
                f"a weight is fixed at {other[0]:g}, which is no level of its codebook {number}; give it codebook -1"
            )
