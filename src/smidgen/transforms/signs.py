"""Turn the signs of channels so that most weights of a network are positive, which makes its file shorter.

A linear layer's channel can change its sign if the weights that read it change theirs: the network computes the same,
exactly. Of the two forms of each channel the one with more positive weights is kept, so that the sign of a weight, the
part of a file that no grid makes shorter, is a little less uncertain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.model import Model, QuantizedModel, Uniform, named_arrays
from smidgen.spec import AvgPool, Depthwise, Dropout, GlobalAvgPool, LayerPlan, is_linear, is_weighted
from smidgen.transforms.shifts import has_own_kernels, readers_of

Arrays = Mapping[str, npt.NDArray[Any]]

MOST_ROUNDS = 10
"""Rounds over all channels at most. Every turn raises the count of positive weights, so that the rounds end."""


@dataclass(frozen=True)
class _Link:
    """A linear layer and the layer that reads it, through averages at most."""

    layer: int
    reader: int


def with_positive_weights(model: Model) -> Model:
    """Return the network with the signs turned; it computes the same bit for bit."""
    weights = model.weights.copy()
    _turn(model.spec.plan(model.input_shape), named_arrays(model.spec, model.input_shape, weights))
    return replace(model, weights=weights)


def quantized_with_positive_weights(quantized: QuantizedModel) -> QuantizedModel:
    """Return the network on its grids with the signs turned; unchanged if a grid is not the same for both signs."""
    if not all(isinstance(tensor.grid, Uniform) for tensor in quantized.tensors.values()):
        return quantized
    levels = {name: tensor.levels.copy() for name, tensor in quantized.tensors.items()}
    _turn(quantized.spec.plan(quantized.input_shape), levels)
    tensors = {name: replace(tensor, levels=levels[name]) for name, tensor in quantized.tensors.items()}
    return replace(quantized, tensors=tensors)


def _turn(plans: Sequence[LayerPlan], arrays: Arrays) -> None:
    """Turn channels in place while that makes more weights positive."""
    links = _links(plans)
    for _ in range(MOST_ROUNDS):
        turned = [_turn_channel(parts) for link in links for parts in _channels(plans, arrays, link)]
        if not any(turned):
            return


def _turn_channel(parts: Sequence[npt.NDArray[Any]]) -> bool:
    """Turn the weights of one channel if most of them are negative."""
    is_negative = sum(float(np.sign(part).sum()) for part in parts) < 0
    if is_negative:
        for part in parts:
            part *= -1
    return is_negative


def _channels(plans: Sequence[LayerPlan], arrays: Arrays, link: _Link) -> list[list[npt.NDArray[Any]]]:
    """The weights of each channel, as views: those that make it, its bias, and those that read it."""
    width = plans[link.layer].output_shape[0]
    own = [arrays[name] for name in (f"{link.layer}.weight", f"{link.layer}.bias") if name in arrays]
    weight = arrays[f"{link.reader}.weight"]
    is_depthwise = isinstance(plans[link.reader].layer, Depthwise)
    reading = weight if is_depthwise else weight.reshape(len(weight), width, -1).swapaxes(0, 1)
    return [[*(part[channel : channel + 1] for part in own), reading[channel]] for channel in range(width)]


def _links(plans: Sequence[LayerPlan]) -> list[_Link]:
    """The linear layers whose signs can be turned; none in a network that uses layers again."""
    if any(plan.source is not None for plan in plans):
        return []
    found = []
    for place, plan in enumerate(plans):
        reader = _reader(plans, place)
        if is_linear(plan.layer) and has_own_kernels(plan) and reader is not None:
            found.append(_Link(place, reader))
    return found


def _reader(plans: Sequence[LayerPlan], place: int) -> int | None:
    """The one layer of weights that reads this output, directly or through averages."""
    readers = readers_of(plans, place)
    if len(readers) != 1:
        return None
    plan = plans[readers[0]]
    if isinstance(plan.layer, AvgPool | GlobalAvgPool | Dropout):
        return _reader(plans, readers[0])
    return readers[0] if is_weighted(plan.layer) and has_own_kernels(plan) else None
