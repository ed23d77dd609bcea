"""Make a network smaller without changing its function: fold batch norms, drop constant inputs.

A batch norm is x -> (x - mean) * scale / sqrt(variance + epsilon) + shift: a factor and an offset per channel (Jacob et
al. 2018, arXiv 1712.05877, section 3.2), which the weights and biases of a linear layer before it can absorb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from smidgen.model import Model, named_arrays
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    AvgPool,
    BatchNorm,
    Dense,
    Depthwise,
    Dropout,
    Layer,
    LayerPlan,
    MaxPool,
    NetSpec,
    Residual,
    is_linear,
    is_weighted,
    planned_count,
)
from smidgen.transforms.prune import Mask

Floats = npt.NDArray[np.float32]


def fold_batch_norm(model: Model) -> Model:
    """Fold each batch norm that follows a linear layer into that layer, and remove dropouts.

    A batch norm after an activation, a pool, a sum or the input stays, and so do one after a convolution with shared
    kernels and everything in a repeat, where each round has a batch norm of its own.
    """
    groups: list[list[Floats]] = [[] for _ in model.spec.plan(model.input_shape)]
    for name, array in named_arrays(model.spec, model.input_shape, model.weights).items():
        groups[int(name.partition(".")[0])].append(array)
    layers, kept = _without_norms(model.spec.layers, iter(groups))
    weights = np.concatenate([array.ravel() for array in kept], dtype=np.float32) if kept else np.zeros(0, np.float32)
    return replace(model, spec=NetSpec(layers), weights=weights)


def _without_norms(layers: tuple[Layer, ...], arrays: Iterator[list[Floats]]) -> tuple[tuple[Layer, ...], list[Floats]]:
    """Return the layers without their foldable batch norms and without dropouts, and all their tensors in order.

    Args:
        layers: of the network, or of one list within it.
        arrays: the tensors of each planned layer, from the first of `layers` on.
    """
    made: list[Layer] = []
    kept: list[list[Floats]] = []
    for layer in layers:
        folded, own = _layer_without_norms(layer, arrays)
        if isinstance(folded, Dropout) and len(layers) > 1:
            continue
        if isinstance(folded, BatchNorm) and made and _can_absorb(made[-1]):
            made[-1], kept[-1] = _folded(made[-1], kept[-1], folded, own)
        else:
            made.append(folded)
            kept.append(own)
    return tuple(made), [array for own in kept for array in own]


def _layer_without_norms(layer: Layer, arrays: Iterator[list[Floats]]) -> tuple[Layer, list[Floats]]:
    if isinstance(layer, Residual):
        block, own = _without_norms(layer.layers, arrays)
        shortcut, beside = _without_norms(layer.shortcut, arrays)
        next(arrays)  # the add, which has none
        return replace(layer, layers=block, shortcut=shortcut), own + beside
    return layer, [array for _ in range(planned_count(layer)) for array in next(arrays)]


def _can_absorb(layer: Layer) -> bool:
    if isinstance(layer, Depthwise) and layer.shared:
        return False
    return is_linear(layer)


def _folded(
    layer: Layer,
    arrays: Sequence[npt.NDArray[np.float32]],
    norm: BatchNorm,
    tensors: Sequence[npt.NDArray[np.float32]],
) -> tuple[Layer, list[npt.NDArray[np.float32]]]:
    """Return weight * factor and (bias - mean) * factor + shift, in float64 and rounded once."""
    assert is_weighted(layer)
    scale, shift, mean, variance = (tensor.astype(np.float64) for tensor in tensors)
    weight = arrays[0].astype(np.float64)
    bias = arrays[1].astype(np.float64) if layer.bias else np.zeros(len(weight))
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    new_weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias = (bias - mean) * factor + shift
    made = replace(layer, slope=norm.slope, ceiling=norm.ceiling, bias=True)
    return made, [new_weight.astype(np.float32), new_bias.astype(np.float32)]


def without_constant_inputs(model: Model, images: npt.NDArray[np.uint8] | Floats) -> tuple[Model, Mask]:
    """Zero the first dense layer's weights for inputs that are the same in all images.

    The biases absorb what these inputs contributed, so the function is the same on these images (up to rounding;
    exactly where the constant is zero). A network that does not begin with a dense layer, after pools and dropouts at
    most, or that repeats this layer, is returned unchanged.

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
    if not isinstance(layer, Dense) or any(plan.source == first for plan in plans):
        return model, mask
    low, high = (_pooled(plans[:first], _as_values(end)) for end in (images.min(axis=0), images.max(axis=0)))
    constant = (low == high) & (layer.bias | (low == 0))
    arrays = named_arrays(model.spec, model.input_shape, weights)
    matrix = arrays[f"{first}.weight"]
    if layer.bias:
        arrays[f"{first}.bias"][:] += (matrix[:, constant].astype(np.float64) * low[constant]).sum(axis=1)
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
