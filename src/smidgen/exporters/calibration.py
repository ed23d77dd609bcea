"""The ranges of a network's values, and its weights in bytes: for the forms that compute with whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.exporters.forward import layer_outputs
from smidgen.model import QuantizedModel, Uniform, values_of
from smidgen.spec import LayerPlan

CALIBRATION_INPUTS = 512
MAX_LEVEL = 127
SHARES, SAMPLE = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), 100_000
"""Fractions of a map's full range that are tried as the range of its bytes, and the values on which they are tried."""

LOGIT_SHARES = (*SHARES, 0.25, 0.0)
"""Fractions of the logits' range below zero that are tried."""

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """Affine quantization of a map: a byte q from -128 to 127 stands for (q - zero) * step."""

    step: float
    zero: int


BYTES = Affine(1 / 255, -128)
"""An image's bytes less 128."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Integer weights in the tensor's shape, the step of each row [rows], and the real-valued biases [rows].

    There are as many kernels as rows, or fewer where channels share them: row r uses kernel r modulo their number.
    """

    levels: npt.NDArray[np.int64]
    steps: Doubles
    bias: Doubles


def range_of(maps: Floats) -> Affine:
    """Choose the range of least squared error, which may clip a few outliers.

    Zero is represented exactly, because padding and ReLU produce many zeros.
    """
    flat = maps.ravel()[:: max(1, maps.size // SAMPLE)].astype(np.float64)
    lowest, highest = min(0.0, float(maps.min())), max(0.0, float(maps.max()))
    ranges = [affine_between(share * lowest, share * highest) for share in SHARES]
    return min(ranges, key=lambda values: float(((_rounded(flat, values) - flat) ** 2).sum()))


def range_of_logits(logits: Floats) -> Affine:
    """Choose the range that changes the fewest classes, and among such ranges that of least squared error.

    What matters of a logit is whether it is the largest, so the low ones may all become one value.

    Args:
        logits: [n, classes], or [n, 1] of a network whose one output for two classes is compared with zero.
    """
    flat, wanted = logits.ravel().astype(np.float64), _classes(logits)
    lowest, highest = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
    ranges = [affine_between(low * lowest, high * highest) for low in LOGIT_SHARES for high in SHARES]

    def loss(values: Affine) -> tuple[int, float]:
        rounded = _rounded(flat, values)
        differing = int((_classes(rounded.reshape(logits.shape)) != wanted).sum())
        return differing, float(((rounded - flat) ** 2).sum())

    return min(ranges, key=loss)


def _classes(logits: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    return logits.argmax(axis=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(np.intp)


def map_ranges(quantized: QuantizedModel, inputs: npt.NDArray[Any], keeping: tuple[type, ...]) -> list[Affine]:
    """Return the quantization of the input and of each layer's output.

    Args:
        quantized: The network.
        inputs: [n, channels, height, width] as the layers read them.
        keeping: The kinds of layers whose output has the quantization of their input. A mean over a whole map is not
            one of them: means differ far less than the values do, and in the input's steps most would be equal.
    """
    found = [BYTES if inputs.dtype == np.uint8 else range_of(inputs)]
    plans = quantized.spec.plan(quantized.input_shape)
    for plan, maps in zip(plans, layer_outputs(quantized, inputs), strict=True):
        keeps = isinstance(plan.layer, keeping)
        found.append(found[plan.inputs[0] + 1] if keeps else range_of(maps))
    if not isinstance(plans[-1].layer, keeping):
        found[-1] = range_of_logits(maps.reshape(len(maps), -1))
    return found


def affine_between(lowest: float, highest: float) -> Affine:
    """Return the quantization whose bytes reach from the lowest to the highest value."""
    step = (highest - lowest) / 255 or 1.0
    return Affine(step, round(-128 - lowest / step))


def _rounded(flat: Doubles, values: Affine) -> Doubles:
    """Return the values after rounding to bytes."""
    rounded: Doubles = np.clip(np.rint(flat / values.step) + values.zero, -128, 127)
    return (rounded - values.zero) * values.step


def rows_of(
    quantized: QuantizedModel,
    own: int,
    plan: LayerPlan,
    channel_steps: Doubles | None = None,
    channel_middles: Doubles | None = None,
) -> Rows:
    """Return the file's own levels if they fit in a byte, else round to a step per row.

    Args:
        quantized: The network.
        own: The place whose tensors the layer uses.
        plan: The layer.
        channel_steps: What the weights of each channel of the input are multiplied by; None for nothing.
        channel_middles: The value of each channel of the input that is added to a level's.
    """
    tensor = quantized.tensors[f"{own}.weight"]
    kernels, channels = len(tensor.levels), plan.output_shape[0]
    values = values_of(tensor).astype(np.float64)
    bias = values_of(quantized.tensors[f"{own}.bias"]) if plan.bias_count else np.zeros(channels)
    if channel_steps is not None and channel_middles is not None:
        values, moved = _folded(values, plan, channel_steps, channel_middles)
        bias = bias + moved[np.arange(channels) % len(moved)]
    elif isinstance(tensor.grid, Uniform) and np.abs(tensor.levels).max(initial=0) <= MAX_LEVEL:
        steps = np.broadcast_to(tensor.grid.steps.astype(np.float64), kernels)
        return Rows(tensor.levels.astype(np.int64), steps[np.arange(channels) % kernels], bias.astype(np.float64))
    steps = np.abs(values).reshape(len(values), -1).max(axis=1) / MAX_LEVEL
    steps = np.where(steps == 0, 1.0, steps)
    levels = np.rint(values / steps.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int64)
    return Rows(levels, steps[np.arange(channels) % len(values)], bias.astype(np.float64))


def _folded(values: Doubles, plan: LayerPlan, steps: Doubles, middles: Doubles) -> tuple[Doubles, Doubles]:
    """Take the steps of the input's channels into the weights, and what is added to its levels into the biases."""
    shaped = values.reshape(len(values), *plan.input_shape) if values.ndim == 2 else values
    made = shaped * steps[:, None, None]
    return made.reshape(values.shape), (shaped * middles[:, None, None]).sum((1, 2, 3))
