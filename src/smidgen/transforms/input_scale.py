"""Move the offset and scale of an input into the weights of the first layer, or back out of them.

A network that reads (value - offset) * scale computes the same from the values themselves if each weight is multiplied
by its channel's scale and the biases take what the offsets contribute. Pools and dropouts before that layer pass an
offset and a positive scale on. The layer must not pad with zeros where there is an offset, must have biases for it, and
must not be used again by a later round of a repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.spec import (
    AvgPool,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    InputSpec,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
)

Doubles = npt.NDArray[np.float64]

MOST_OFFSET = 2.0**14
"""Offsets of more deviations than this stay out of the weights: beyond, a float32 sum errs by more than a thousandth of
a deviation."""


def fold_input(model: Model) -> Model:
    """Fold the input's offset and scale into the weights, so that the network reads the user's values as they are.

    Returns:
        The network; unchanged if there is nothing to fold, or the first layer does not allow it.
    """
    plain = replace(model.input, offset=(), scale=())
    if not model.input.is_scaled or kept_numbers(model.spec, model.input):
        return model
    return with_input(model, plain)


def kept_numbers(spec: NetSpec, input: InputSpec) -> int:
    """Count the offsets and scales that the weights of a network cannot take up, which it keeps as parameters."""
    factor, shift = _between(input, replace(input, offset=(), scale=()))
    return 0 if _first_place(spec.plan(input.shape), factor, shift) is not None else input.kept_numbers


def parameters_with_input(spec: NetSpec, input: InputSpec) -> int:
    """Count the parameters of a network, with the offsets and scales that its weights cannot take up."""
    return spec.parameters(input.shape) + kept_numbers(spec, input)


def with_input(model: Model, input: InputSpec) -> Model:
    """Change the weights so that the network computes the same when it reads `input`, except for rounding.

    Raises:
        RequestError: The two read other kinds of values, or the first layer does not allow it.
    """
    if model.input == input or not (model.input.is_scaled or input.is_scaled):
        return replace(model, input=input)
    if (model.input.kind, model.input.shape) != (input.kind, input.shape):
        raise RequestError(f"the network reads {model.input} and the data is {input}; give the data it was trained on")
    factor, shift = _between(model.input, input)
    place = _first_place(model.spec.plan(model.input_shape), factor, shift)
    if place is None:
        raise RequestError(
            f"'{model.spec}' reads {model.input} and the data is {input}; its first layer cannot take up the "
            "difference: give the data that it was trained on"
        )
    return replace(model, weights=_folded(model, place, factor, shift), input=input)


def _between(old: InputSpec, new: InputSpec) -> tuple[Doubles, Doubles]:
    """(factor, shift) of each channel: what the old input is, computed from the new one."""
    old_offset, old_scale, new_offset, new_scale = (
        each.astype(np.float64) for each in (old.offsets, old.scales, new.offsets, new.scales)
    )
    return old_scale / new_scale, (new_offset - old_offset) * old_scale


def _first_place(plans: Sequence[LayerPlan], factor: Doubles, shift: Doubles) -> int | None:
    """The place of the layer that can take up factors and shifts; None if there is none."""
    if (factor == 1).all() and not shift.any():
        return 0
    readers = [place for place, plan in enumerate(plans) for source in plan.inputs if source == -1]
    for place, plan in enumerate(plans):
        if readers != [place]:
            return None
        if isinstance(plan.layer, Conv | Pointwise | Depthwise | Dense):
            return place if _takes_up(plans, place, shift) else None
        if not isinstance(plan.layer, MaxPool | AvgPool | GlobalAvgPool | Dropout):
            return None
        readers = [other for other, each in enumerate(plans) for source in each.inputs if source == place]
    return None


def _takes_up(plans: Sequence[LayerPlan], place: int, shift: Doubles) -> bool:
    plan = plans[place]
    own_channels = not isinstance(plan.layer, Depthwise) or plan.weight_shape[0] == plan.input_shape[0]
    is_shared = any(other.source == place for other in plans)
    if is_shared or not own_channels:
        return False
    pads = getattr(plan.layer, "same", False)
    return not shift.any() or bool(plan.bias_count and not pads and np.abs(shift).max() <= MOST_OFFSET)


def _folded(model: Model, place: int, factor: Doubles, shift: Doubles) -> npt.NDArray[np.float32]:
    plan = model.spec.plan(model.input_shape)[place]
    arrays = {n: a.copy() for n, a in named_arrays(model.spec, model.input_shape, model.weights).items()}
    weight = arrays[f"{place}.weight"].astype(np.float64)
    if isinstance(plan.layer, Depthwise):
        by_channel, shape = weight.reshape(len(weight), 1, -1), (-1, 1, 1)
    else:
        by_channel, shape = weight.reshape(len(weight), len(factor), -1), (1, -1, 1)
    if f"{place}.bias" in arrays:
        added = (by_channel * shift.reshape(shape)).sum(axis=(1, 2))
        arrays[f"{place}.bias"] = (arrays[f"{place}.bias"] + added).astype(np.float32)
    arrays[f"{place}.weight"] = (by_channel * factor.reshape(shape)).reshape(weight.shape).astype(np.float32)
    return flatten_arrays(model.spec, model.input_shape, arrays)
