"""Batch norms multiplied into the layers before them: the same network with four tensors less for each.

A batch norm is x -> (x - mean) * scale / sqrt(variance + epsilon) + shift, a multiple and a sum for each channel
(Jacob et al. 2018, arXiv 1712.05877, section 3.2). After a linear layer both go into its weights and biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.modelfile import Model, named_arrays
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    Layer,
    NetSpec,
    Pointwise,
    Repeat,
)


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
    layer: Layer, arrays: Sequence[npt.NDArray[np.float32]], norm: BatchNorm, moments: Sequence[npt.NDArray[np.float32]]
) -> tuple[Layer, list[npt.NDArray[np.float32]]]:
    """weight * factor and (bias - mean) * factor + shift, in float64 and rounded once."""
    assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
    scale, shift, mean, variance = (moment.astype(np.float64) for moment in moments)
    weight = arrays[0].astype(np.float64)
    bias = arrays[1].astype(np.float64) if layer.bias else np.zeros(len(weight))
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    new_weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias = (bias - mean) * factor + shift
    made = replace(layer, slope=norm.slope, bias=True)
    return made, [new_weight.astype(np.float32), new_bias.astype(np.float32)]
