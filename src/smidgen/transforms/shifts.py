"""Constants that are added to a layer's channels, and the later biases that can add them instead.

A constant passes through pools and dropouts as it is, and through a linear layer as the sums of its weights times the
constant. The next layer with biases can therefore take it up: the biases of a linear layer before another one are
idle. Zeros around a map are not shifted, so that the values next to them change where a layer pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.spec import (
    AvgPool,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    Repeat,
    Residual,
    Shape,
    is_linear,
    is_weighted,
)

Doubles = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.float32]]


def takers(plans: Sequence[LayerPlan], source: int, shifts: bool = True, may_pad: bool = False) -> tuple[int, ...]:
    """Return the places of the layers that take up what was done to one output, in order; none if it cannot be done.

    Args:
        plans: of the network.
        source: the place of the layer with this output; -1 for the network's input.
        shifts: whether a constant was added, which is passed on up to a layer with biases. A factor is taken up by the
            first layer with weights.
        may_pad: whether layers that pad count too, although they do not pass a constant on exactly.
    """
    found: list[int] = []
    readers = readers_of(plans, source)
    for place in range(source + 1, len(plans)):
        plan = plans[place]
        if readers != [place]:
            return ()
        if is_weighted(plan.layer):
            found.append(place)
            if not _may_change(plans, place) or (shifts and not may_pad and getattr(plan.layer, "same", False)):
                return ()
            if plan.bias_count or not shifts:
                return tuple(found)
            if not is_linear(plan.layer):
                return ()
        elif not isinstance(plan.layer, MaxPool | AvgPool | GlobalAvgPool | Dropout):
            return ()
        readers = readers_of(plans, place)
    return ()


def add_shift(arrays: Arrays, plans: Sequence[LayerPlan], places: Sequence[int], shift: Doubles) -> None:
    """Add to the biases of the last of `takers` what a shift of each channel before the first contributes."""
    for place in places:
        shift = (_by_channel(arrays, plans[place], place) * _channel_axis(plans[place], shift)).sum(axis=(1, 2))
    bias = f"{places[-1]}.bias"
    arrays[bias] = (arrays[bias] + shift).astype(np.float32)


def _by_channel(arrays: Arrays, plan: LayerPlan, place: int) -> Doubles:
    """Return a layer's weights as float64 [rows, input channels or 1 if each row has its own, the rest]."""
    weight = arrays[f"{place}.weight"].astype(np.float64)
    return weight.reshape(len(weight), 1 if isinstance(plan.layer, Depthwise) else plan.input_shape[0], -1)


def scale_inputs(arrays: Arrays, plans: Sequence[LayerPlan], place: int, factor: Doubles) -> None:
    """Multiply a layer's weights by a factor for each input channel."""
    name = f"{place}.weight"
    scaled = _by_channel(arrays, plans[place], place) * _channel_axis(plans[place], factor)
    arrays[name] = scaled.reshape(arrays[name].shape).astype(np.float32)


def _channel_axis(plan: LayerPlan, values: Doubles) -> Doubles:
    return values.reshape((-1, 1, 1) if isinstance(plan.layer, Depthwise) else (1, -1, 1))


def without_biases(model: Model, place: int) -> Model:
    """Return the network without the biases of one layer; later biases take up what they added where they can.

    Args:
        model: the network, without repeats and residuals.
        place: index of a layer with biases.
    """
    layer, plans = model.spec.layers[place], model.spec.plan(model.input_shape)
    arrays = dict(named_arrays(model.spec, model.input_shape, model.weights))
    shift = arrays.pop(f"{place}.bias").astype(np.float64)
    if is_linear(layer) and (found := takers(plans, place, may_pad=True)):
        add_shift(arrays, plans, found, shift)
    spec = _without(model.spec, place)
    return replace(model, spec=spec, weights=flatten_arrays(spec, model.input_shape, arrays))


def idle_biases(spec: NetSpec, input_shape: Shape, may_pad: bool = False) -> list[int]:
    """Return the places of the layers whose biases a later layer can have in their place.

    A network with repeats or residuals has none.

    Args:
        spec: the network.
        input_shape: channels, height and width.
        may_pad: whether layers between may pad, so that the values next to the padding change.
    """
    if any(isinstance(layer, Repeat | Residual) for layer in spec.layers):
        return []
    plans = spec.plan(input_shape)
    linear = (place for place, plan in enumerate(plans) if plan.bias_count and is_linear(plan.layer))
    return [place for place in linear if takers(plans, place, may_pad=may_pad)]


def without_idle_biases(model: Model, may_pad: bool = False) -> Model:
    """Return the network without its `idle_biases`; unless layers pad it computes the same but for rounding."""
    for place in idle_biases(model.spec, model.input_shape, may_pad):
        model = without_biases(model, place)
    return model


def spec_without_idle_biases(spec: NetSpec, input_shape: Shape) -> NetSpec:
    """Return the network's layers without idle biases."""
    for place in idle_biases(spec, input_shape):
        spec = _without(spec, place)
    return spec


def _without(spec: NetSpec, place: int) -> NetSpec:
    layer = spec.layers[place]
    assert is_weighted(layer)
    return NetSpec((*spec.layers[:place], replace(layer, bias=False), *spec.layers[place + 1 :]))


def readers_of(plans: Sequence[LayerPlan], source: int) -> list[int]:
    """Return the places of the layers that read one output; -1 is the input of the network."""
    return [place for place, plan in enumerate(plans) for each in plan.inputs if each == source]


def _may_change(plans: Sequence[LayerPlan], place: int) -> bool:
    """Whether a layer has weights of its own for each channel, which no later round of a repeat uses."""
    return has_own_kernels(plans[place]) and not any(other.source == place for other in plans)


def has_own_kernels(plan: LayerPlan) -> bool:
    """Return whether no two channels of a layer share a kernel."""
    return not isinstance(plan.layer, Depthwise) or plan.weight_shape[0] == plan.input_shape[0]
