"""Channels in the order of their biases: the same network, and biases that take fewer bits to code.

The hidden channels of a network may stand in any order, as long as whatever reads them knows it. n of them have n!
orders, so log2(n!) bits of a file tell nothing (29 for a layer of 12); with the biases in rising order the coder
"rising" saves some of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.model import Model, QuantizedModel, Tensor, Uniform, named_arrays
from smidgen.spec import (
    Conv,
    Dense,
    LayerPlan,
    NetSpec,
    Pointwise,
    Repeat,
    Shape,
)

Order = npt.NDArray[np.intp]


def sort_channels(quantized: QuantizedModel) -> QuantizedModel:
    """The same function but for the order in which values are added up; each layer's biases rise where they can.

    A network with a repeat is left as it is.
    """
    if any(isinstance(layer, Repeat) for layer in quantized.spec.layers):
        return quantized
    plans, tensors = quantized.spec.plan(quantized.input_shape), dict(quantized.tensors)
    mixing = [place for place, plan in enumerate(plans) if isinstance(plan.layer, Conv | Pointwise | Dense)]
    for first, last in pairwise(mixing):
        order = _order(tensors, first, last)
        if order is None:
            continue
        for place in range(first, last):
            _sort_rows(tensors, place, order)
        tensors[f"{last}.weight"] = _sort_inputs(tensors[f"{last}.weight"], plans[last], order)
    return replace(quantized, tensors=tensors)


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


def weakest_channels(model: Model, shares: Mapping[int, float]) -> dict[int, tuple[int, ...]]:
    """Of each layer, by its place, so large a share of its channels: those whose weights have the least sum of sizes.

    Li et al. 2017 (arXiv 1608.08710), section 3.1. For a convolution, a pointwise or a dense layer.
    """
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    weakest = {}
    for place, share in shares.items():
        _check_hidden(model.spec, model.input_shape, place)
        sums = np.abs(arrays[f"{place}.weight"].astype(np.float64)).reshape(len(arrays[f"{place}.weight"]), -1).sum(1)
        order = np.argsort(sums, kind="stable")
        weakest[place] = tuple(sorted(order[: round(share * len(sums))].tolist()))
    return weakest


def without_channels(quantized: QuantizedModel, dropped: Mapping[int, Collection[int]]) -> QuantizedModel:
    """A smaller network: these channels of these layers are gone, and all that reads them.

    dropped: by the place of a convolution, a pointwise or a dense layer, numbers of its channels. A `Model` goes in as
        `as_quantized(model)` and comes out by `dequantize`, with the bits that it had.

    Raises:
        RequestError: there is no such layer or channel, nothing would be left of one, its channels are the classes, or
            the network has a repeat.
    """
    layers, tensors = list(quantized.spec.layers), dict(quantized.tensors)
    plans = quantized.spec.plan(quantized.input_shape)
    for place, channels in dropped.items():
        _check_hidden(quantized.spec, quantized.input_shape, place)
        kept = _kept(plans[place], channels)
        last = next(after for after in _mixing(plans) if after > place)
        for between in range(place, last):
            _keep_rows(tensors, between, kept)
        tensors[f"{last}.weight"] = _keep_inputs(tensors[f"{last}.weight"], plans[last].input_shape[0], kept)
        layers[place] = _narrower(plans[place], len(kept))
    return replace(quantized, spec=NetSpec(tuple(layers)), tensors=tensors)


def _mixing(plans: Sequence[LayerPlan]) -> list[int]:
    """The places of the layers that make new channels of all that they are given."""
    return [place for place, plan in enumerate(plans) if isinstance(plan.layer, Conv | Pointwise | Dense)]


def _check_hidden(spec: NetSpec, input_shape: Shape, place: int) -> None:
    if any(isinstance(layer, Repeat) for layer in spec.layers):
        raise RequestError(f"'{spec}' repeats layers, whose channels depend on each other; prune single weights")
    hidden = _mixing(spec.plan(input_shape))[:-1]
    if place not in hidden:
        raise RequestError(f"layer {place} of '{spec}' has no channels to drop; such layers are {hidden or 'none'}")


def _kept(plan: LayerPlan, dropped: Collection[int]) -> list[int]:
    count = plan.output_shape[0]
    if wrong := [channel for channel in dropped if not 0 <= channel < count]:
        raise RequestError(f"'{plan.layer}' has no channel {wrong[0]}; give numbers from 0 to {count - 1}")
    kept = sorted(set(range(count)) - set(dropped))
    if not kept:
        raise RequestError(f"'{plan.layer}' would lose all of its {count} channels; keep at least one")
    return kept


def _narrower(plan: LayerPlan, channels: int) -> Conv | Pointwise | Dense:
    layer = plan.layer
    if isinstance(layer, Dense):
        return replace(layer, units=channels)
    assert isinstance(layer, Conv | Pointwise)
    return replace(layer, channels=channels)


def _keep_rows(tensors: dict[str, Tensor], place: int, kept: Sequence[int]) -> None:
    """All that a layer has for each channel out."""
    for name in (f"{place}.{part}" for part in ("weight", "bias", "mean", "variance")):
        if name in tensors:
            grid = tensors[name].grid
            if isinstance(grid, Uniform) and len(grid.steps) > 1:
                grid = Uniform(grid.steps[kept])
            tensors[name] = replace(tensors[name], levels=tensors[name].levels[kept], grid=grid)


def _keep_inputs(tensor: Tensor, channels: int, kept: Sequence[int]) -> Tensor:
    """A dense layer reads each channel's whole map."""
    rows, *rest = tensor.levels.shape
    by_channel = tensor.levels.reshape(rows, channels, -1)[:, kept]
    shape = (rows, len(kept), *rest[1:]) if len(rest) > 1 else (rows, -1)
    return replace(tensor, levels=np.ascontiguousarray(by_channel.reshape(shape)))
