"""Estimates flash, RAM and instructions of a network's C program without training it and without a compiler.

RAM is exact: it depends on the layers alone. Flash is the weights and tables of the program that is generated for
weights of one byte, and code, which a linear model estimates from the parts that the program has. Instructions are a
linear model of how often each loop of the program runs. `smidgen.exporters.cost_model` has the coefficients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from smidgen.errors import RequestError
from smidgen.exporters.c_layers import Entry
from smidgen.exporters.c_source import WINDOWS, parts_of, program_of_parts
from smidgen.exporters.c_text import Parts
from smidgen.exporters.cost_model import CODE, INSTRUCTIONS, PROCESSORS
from smidgen.exporters.schedule import Buffer
from smidgen.model import QuantizedModel, Tensor, Uniform, tensor_shapes
from smidgen.spec import NetSpec, Shape
from smidgen.spec.shapes import product

COST_FORMS = ("integer", "levels", "float")
"""The forms whose cost is known before a network is trained."""
STEP, LARGEST_LEVEL = 2.0**-5, 7


@dataclass(frozen=True)
class ProgramCost:
    """What the C program of a network takes.

    Attributes:
        flash_bytes: Weights, tables and code on a Cortex-M0+, with what it needs of the compiler's library; estimated.
        ram_bytes: The memory of one call, exact; an input and the stack come on top.
        instructions: Of one inference, by the name of the processor; estimated.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: Mapping[str, int]


@lru_cache(maxsize=4096)
def program_cost(spec: NetSpec, input_shape: Shape, form: str) -> ProgramCost:
    """Return what the C program of a network takes in a form that `COST_FORMS` names.

    Raises:
        RequestError: The form's cost depends on the trained weights.
    """
    check_form(form)
    quantized = nominal_network(spec, input_shape)
    parts = nominal_parts(quantized, form)
    made = program_of_parts(parts, quantized, "net", form)
    work = loop_counts(parts)
    instructions = {name: _weighted(work, INSTRUCTIONS[name, form]) for name in PROCESSORS}
    return ProgramCost(made.constant_bytes + _weighted(code_parts(parts), CODE[form]), made.ram_bytes, instructions)


def check_form(form: str) -> None:
    """Refuse a form whose cost depends on the trained weights.

    Raises:
        RequestError: The form is not in `COST_FORMS`.
    """
    if form not in COST_FORMS:
        raise RequestError(
            f"what C takes in --form {form} is not known before training; use one of {', '.join(COST_FORMS)}"
        )


def _weighted(counts: Mapping[str, int], coefficients: Mapping[str, float]) -> int:
    return round(sum(coefficients.get(name, 0.0) * count for name, count in counts.items()))


def nominal_network(spec: NetSpec, input_shape: Shape, seed: int = 0) -> QuantizedModel:
    """Return a network of random levels of four bits and one step, which reads bytes."""
    random, tensors = np.random.default_rng(seed), {}
    for name, axes in tensor_shapes(spec, input_shape).items():
        levels = random.integers(-LARGEST_LEVEL, LARGEST_LEVEL + 1, axes).astype(np.int32)
        levels = np.abs(levels) + 1 if name.endswith("variance") else levels
        tensors[name] = Tensor(levels, Uniform(np.array([STEP])))
    classes = max(2, spec.output_shape(input_shape)[0])  # one output stands for two classes
    return QuantizedModel(spec, input_shape, tuple(map(str, range(classes))), tensors)


def nominal_parts(quantized: QuantizedModel, form: str) -> Parts:
    """Return the parts of a network's program, with ranges of random inputs."""
    inputs = np.random.default_rng(0).integers(0, 256, (2, *quantized.input_shape)).astype(np.uint8)
    return parts_of(quantized, form, inputs, "uint8")


def code_parts(parts: Parts) -> Counter[str]:
    """Return which code a program has: sections, and branches for numbers that layers do not share."""
    found = Counter(dict.fromkeys(parts.sections | {"program"}, 1))
    entries = parts.table.entries
    for name in ("gathers", "padded", "posts", "each", "sloped", "depth", "shared", "values", "before"):
        found[name] = int(any(entry.get(name, 0) not in (0, "0") for entry in entries))
    found["means"] = int(any(str(entry.get("pool")).startswith("MEAN") for entry in entries))
    found["pools"] = int(any(str(entry.get("pool", "NO_POOL")) != "NO_POOL" for entry in entries))
    found["ceiling"] = int("CEILING" in parts.macros.get("CAPPED(l, sum)", ""))
    return found


def loop_counts(parts: Parts) -> Counter[str]:
    """Return how often each loop of a program runs for one input."""
    counts: Counter[str] = Counter({"program": 1})
    table = parts.table
    for stage, buffer, place in zip(table.schedule.stages, table.schedule.buffers, table.places, strict=True):
        counts.update(_buffer_counts(buffer))
        rows = stage.lag + stage.shape[1]
        for number, entry in enumerate(table.entries[place : place + 1 + len(stage.posts)]):
            made = rows if number == 0 else stage.shape[1]
            counts.update({name: count * made for name, count in _layer_counts(entry).items()})
        counts["gathered"] += stage.shape[0] if stage.gathers else 0
        counts["read"] += product(stage.shape) if stage.plan is None else 0
    return counts


def _buffer_counts(buffer: Buffer) -> dict[str, int]:
    """Return how many rows of a map are made, and how many values are moved when rows are dropped."""
    rows = buffer.rows - buffer.top
    slides = max(0, -(-(buffer.rows - buffer.kept) // buffer.slide))
    return {"rows": rows, "slid": slides * (buffer.kept - buffer.slide) * buffer.row}


def _layer_counts(entry: Entry) -> dict[str, int]:
    """Return how often the loops of a layer run in one of its rows."""
    kind, width, channels = str(entry["kind"]), int(entry["width"]), int(entry["channels"])
    if kind == "CONVOLUTION":
        return _window_counts(entry, width, channels)
    if kind == "POOLS":
        window = int(entry["rows"]) * int(entry["run"])
        return {"pools": width * channels, "pooled": width * channels * window}
    return {} if kind == "READ" else {kind.lower(): width * channels}


def _window_counts(entry: Entry, width: int, channels: int) -> dict[str, int]:
    """Return the loops of a row of a convolution: blocks of windows, their rows and their taps."""
    areas = int(entry["pool_rows"]) * int(entry["pool_columns"])
    fours, ones = divmod(width, WINDOWS) if width >= WINDOWS else (0, width)
    rows, run = int(entry["rows"]), int(entry["run"])
    found = {"windows": width * channels * areas, "blocks": (fours + ones) * channels}
    found["means" if str(entry["pool"]).startswith("MEAN") else "outputs"] = width * channels
    for name, count in (("four", fours), ("one", ones)):
        calls = count * channels * areas
        found |= {f"calls of {name}": calls, f"rows of {name}": calls * rows, f"taps of {name}": calls * rows * run}
    return found
