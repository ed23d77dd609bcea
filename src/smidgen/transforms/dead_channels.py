"""Remove the channels of a network that no layer reads or that are constant; the function stays the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.model import QuantizedModel, Tensor, full_precision, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    Add,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    LayerPlan,
    Pointwise,
    PReLU,
)
from smidgen.transforms.channel_groups import ChannelGroup, has_repeat, is_mixing
from smidgen.transforms.channels import hidden_groups, without_channels

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def without_dead_channels(quantized: QuantizedModel) -> QuantizedModel:
    """Remove the channels that no layer reads and those that are constant; the function stays the same.

    A constant channel can be removed if it is zero, or if the biases of the layers that read it can absorb it: they are
    in full precision, and the layers do not pad. Removing channels can leave others dead, so this repeats until none
    is. A network with a repeat is returned unchanged.
    """
    if has_repeat(quantized.spec):
        return quantized
    plans = quantized.spec.plan(quantized.input_shape)
    for group in hidden_groups(plans):
        dead, tensors = _dead(quantized, plans, group)
        if dead:
            smaller = without_channels(replace(quantized, tensors=tensors), {group.producers[0]: dead})
            return without_dead_channels(smaller)
    return quantized


def _dead(
    quantized: QuantizedModel, plans: Sequence[LayerPlan], group: ChannelGroup
) -> tuple[list[int], dict[str, Tensor]]:
    """Return the removable channels of a group (never all), and the tensors with updated biases."""
    constants = _constants(quantized, plans, group)
    unread, silent, absorbed = (np.ones(group.width, np.bool_) for _ in range(3))
    for reader in group.readers:
        constant = constants[plans[reader].inputs[0]]
        read: Flags = np.asarray(_reading(quantized, plans, reader).any(axis=(0, 2)))
        unread &= _by_channel(~read, group)
        silent &= _by_channel(constant == 0, group)
        absorbed &= _by_channel(~np.isnan(constant), group) & _absorbs_constants(quantized, plans[reader], reader)
    dead = np.flatnonzero(unread | silent | absorbed)[: group.width - 1]
    absorbed &= np.isin(np.arange(group.width), dead)
    tensors = dict(quantized.tensors)
    if absorbed.any():
        for reader in group.readers:
            index = group.expanded(np.flatnonzero(absorbed), plans[reader].input_shape[0])
            _absorb(tensors, quantized, plans, reader, index, constants)
    return dead.tolist(), tensors


def _by_channel(flags: Flags, group: ChannelGroup) -> Flags:
    """Whether all outputs that belong to a channel of the group have the flag: bool [width]."""
    together: Flags = np.asarray(flags.reshape(-1, group.width).all(axis=0))
    return together


def _reading(quantized: QuantizedModel, plans: Sequence[LayerPlan], reader: int) -> Doubles:
    """The weights of a layer: float64 [rows, channels in, the rest]."""
    weight = values_of(quantized.tensors[f"{reader}.weight"])
    return weight.astype(np.float64).reshape(len(weight), plans[reader].input_shape[0], -1)


def _absorb(
    tensors: dict[str, Tensor],
    quantized: QuantizedModel,
    plans: Sequence[LayerPlan],
    reader: int,
    index: npt.NDArray[np.intp],
    constants: Mapping[int, Doubles],
) -> None:
    """Add to a layer's biases what the constant channels contribute."""
    constant = constants[plans[reader].inputs[0]]
    added = (_reading(quantized, plans, reader)[:, index].sum(axis=2) * constant[index]).sum(axis=1)
    bias = f"{reader}.bias"
    tensors[bias] = full_precision((values_of(tensors[bias]) + added).astype(np.float32))


def _absorbs_constants(quantized: QuantizedModel, plan: LayerPlan, place: int) -> bool:
    """Return whether a layer's biases can absorb constants: they are in full precision, and it does not pad."""
    bias = quantized.tensors.get(f"{place}.bias")
    return bias is not None and bias.grid is None and not getattr(plan.layer, "same", False)


def _constants(quantized: QuantizedModel, plans: Sequence[LayerPlan], group: ChannelGroup) -> dict[int, Doubles]:
    """Return each channel's constant value in every output of a group, NaN if it varies: float64 [channels]."""
    constants: dict[int, Doubles] = {}
    for place in group.places:
        plan = plans[place]
        tensors = {
            part: values_of(quantized.tensors[f"{place}.{part}"]).astype(np.float64)
            for part in ("weight", "bias", "mean", "variance")
            if f"{place}.{part}" in quantized.tensors
        }
        given = [np.full(plan.output_shape[0], np.nan)] if is_mixing(plan) else [constants[i] for i in plan.inputs]
        constants[place] = _through(plan, tensors, *given)
    return constants


def _through(plan: LayerPlan, tensors: Mapping[str, Doubles], constant: Doubles, *others: Doubles) -> Doubles:
    """Return the constants after one layer; NaN stays NaN."""
    layer = plan.layer
    match layer:
        case Conv() | Pointwise() | Dense() | Depthwise():
            return _activated(layer, _sums(plan, tensors, constant))
        case BatchNorm():
            scale = tensors["weight"]
            scaled = (constant - tensors["mean"]) * scale / np.sqrt(tensors["variance"] + BATCH_NORM_EPSILON)
            return _activated(layer, np.where(scale == 0, 0.0, scaled) + tensors["bias"])
        case PReLU():
            sloped: Doubles = np.where(constant < 0, tensors["weight"] * constant, constant)
            return sloped
        case CReLU():
            doubled: Doubles = np.maximum(np.concatenate([constant, -constant]), 0.0)
            return doubled
        case Add():
            return _activated(layer, constant + others[0])
    return constant


def _sums(plan: LayerPlan, tensors: Mapping[str, Doubles], constant: Doubles) -> Doubles:
    """Return the constants before the activation of a layer with weights; one that mixes has them where all are 0."""
    rows = tensors["weight"].reshape(len(tensors["weight"]), -1)
    rows = rows[np.arange(len(constant)) % len(rows)]
    sums = constant * rows.sum(axis=1) if isinstance(plan.layer, Depthwise) else np.full(len(constant), np.nan)
    if getattr(plan.layer, "same", False):
        sums = np.where(constant == 0, 0.0, np.nan)
    made: Doubles = np.where(rows.any(axis=1), sums, 0.0)
    if "bias" in tensors:
        made = made + tensors["bias"]
    return made


def _activated(layer: Conv | Pointwise | Dense | Depthwise | BatchNorm | Add, sums: Doubles) -> Doubles:
    made: Doubles = np.minimum(np.where(sums < 0, layer.slope * sums, sums), layer.ceiling)
    return made
