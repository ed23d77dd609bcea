"""Move the offset and scale of an input into the weights of the first layer, or back out of them.

A network that reads (value - offset) * scale computes the same from the values themselves if each weight is multiplied
by its channel's scale and the biases take what the offsets contribute. `shifts` says which layers can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.spec import InputSpec, LayerPlan, NetSpec
from smidgen.transforms.shifts import add_shift, scale_inputs, takers

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
    return 0 if _takers(spec.plan(input.shape), factor, shift) is not None else input.kept_numbers


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
    places = _takers(model.spec.plan(model.input_shape), factor, shift)
    if places is None:
        raise RequestError(
            f"'{model.spec}' reads {model.input} and the data is {input}; its first layer cannot take up the "
            "difference: give the data that it was trained on"
        )
    return replace(model, weights=_folded(model, places, factor, shift), input=input)


def _between(old: InputSpec, new: InputSpec) -> tuple[Doubles, Doubles]:
    """(factor, shift) of each channel: what the old input is, computed from the new one."""
    old_offset, old_scale, new_offset, new_scale = (
        each.astype(np.float64) for each in (old.offsets, old.scales, new.offsets, new.scales)
    )
    return old_scale / new_scale, (new_offset - old_offset) * old_scale


def _takers(plans: Sequence[LayerPlan], factor: Doubles, shift: Doubles) -> tuple[int, ...] | None:
    """The places of the layers that take up factors and shifts, in order; None if these cannot be taken up."""
    if (factor == 1).all() and not shift.any():
        return ()
    if np.abs(shift).max() > MOST_OFFSET:
        return None
    return takers(plans, -1, bool(shift.any())) or None


def _folded(model: Model, places: Sequence[int], factor: Doubles, shift: Doubles) -> npt.NDArray[np.float32]:
    if not places:
        return model.weights
    plans = model.spec.plan(model.input_shape)
    arrays = named_arrays(model.spec, model.input_shape, model.weights.copy())
    if shift.any():
        add_shift(arrays, plans, places, shift)
    scale_inputs(arrays, plans, places[0], factor)
    return flatten_arrays(model.spec, model.input_shape, arrays)
