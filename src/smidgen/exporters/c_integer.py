"""The integer form of the C export (Jacob et al. 2018, arXiv 1712.05877, section 2).

A byte q of a map stands for (q - zero) * step; both are chosen from the values that training images give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.c_text import Parts, array, dims, whole_kernel
from smidgen.exporters.forward import affine_of, arrays_of, layer_outputs, padding
from smidgen.model import QuantizedModel, Uniform, values_of
from smidgen.spec import AvgPool, BatchNorm, Dense, Depthwise, Dropout, GlobalAvgPool, LayerPlan, MaxPool, PReLU

CALIBRATION_IMAGES = 512
MAX_LEVEL = 127
SHARES, SAMPLE = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), 100_000
"""Fractions of a map's full range that are tried as the range of its bytes, and the values on which they are tried."""
FACTOR_BITS = 14
"""Bits of the factor of a batch norm or PReLU, without its sign."""
SHIFT_BITS = 24
"""Bits of the offset of a batch norm."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Affine:
    """Affine quantization of a map: a byte q from -128 to 127 stands for (q - zero) * step."""

    step: float
    zero: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """Integer weights [rows, columns], the step of each row [rows], and the real-valued biases [rows]."""

    levels: Ints
    steps: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def integer_parts(quantized: QuantizedModel, images: npt.NDArray[np.uint8]) -> Parts:
    """Build the parts of the integer source.

    Args:
        quantized: the network.
        images: uint8 [n, channels, height, width] of the training split; the first 512 set the ranges.

    Raises:
        RequestError: a layer has so many weights that its sums do not fit in 32 bits.
    """
    parts = Parts(pixel="(int8_t)((int)image[i] - 128)")
    parts.grow("a", quantized.input_shape)
    plans = quantized.spec.plan(quantized.input_shape)
    last = max(place for place, plan in enumerate(plans) if not isinstance(plan.layer, Dropout))
    before = _Affine(1 / 255, -128)
    outputs = layer_outputs(quantized, images[:CALIBRATION_IMAGES])
    for place, (plan, maps) in enumerate(zip(plans, outputs, strict=True)):
        before = _add_layer(parts, quantized, place, plan, before, _range_of(maps), place == last)
    parts.sections.append("integer")
    used = any("logits" not in call for call in parts.calls if not call.startswith("maxpool"))
    parts.sections += ["integer clamp"] if used else []
    parts.preamble.append(f"#define CLAMPED(sum, s, row) {'clamped(sum, s, row)' if used else '0'}")
    return parts


def _range_of(maps: Floats) -> _Affine:
    """Choose the range of least squared error, which may clip a few outliers.

    Zero is represented exactly, because padding and ReLU produce many zeros.
    """
    flat = maps.ravel()[:: max(1, maps.size // SAMPLE)].astype(np.float64)
    lowest, highest = min(0.0, float(maps.min())), max(0.0, float(maps.max()))
    ranges = [_affine_between(share * lowest, share * highest) for share in SHARES]
    return min(ranges, key=lambda values: float(((_rounded(flat, values) - flat) ** 2).sum()))


def _affine_between(lowest: float, highest: float) -> _Affine:
    step = (highest - lowest) / 255 or 1.0
    return _Affine(step, round(-128 - lowest / step))


def _rounded(flat: npt.NDArray[np.float64], values: _Affine) -> npt.NDArray[np.float64]:
    """Return the values after rounding to bytes."""
    rounded: npt.NDArray[np.float64] = np.clip(np.rint(flat / values.step) + values.zero, -128, 127)
    return (rounded - values.zero) * values.step


def _add_layer(
    parts: Parts, quantized: QuantizedModel, place: int, plan: LayerPlan, before: _Affine, after: _Affine, is_last: bool
) -> _Affine:
    """Add a layer's tables and call; return the quantization of its output."""
    here, shape, logits = parts.current, dims(plan.input_shape), "logits" if is_last else "0"
    match plan.layer:
        case Dropout():
            return before
        case MaxPool((rows, columns)):
            parts.call("integer maxpool", f"maxpool({here}, {shape}, {rows}, {columns}, {before.zero}, {logits});")
            return before
        case AvgPool() | GlobalAvgPool():
            rows, columns = getattr(plan.layer, "window", plan.input_shape[1:])
            mean = _Rows(np.array([[1]]), np.array([1 / (rows * columns)]), np.zeros(1))
            scale = _scale(parts, place, mean, before, after, np.ones(1), is_last)
            window = f"{rows}, {columns}, {before.zero}, {scale}"
            parts.call("integer avgpool", f"avgpool({here}, {shape}, {window}, {logits});")
        case BatchNorm() | PReLU():
            channels, slope = _affine_rows(quantized, place, plan, before)
            _tables(parts, place, channels, before, "int32_t")
            scale = _scale(parts, place, channels, before, after, slope, is_last)
            tables = f"t{place}_weight, t{place}_bias, {before.zero}"
            parts.call("integer affine", f"affine({here}, {shape}, {tables}, {scale}, {logits});")
        case _:
            _add_convolution(parts, quantized, place, plan, before, after, is_last)
    return after


def _add_convolution(
    parts: Parts, quantized: QuantizedModel, place: int, plan: LayerPlan, before: _Affine, after: _Affine, is_last: bool
) -> None:
    """Add a convolution, or a dense layer as a convolution whose kernel is the whole map."""
    units = _rows_of(quantized, place, plan)
    slope = np.full(len(units.steps), getattr(plan.layer, "slope", 1.0))
    _tables(parts, place, units, before, "int8_t")
    scale = _scale(parts, place, units, before, after, slope, is_last)
    top, left = (0, 0) if isinstance(plan.layer, Dense) else padding(plan)
    here = parts.current
    there = here if is_last else parts.other(plan.output_shape)
    shapes = f"{here}, {dims(plan.input_shape)}, {there}, {dims(plan.output_shape)}, {whole_kernel(plan)}"
    alone, tables = int(isinstance(plan.layer, Depthwise)), f"t{place}_weight, t{place}_bias, {before.zero}"
    logits = "logits" if is_last else "0"
    parts.call("integer convolve", f"convolve({shapes}, {top}, {left}, {alone}, {tables}, {scale}, {logits});")
    parts.current = there


def _rows_of(quantized: QuantizedModel, place: int, plan: LayerPlan) -> _Rows:
    """Return the file's own levels if they fit in a byte, else round to a step per row."""
    own = place if plan.source is None else plan.source
    tensor = quantized.tensors[f"{own}.weight"]
    rows = len(tensor.levels)
    values = values_of(tensor).reshape(rows, -1).astype(np.float64)
    bias = values_of(quantized.tensors[f"{own}.bias"]) if plan.bias_count else np.zeros(rows)
    if isinstance(tensor.grid, Uniform) and np.abs(tensor.levels).max(initial=0) <= MAX_LEVEL:
        steps = np.broadcast_to(tensor.grid.steps.astype(np.float64), rows)
        return _Rows(tensor.levels.reshape(rows, -1).astype(np.int64), steps, bias.astype(np.float64))
    steps = np.abs(values).max(axis=1) / MAX_LEVEL
    steps[steps == 0] = 1.0
    return _Rows(np.rint(values / steps[:, None]).astype(np.int64), steps, bias.astype(np.float64))


def _affine_rows(
    quantized: QuantizedModel, place: int, plan: LayerPlan, values: _Affine
) -> tuple[_Rows, npt.NDArray[np.float64]]:
    """Return a batch norm or PReLU as rows of one weight, and the slope of each channel below zero."""
    arrays = arrays_of(quantized, place, plan)
    channels = plan.input_shape[0]
    if isinstance(plan.layer, PReLU):
        one = np.full(channels, 1 << FACTOR_BITS)
        return _Rows(one[:, None], 1.0 / one, np.zeros(channels)), arrays["weight"].astype(np.float64)
    factor, shift = (part.astype(np.float64) for part in affine_of(arrays))
    # The step also bounds the offset, which must fit even if the factor is close to zero.
    least = np.maximum(np.abs(shift) / values.step / 2.0**SHIFT_BITS, 1e-30)
    steps = np.maximum(np.abs(factor) / (1 << FACTOR_BITS), least)
    slope = np.full(channels, getattr(plan.layer, "slope", 1.0))
    return _Rows(np.rint(factor / steps).astype(np.int64)[:, None], steps, shift), slope


def _tables(parts: Parts, place: int, rows: _Rows, values: _Affine, kind: str) -> None:
    """Add tables of the weights and of the biases, in units of the sums."""
    bias = np.rint(rows.bias / (values.step * rows.steps)).astype(np.int64)
    largest = 255 * np.abs(rows.levels).sum(axis=1) + np.abs(bias)
    if largest.max() >= 2**31:
        raise RequestError(
            f"layer {place} has sums of up to {largest.max()}, which do not fit in 32 bits; use another --form"
        )
    parts.tables.append(f"static const {kind} t{place}_weight{array(rows.levels)};")
    parts.tables.append(f"static const int32_t t{place}_bias{array(bias)};")


def _scale(
    parts: Parts,
    place: int,
    rows: _Rows,
    values: _Affine,
    after: _Affine,
    slope: npt.NDArray[np.float64],
    is_last: bool,
) -> str:
    """Add the tables that scale a layer's sums, and return them as C.

    The sums of the last layer are scaled to a common unit and not rounded to bytes.
    """
    units = values.step * rows.steps
    target = float(units.max()) if is_last else after.step
    up, down, shift = _multipliers(units / target, slope)
    if len(np.unique(up)) == len(np.unique(down)) == 1:
        up, down = up[:1], down[:1]
    parts.tables.append(f"static const int32_t t{place}_up{array(up)};")
    same = bool((up == down).all())
    if not same:
        parts.tables.append(f"static const int32_t t{place}_down{array(down)};")
    names = f"t{place}_up, t{place}_{'up' if same else 'down'}"
    return f"(scale){{{names}, {len(up)}, {shift}, {0 if is_last else after.zero}}}"


def _multipliers(factors: npt.NDArray[np.float64], slope: npt.NDArray[np.float64]) -> tuple[Ints, Ints, int]:
    """Return the integer factors (below 2**31) of sums above and below zero, and their common shift."""
    largest = float(max(np.abs(factors).max(), np.abs(factors * slope).max()))
    shift = min(62, max(1, 30 - math.frexp(largest)[1]))
    up, down = np.rint(factors * 2.0**shift), np.rint(factors * slope * 2.0**shift)
    if max(np.abs(up).max(), np.abs(down).max()) >= 2**31:
        raise RequestError("a layer multiplies its values by more than 2**29; use another --form")
    return up.astype(np.int64), down.astype(np.int64), shift
