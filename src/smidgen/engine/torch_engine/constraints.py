"""The constraints of `engine.Start` on the weights of a training, as tensors on its device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.engine.start import Projection, Start
from smidgen.engine.torch_engine.device import tensor_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WeightConstraints:
    """The first weights of a training and the constraints on them.

    Attributes:
        start: The first weights, float32 [weights].
        fixed: bool [weights], True where a weight keeps its first value; None if all are free.
        tied: Groups of weights that share one gradient; None without any.
        codebooks: The values that weights may take; None without any.
    """

    start: Tensor
    fixed: Tensor | None
    tied: TiedWeights | None
    codebooks: Codebooks | None

    def forward_weights(self, weights: Tensor) -> Tensor:
        """Return the weights that the network computes with: float32 [weights], a copy if they are quantized."""
        return weights if self.codebooks is None else self.codebooks.quantize(weights)

    def final_weights(self, weights: Tensor) -> Tensor:
        """Return the weights to keep at the end of a training: float32 [weights]."""
        quantized = self.forward_weights(weights)
        return quantized if self.fixed is None else self.start.where(self.fixed, quantized)

    def constrain_gradient(self, weights: Tensor, gradient: Tensor) -> None:
        """Change a gradient in place: add the slopes of the costs, sum tied weights, zero fixed ones."""
        if self.codebooks is not None:
            self.codebooks.add_slopes(weights, gradient)
        if self.tied is not None:
            self.tied.sum_gradients(gradient)
        if self.fixed is not None:
            gradient.masked_fill_(self.fixed, 0)


def weight_constraints(start: Start, running_stats: npt.NDArray[np.bool_], device: torch.device) -> WeightConstraints:
    """Put a start on a device.

    Args:
        start: The first weights and their constraints.
        running_stats: bool [weights], True for running statistics of a batch norm, which follow the data and are
            never fixed.
        device: Where the training runs.
    """
    return WeightConstraints(
        start=tensor_of(start.weights, device),
        fixed=None if start.fixed is None else tensor_of(start.fixed & ~running_stats, device),
        tied=None if start.tied is None else _tied_weights(start.tied, device),
        codebooks=None if start.projection is None else _codebooks(start.projection, device),
    )


# --- weights that share a gradient ------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TiedWeights:
    """Groups of weights that share one gradient.

    Attributes:
        indices: int64 [tied], the flat indices of the tied weights, group by group.
        group: int64 [tied], the group of each.
        sizes: int64 [groups], the size of each group.
    """

    indices: Tensor
    group: Tensor
    sizes: Tensor

    def sum_gradients(self, gradient: Tensor) -> None:
        """Replace each gradient by the sum over its group, in place."""
        import torch

        # index_add_ would be simpler, but a GPU leaves its order of summation open, and so the last bits.
        sums = torch.segment_reduce(gradient[self.indices], "sum", lengths=self.sizes)
        gradient[self.indices] = sums[self.group]


def _tied_weights(tied: npt.NDArray[np.int32], device: torch.device) -> TiedWeights:
    indices = np.flatnonzero(tied >= 0)
    indices = indices[np.argsort(tied[indices], kind="stable")]
    _, group, sizes = np.unique(tied[indices], return_inverse=True, return_counts=True)
    return TiedWeights(tensor_of(indices, device), tensor_of(group, device), tensor_of(sizes, device))


# --- weights that take few values -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Codebooks:
    """The levels of all codebooks in sequence, and which part of them each weight uses.

    Attributes:
        rounds: Steps of a binary search in the longest codebook.
        indices: int64 [quantized], the flat indices of the weights that have a codebook.
        first: int64 [quantized], the first level of each such weight.
        last: int64 [quantized], its last level.
        values: float32 [levels], the levels.
        midpoints: float32 [levels], halfway to the next level of the same codebook.
        next_values: float32 [levels], the next level of the same codebook; the last level has itself.
        slopes: float32 [levels], the slope of the cost towards the next level; 0 for the last.
    """

    rounds: int
    indices: Tensor
    first: Tensor
    last: Tensor
    values: Tensor
    midpoints: Tensor
    next_values: Tensor
    slopes: Tensor

    def quantize(self, weights: Tensor) -> Tensor:
        """Return each weight's nearest level, the lower of two at equal distance; free weights as they are."""
        own = weights[self.indices]
        level = self._search(lambda level: self.midpoints[level] < own)
        quantized = weights.clone()
        quantized[self.indices] = self.values[level]
        return quantized

    def add_slopes(self, weights: Tensor, gradient: Tensor) -> None:
        """Add to each gradient the slope of the cost between the two levels around the weight; none outside them."""
        own = weights[self.indices]
        level = self._search(lambda level: self.next_values[level] <= own)
        gradient[self.indices] += self.slopes[level] * (own >= self.values[self.first])

    def _search(self, below: Callable[[Tensor], Tensor]) -> Tensor:
        """Return for each weight its first level that is not `below`, or its last: a binary search for all at once."""
        low, high = self.first, self.last
        for _ in range(self.rounds):
            middle = (low + high) // 2
            up = below(middle) & (low < high)
            low, high = low.where(~up, middle + 1), middle.where(~up, high)
        return low


def _codebooks(projection: Projection, device: torch.device) -> Codebooks | None:
    if not projection.levels:
        return None
    costs = projection.costs or tuple(np.zeros_like(levels) for levels in projection.levels)
    lengths = np.array([len(levels) for levels in projection.levels])
    ends = np.cumsum(lengths)
    indices = np.flatnonzero(projection.codebook >= 0)
    book = projection.codebook[indices]
    tables = [_level_table(*pair) for pair in zip(projection.levels, costs, strict=True)]
    columns = [np.concatenate(column) for column in zip(*tables, strict=True)]
    arrays = (indices, ends[book] - lengths[book], ends[book] - 1, *columns)
    return Codebooks(int(lengths.max()).bit_length(), *(tensor_of(array, device) for array in arrays))


def _level_table(levels: Floats, costs: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The values, midpoints, next values and slopes of one codebook, as `Codebooks` stores them."""
    following = np.append(levels[1:], levels[-1:])
    slopes = np.append(np.diff(costs) / np.diff(levels), np.float32(0))
    return levels, np.float32(0.5) * (levels + following), following, slopes
