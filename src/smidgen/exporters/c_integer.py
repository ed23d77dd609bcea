"""The integer form of the C export: a value q in a map stands for (q - zero) * step, both chosen by training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.c_text import Parts, array, dims, whole_kernel
from smidgen.exporters.forward import affine_of, arrays_of, outputs, padding
from smidgen.model import QuantizedModel, Uniform, values_of
from smidgen.spec import AvgPool, BatchNorm, Dense, Depthwise, Dropout, GlobalAvgPool, LayerPlan, MaxPool, PReLU

CALIBRATION_IMAGES = 512
LARGEST = 127
SHARES, SAMPLE = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), 100_000
"""Of the whole range, what is tried as the range of the bytes; and on how many values."""
FACTOR_BITS = 14
"""Of a batch norm's or PReLU's multiple, beside the sign."""
SHIFT_BITS = 24
"""Of what a batch norm adds."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Values:
    """What the bytes of a map stand for: (q - zero) * step, q from -128 to 127."""

    step: float
    zero: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """Integer weights [rows, columns], the step of each row, and what is added to each sum, in values."""

    levels: Ints
    steps: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def integer_parts(quantized: QuantizedModel, images: npt.NDArray[np.uint8]) -> Parts:
    """The pieces of the source.

    Raises:
        RequestError: a layer has so many weights that its sums do not fit in 32 bits.
    """
    parts = Parts(pixel="(int8_t)((int)image[i] - 128)")
    parts.grow("a", quantized.input_shape)
    plans = quantized.spec.plan(quantized.input_shape)
    last = max(place for place, plan in enumerate(plans) if not isinstance(plan.layer, Dropout))
    values = _Values(1 / 255, -128)
    for place, (plan, maps) in enumerate(zip(plans, outputs(quantized, images[:CALIBRATION_IMAGES]), strict=True)):
        values = _layer(parts, quantized, place, plan, values, _range_of(maps), place == last)
    parts.sections.append("integer")
    used = any("logits" not in call for call in parts.calls if not call.startswith("maxpool"))
    parts.sections += ["integer clamp"] if used else []
    parts.before.append(f"#define CLAMPED(sum, s, row) {'clamped(sum, s, row)' if used else '0'}")
    return parts


def _range_of(maps: Floats) -> _Values:
    """The range with the least squared error: a few values that stand out may be cut off.

    Zero is among the values, exactly: padding and relu make many.
    """
    flat = maps.ravel()[:: max(1, maps.size // SAMPLE)].astype(np.float64)
    lowest, highest = min(0.0, float(maps.min())), max(0.0, float(maps.max()))
    ranges = [_values_between(share * lowest, share * highest) for share in SHARES]
    return min(ranges, key=lambda values: float(((_rounded(flat, values) - flat) ** 2).sum()))


def _values_between(lowest: float, highest: float) -> _Values:
    step = (highest - lowest) / 255 or 1.0
    return _Values(step, round(-128 - lowest / step))


def _rounded(flat: npt.NDArray[np.float64], values: _Values) -> npt.NDArray[np.float64]:
    """What the bytes would make of these."""
    rounded: npt.NDArray[np.float64] = np.clip(np.rint(flat / values.step) + values.zero, -128, 127)
    return (rounded - values.zero) * values.step


def _layer(
    parts: Parts, quantized: QuantizedModel, place: int, plan: LayerPlan, values: _Values, after: _Values, is_last: bool
) -> _Values:
    """Adds a layer's tables and call; what the bytes stand for after it."""
    here, shape, logits = parts.current, dims(plan.input_shape), "logits" if is_last else "0"
    match plan.layer:
        case Dropout():
            return values
        case MaxPool(size):
            parts.call("integer maxpool", f"maxpool({here}, {shape}, {size}, {size}, {values.zero}, {logits});")
            return values
        case AvgPool() | GlobalAvgPool():
            size = getattr(plan.layer, "size", 0)
            rows, columns = (size, size) if size else plan.input_shape[1:]
            mean = _Rows(np.array([[1]]), np.array([1 / (rows * columns)]), np.zeros(1))
            scale = _scale(parts, place, mean, values, after, np.ones(1), is_last)
            window = f"{rows}, {columns}, {values.zero}, {scale}"
            parts.call("integer avgpool", f"avgpool({here}, {shape}, {window}, {logits});")
            return after
        case BatchNorm() | PReLU():
            channels, down = _affine_rows(quantized, place, plan, values)
            _tables(parts, place, channels, values, "int32_t")
            scale = _scale(parts, place, channels, values, after, down, is_last)
            tables = f"t{place}_weight, t{place}_bias, {values.zero}"
            parts.call("integer affine", f"affine({here}, {shape}, {tables}, {scale}, {logits});")
            return after
    units = _rows_of(quantized, place, plan)
    slope = np.full(len(units.steps), getattr(plan.layer, "slope", 1.0))
    _tables(parts, place, units, values, "int8_t")
    scale = _scale(parts, place, units, values, after, slope, is_last)
    top, left = (0, 0) if isinstance(plan.layer, Dense) else padding(plan)
    there = here if is_last else parts.other(plan.output_shape)
    shapes = f"{here}, {shape}, {there}, {dims(plan.output_shape)}, {whole_kernel(plan)}"
    alone, tables = int(isinstance(plan.layer, Depthwise)), f"t{place}_weight, t{place}_bias, {values.zero}"
    parts.call("integer convolve", f"convolve({shapes}, {top}, {left}, {alone}, {tables}, {scale}, {logits});")
    parts.current = there
    return after


def _rows_of(quantized: QuantizedModel, place: int, plan: LayerPlan) -> _Rows:
    """The file's own levels where a byte holds them, else the nearest of a step a row."""
    own = place if plan.source is None else plan.source
    tensor = quantized.tensors[f"{own}.weight"]
    rows = len(tensor.levels)
    values = values_of(tensor).reshape(rows, -1).astype(np.float64)
    bias = values_of(quantized.tensors[f"{own}.bias"]) if plan.bias_count else np.zeros(rows)
    if isinstance(tensor.grid, Uniform) and np.abs(tensor.levels).max(initial=0) <= LARGEST:
        steps = np.broadcast_to(tensor.grid.steps.astype(np.float64), rows)
        return _Rows(tensor.levels.reshape(rows, -1).astype(np.int64), steps, bias.astype(np.float64))
    steps = np.abs(values).max(axis=1) / LARGEST
    steps[steps == 0] = 1.0
    return _Rows(np.rint(values / steps[:, None]).astype(np.int64), steps, bias.astype(np.float64))


def _affine_rows(
    quantized: QuantizedModel, place: int, plan: LayerPlan, values: _Values
) -> tuple[_Rows, npt.NDArray[np.float64]]:
    """A batch norm or PReLU as rows of one weight, and the slope of each below zero."""
    arrays = arrays_of(quantized, place, plan)
    channels = plan.input_shape[0]
    if isinstance(plan.layer, PReLU):
        one = np.full(channels, 1 << FACTOR_BITS)
        return _Rows(one[:, None], 1.0 / one, np.zeros(channels)), arrays["weight"].astype(np.float64)
    factor, shift = (part.astype(np.float64) for part in affine_of(arrays))
    # A channel that is multiplied by next to nothing still has to hold its sum.
    least = np.maximum(np.abs(shift) / values.step / 2.0**SHIFT_BITS, 1e-30)
    steps = np.maximum(np.abs(factor) / (1 << FACTOR_BITS), least)
    slope = np.full(channels, getattr(plan.layer, "slope", 1.0))
    return _Rows(np.rint(factor / steps).astype(np.int64)[:, None], steps, shift), slope


def _tables(parts: Parts, place: int, rows: _Rows, values: _Values, kind: str) -> None:
    """Adds the weights and the sums' beginnings."""
    bias = np.rint(rows.bias / (values.step * rows.steps)).astype(np.int64)
    largest = 255 * np.abs(rows.levels).sum(axis=1) + np.abs(bias)
    if largest.max() >= 2**31:
        raise RequestError(f"layer {place} has sums of up to {largest.max()}, more than 32 bits hold; use another form")
    parts.tables.append(f"static const {kind} t{place}_weight{array(rows.levels)};")
    parts.tables.append(f"static const int32_t t{place}_bias{array(bias)};")


def _scale(
    parts: Parts,
    place: int,
    rows: _Rows,
    values: _Values,
    after: _Values,
    slope: npt.NDArray[np.float64],
    is_last: bool,
) -> str:
    """What becomes of the sums, as C has it; adds its tables. Those of the last layer get one unit and stay whole."""
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
    """Whole numbers below 2**31, of one shift, for the sums above and below zero."""
    largest = float(max(np.abs(factors).max(), np.abs(factors * slope).max()))
    shift = min(62, max(1, 30 - math.frexp(largest)[1]))
    up, down = np.rint(factors * 2.0**shift), np.rint(factors * slope * 2.0**shift)
    if max(np.abs(up).max(), np.abs(down).max()) >= 2**31:
        raise RequestError("a layer multiplies its values by more than 2**29; use another form")
    return up.astype(np.int64), down.astype(np.int64), shift
