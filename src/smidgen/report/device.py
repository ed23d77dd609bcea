"""The C program of an answer: the file itself, and what it takes on a device."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from subprocess import SubprocessError
from tempfile import TemporaryDirectory
from typing import TypeVar

from smidgen.errors import SmidgenError
from smidgen.exporters import c_program, nanoseconds_by_c, program_size
from smidgen.exporters.program_cost import program_cost
from smidgen.exporters.targets import network_inputs
from smidgen.model import QuantizedModel, as_quantized
from smidgen.search.goal import LIMIT_NAMES, OPTIONS, PROCESSOR, Limits
from smidgen.search.result import ShrinkResult

T = TypeVar("T")

FORM = "levels"
"""The form of the program where the goal names none: it gives the network's own classes."""


@dataclass(frozen=True)
class Device:
    """The C program of an answer.

    Attributes:
        form: How it stores the weights.
        text: The program, a single header.
        ram_bytes: The memory of one call, computed; an input and the stack come on top.
        flash_bytes: Weights, tables and code on a Cortex-M0+.
        flash_is_measured: Whether a compiler linked it; else it is estimated.
        instructions: Of one inference by processor, estimated.
        nanoseconds: Of one inference on this machine; None without a C compiler that works.
        notes: Why it is not of the form that was asked for; empty where it is.
    """

    form: str
    text: str = field(repr=False)
    ram_bytes: int
    flash_bytes: int
    flash_is_measured: bool
    instructions: Mapping[str, int]
    nanoseconds: float | None
    notes: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """The program as the address of a download."""
        return f"data:text/x-c;base64,{b64encode(self.text.encode()).decode()}"

    @property
    def flash_text(self) -> str:
        """How the flash is known: "measured" or "estimated"."""
        return "measured" if self.flash_is_measured else "estimated"

    @property
    def instructions_text(self) -> str:
        """The instructions in words: "1,000,000 on a Cortex-M0+, 400,000 on a Cortex-M4F"."""
        return ", ".join(f"{count:,} on a {name}" for name, count in self.instructions.items())

    def exceeded(self, limits: Limits) -> tuple[str, ...]:
        """Return a sentence for each limit that the program exceeds: it was chosen by an estimate."""
        found = {"flash_bytes": self.flash_bytes, "ram_bytes": self.ram_bytes}
        found["instructions"] = self.instructions[PROCESSOR]
        return tuple(
            f"The C program takes {found[name]:,} {LIMIT_NAMES[name][1]}, more than {OPTIONS[name]} {limit}, which an "
            f"estimate kept; give {OPTIONS[name]} {max(1, 2 * limit - found[name])}"
            for name, limit in limits.given.items()
            if limits.form and name in found and found[name] > limit
        )


def device_of(result: ShrinkResult) -> Device | None:
    """Return the C program of the shortest file, or of the winner where there is none.

    A form that cannot hold the network gives way to `FORM`, and a note says so: the search has ended, and its answer
    must not be lost. None where no form can hold it.
    """
    notes = tuple[str, ...]()
    for form in dict.fromkeys((result.goal.limits.form or FORM, FORM)):
        try:
            return replace(_device(result, form), notes=notes)
        except SmidgenError as error:
            notes = (f"The network has no C program of the form {form}: {error}.",)
    return None


def _device(result: ShrinkResult, form: str) -> Device:
    quantized = result.file.winner.quantized if result.file else as_quantized(result.model)
    inputs = network_inputs(quantized, result.data, result.data.train.images)
    made = c_program(quantized, "winner", form, inputs, "winner.h", single=True)
    flash, nanoseconds = _measured(made.header)
    return Device(
        form=form,
        text=made.header,
        ram_bytes=made.ram_bytes,
        flash_bytes=flash or _estimated_flash(quantized, form),
        flash_is_measured=flash is not None,
        instructions=program_cost(quantized.spec, quantized.input_shape, form).instructions,
        nanoseconds=nanoseconds,
    )


def _estimated_flash(quantized: QuantizedModel, form: str) -> int:
    return program_cost(quantized.spec, quantized.input_shape, form).flash_bytes


@lru_cache(maxsize=32)
def _measured(header: str) -> tuple[int | None, float | None]:
    """Return the flash on a Cortex-M0+ and the nanoseconds here, each None where its compiler is missing or fails."""
    with TemporaryDirectory(prefix="smidgen-") as folder:
        path = Path(folder) / "winner.h"
        path.write_text(header)
        size = _or_none(program_size, path)
        nanoseconds = _or_none(nanoseconds_by_c, path) if shutil.which("cc") else None
    return size.flash_bytes if size else None, nanoseconds


def _or_none(measure: Callable[[Path], T], path: Path) -> T | None:
    try:
        return measure(path)
    except (SmidgenError, OSError, SubprocessError):
        return None
