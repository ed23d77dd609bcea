"""The parts of a C source, and values as C text: shared by the float and the integer export."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.exporters.arena import Arena
from smidgen.exporters.forward import paddings, stride_of
from smidgen.spec import Dense, Depthwise, LayerPlan, Shape
from smidgen.spec.shapes import product


@dataclass
class Parts:
    """The parts of a C source while it is built.

    Attributes:
        arena: Where the input and the layers' outputs lie in the array `memory`.
        pixel: C expression of the first layer's input for `image[i]`.
        preamble: definitions before the template's functions.
        sections: names of the template's sections that are needed.
        tables: constant arrays.
        first_calls: statements before the image is read.
        calls: one statement per layer.
    """

    arena: Arena
    pixel: str
    preamble: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    first_calls: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def at(self, layer: int) -> str:
        """Return where a layer's output begins, as C; -1 is the network's input."""
        offset = self.arena.offsets[layer]
        return f"memory + {offset}" if offset else "memory"

    def between(self, place: int, plan: LayerPlan) -> str:
        """Return a layer's input and output with their shapes, as the arguments of a C function."""
        return f"{self.at(plan.inputs[0])}, {dims(plan.input_shape)}, {self.at(place)}, {dims(plan.output_shape)}"

    def call(self, section: str, text: str) -> None:
        """Add a statement that calls a function of this section of the template."""
        self.sections.append(section)
        self.calls.append(text)

    def copy(self, place: int, plan: LayerPlan) -> None:
        """Add a statement that copies a layer's input to its output, unless they lie in one place."""
        source, target = self.at(plan.inputs[0]), self.at(place)
        if source != target:
            self.calls.append(
                f"for (i = 0; i < {product(plan.output_shape)}; i++)\n        ({target})[i] = ({source})[i];"
            )


def dims(shape: Shape) -> str:
    """Return a shape as a C compound literal."""
    return f"(shape){{{', '.join(map(str, shape))}}}"


def window(plan: LayerPlan) -> str:
    """Return how a layer's kernel or pool moves, as C; the kernel of a dense layer is the whole map."""
    (top, _), (left, _) = paddings(plan)
    sides = plan.weight_shape[2:] or getattr(plan.layer, "window", plan.input_shape[1:])
    if isinstance(plan.layer, Dense):
        sides = plan.input_shape[1:]
    return f"(window){{{', '.join(map(str, (*sides, *stride_of(plan), top, left)))}}}"


def kernels(plan: LayerPlan) -> int:
    """Return how many kernels a depthwise layer has, and 0 for every other layer."""
    return plan.weight_shape[0] if isinstance(plan.layer, Depthwise) else 0


def array(values: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> str:
    """Return "[n] = {...}" in lines of about 100 characters, floats in the shortest form that reads back."""
    is_float = values.dtype.kind == "f"
    texts = list(map(_float_text, values.ravel().tolist())) if is_float else list(map(str, values.ravel().tolist()))
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) > 100:
            lines.append(line)
            line = ""
        line += f" {text},"
    return f"[{len(texts)}] = {{\n   " + "\n   ".join([*lines, line]).rstrip(",") + "\n}"


def _float_text(value: float) -> str:
    return f"{np.format_float_scientific(np.float32(value), unique=True, trim='0')}f"
