"""Reorder, remove or double the hidden channels of a network.

A permutation and a subset of a layer's channels are both an index, applied by `take_channels`: to the layer that makes
the channels, to those that keep them (batch norms, depthwise convolutions, ...), to whatever is added to them, and to
the inputs of the next layers that mix them (`channel_groups`).

The hidden channels of a network can stand in any order. A layer with n of them has n! orders, so log2(n!) bits of a
file carry no information (29 bits for n = 12). Sorted by their biases, the coder "rising" saves some of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.model import (
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    dequantize,
    flatten_arrays,
    named_arrays,
)
from smidgen.spec import Conv, Dense, Depthwise, Layer, LayerPlan, NetSpec, Pointwise, Residual, Shape
from smidgen.transforms.channel_groups import ChannelGroup, channel_groups, has_repeat

Channels = Sequence[int] | npt.NDArray[np.intp]


def take_channels(quantized: QuantizedModel, place: int, channels: Channels) -> QuantizedModel:
    """Return the network with these output channels of one hidden layer, in this order.

    Channels that are added to these are taken with them.

    Args:
        quantized: the network. Pass a `Model` as `as_quantized(model)`; `dequantize` turns it back unchanged.
        place: index of a convolution, pointwise or dense layer other than the last.
        channels: indices of the channels to keep, in their new order.

    Raises:
        RequestError: the layer has no hidden channels, an index is out of range, none is left, or the network has
            a repeat.
    """
    group = _hidden_group(quantized.spec, quantized.input_shape, place)
    plans, tensors = quantized.spec.plan(quantized.input_shape), dict(quantized.tensors)
    index = _checked(plans[place], channels)
    for own in group.places:
        _take_rows(tensors, own, plans[own], group.expanded(index, plans[own].output_shape[0]))
    for reader in group.readers:
        count = plans[reader].input_shape[0]
        weight = tensors[f"{reader}.weight"]
        tensors[f"{reader}.weight"] = _take_inputs(weight, count, group.expanded(index, count))
    widths = {own: len(group.expanded(index, plans[own].output_shape[0])) for own in group.producers}
    spec = NetSpec(_with_widths(quantized.spec.layers, widths, iter(range(len(plans)))))
    return replace(quantized, spec=spec, tensors=tensors)


def sort_channels(quantized: QuantizedModel) -> QuantizedModel:
    """Sort each layer's hidden channels by their biases, so that the biases rise.

    The result is the same function except for the order in which values are added up. A network with a repeat is
    returned unchanged.
    """
    if has_repeat(quantized.spec):
        return quantized
    for group in hidden_groups(quantized.spec.plan(quantized.input_shape)):
        order = _order(quantized.tensors, group)
        if order is not None:
            quantized = take_channels(quantized, group.producers[0], order)
    return quantized


def without_channels(quantized: QuantizedModel, dropped: Mapping[int, Collection[int]]) -> QuantizedModel:
    """Remove hidden channels, and all weights that read them.

    Args:
        quantized: the network.
        dropped: indices of the channels to remove, by the index of their layer (see `take_channels`). Channels that
            are added to others are named once, by any of their layers.

    Raises:
        RequestError: the layer has no hidden channels, an index is out of range, none is left, or the network has
            a repeat.
    """
    for place, channels in dropped.items():
        _hidden_group(quantized.spec, quantized.input_shape, place)
        plan = quantized.spec.plan(quantized.input_shape)[place]
        _checked(plan, list(channels), least=0)
        quantized = take_channels(quantized, place, sorted(set(range(plan.output_shape[0])) - set(channels)))
    return quantized


def with_channel_twice(model: Model, group: ChannelGroup, channel: int, random: np.random.Generator) -> Model:
    """Return the same function computed by a network with one hidden channel twice (Net2WiderNet, Chen et al. 2016).

    Every weight that read the channel is divided between the two at random, so that training makes them differ.

    Args:
        model: the network.
        group: one of its `hidden_groups`.
        channel: the channel, from 0 to the group's width - 1.
        random: draws the shares, from 0 to 1.
    """
    twice = dequantize(take_channels(as_quantized(model), group.producers[0], [*range(group.width), channel]))
    plans, arrays = twice.spec.plan(twice.input_shape), named_arrays(twice.spec, twice.input_shape, twice.weights)
    for reader in group.readers:
        weight = arrays[f"{reader}.weight"].copy()
        by_channel = weight.reshape(len(weight), plans[reader].input_shape[0], -1)
        copies = range(group.width, by_channel.shape[1], group.width + 1)
        shares = random.random((len(weight), 1), dtype=np.float32)
        for copy in copies:
            by_channel[:, copy] *= shares
            by_channel[:, copy - group.width + channel] *= 1 - shares
        arrays[f"{reader}.weight"] = weight
    return replace(model, spec=twice.spec, weights=flatten_arrays(twice.spec, twice.input_shape, arrays))


def hidden_groups(plans: Sequence[LayerPlan]) -> tuple[ChannelGroup, ...]:
    """Return the groups whose channels can be removed: those of a plan without repeats that `take_channels` takes."""
    groups = channel_groups(plans)
    return tuple(
        group for group in groups if group.is_free and plans[group.producers[0]].output_shape[0] == group.width
    )


def _order(tensors: Mapping[str, Tensor], group: ChannelGroup) -> npt.NDArray[np.intp] | None:
    """Return the order of the first quantized biases that these channels have; None if they have none."""
    for place in group.places:
        bias = tensors.get(f"{place}.bias")
        if bias is not None and bias.grid is not None and bias.levels.size == group.width:
            return np.argsort(bias.levels, kind="stable")
    return None


def _hidden_group(spec: NetSpec, input_shape: Shape, place: int) -> ChannelGroup:
    if has_repeat(spec):
        raise RequestError(f"'{spec}' repeats layers, whose channels depend on each other; prune single weights")
    plans = spec.plan(input_shape)
    hidden = {
        own: group
        for group in hidden_groups(plans)
        for own in group.producers
        if plans[own].output_shape[0] == group.width
    }
    if place not in hidden:
        known = list(hidden) or "none"
        raise RequestError(f"layer {place} of '{spec}' has no hidden channels; such layers are {known}")
    return hidden[place]


def _checked(plan: LayerPlan, channels: Channels, least: int = 1) -> npt.NDArray[np.intp]:
    index, count = np.asarray(channels, np.intp), plan.output_shape[0]
    if wrong := [channel for channel in index.tolist() if not 0 <= channel < count]:
        raise RequestError(f"'{plan.layer}' has no channel {wrong[0]}; give numbers from 0 to {count - 1}")
    if len(index) < least:
        raise RequestError(f"'{plan.layer}' would lose all of its {count} channels; keep at least one")
    return index


def _with_widths(layers: tuple[Layer, ...], widths: Mapping[int, int], places: Iterator[int]) -> tuple[Layer, ...]:
    """Return the layers with new widths, by their places in the plan; `places` counts through it."""
    made: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual):
            block = _with_widths(layer.layers, widths, places)
            shortcut = _with_widths(layer.shortcut, widths, places)
            next(places)  # the add
            made.append(replace(layer, layers=block, shortcut=shortcut))
        else:
            place = next(places)
            made.append(_with_width(layer, widths[place]) if place in widths else layer)
    return tuple(made)


def _with_width(layer: Layer, channels: int) -> Layer:
    if isinstance(layer, Dense):
        return replace(layer, units=channels)
    assert isinstance(layer, Conv | Pointwise)
    return replace(layer, channels=channels)


def _take_rows(tensors: dict[str, Tensor], place: int, plan: LayerPlan, index: npt.NDArray[np.intp]) -> None:
    """Index everything that a layer stores per output channel; a kernel that all channels share stays."""
    is_shared = isinstance(plan.layer, Depthwise) and plan.layer.shared > 0
    for part in ("bias", "mean", "variance") if is_shared else ("weight", "bias", "mean", "variance"):
        name = f"{place}.{part}"
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
