"""The forms of the C export that compute with floating-point numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.errors import RequestError
from smidgen.exporters.c_input import float_pixel
from smidgen.exporters.c_layers import Entry, table_of
from smidgen.exporters.c_text import Parts, array, float_text, ordered
from smidgen.exporters.forward import activation_of, affine_of, arrays_of
from smidgen.exporters.schedule import schedule_of
from smidgen.exporters.stages import POOLS, Stage
from smidgen.model import QuantizedModel, Tensor, Uniform, encode_levels, values_of
from smidgen.spec import Add, BatchNorm, CReLU, LayerPlan, PReLU

ITEM_BYTES = 4
BYTE_LEVEL, HALF_BYTE_LEVEL, WORD_LEVEL = 127, 7, 32767
"""The largest levels that fit in a byte, in half a byte and in two bytes."""

LARGEST = float(np.finfo(np.float32).max)
"""The ceiling of a layer that has none."""

_MACROS = {
    "POOL_START(l)": "0.0f",
    "LEAST_SUM": f"({float_text(-LARGEST)})",
    "SHARE(l, sum)": "(POOL(l) >= MEAN ? (sum) / (float)(POOL_ROWS(l) * POOL_COLUMNS(l)) : (sum))",
    "POOLED(l, sum)": "(POOL(l) == MAXIMUM ? (sum) : (sum) / (float)AREA(l))",
}


def float_parts(quantized: QuantizedModel, form: str, entry: str) -> Parts:
    """Build the parts of a source that computes with floating-point numbers.

    Args:
        quantized: The network.
        form: "float", "levels", "levels4" or "coded".
        entry: The type of the numbers that are given.

    Raises:
        RequestError: The form cannot store the weights.
    """
    plans = quantized.spec.plan(quantized.input_shape)
    schedule = schedule_of(plans, quantized.input_shape, ITEM_BYTES)
    parts = Parts(table_of(schedule, plans, ITEM_BYTES), macros=dict(_MACROS), sections={"float put"})
    parts.pixel = float_pixel(parts, quantized, entry)
    _Layers(parts, quantized, plans, form).add()
    is_capped = {entry.get("ceiling") for entry in parts.table.entries} - {None, float_text(LARGEST)}
    parts.macros["CAPPED(l, sum)"] = "(sum > CEILING(l) ? CEILING(l) : sum)" if is_capped else "(sum)"
    return parts


class _Layers:
    """Adds the numbers of each layer to the table of `parts`."""

    def __init__(self, parts: Parts, quantized: QuantizedModel, plans: Sequence[LayerPlan], form: str) -> None:
        self.parts, self.quantized, self.plans, self.form = parts, quantized, plans, form
        self._names: dict[str, str] = {}
        self._coded: list[np.ndarray] = []
        self._widest = BYTE_LEVEL

    def add(self) -> None:
        self._check()
        for index, stage in enumerate(self.parts.table.schedule.stages):
            entry = self.parts.table.entries[self.parts.table.places[index]]
            entry["blank"] = 0
            if stage.plan is not None:
                self._stage(index, stage, entry)
            for number, post in enumerate(stage.posts, 1):
                self._post(post, self.parts.table.entries[self.parts.table.places[index] + number])
        self._types()
        if self.form == "coded":
            self._range_coded()

    def _check(self) -> None:
        """Refuse weights that do not fit in half a byte, and choose the type of the others."""
        for name, tensor in self.quantized.tensors.items():
            if not (name.endswith(".weight") and self._is_kernel(name) and isinstance(tensor.grid, Uniform)):
                continue
            largest = int(np.abs(tensor.levels).max(initial=0))
            if self.form == "levels4" and largest > HALF_BYTE_LEVEL:
                raise RequestError(
                    f"{name} has levels from {tensor.levels.min()} to {tensor.levels.max()}, and --form levels4 stores "
                    f"-{HALF_BYTE_LEVEL} to {HALF_BYTE_LEVEL}; use --form levels"
                )
            self._widest = max(self._widest, largest if largest <= WORD_LEVEL else 0)

    def _is_kernel(self, name: str) -> bool:
        return not isinstance(self.plans[int(name.partition(".")[0])].layer, BatchNorm | PReLU)

    def _types(self) -> None:
        kinds = {"float": "float", "levels4": "uint8_t"}
        weight = kinds.get(self.form, "int8_t" if self._widest == BYTE_LEVEL else "int16_t")
        self.parts.types += ["typedef float item, total, coefficient;", f"typedef {weight} weight;"]
        read = {"float": "weights[at]", "levels4": "((weights[(at) / 2] >> ((at) % 2 ? 4 : 0) & 15) - 8)"}
        level = read.get(self.form, "weights[at]")
        macros = self.parts.macros
        mixed = any(entry.get("values", "0") != "0" for entry in self.parts.table.entries)
        macros["VALUES_OF(l)"] = "const float *values = VALUES(l);" if mixed else ""
        plain = level if self.form == "float" else f"(float){level}"
        macros["WEIGHT(at)"] = f"(values ? values[at] : {plain})" if mixed else plain
        macros["START(l, row)"] = "BIAS(l)[row]" if self.form == "float" else "0.0f"
        settled = "(sum) * STEPS(l)[EACH(l) ? row : 0] + BIAS(l)[row]"
        macros["SETTLED(l, sum, row)"] = "(sum)" if self.form == "float" else f"({settled})"

    def _stage(self, index: int, stage: Stage, entry: Entry) -> None:
        assert stage.plan is not None
        layer = stage.plan.layer
        slope, ceiling = activation_of(stage.plan)
        is_pool = isinstance(layer, (*POOLS, CReLU))
        entry["slope"] = float_text(1.0 if is_pool else slope)
        entry["ceiling"] = float_text(min(ceiling, LARGEST))
        if isinstance(layer, BatchNorm | PReLU):
            self._post(stage.place, entry)
        elif not isinstance(layer, (*POOLS, Add, CReLU)):
            self._kernel(index, stage.plan, stage.place, entry)

    def _post(self, place: int, entry: Entry) -> None:
        """Add the multiples and sums of a batch norm, or the slopes of a PReLU."""
        plan = self.plans[place]
        arrays = arrays_of(self.quantized, place, plan)
        if isinstance(plan.layer, PReLU):
            own = place if plan.source is None else plan.source
            entry["multiple"] = self._once(f"t{own}_slope", arrays["weight"])
            return
        slope, ceiling = activation_of(plan)
        factor, shift = affine_of(arrays)
        entry |= {"multiple": self._once(f"t{place}_factor", factor), "bias": self._once(f"t{place}_shift", shift)}
        entry |= {"slope": float_text(slope), "ceiling": float_text(min(ceiling, LARGEST))}

    def _kernel(self, index: int, plan: LayerPlan, place: int, entry: Entry) -> None:
        own = place if plan.source is None else plan.source
        tensor = self.quantized.tensors[f"{own}.weight"]
        if plan.bias_count:
            entry["bias"] = self._once(f"t{own}_bias", values_of(self.quantized.tensors[f"{own}.bias"]))
        else:
            entry["bias"] = "none"
            channels = max(stage.shape[0] for stage in self.parts.table.schedule.stages)
            self._once("none", np.zeros(channels, np.float32))
        name = f"t{own}_weight"
        if self.form == "float":
            entry["weights"] = self._once(name, self._ordered(values_of(tensor), plan, index))
        elif self._is_small(tensor):
            self._levels(name, tensor, plan, index, entry)
        else:
            entry["values"] = self._once(f"{name}_values", self._ordered(values_of(tensor), plan, index))
            entry |= {"weights": "0", "steps": self._once("one", np.ones(1, np.float32)), "each": 0}

    def _levels(self, name: str, tensor: Tensor, plan: LayerPlan, index: int, entry: Entry) -> None:
        """Add the levels of a tensor and its steps, one for each channel where channels differ."""
        assert isinstance(tensor.grid, Uniform)
        kernels, steps = len(tensor.levels), tensor.grid.steps
        if len(steps) > 1:
            steps = steps[np.arange(plan.output_shape[0]) % kernels]
        entry |= {"values": "0", "each": int(len(steps) > 1), "steps": self._once(f"{name}_steps", steps)}
        entry["weights"] = self._once(name, self._ordered(tensor.levels, plan, index))

    def _ordered(self, values: np.ndarray, plan: LayerPlan, index: int) -> np.ndarray:
        return ordered(values, plan, self.parts.table.schedule, index)

    def _is_small(self, tensor: Tensor) -> bool:
        return isinstance(tensor.grid, Uniform) and int(np.abs(tensor.levels).max(initial=0)) <= WORD_LEVEL

    def _once(self, name: str, values: np.ndarray) -> str:
        """Add a table unless it is there, and return its name as C: repeats share theirs."""
        if name not in self._names:
            self._names[name] = self._added(name, values)
        return self._names[name]

    def _added(self, name: str, values: np.ndarray) -> str:
        if values.dtype.kind == "f":
            return self.parts.add(name, "float", values)
        if self.form == "coded":
            first = sum(map(len, self._coded))
            self._coded.append(values)
            return f"(levels + {first})" if first else "levels"
        if self.form == "levels4":
            padded = np.append(values, -8)[: len(values) + len(values) % 2] + 8
            return self.parts.add(name, "uint8_t", padded[::2] | padded[1::2] << 4)
        return self.parts.add(name, "int8_t" if self._widest == BYTE_LEVEL else "int16_t", values)

    def _range_coded(self) -> None:
        """Add the range-coded stream, the array it is decoded into, and the call that decodes it once."""
        if not self._coded:
            return
        levels = np.concatenate(self._coded).astype(np.int32)
        stream = np.frombuffer(encode_levels(levels) or bytes(1), np.uint8)
        self.parts.preamble.append(f"#define OCTAVES {max(1, int(np.abs(levels).max()).bit_length())}")
        self.parts.preamble.append(f"static weight levels[{len(levels)}];")
        self.parts.constants += len(stream)
        self.parts.preamble.append(f"static const uint8_t coded{array(stream)};")
        self.parts.sections.add("decoder")
        self.parts.first.append("    if (!reader.range)\n        decode();")
