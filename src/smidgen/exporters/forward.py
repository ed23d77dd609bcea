"""Computes the output of every layer in NumPy, from which the integer C export takes the ranges of the values.

The engines could compute prefixes of the network instead, but they add up in another order, which also depends on the
instruction set: the last digits of the ranges would change, and with them the exported files.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from smidgen.model import QuantizedModel, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    Pointwise,
    PReLU,
)
from smidgen.spec.input import IMAGE_BYTES
from smidgen.spec.layers import NO_CEILING
from smidgen.spec.placing import same_padding

Floats = npt.NDArray[np.float32]


def layer_outputs(quantized: QuantizedModel, images: npt.NDArray[np.uint8] | Floats) -> Iterator[Floats]:
    """Yield the output of each layer, with repeats written out: float32 [n, channels, height, width].

    Args:
        quantized: the network.
        images: uint8, or float32 as the layers read it, [n, channels, height, width].
    """
    given = images.astype(np.float32)
    values: dict[int, Floats] = {-1: given / np.float32(255) if images.dtype == np.uint8 else given}
    for place, plan in enumerate(quantized.spec.plan(quantized.input_shape)):
        maps = [values[index] for index in plan.inputs]
        values[place] = _layer(plan, arrays_of(quantized, place, plan), *maps)
        yield values[place]


def reads_bytes(quantized: QuantizedModel) -> bool:
    """Return whether a network reads images in bytes, as one does whose file does not say what it reads."""
    return not quantized.input.is_stated or quantized.input.kind == IMAGE_BYTES


def arrays_of(quantized: QuantizedModel, place: int, plan: LayerPlan) -> dict[str, Floats]:
    """Return a layer's tensors by the last part of their names: weight, bias, mean, variance."""
    first = f"{place if plan.source is None else plan.source}."
    return {
        name.removeprefix(first): values_of(tensor)
        for name, tensor in quantized.tensors.items()
        if name.startswith(first)
    }


def affine_of(arrays: dict[str, Floats]) -> tuple[Floats, Floats]:
    """Return a batch norm as a factor and an offset per channel."""
    factor = arrays["weight"].astype(np.float64) / np.sqrt(arrays["variance"].astype(np.float64) + BATCH_NORM_EPSILON)
    shift = arrays["bias"] - arrays["mean"] * factor
    return factor.astype(np.float32), shift.astype(np.float32)


def _layer(plan: LayerPlan, arrays: dict[str, Floats], maps: Floats, *others: Floats) -> Floats:
    match plan.layer:
        case Conv() | Pointwise() | Depthwise():
            made = _convolved(plan, arrays["weight"], maps)
        case Dense():
            made = (maps.reshape(len(maps), -1) @ arrays["weight"].T)[:, :, None, None]
        case MaxPool(window, stride) | AvgPool(window, stride):
            windows = _windows(maps, window, stride)
            pooled: Floats = windows.max((4, 5)) if isinstance(plan.layer, MaxPool) else windows.mean((4, 5))
            return pooled
        case GlobalAvgPool():
            means: Floats = maps.mean((2, 3), keepdims=True)
            return means
        case BatchNorm():
            factor, shift = affine_of(arrays)
            made = maps * factor[:, None, None] + shift[:, None, None]
        case PReLU():
            return np.where(maps < 0, maps * arrays["weight"][:, None, None], maps)
        case CReLU():
            both: Floats = np.maximum(np.concatenate([maps, -maps], axis=1), np.float32(0))
            return both
        case Add():
            made = maps + others[0]
        case _:
            return maps
    if plan.bias_count and not isinstance(plan.layer, BatchNorm):
        made = made + arrays["bias"][:, None, None]
    return _activated(plan, made)


def _activated(plan: LayerPlan, made: Floats) -> Floats:
    slope, ceiling = activation_of(plan)
    activated: Floats = np.where(made < 0, made * np.float32(slope), made)
    return activated if ceiling == NO_CEILING else np.minimum(activated, np.float32(ceiling))


def _windows(maps: Floats, window: tuple[int, int], stride: tuple[int, int]) -> Floats:
    """Return the windows of maps: [n, channels, rows, columns, window rows, window columns]."""
    windows: Floats = sliding_window_view(maps, window, (2, 3))[:, :, :: stride[0], :: stride[1]]
    return windows


def _convolved(plan: LayerPlan, weight: Floats, maps: Floats) -> Floats:
    padded = np.pad(maps, ((0, 0), (0, 0), *paddings(plan)))
    windows = _windows(padded, weight.shape[2:], stride_of(plan))
    made: Floats
    if isinstance(plan.layer, Depthwise):
        made = np.einsum("ncyxij,cij->ncyx", windows, weight[kernels_of(plan), 0], optimize=True)
    else:
        made = np.einsum("ncyxij,ocij->noyx", windows, weight, optimize=True)
    return made


def activation_of(plan: LayerPlan) -> tuple[float, float]:
    """Return the slope below zero and the ceiling of a layer's activation."""
    return getattr(plan.layer, "slope", LINEAR), getattr(plan.layer, "ceiling", NO_CEILING)


def stride_of(plan: LayerPlan) -> tuple[int, int]:
    """Return the rows and columns from one output of a layer to the next."""
    stride: tuple[int, int] = getattr(plan.layer, "stride", (1, 1))
    return stride


def paddings(plan: LayerPlan) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zeros (above, below) and (left, right) of a layer's input."""
    if not getattr(plan.layer, "same", False):
        return (0, 0), (0, 0)
    sides = zip(plan.input_shape[1:], plan.weight_shape[2:], stride_of(plan), strict=True)
    rows, columns = (same_padding(*side) for side in sides)
    return rows, columns


def kernels_of(plan: LayerPlan) -> npt.NDArray[np.intp]:
    """Return the kernel that each channel of a depthwise layer uses."""
    return np.arange(plan.input_shape[0]) % plan.weight_shape[0]
