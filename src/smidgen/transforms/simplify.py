"""Make a network smaller without changing its function: fold batch norms, drop constant inputs and dead channels.

A batch norm is x -> (x - mean) * scale / sqrt(variance + epsilon) + shift: a factor and an offset per channel (Jacob et
al. 2018, arXiv 1712.05877, section 3.2), which the weights and biases of a linear layer before it can absorb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

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
from smidgen.transforms.channels import has_repeat, mixing_layers, without_channels
from smidgen.transforms.prune import Mask

Floats = npt.NDArray[np.float32]


def fold_batch_norm(model: Model) -> Model:
    """Fold each batch norm that follows a linear layer into that layer, and remove dropouts.

    A batch norm after an activation, a pool or the input stays, and so does everything in a repeat, where each round
    has a batch norm of its own.
    """
    groups = _groups(model)
    layers: list[Layer] = []
    kept: list[list[npt.NDArray[np.float32]]] = []
    for layer, arrays in groups:
        if isinstance(layer, Dropout):
            continue
        if isinstance(layer, BatchNorm) and layers and _can_absorb(layers[-1]):
            layers[-1], kept[-1] = _folded(layers[-1], kept[-1], layer, arrays)
        else:
            layers.append(layer)
            kept.append(arrays)
    flat = [array.ravel() for arrays in kept for array in arrays]
    weights = np.concatenate(flat, dtype=np.float32) if flat else np.zeros(0, np.float32)
    return replace(model, spec=NetSpec(tuple(layers)), weights=weights)


def _groups(model: Model) -> list[tuple[Layer, list[npt.NDArray[np.float32]]]]:
    """Pair each layer of the spec with its tensors; a repeat has those of all its rounds."""
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    groups, place = [], 0
    for layer in model.spec.layers:
        places = layer.times * len(layer.layers) if isinstance(layer, Repeat) else 1
        names = [name for name in arrays if place <= int(name.partition(".")[0]) < place + places]
        groups.append((layer, [arrays[name] for name in names]))
        place += places
    return groups


def _can_absorb(layer: Layer) -> bool:
    return isinstance(layer, Conv | Depthwise | Pointwise | Dense) and layer.slope == LINEAR


def _folded(
    layer: Layer,
    arrays: Sequence[npt.NDArray[np.float32]],
    norm: BatchNorm,
    tensors: Sequence[npt.NDArray[np.float32]],
) -> tuple[Layer, list[npt.NDArray[np.float32]]]:
    """Return weight * factor and (bias - mean) * factor + shift, in float64 and rounded once."""
    assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
    scale, shift, mean, variance = (tensor.astype(np.float64) for tensor in tensors)
    weight = arrays[0].astype(np.float64)
    bias = arrays[1].astype(np.float64) if layer.bias else np.zeros(len(weight))
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    new_weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias = (bias - mean) * factor + shift
    made = replace(layer, slope=norm.slope, bias=True)
    return made, [new_weight.astype(np.float32), new_bias.astype(np.float32)]


def without_constant_inputs(model: Model, images: npt.NDArray[np.uint8] | Floats) -> tuple[Model, Mask]:
    """Zero the first dense layer's weights for inputs that are the same in all images.

    The biases absorb what these inputs contributed, so the function is the same on these images (up to rounding;
    exactly where the constant is zero). A network that does not begin with a dense layer, after pools and dropouts at
    most, is returned unchanged.

    Args:
        model: the network.
        images: of the training split: uint8 (read as value / 255) or float32 [n, channels, height, width].

    Returns:
        The network, and a mask of the weights that are now zero: bool [weights].
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
    """Return one image after these pools, flat. Pools are monotonic, so bounds of the input give bounds here."""
    for plan in plans:
        if isinstance(plan.layer, MaxPool | AvgPool):
            (rows, columns), (step_y, step_x) = plan.layer.window, plan.layer.stride
            windows = sliding_window_view(image, (rows, columns), (1, 2))[:, ::step_y, ::step_x]
            image = windows.max((3, 4)) if isinstance(plan.layer, MaxPool) else windows.mean((3, 4))
    return image.reshape(-1)


def without_dead_channels(quantized: QuantizedModel) -> QuantizedModel:
    """Remove the channels that no layer reads and those that are constant; the function stays the same.

    A constant channel can be removed if it is zero, or if the next layer's biases can absorb it: they are in full
    precision, and the layer does not pad. Removing channels can leave others dead, so this repeats until none is.
    A network with a repeat is returned unchanged.
    """
    if has_repeat(quantized.spec):
        return quantized
    plans = quantized.spec.plan(quantized.input_shape)
    for first, last in pairwise(mixing_layers(plans)):
        dead, tensors = _dead(quantized, plans, first, last)
        if dead:
            return without_dead_channels(without_channels(replace(quantized, tensors=tensors), {first: dead}))
    return quantized


def _dead(
    quantized: QuantizedModel, plans: Sequence[LayerPlan], first: int, last: int
) -> tuple[list[int], dict[str, Tensor]]:
    """Return the removable channels between two mixing layers (never all), and the tensors with updated biases."""
    weight, channels = values_of(quantized.tensors[f"{last}.weight"]), plans[last].input_shape[0]
    reading = weight.astype(np.float64).reshape(len(weight), channels, -1)
    constant = _constant(quantized, plans, first, last)
    unread = ~reading.any(axis=(0, 2))
    silent = constant == 0
    absorbed = ~np.isnan(constant) & _absorbs_constants(quantized, plans[last], last)
    dead = np.flatnonzero(unread | silent | absorbed)[: channels - 1]
    absorbed &= np.isin(np.arange(channels), dead)
    tensors = dict(quantized.tensors)
    if absorbed.any():
        added = reading[:, absorbed].sum(axis=2) @ constant[absorbed]
        tensors[f"{last}.bias"] = full_precision((values_of(tensors[f"{last}.bias"]) + added).astype(np.float32))
    return dead.tolist(), tensors


def _absorbs_constants(quantized: QuantizedModel, plan: LayerPlan, place: int) -> bool:
    """Return whether a layer's biases can absorb constants: they are in full precision, and it does not pad."""
    bias = quantized.tensors.get(f"{place}.bias")
    return bias is not None and bias.grid is None and not getattr(plan.layer, "same", False)


def _constant(quantized: QuantizedModel, plans: Sequence[LayerPlan], first: int, last: int) -> npt.NDArray[np.float64]:
    """Return each channel's constant value at the input of layer `last`, NaN if it varies: float64 [channels]."""
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
    """Return the constants after one layer; NaN stays NaN."""
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
