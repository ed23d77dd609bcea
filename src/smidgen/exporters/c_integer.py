"""The integer form of the C export (Jacob et al. 2018, arXiv 1712.05877, section 2).

A byte q of a map stands for (q - zero) * step; both are chosen from the values that training data gives. Sums are
brought to the next map's unit by 32-bit products alone, which small processors have: `sum * up >> shift`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.c_input import integer_pixel
from smidgen.exporters.c_layers import Entry, table_of
from smidgen.exporters.c_text import Parts, ordered
from smidgen.exporters.calibration import CALIBRATION_INPUTS, Affine, affine_between, range_of, rows_of
from smidgen.exporters.forward import activation_of, affine_of, arrays_of, layer_outputs
from smidgen.exporters.schedule import schedule_of
from smidgen.exporters.stages import Stage
from smidgen.model import QuantizedModel
from smidgen.spec import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    Pointwise,
    PReLU,
)
from smidgen.spec.layers import NO_CEILING, RELU
from smidgen.spec.shapes import product

ITEM_BYTES = 1
MAX_BYTE = 255
"""The largest difference of two levels of a map."""
SUM_BITS, MULTIPLE_BITS, LEAST_MULTIPLE_BITS = 31, 15, 13
"""A sum times its multiple has at most 30 bits and a sign; a sum of more bits than that leaves is shifted before."""
FACTOR_BITS = 14
"""Bits of the multiple of a batch norm or PReLU, without its sign."""
SHIFT_BITS = 24
"""Bits of the offset of a batch norm."""
MAX_SHIFT = 30

Inputs = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_MACROS = {
    "WEIGHT(at)": "weights[at]",
    "VALUES_OF(l)": "",
    "START(l, row)": "BIAS(l)[row]",
    "SETTLED(l, sum, row)": "(sum)",
    "SHARE(l, sum)": "(sum)",
    "POOL_START(l)": "OPENING(l)",
    "LEAST_SUM": "INT32_MIN",
    "POOLED(l, sum)": "(POOL(l) == MAXIMUM ? (sum) - FROM_ZERO(l) : (sum))",
}


def integer_parts(quantized: QuantizedModel, inputs: Inputs, entry: str) -> Parts:
    """Build the parts of the integer source.

    Args:
        quantized: The network.
        inputs: [n, channels, height, width] of the training split as the layers read them; 512 set the ranges.
        entry: The type of the numbers that are given.

    Raises:
        RequestError: A layer has so many weights that its sums do not fit in 32 bits.
    """
    plans = quantized.spec.plan(quantized.input_shape)
    schedule = schedule_of(plans, quantized.input_shape, ITEM_BYTES, logits_apart=True)
    parts = Parts(table_of(schedule, plans, ITEM_BYTES), macros=dict(_MACROS), sections={"integer put", "arithmetic"})
    parts.types = ["typedef int8_t item;", "typedef int32_t total;", "typedef int16_t coefficient;"]
    parts.types += ["typedef int8_t weight;"]
    _Layers(parts, quantized, plans, inputs[:CALIBRATION_INPUTS]).add(entry)
    return parts


@dataclass(frozen=True, eq=False)
class _Sums:
    """What a layer's sums are before they are rounded: the real value of one, for each row, and their bound."""

    units: Floats
    largest: int
    slopes: Floats
    ceiling: float = NO_CEILING


class _Layers:
    """Adds the numbers of each layer to the table of `parts`."""

    def __init__(self, parts: Parts, quantized: QuantizedModel, plans: Sequence[LayerPlan], inputs: Inputs) -> None:
        self.parts, self.quantized, self.plans = parts, quantized, plans
        self.stages = parts.table.schedule.stages
        self._ranges = {place: range_of(maps) for place, maps in enumerate(layer_outputs(quantized, inputs))}
        self._input = _input_affine(quantized, inputs, self.stages)
        self._values: list[Affine] = []
        self._names: dict[str, str] = {}

    def add(self, entry: str) -> None:
        steps, zeros = self._input
        self.parts.pixel = integer_pixel(self.parts, self.quantized, entry, steps, zeros)
        for index, stage in enumerate(self.stages):
            place = self.parts.table.places[index]
            self._values.append(self._stage(index, stage, self.parts.table.entries[place]))
            for number, post in enumerate(stage.posts, 1):
                self._post(index, post, self.parts.table.entries[place + number], number == len(stage.posts))
            self.parts.table.entries[place]["blank"] = self._values[index].zero

    def _stage(self, index: int, stage: Stage, entry: Entry) -> Affine:
        """Add a stage's own numbers; return the quantization of its rows before what works on them in place."""
        if stage.plan is None:
            steps, zeros = self._input
            return Affine(float(steps[0]), round(float(zeros[0])))
        before, plan = self._values[stage.inputs[0]], stage.plan
        after, last = self._after(index, stage, before), self._is_last(index) and not stage.posts
        entry["from_zero"] = before.zero
        match plan.layer:
            case MaxPool():
                sums = _Sums(np.array([before.step]), MAX_BYTE, np.ones(1))
            case AvgPool() | GlobalAvgPool():
                area = product(stage.kernel)
                entry["opening"] = -area * before.zero
                sums = _Sums(np.array([before.step / area]), MAX_BYTE * area, np.ones(1))
            case CReLU():
                sums = _Sums(np.array([before.step]), MAX_BYTE, np.ones(1))
            case Add():
                sums = self._sum(stage, entry)
            case BatchNorm() | PReLU():
                entry["kind"], sums = "AFFINE", self._affine(stage.place, before, entry)
            case _:
                sums = self._kernel(index, stage, before, entry)
        self._scale(index, entry, sums, None if last else after)
        return after

    def _after(self, index: int, stage: Stage, before: Affine) -> Affine:
        """Return the quantization of what a stage makes, before its posts; a maximum keeps that of its input."""
        if stage.plan is not None and isinstance(stage.plan.layer, MaxPool):
            return before
        return self._ranges[self.plans[stage.posts[0]].inputs[0] if stage.posts else stage.output]

    def _is_last(self, index: int) -> bool:
        return index == len(self.stages) - 1

    def _post(self, index: int, place: int, entry: Entry, is_final: bool) -> None:
        """Add a layer that works in place, and keep the quantization of what it leaves."""
        before, after = self._values[index], self._ranges[place]
        entry["from_zero"] = before.zero
        sums = self._affine(place, before, entry)
        entry["kind"] = "AFFINE"
        self._scale(index, entry, sums, None if self._is_last(index) and is_final else after)
        self._values[index] = after

    def _kernel(self, index: int, stage: Stage, before: Affine, entry: Entry) -> _Sums:
        """Add a convolution or a dense layer; the zero of its input is a part of the biases."""
        plan = stage.plan
        assert plan is not None
        own = stage.place if plan.source is None else plan.source
        steps, middles = (None, None)
        if stage.inputs == (0,):
            steps, middles = self._folded(before)
        rows = rows_of(self.quantized, own, plan, steps, middles)
        levels = rows.levels.reshape(len(rows.levels), -1)
        kernel = np.arange(len(rows.steps)) % len(levels)
        units = before.step * rows.steps
        bias = np.rint(rows.bias / units).astype(np.int64)
        name = f"t{own}" if plan.source is None and own == stage.place else f"t{stage.place}"
        folded = bias - before.zero * levels.sum(axis=1)[kernel]
        largest = 128 * np.abs(levels).sum(axis=1)[kernel] + np.abs(folded)
        entry["weights"] = self._once(
            f"t{own}_weight", "int8_t", ordered(rows.levels, plan, self.parts.table.schedule, index)
        )
        entry["bias"] = self._once(f"{name}_bias", "int32_t", folded)
        slope, ceiling = activation_of(plan)
        area = 1
        if stage.pool is not None and not isinstance(stage.pool.layer, MaxPool):
            area, slope = product(stage.pool_window), 1.0
        bound = int(largest.max()) * area
        self._check(stage.place, bound)
        return _Sums(units / area, bound, np.full(len(units), slope), ceiling)

    def _folded(self, before: Affine) -> tuple[Floats | None, Floats | None]:
        """Return the steps of the input's channels in units of the first, and what zero stands for in each."""
        steps, zeros = self._input
        if np.ptp(steps) == 0 and np.ptp(zeros) == 0:
            return None, None
        return steps / before.step, (before.zero - zeros) * steps

    def _check(self, place: int, largest: int) -> None:
        if largest >= 2**SUM_BITS:
            raise RequestError(
                f"layer {place} has sums of up to {largest}, which do not fit in 32 bits; use --form levels"
            )

    def _affine(self, place: int, before: Affine, entry: Entry) -> _Sums:
        """Add a batch norm or a PReLU as one multiple and one sum for each channel."""
        plan = self.plans[place]
        arrays, channels = arrays_of(self.quantized, place, plan), plan.input_shape[0]
        if isinstance(plan.layer, PReLU):
            factor, shift, slopes = np.ones(channels), np.zeros(channels), arrays["weight"].astype(np.float64)
        else:
            factor, shift = (part.astype(np.float64) for part in affine_of(arrays))
            slopes = np.full(channels, activation_of(plan)[0])
        # The step also bounds the offset, which must fit even if the factor is close to zero.
        least = np.maximum(np.abs(shift) / before.step / 2.0**SHIFT_BITS, 1e-30)
        steps = np.maximum(np.abs(factor) / (1 << FACTOR_BITS), least)
        bias = np.rint(shift / (before.step * steps)).astype(np.int64)
        entry["multiple"] = self._once(f"t{place}_multiple", "int16_t", np.rint(factor / steps).astype(np.int64))
        entry["bias"] = self._once(f"t{place}_bias", "int32_t", bias)
        largest = MAX_BYTE * (1 << FACTOR_BITS) + int(np.abs(bias).max())
        return _Sums(before.step * steps, largest, slopes, activation_of(plan)[1])

    def _sum(self, stage: Stage, entry: Entry) -> _Sums:
        """Add the sum of two maps: each is brought to the same unit by a factor of 14 bits."""
        assert stage.plan is not None
        one, other = (self._values[index] for index in stage.inputs)
        unit = max(one.step, other.step) / (1 << FACTOR_BITS)
        entry |= {"other_zero": other.zero}
        factors = np.array([round(each.step / unit) for each in (one, other)])
        entry["multiple"] = self._once(f"t{stage.place}_multiple", "int16_t", factors)
        slope, ceiling = activation_of(stage.plan)
        return _Sums(np.array([unit]), MAX_BYTE * int(factors.sum()), np.array([slope]), ceiling)

    def _scale(self, index: int, entry: Entry, sums: _Sums, after: Affine | None) -> None:
        """Add what brings a layer's sums to the bytes of its output, or the logits to one unit if `after` is None."""
        target = float(sums.units.max()) if after is None else after.step
        if after is None:
            self.parts.unit = target
            self.parts.unit_rows = bool((sums.units != target).any() or (sums.slopes != 1).any())
            if not self.parts.unit_rows:
                return
        relu = bool((sums.slopes == RELU).all())
        slopes = np.ones(len(sums.slopes)) if relu else sums.slopes
        factors, before = _factors(sums.units / target, np.broadcast_to(slopes, sums.units.shape), sums.largest)
        each = len(set(factors)) > 1
        factors = factors if each else factors[:1]
        name = f"t{self.parts.table.entries.index(entry)}_factors"
        rows = ", ".join(f"{{{up}, {down}, {shift}}}" for up, down, shift in factors)
        self.parts.tables.append(f"static const factor {name}[{len(factors)}] = {{{rows}}};")
        self.parts.constants += 6 * len(factors)
        entry |= {"factors": name, "each": int(each), "before": before}
        entry["sloped"] = int(any(up != down for up, down, _ in factors))
        zero = 0 if after is None else after.zero
        entry |= {"zero": zero, "least": max(-128, zero) if relu else -128}
        entry["most"] = 127 if sums.ceiling == NO_CEILING else int(min(127.0, round(sums.ceiling / target) + zero))

    def _once(self, name: str, kind: str, values: npt.NDArray[np.int64]) -> str:
        """Add a table unless it is there: rounds of a repeat share their weights."""
        if name not in self._names:
            self._names[name] = self.parts.add(name, kind, values)
        return self._names[name]


def _factors(units: Floats, slopes: Floats, largest: int) -> tuple[list[tuple[int, int, int]], int]:
    """Return for each row the multiples above and below zero and their shift, and the shift of all sums before.

    Raises:
        RequestError: a multiple is too large.
    """
    room = SUM_BITS - largest.bit_length()
    before = max(0, LEAST_MULTIPLE_BITS + 1 - room)
    bits = min(MULTIPLE_BITS, room + before - 1)
    return [_factor(unit * 2.0**before, slope, bits) for unit, slope in zip(units, slopes, strict=True)], before


def _factor(unit: float, slope: float, bits: int) -> tuple[int, int, int]:
    largest = unit * max(1.0, abs(slope))
    shift = min(MAX_SHIFT, bits - math.frexp(largest)[1])
    if round(largest * 2.0**shift) >= 1 << bits:  # just below a power of two, and rounded up to it
        shift -= 1
    up, down = round(unit * 2.0**shift), round(unit * slope * 2.0**shift)
    if shift < 0:
        raise RequestError("a layer multiplies its values by too much for whole numbers; use --form levels")
    return up, down, shift


def _input_affine(quantized: QuantizedModel, inputs: Inputs, stages: Sequence[Stage]) -> tuple[Floats, Floats]:
    """Return the step of each channel of the input, and the level that stands for zero there.

    Channels have their own where one step would serve them badly and the first layer can take it into its weights.
    """
    channels = quantized.input_shape[0]
    if inputs.dtype == np.uint8:
        return np.full(channels, 1 / 255), np.full(channels, -128.0)
    own = [stage for stage in stages if 0 in stage.inputs]
    first = own[0].plan.layer if len(own) == 1 and own[0].plan is not None and not stages[0].posts else None
    if not isinstance(first, Conv | Pointwise | Dense):
        whole = range_of(inputs)
        return np.full(channels, whole.step), np.full(channels, float(whole.zero))
    return _channel_ranges(inputs, padded=getattr(first, "same", False))


def _channel_ranges(inputs: npt.NDArray[np.float32], *, padded: bool) -> tuple[Floats, Floats]:
    """Return a step and a zero for each channel; with padding, whose values are zero, all have the same zero."""
    low, high = (getattr(inputs, name)((0, 2, 3)).astype(np.float64) for name in ("min", "max"))
    if not padded:
        steps = np.maximum((high - low) / MAX_BYTE, 1e-30)
        return steps, -128 - low / steps
    whole = affine_between(min(0.0, float(low.min())), max(0.0, float(high.max())))
    reach = np.maximum(high / (127 - whole.zero) if whole.zero < 127 else 0 * high, -low / max(1, 128 + whole.zero))
    return np.maximum(reach, 1e-30), np.full(len(low), float(whole.zero))
