"""What both ways of writing C have in common: the pieces of a source, and numbers as C has them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.spec import Dense, LayerPlan, Shape


@dataclass
class Parts:
    """A source in the making. Values lie in `a` or `b`, and `current` is where they lie now.

    sections: parts of the template that are needed; room: the most values that each buffer holds
    """

    pixel: str
    before: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    first_calls: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    room: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    current: str = "a"

    def grow(self, buffer: str, shape: Shape) -> None:
        """Make room for a map."""
        self.room[buffer] = max(self.room[buffer], int(np.prod(shape)))

    def other(self, shape: Shape) -> str:
        """The buffer that is not in use, with room for a map."""
        there = "b" if self.current == "a" else "a"
        self.grow(there, shape)
        return there

    def call(self, section: str, text: str) -> None:
        """A call of what a part of the template has."""
        self.sections.append(section)
        self.calls.append(text)


def dims(shape: Shape) -> str:
    """A shape as C has it."""
    return f"(shape){{{', '.join(map(str, shape))}}}"


def whole_kernel(plan: LayerPlan) -> str:
    """(channels in, height, width) of a kernel; that of a dense layer is the whole map."""
    if isinstance(plan.layer, Dense):
        return dims(plan.input_shape)
    _, channels, height, width = plan.weight_shape
    return dims((channels, height, width))


def array(values: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> str:
    """[n] = {...}, lines of about a hundred characters; float32 by the shortest text that reads back."""
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
