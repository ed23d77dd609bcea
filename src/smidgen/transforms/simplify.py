"""Batch norms multiplied into the layers before them: the same network with four tensors less for each.

A batch norm is x -> (x - mean) * scale / sqrt(variance + epsilon) + shift, a multiple and a sum for each channel
(Jacob et al. 2018, arXiv 1712.05877, section 3.2). After a linear layer both go into its weights and biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smidgen.model import Model, QuantizedModel, Tensor, full_precision, named_arrays, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    Layer,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
)
from smidgen.transforms.channels import _mixing, without_channels
from smidgen.transforms.prune import Mask

Floats = npt.NDArray[np.float32]


def fold_batch_norm(model: Model) -> Model:
    """The same function with dropouts gone, and each batch norm that follows a linear layer folded into it.

    What is left alone: a batch norm after an activation, a pool or the input, and all that is in a repeat, where
    each round has a batch norm of its own.
    """
    groups = _groups(model)
    layers: list[Layer] = []
    kept: list[list[npt.NDArray[np.float32]]] = []
    for layer, arrays in groups:
        if isinstance(layer, Dropout):
            continue
        if isinstance(layer, BatchNorm) and layers and _takes(layers[-1]):
            layers[-1], kept[-1] = _folded(layers[-1], kept[-1], layer, arrays)
        else:
            layers.append(layer)
            kept.append(arrays)
    flat = [array.ravel() for arrays in kept for array in arrays]
    weights = np.concatenate(flat, dtype=np.float32) if flat else np.zeros(0, np.float32)
    return replace(model, spec=NetSpec(tuple(layers)), weights=weights)


def _groups(model: Model) -> list[tuple[Layer, list[npt.NDArray[np.float32]]]]:
    """Each layer of the text with its tensors, those of a repeat together."""
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    groups, place = [], 0
    for layer in model.spec.layers:
        places = layer.times * len(layer.layers) if isinstance(layer, Repeat) else 1
        names = [name for name in arrays if place <= int(name.partition(".")[0]) < place + places]
        groups.append((layer, [arrays[name] for name in names]))
        place += places
    return groups


def _takes(layer: Layer) -> bool:
    return isinstance(layer, Conv | Depthwise | Pointwise | Dense) and layer.slope == LINEAR


def _folded(
    layer: Layer,
    arrays: Sequence[npt.NDArray[np.float32]],
    norm: BatchNorm,
    running_stats: Sequence[npt.NDArray[np.float32]],
) -> tuple[Layer, list[npt.NDArray[np.float32]]]:
    """weight * factor and (bias - mean) * factor + shift, in float64 and rounded once."""
    assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
    scale, shift, mean, variance = (running_stat.astype(np.float64) for running_stat in running_stats)
    weight = arrays[0].astype(np.float64)
    bias = arrays[1].astype(np.float64) if layer.bias else np.zeros(len(weight))
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    new_weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias = (bias - mean) * factor + shift
    made = replace(layer, slope=norm.slope, bias=True)
    return made, [new_weight.astype(np.float32), new_bias.astype(np.float32)]


def without_constant_inputs(model: Model, images: npt.NDArray[np.uint8] | Floats) -> tuple[Model, Mask]:
    """The network with the weights from inputs that are the same in all images zero, and which ones those are.

    What they added goes into the biases, so on these images it is the same function (to rounding, exact where the
    constant is zero). For a network that begins with a dense layer, after pools and dropouts at most; any other is
    left as it is.
    images: of the training split, uint8 (read as value / 255) or float32 [n, channels, height, width]
    """
    mask, weights = np.zeros(model.weights.shape, np.bool_), model.weights.copy()
    plans = model.spec.plan(model.input_shape)
    first = next(place for place, plan in enumerate(plans) if not isinstance(plan.layer, MaxPool | AvgPool | Dropout))
    layer = plans[first].layer
    if not isinstance(layer, Dense):
        return model, mask
    low, high = (_pooled(plans[:first], _as_values(end)) for end in (images.min(axis=0), images.max(axis=0)))
    constant = (low == high) & (layer.bias | (low == 0))
    arrays = named_arrays(model.spec, model.input_shape, weights)
    matrix = arrays[f"{first}.weight"]
    if layer.bias:
        arrays[f"{first}.bias"][:] += matrix[:, constant].astype(np.float64) @ low[constant]
    matrix[:, constant] = 0
    mask[: matrix.size] = np.broadcast_to(constant, matrix.shape).ravel()
    return replace(model, weights=weights), mask


def _as_values(image: npt.NDArray[np.uint8] | Floats) -> Floats:
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image.astype(np.float32)


def _pooled(plans: Sequence[LayerPlan], image: Floats) -> Floats:
    """One image after these pools, flat. A pool never falls where its input rises: bounds stay bounds."""
    for plan in plans:
        if isinstance(plan.layer, MaxPool | AvgPool):
            size, (channels, height, width) = plan.layer.size, plan.output_shape
            cut = image[:, : height * size, : width * size].reshape(channels, height, size, width, size)
            image = cut.max(axis=(2, 4)) if isinstance(plan.layer, MaxPool) else cut.mean(axis=(2, 4))
    return image.reshape(-1)


def without_dead_channels(quantized: QuantizedModel) -> QuantizedModel:
    """The same function without the channels that nothing reads, and without those that never change.

    A channel that never changes goes where what it adds is nothing, or where that can move into the next biases: they
    are in full precision, and no padding of zeros comes between. What goes may leave others dead, so again until none
    is. A network with a repeat is left as it is.
    """
    if any(isinstance(layer, Repeat) for layer in quantized.spec.layers):
        return quantized
    plans = quantized.spec.plan(quantized.input_shape)
    for first, last in pairwise(_mixing(plans)):
        dead, tensors = _dead(quantized, plans, first, last)
        if dead:
            return without_dead_channels(without_channels(replace(quantized, tensors=tensors), {first: dead}))
    return quantized


def _dead(
    quantized: QuantizedModel, plans: Sequence[LayerPlan], first: int, last: int
) -> tuple[list[int], dict[str, Tensor]]:
    """Which of the channels between two mixing layers can go, all but one at most, and the tensors without them."""
    weight, channels = values_of(quantized.tensors[f"{last}.weight"]), plans[last].input_shape[0]
    reading = weight.astype(np.float64).reshape(len(weight), channels, -1)
    constant = _constant(quantized, plans, first, last)
    unread = ~reading.any(axis=(0, 2))
    silent = constant == 0
    moved = ~np.isnan(constant) & _takes_constants(quantized, plans[last], last)
    dead = np.flatnonzero(unread | silent | moved)[: channels - 1]
    moved &= np.isin(np.arange(channels), dead)
    tensors = dict(quantized.tensors)
    if moved.any():
        added = reading[:, moved].sum(axis=2) @ constant[moved]
        tensors[f"{last}.bias"] = full_precision((values_of(tensors[f"{last}.bias"]) + added).astype(np.float32))
    return dead.tolist(), tensors


def _takes_constants(quantized: QuantizedModel, plan: LayerPlan, place: int) -> bool:
    """Whether a constant can move into this layer's biases: they are in full precision, and nothing is padded."""
    bias = quantized.tensors.get(f"{place}.bias")
    return bias is not None and bias.grid is None and not getattr(plan.layer, "same", False)


def _constant(quantized: QuantizedModel, plans: Sequence[LayerPlan], first: int, last: int) -> npt.NDArray[np.float64]:
    """The one value of each channel that the layer `last` is given, NaN where it changes: float64 [channels]."""
    constant = np.full(plans[first].output_shape[0], np.nan)
    for place in range(first, last):
        tensors = {
            part: values_of(quantized.tensors[f"{place}.{part}"]).astype(np.float64)
            for part in ("weight", "bias", "mean", "variance")
            if f"{place}.{part}" in quantized.tensors
        }
        constant = _through(plans[place], tensors, constant)
    return constant


def _through(
    plan: LayerPlan, tensors: Mapping[str, npt.NDArray[np.float64]], constant: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The constants after one layer; NaN goes through as NaN."""
    layer, bias = plan.layer, tensors.get("bias", np.zeros(len(constant)))
    if isinstance(layer, Conv | Pointwise | Dense | Depthwise):
        rows = tensors["weight"].reshape(len(constant), -1)
        sums = np.full(len(constant), np.nan) if not isinstance(layer, Depthwise) else constant * rows.sum(axis=1)
        if getattr(layer, "same", False):
            sums = np.where(constant == 0, 0.0, np.nan)
        sums = np.where(rows.any(axis=1), sums, 0.0) + bias
        return np.where(sums < 0, layer.slope * sums, sums)
    if isinstance(layer, BatchNorm):
        scaled = (constant - tensors["mean"]) * tensors["weight"] / np.sqrt(tensors["variance"] + BATCH_NORM_EPSILON)
        sums = np.where(tensors["weight"] == 0, 0.0, scaled) + bias
        return np.where(sums < 0, layer.slope * sums, sums)
    if isinstance(layer, PReLU):
        return np.where(constant < 0, tensors["weight"] * constant, constant)
    return constant
