"""What the weights of a training are held to: `engine.Start`, as tensors, for all copies of a network at once.

All of it is elementwise but the sums of tied gradients, so that any number of copies costs the same calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from smidgen.engine.start import Projection, Start
from smidgen.engine.torch_engine.device import tensor_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = npt.NDArray[np.float32]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class WeightConstraints:
    """start: float32 [copies, weights]; fixed: bool, the same shape; the others where any copy asks for them."""

    start: Tensor
    fixed: Tensor | None
    tied: Tied | None
    levels: Levels | None

    def used(self, weights: Tensor) -> Tensor:
        """What the network computes with: float32 [copies, weights], new where there are levels."""
        return weights if self.levels is None else self.levels.nearest(weights)

    def kept(self, weights: Tensor) -> Tensor:
        """What is kept of the weights: float32 [copies, weights]."""
        used = self.used(weights)
        return used if self.fixed is None else self.start.where(self.fixed, used)

    def change(self, weights: Tensor, gradient: Tensor) -> None:
        """In place, to what the optimizer gets: with the costs' slopes, summed where tied, zero where fixed."""
        if self.levels is not None:
            self.levels.add_slopes(weights, gradient)
        if self.tied is not None:
            self.tied.sum(gradient)
        if self.fixed is not None:
            gradient.masked_fill_(self.fixed, 0)


def weight_constraints(
    starts: Sequence[Start], running_stats: npt.NDArray[np.bool_], place: torch.device
) -> WeightConstraints:
    """The starts of all copies on a device; moments: bool [weights], which are data and never fixed."""
    fixed = _stack([start.fixed for start in starts], np.zeros_like(running_stats))
    tied = _stack([start.tied for start in starts], np.full(len(running_stats), -1, np.int32))
    return WeightConstraints(
        tensor_of(np.stack([start.weights for start in starts]), place),
        None if fixed is None else tensor_of(fixed & ~running_stats, place),
        None if tied is None else _tied(tied, place),
        _levels([start.projection for start in starts], len(running_stats), place),
    )


def _stack(arrays: Sequence[npt.NDArray[Kind] | None], nothing: npt.NDArray[Kind]) -> npt.NDArray[Kind] | None:
    """[copies, weights], with `nothing` for a copy that has none; None where no copy has any."""
    if all(array is None for array in arrays):
        return None
    return np.stack([nothing if array is None else array for array in arrays])


# --- weights of one gradient ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tied:
    """places: int64 [tied], into all weights of all copies, group by group; group: int64 [tied], the group of each
    place; sizes: int64 [groups]
    """

    places: Tensor
    group: Tensor
    sizes: Tensor

    def sum(self, gradient: Tensor) -> None:
        """Each gradient becomes the sum over its group, in place."""
        import torch

        # Not index_add_, whose order, and so whose last bits, a GPU leaves open.
        flat = gradient.view(-1)
        sums = torch.segment_reduce(flat[self.places], "sum", lengths=self.sizes)
        flat[self.places] = sums[self.group]


def _tied(tied: npt.NDArray[np.int32], place: torch.device) -> Tied:
    copies, weights = tied.shape
    numbers = np.where(tied < 0, -1, tied + np.arange(copies, dtype=np.int64)[:, None] * weights).ravel()
    places = np.flatnonzero(numbers >= 0)
    places = places[np.argsort(numbers[places], kind="stable")]
    _, group, sizes = np.unique(numbers[places], return_inverse=True, return_counts=True)
    return Tied(tensor_of(places, place), tensor_of(group, place), tensor_of(sizes, place))


# --- weights that take few values -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Levels:
    """All codebooks of all copies one behind the other, and which part of them each weight has.

    places: int64 [held], into all weights of all copies; first, last: int64 [held], a weight's levels
    values: float32 [levels], and from each level to the next of its codebook:
    midpoints, next_values, slopes: float32 [levels]; the last of a codebook has no next, and slope 0
    rounds: of halving that find a level in the longest codebook
    """

    rounds: int
    places: Tensor
    first: Tensor
    last: Tensor
    values: Tensor
    midpoints: Tensor
    next_values: Tensor
    slopes: Tensor

    def nearest(self, weights: Tensor) -> Tensor:
        """Each weight's nearest level, the lower of two as near; free weights as they are."""
        nearest = weights.clone()
        held = weights.reshape(-1)[self.places]
        level = self._search(lambda level: self.midpoints[level] < held)
        nearest.view(-1)[self.places] = self.values[level]
        return nearest

    def add_slopes(self, weights: Tensor, gradient: Tensor) -> None:
        """To each gradient, the slope of the costs between the levels around the weight; outside of them none."""
        held = weights.reshape(-1)[self.places]
        level = self._search(lambda level: self.next_values[level] <= held)
        slope = self.slopes[level] * (held >= self.values[self.first])
        gradient.view(-1)[self.places] += slope

    def _search(self, below: Callable[[Tensor], Tensor]) -> Tensor:
        """For each weight the first of its levels that is not below it, or its last: halving, all at once."""
        low, high = self.first, self.last
        for _ in range(self.rounds):
            middle = (low + high) // 2
            up = below(middle) & (low < high)
            low, high = low.where(~up, middle + 1), middle.where(~up, high)
        return low


def _levels(projections: Sequence[Projection | None], weights: int, place: torch.device) -> Levels | None:
    books = [book for projection in projections if projection is not None for book in _books(projection)]
    if not books:
        return None
    lengths = np.array([len(levels) for levels, _ in books])
    ends = np.cumsum(lengths)
    numbers = _book_numbers(projections, weights)
    places = np.flatnonzero(numbers >= 0)
    held = numbers[places]
    columns = [np.concatenate(column) for column in zip(*(_columns(*book) for book in books), strict=True)]
    arrays = (places, ends[held] - lengths[held], ends[held] - 1, *columns)
    return Levels(int(lengths.max()).bit_length(), *(tensor_of(array, place) for array in arrays))


def _books(projection: Projection) -> list[tuple[Floats, Floats]]:
    """(levels, costs) of each codebook."""
    costs = projection.costs or tuple(np.zeros_like(levels) for levels in projection.levels)
    return list(zip(projection.levels, costs, strict=True))


def _book_numbers(projections: Sequence[Projection | None], weights: int) -> npt.NDArray[np.int64]:
    """Of every weight of every copy the number of its codebook among those of all copies, or -1."""
    numbers = np.full((len(projections), weights), -1, np.int64)
    before = 0
    for row, projection in zip(numbers, projections, strict=True):
        if projection is not None:
            row[:] = np.where(projection.codebook < 0, -1, projection.codebook + before)
            before += len(projection.levels)
    return numbers.ravel()


def _columns(levels: Floats, costs: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Values, midpoints, next values and slopes, as `Levels` has them."""
    following = np.append(levels[1:], levels[-1:])
    slopes = np.append(np.diff(costs) / np.diff(levels), np.float32(0))
    return levels, np.float32(0.5) * (levels + following), following, slopes
