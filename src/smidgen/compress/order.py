"""Channels in the order of their biases: the same network, and biases that take fewer bits to code.

The hidden channels of a network may stand in any order, as long as whatever reads them knows it. n of them have n!
orders, so log2(n!) bits of a file tell nothing (29 for a layer of 12); with the biases in rising order the coder
"rising" saves some of them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smidgen.compress.smidgen_file import Packed
from smidgen.compress.tensors import Tensor, Uniform
from smidgen.spec import Conv, Dense, LayerPlan, Pointwise, Repeat

Order = npt.NDArray[np.intp]


def sort_channels(packed: Packed) -> Packed:
    """The same function but for the order in which values are added up; each layer's biases rise where they can.

    A network with a repeat is left as it is.
    """
    if any(isinstance(layer, Repeat) for layer in packed.spec.layers):
        return packed
    plans, tensors = packed.spec.plan(packed.input_shape), dict(packed.tensors)
    mixing = [place for place, plan in enumerate(plans) if isinstance(plan.layer, Conv | Pointwise | Dense)]
    for first, last in pairwise(mixing):
        order = _order(tensors, first, last)
        if order is None:
            continue
        for place in range(first, last):
            _sort_rows(tensors, place, order)
        tensors[f"{last}.weight"] = _sort_inputs(tensors[f"{last}.weight"], plans[last], order)
    return replace(packed, tensors=tensors)


def _order(tensors: dict[str, Tensor], first: int, last: int) -> Order | None:
    """By the first biases that these channels have, those of a layer between among them."""
    for place in range(first, last):
        bias = tensors.get(f"{place}.bias")
        if bias is not None and bias.grid is not None:
            return np.argsort(bias.levels, kind="stable")
    return None


def _sort_rows(tensors: dict[str, Tensor], place: int, order: Order) -> None:
    """All that a layer has for each channel out."""
    for part in ("weight", "bias", "mean", "variance"):
        name = f"{place}.{part}"
        if name in tensors:
            tensors[name] = _taken(tensors[name], tensors[name].levels[order], order)


def _taken(tensor: Tensor, levels: npt.NDArray[np.int32], order: Order) -> Tensor:
    grid = tensor.grid
    if isinstance(grid, Uniform) and len(grid.steps) > 1:
        grid = Uniform(grid.steps[order])
    return replace(tensor, levels=np.ascontiguousarray(levels), grid=grid)


def _sort_inputs(tensor: Tensor, plan: LayerPlan, order: Order) -> Tensor:
    """A dense layer reads each channel's whole map."""
    by_channel = tensor.levels.reshape(len(tensor.levels), plan.input_shape[0], -1)
    return replace(tensor, levels=np.ascontiguousarray(by_channel[:, order].reshape(tensor.levels.shape)))
