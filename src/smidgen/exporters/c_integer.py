"""The integer form of the C export (Jacob et al. 2018, arXiv 1712.05877, section 2).

A byte q of a map stands for (q - zero) * step; both are chosen from the values that training images give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.arena import arena_of
from smidgen.exporters.c_text import Parts, array, dims, kernels, window
from smidgen.exporters.forward import activation_of, affine_of, arrays_of, layer_outputs
from smidgen.model import QuantizedModel, Uniform, values_of
from smidgen.spec import Add, AvgPool, BatchNorm, CReLU, Dropout, GlobalAvgPool, LayerPlan, MaxPool, PReLU
from smidgen.spec.layers import NO_CEILING
from smidgen.spec.shapes import product

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

_ONE: Ints = np.ones((1, 1), np.int64)


@dataclass(frozen=True)
class _Affine:
    """Affine quantization of a map: a byte q from -128 to 127 stands for (q - zero) * step."""

    step: float
    zero: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """Integer weights [kernels, columns], the step of each row [rows], and the real-valued biases [rows].

    There are as many kernels as rows, or fewer where channels share them: row r uses kernel r modulo their number.
    """

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
    plans = quantized.spec.plan(quantized.input_shape)
    parts = Parts(arena_of(plans, quantized.input_shape), pixel="(int8_t)((int)image[i] - 128)")
    last = max(place for place, plan in enumerate(plans) if not isinstance(plan.layer, Dropout))
    values = {-1: _Affine(1 / 255, -128)}
    outputs = layer_outputs(quantized, images[:CALIBRATION_IMAGES])
    for place, (plan, maps) in enumerate(zip(plans, outputs, strict=True)):
        before = tuple(values[index] for index in plan.inputs)
        values[place] = _add_layer(parts, quantized, place, plan, before, _range_of(maps), place == last)
    parts.sections.append("integer")
    calls = [call for call in parts.calls if "(scale)" in call]
    clamps = any("logits" not in call for call in calls)
    parts.sections += ["integer scaled"] if calls else []
    parts.sections += ["integer clamp"] if clamps else []
    parts.preamble.append(f"#define CLAMPED(sum, s, row) {'clamped(sum, s, row)' if clamps else '0'}")
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
    parts: Parts,
    quantized: QuantizedModel,
    place: int,
    plan: LayerPlan,
    inputs: tuple[_Affine, ...],
    after: _Affine,
    is_last: bool,
) -> _Affine:
    """Add a layer's tables and call; return the quantization of its output."""
    before, logits = inputs[0], "logits" if is_last else "0"
    here, there, shape = parts.at(plan.inputs[0]), parts.at(place), dims(plan.input_shape)
    layer = _Layer(parts, place, plan, after, is_last)
    match plan.layer:
        case Dropout():
            parts.copy(place, plan)
            return before
        case MaxPool():
            moves = f"{window(plan)}, {before.zero}, {logits}"
            parts.call("integer maxpool", f"maxpool({parts.between(place, plan)}, {moves});")
            return before
        case AvgPool() | GlobalAvgPool():
            sides = getattr(plan.layer, "window", plan.input_shape[1:])
            scale = layer.scale(_Rows(_ONE, np.array([1 / (sides[0] * sides[1])]), np.zeros(1)), before)
            moves = f"{window(plan)}, {before.zero}, {scale}, {logits}"
            parts.call("integer avgpool", f"avgpool({parts.between(place, plan)}, {moves});")
        case BatchNorm() | PReLU():
            channels, slope = _affine_rows(quantized, place, plan, before)
            _tables(parts, place, channels, before, "int32_t")
            scale = layer.scale(channels, before, slope)
            tables = f"t{place}_weight, t{place}_bias, {before.zero}"
            parts.call("integer affine", f"affine({here}, {there}, {shape}, {tables}, {scale}, {logits});")
        case CReLU():
            scale = layer.scale(_Rows(_ONE, np.ones(1), np.zeros(1)), before)
            sizes = f"{product(plan.input_shape)}, {before.zero}, {scale}, {logits}"
            parts.call("integer crelu", f"crelu({here}, {there}, {sizes});")
        case Add():
            _add_sum(layer, inputs, logits)
        case _:
            _add_convolution(layer, quantized, before, logits)
    return after


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer and the quantization of its output; if it `is_last`, its sums are the logits and not rounded to bytes."""

    parts: Parts
    place: int
    plan: LayerPlan
    after: _Affine
    is_last: bool

    def scale(self, rows: _Rows, values: _Affine, slope: npt.NDArray[np.float64] | None = None) -> str:
        """Add the tables that scale the layer's sums, and return them as C.

        The sums of the last layer are scaled to a common unit.
        """
        units = values.step * rows.steps
        target = float(units.max()) if self.is_last else self.after.step
        below, ceiling = activation_of(self.plan)
        up, down, shift = _multipliers(units / target, np.full(len(units), below) if slope is None else slope)
        if len(np.unique(up)) == len(np.unique(down)) == 1:
            up, down = up[:1], down[:1]
        self.parts.tables.append(f"static const int32_t t{self.place}_up{array(up)};")
        same = bool((up == down).all())
        if not same:
            self.parts.tables.append(f"static const int32_t t{self.place}_down{array(down)};")
        names = f"t{self.place}_up, t{self.place}_{'up' if same else 'down'}"
        zero = 0 if self.is_last else self.after.zero
        most = min(127.0, round(ceiling / target) + zero) if ceiling != NO_CEILING else 127.0
        return f"(scale){{{names}, {len(up)}, {shift}, {zero}, {int(most)}}}"


def _add_sum(layer: _Layer, inputs: tuple[_Affine, ...], logits: str) -> None:
    """Add the sum of two maps: each is brought to the same unit by a factor of 14 bits."""
    unit = max(values.step for values in inputs) / (1 << FACTOR_BITS)
    scale = layer.scale(_Rows(_ONE, np.array([unit]), np.zeros(1)), _Affine(1.0, 0))
    parts, plan = layer.parts, layer.plan
    maps = ", ".join(parts.at(index) for index in (*plan.inputs, layer.place))
    zeros = ", ".join(str(values.zero) for values in inputs)
    factors = ", ".join(str(round(values.step / unit)) for values in inputs)
    pairs = f"(const int32_t[2]){{{zeros}}}, (const int32_t[2]){{{factors}}}"
    parts.call("integer add", f"add({maps}, {product(plan.input_shape)}, {pairs}, {scale}, {logits});")


def _add_convolution(layer: _Layer, quantized: QuantizedModel, before: _Affine, logits: str) -> None:
    """Add a convolution, or a dense layer as a convolution whose kernel is the whole map."""
    parts, place, plan = layer.parts, layer.place, layer.plan
    units = _rows_of(quantized, place, plan)
    _tables(parts, place, units, before, "int8_t")
    moves = f"{window(plan)}, {kernels(plan)}, t{place}_weight, t{place}_bias, {before.zero}"
    scale = layer.scale(units, before)
    parts.call("integer convolve", f"convolve({parts.between(place, plan)}, {moves}, {scale}, {logits});")


def _rows_of(quantized: QuantizedModel, place: int, plan: LayerPlan) -> _Rows:
    """Return the file's own levels if they fit in a byte, else round to a step per row.

    Where channels share kernels, the levels are of the kernels, and the steps and biases of the channels.
    """
    own = place if plan.source is None else plan.source
    tensor = quantized.tensors[f"{own}.weight"]
    kernels, channels = len(tensor.levels), plan.output_shape[0]
    values = values_of(tensor).reshape(kernels, -1).astype(np.float64)
    bias = values_of(quantized.tensors[f"{own}.bias"]) if plan.bias_count else np.zeros(channels)
    if isinstance(tensor.grid, Uniform) and np.abs(tensor.levels).max(initial=0) <= MAX_LEVEL:
        steps = np.broadcast_to(tensor.grid.steps.astype(np.float64), kernels)
        levels = tensor.levels.reshape(kernels, -1).astype(np.int64)
    else:
        steps = np.abs(values).max(axis=1) / MAX_LEVEL
        steps = np.where(steps == 0, 1.0, steps)
        levels = np.rint(values / steps[:, None]).astype(np.int64)
    return _Rows(levels, steps[np.arange(channels) % kernels], bias.astype(np.float64))


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
    sums = np.abs(rows.levels).sum(axis=1)
    largest = 255 * sums[np.arange(len(bias)) % len(sums)] + np.abs(bias)
    if largest.max() >= 2**31:
        raise RequestError(
            f"layer {place} has sums of up to {largest.max()}, which do not fit in 32 bits; use another --form"
        )
    parts.tables.append(f"static const {kind} t{place}_weight{array(rows.levels)};")
    parts.tables.append(f"static const int32_t t{place}_bias{array(bias)};")


def _multipliers(factors: npt.NDArray[np.float64], slope: npt.NDArray[np.float64]) -> tuple[Ints, Ints, int]:
    """Return the integer factors (below 2**31) of sums above and below zero, and their common shift."""
    largest = float(max(np.abs(factors).max(), np.abs(factors * slope).max()))
    shift = min(62, max(1, 30 - math.frexp(largest)[1]))
    up, down = np.rint(factors * 2.0**shift), np.rint(factors * slope * 2.0**shift)
    if max(np.abs(up).max(), np.abs(down).max()) >= 2**31:
        raise RequestError("a layer multiplies its values by more than 2**29; use another --form")
    return up.astype(np.int64), down.astype(np.int64), shift
