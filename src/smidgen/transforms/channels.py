"""Reorder or remove the hidden channels of a network.

A permutation and a subset of a layer's channels are both an index, applied by `take_channels`: to the layer that makes
the channels, to those that keep them (batch norms, depthwise convolutions, ...), and to the inputs of the next layer
that mixes them.

The hidden channels of a network can stand in any order. A layer with n of them has n! orders, so log2(n!) bits of a
file carry no information (29 bits for n = 12). Sorted by their biases, the coder "rising" saves some of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.model import QuantizedModel, Tensor, Uniform
from smidgen.spec import Conv, Dense, LayerPlan, NetSpec, Pointwise, Repeat, Shape

Channels = Sequence[int] | npt.NDArray[np.intp]


def take_channels(quantized: QuantizedModel, place: int, channels: Channels) -> QuantizedModel:
    """Return the network with these output channels of one hidden layer, in this order.

    Args:
        quantized: the network. Pass a `Model` as `as_quantized(model)`; `dequantize` turns it back unchanged.
        place: index of a convolution, pointwise or dense layer other than the last.
        channels: indices of the channels to keep, in their new order.

    Raises:
        RequestError: the layer has no hidden channels, an index is out of range, none is left, or the network has
            a repeat.
    """
    _check_hidden(quantized.spec, quantized.input_shape, place)
    plans, tensors = quantized.spec.plan(quantized.input_shape), dict(quantized.tensors)
    index = _checked(plans[place], channels)
    reader = next(after for after in mixing_layers(plans) if after > place)
    for between in range(place, reader):
        _take_rows(tensors, between, index)
    tensors[f"{reader}.weight"] = _take_inputs(tensors[f"{reader}.weight"], plans[reader].input_shape[0], index)
    layers = list(quantized.spec.layers)
    layers[place] = _with_width(plans[place], len(index))
    return replace(quantized, spec=NetSpec(tuple(layers)), tensors=tensors)


def sort_channels(quantized: QuantizedModel) -> QuantizedModel:
    """Sort each layer's hidden channels by their biases, so that the biases rise.

    The result is the same function except for the order in which values are added up. A network with a repeat is
    returned unchanged.
    """
    if has_repeat(quantized.spec):
        return quantized
    for place, reader in pairwise(mixing_layers(quantized.spec.plan(quantized.input_shape))):
        order = _order(quantized.tensors, place, reader)
        if order is not None:
            quantized = take_channels(quantized, place, order)
    return quantized


def without_channels(quantized: QuantizedModel, dropped: Mapping[int, Collection[int]]) -> QuantizedModel:
    """Remove hidden channels, and all weights that read them.

    Args:
        quantized: the network.
        dropped: indices of the channels to remove, by the index of their layer (see `take_channels`).

    Raises:
        RequestError: the layer has no hidden channels, an index is out of range, none is left, or the network has
            a repeat.
    """
    for place, channels in dropped.items():
        _check_hidden(quantized.spec, quantized.input_shape, place)
        plan = quantized.spec.plan(quantized.input_shape)[place]
        _checked(plan, list(channels), least=0)
        quantized = take_channels(quantized, place, sorted(set(range(plan.output_shape[0])) - set(channels)))
    return quantized


def mixing_layers(plans: Sequence[LayerPlan]) -> list[int]:
    """Return the indices of the layers that compute each output channel from all input channels."""
    return [place for place, plan in enumerate(plans) if isinstance(plan.layer, Conv | Pointwise | Dense)]


def has_repeat(spec: NetSpec) -> bool:
    """Return whether a network repeats layers, whose channels then depend on each other."""
    return any(isinstance(layer, Repeat) for layer in spec.layers)


def _order(tensors: Mapping[str, Tensor], place: int, reader: int) -> npt.NDArray[np.intp] | None:
    """Return the order of the first quantized biases that these channels have; None if they have none."""
    for between in range(place, reader):
        bias = tensors.get(f"{between}.bias")
        if bias is not None and bias.grid is not None:
            return np.argsort(bias.levels, kind="stable")
    return None


def _check_hidden(spec: NetSpec, input_shape: Shape, place: int) -> None:
    if has_repeat(spec):
        raise RequestError(f"'{spec}' repeats layers, whose channels depend on each other; prune single weights")
    hidden = mixing_layers(spec.plan(input_shape))[:-1]
    if place not in hidden:
        raise RequestError(f"layer {place} of '{spec}' has no hidden channels; such layers are {hidden or 'none'}")


def _checked(plan: LayerPlan, channels: Channels, least: int = 1) -> npt.NDArray[np.intp]:
    index, count = np.asarray(channels, np.intp), plan.output_shape[0]
    if wrong := [channel for channel in index.tolist() if not 0 <= channel < count]:
        raise RequestError(f"'{plan.layer}' has no channel {wrong[0]}; give numbers from 0 to {count - 1}")
    if len(index) < least:
        raise RequestError(f"'{plan.layer}' would lose all of its {count} channels; keep at least one")
    return index


def _with_width(plan: LayerPlan, channels: int) -> Conv | Pointwise | Dense:
    layer = plan.layer
    if isinstance(layer, Dense):
        return replace(layer, units=channels)
    assert isinstance(layer, Conv | Pointwise)
    return replace(layer, channels=channels)


def _take_rows(tensors: dict[str, Tensor], place: int, index: npt.NDArray[np.intp]) -> None:
    """Index everything that a layer stores per output channel."""
    for name in (f"{place}.{part}" for part in ("weight", "bias", "mean", "variance")):
        if name in tensors:
            grid = tensors[name].grid
            if isinstance(grid, Uniform) and len(grid.steps) > 1:
                grid = Uniform(grid.steps[index])
            levels = np.ascontiguousarray(tensors[name].levels[index])
            tensors[name] = replace(tensors[name], levels=levels, grid=grid)


def _take_inputs(tensor: Tensor, channels: int, index: npt.NDArray[np.intp]) -> Tensor:
    """Index the input channels of a layer; a dense layer reads each channel's whole map."""
    rows, *rest = tensor.levels.shape
    by_channel = tensor.levels.reshape(rows, channels, -1)[:, index]
    shape = (rows, len(index), *rest[1:]) if len(rest) > 1 else (rows, -1)
    return replace(tensor, levels=np.ascontiguousarray(by_channel.reshape(shape)))
