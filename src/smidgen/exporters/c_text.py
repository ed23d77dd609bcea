"""The parts of a C source, and values as C text: shared by the float and the integer export."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.spec import Dense, LayerPlan, Shape


@dataclass
class Parts:
    """The parts of a C source while it is built. Layers compute from one of the buffers `a` and `b` into the other.

    Attributes:
        pixel: C expression of the first layer's input for `image[i]`.
        preamble: definitions before the template's functions.
        sections: names of the template's sections that are needed.
        tables: constant arrays.
        first_calls: statements before the image is read.
        calls: one statement per layer.
        buffer_sizes: values that each buffer must have room for.
        current: the buffer with the latest values.
    """

    pixel: str
    preamble: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    first_calls: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    buffer_sizes: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    current: str = "a"

    def grow(self, buffer: str, shape: Shape) -> None:
        """Enlarge a buffer so that a map of this shape fits."""
        self.buffer_sizes[buffer] = max(self.buffer_sizes[buffer], int(np.prod(shape)))

    def other(self, shape: Shape) -> str:
        """Return the other buffer, enlarged so that a map of this shape fits."""
        there = "b" if self.current == "a" else "a"
        self.grow(there, shape)
        return there

    def call(self, section: str, text: str) -> None:
        """Add a statement that calls a function of this section of the template."""
        self.sections.append(section)
        self.calls.append(text)


def dims(shape: Shape) -> str:
    """Return a shape as a C compound literal."""
    return f"(shape){{{', '.join(map(str, shape))}}}"


def whole_kernel(plan: LayerPlan) -> str:
    """Return a kernel's (input channels, height, width) as C; a dense layer's kernel is the whole map."""
    if isinstance(plan.layer, Dense):
        return dims(plan.input_shape)
    _, channels, height, width = plan.weight_shape
    return dims((channels, height, width))


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
