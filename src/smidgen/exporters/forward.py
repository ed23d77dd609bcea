"""Computes the output of every layer in NumPy, from which the integer C export takes the ranges of the values.

The engines could compute prefixes of the network instead, but they add up in another order, which also depends on the
instruction set: the last digits of the ranges would change, and with them the exported files.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from smidgen.errors import RequestError
from smidgen.model import QuantizedModel, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    is_first_language,
)

Floats = npt.NDArray[np.float32]


def layer_outputs(quantized: QuantizedModel, images: npt.NDArray[np.uint8]) -> Iterator[Floats]:
    """Yield the output of each layer, with repeats written out: float32 [n, channels, height, width].

    Args:
        quantized: the network.
        images: uint8 [n, channels, height, width].
    """
    check_layers(quantized.spec)
    maps: Floats = images.astype(np.float32) / np.float32(255)
    for place, plan in enumerate(quantized.spec.plan(quantized.input_shape)):
        maps = _layer(plan, arrays_of(quantized, place, plan), maps)
        yield maps


def check_layers(spec: NetSpec) -> None:
    """Check that the exports have code for every layer.

    Raises:
        RequestError: they have none for one of them.
    """
    if other := [layer for layer in spec.layers if not is_first_language(layer)]:
        raise RequestError(f"no export has '{other[0]}' yet; use --to safetensors")


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


def _layer(plan: LayerPlan, arrays: dict[str, Floats], maps: Floats) -> Floats:
    match plan.layer:
        case Conv() | Pointwise() | Depthwise():
            made = _convolved(plan, arrays["weight"], maps)
        case Dense():
            made = (maps.reshape(len(maps), -1) @ arrays["weight"].T)[:, :, None, None]
        case MaxPool(window, stride) | AvgPool(window, stride):
            windows = sliding_window_view(maps, window, (2, 3))[:, :, :: stride[0], :: stride[1]]
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
        case _:
            return maps
    if plan.bias_count and not isinstance(plan.layer, BatchNorm):
        made = made + arrays["bias"][:, None, None]
    slope = np.float32(getattr(plan.layer, "slope", 1.0))
    return np.where(made < 0, made * slope, made)


def _convolved(plan: LayerPlan, weight: Floats, maps: Floats) -> Floats:
    top, left = padding(plan)
    kernel = weight.shape[2:]
    around = ((top, kernel[0] - 1 - top), (left, kernel[1] - 1 - left)) if pads(plan) else ((0, 0), (0, 0))
    windows = sliding_window_view(np.pad(maps, ((0, 0), (0, 0), *around)), kernel, (2, 3))
    made: Floats
    if isinstance(plan.layer, Depthwise):
        made = np.einsum("ncyxij,cij->ncyx", windows, weight[:, 0], optimize=True)
    else:
        made = np.einsum("ncyxij,ocij->noyx", windows, weight, optimize=True)
    return made


def pads(plan: LayerPlan) -> bool:
    """Return whether a layer pads its input with zeros."""
    return bool(getattr(plan.layer, "same", False))


def padding(plan: LayerPlan) -> tuple[int, int]:
    """Return the rows of padding above and the columns to the left; (0, 0) without padding."""
    if not pads(plan):
        return 0, 0
    return (plan.weight_shape[2] - 1) // 2, (plan.weight_shape[3] - 1) // 2
