"""The parts of a C source, and values as C text: shared by the float and the integer export."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.exporters.c_layers import Table
from smidgen.exporters.schedule import Schedule
from smidgen.spec import Dense, LayerPlan

Array = npt.NDArray[Any]


@dataclass
class Parts:
    """The parts of a C source while it is built.

    Attributes:
        table: The layers.
        types: Definitions of `item`, `total`, `weight` and `coefficient`.
        macros: What the functions of the template call by names in capitals.
        sections: Names of the template's sections that are needed.
        tables: Constant arrays.
        pixel: C expression of the first layer's input for the number `v` of channel `c`.
        preamble: Text before the functions of the template.
        first: Statements before an input is read.
        unit: What a logit is multiplied by; 1 where the logits are what they are.
        unit_rows: Whether the logits must be brought to one unit.
        constants: Bytes of the constant arrays.
    """

    table: Table
    types: list[str] = field(default_factory=list)
    macros: dict[str, str] = field(default_factory=dict)
    sections: set[str] = field(default_factory=set)
    tables: list[str] = field(default_factory=list)
    pixel: str = ""
    preamble: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    unit: float = 1.0
    unit_rows: bool = False
    constants: int = 0

    def add(self, name: str, kind: str, values: Array) -> str:
        """Add a constant array and return its name."""
        self.tables.append(f"static const {kind} {name}{array(values)};")
        self.constants += values.size * _BYTES[kind]
        return name


_BYTES = {"float": 4, "total": 4, "int32_t": 4, "int16_t": 2, "uint8_t": 1, "int8_t": 1}


def ordered(values: Array, plan: LayerPlan, schedule: Schedule, stage: int) -> Array:
    """Return the weights of a layer in the order in which they are read.

    Args:
        values: As the network has them: [channels, inputs, rows, columns], of a dense layer [units, inputs].
        plan: The layer.
        schedule: What says whether rows and columns have changed places, and whether the stage gathers.
        stage: The layer's stage.
    """
    if isinstance(plan.layer, Dense):
        values = values.reshape(len(values), *plan.input_shape)
    moved = values.transpose(0, 3, 2, 1) if schedule.transposed else values.transpose(0, 2, 3, 1)
    if schedule.stages[stage].gathers:
        moved = moved.transpose(1, 0, 2, 3)
    return np.ascontiguousarray(moved).ravel()


def sections(wanted: set[str], replacements: dict[str, str]) -> list[str]:
    """Return the wanted sections of the template, in its order, with each @NAME@ replaced."""
    template = files("smidgen.exporters").joinpath("network.c.txt").read_text()
    parts = re.split(r"/\*@ (.+) \*/\n", template)[1:]
    texts = [text for section, text in zip(parts[::2], parts[1::2], strict=True) if section in wanted]
    return [re.sub(r"@([A-Z]+)@", lambda match: replacements[match[1]], text) for text in texts]


def array(values: Array) -> str:
    """Return "[n] = {...}" in lines of about 100 characters, floats in the shortest form that reads back."""
    is_float = values.dtype.kind == "f"
    texts = list(map(float_text, values.ravel().tolist())) if is_float else list(map(str, values.ravel().tolist()))
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) > 100:
            lines.append(line)
            line = ""
        line += f" {text},"
    return f"[{len(texts)}] = {{\n   " + "\n   ".join([*lines, line]).rstrip(",") + "\n}"


def float_text(value: float) -> str:
    """Return a number as C in the shortest form that reads back as the same float32."""
    return f"{np.format_float_scientific(np.float32(value), unique=True, trim='0')}f"
