"""How a C source reads its input: numbers in the user's units, of one of three types."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.c_text import Parts, float_text
from smidgen.exporters.forward import reads_bytes
from smidgen.model import QuantizedModel

ENTRIES = {"float": "float", "int16": "int16_t", "uint8": "uint8_t"}
"""The types of the numbers that the exported function takes, and their names in C."""

MOST_BITS, LEAST_BITS = 15, 8
"""Bits of the factor that brings a whole number to the levels of the first layer's input."""


def entry_of(quantized: QuantizedModel, entry: str | None) -> str:
    """Return the type that the function takes; None chooses bytes for an image in bytes, else float.

    Raises:
        RequestError: the type is unknown.
    """
    entry = entry or ("uint8" if reads_bytes(quantized) else "float")
    if entry not in ENTRIES:
        raise RequestError(f"--entry {entry} is not known; use one of {', '.join(ENTRIES)}")
    return entry


def offsets_and_scales(quantized: QuantizedModel) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what is subtracted from each channel and what it is then multiplied by: float64 [channels]."""
    channels = quantized.input_shape[0]
    if reads_bytes(quantized):
        return np.zeros(channels), np.full(channels, 1 / 255)
    return quantized.input.offsets.astype(np.float64), quantized.input.scales.astype(np.float64)


def float_pixel(parts: Parts, quantized: QuantizedModel, entry: str) -> str:
    """Add tables of the input's offsets and scales, and return the first layer's input as C."""
    value = "(v)" if entry == "float" else "(float)(v)"
    if reads_bytes(quantized):
        return f"({value} / 255.0f)"
    for name, operator, numbers in (("offset", "-", quantized.input.offset), ("scale", "*", quantized.input.scale)):
        if len(set(numbers)) > 1:
            parts.add(f"input_{name}", "float", np.array(numbers, np.float32))
            value = f"({value} {operator} input_{name}[c])"
        elif numbers:
            value = f"({value} {operator} {float_text(numbers[0])})"
    return value


def integer_pixel(
    parts: Parts, quantized: QuantizedModel, entry: str, steps: npt.NDArray[np.float64], zeros: npt.NDArray[np.float64]
) -> str:
    """Add tables that bring a number to the levels of the first layer's input, and return the level as C.

    Args:
        parts: What the tables are added to.
        quantized: The network.
        entry: The type of the numbers.
        steps: What a level of each channel stands for: the layers read (level - zero) * step.
        zeros: The level, not always a whole number, of a zero that the layers read.
    """
    offsets, scales = offsets_and_scales(quantized)
    if reads_bytes(quantized) and entry == "uint8":
        return "((item)((v) - 128))"
    factors, sums = scales / steps, zeros - offsets * scales / steps
    if entry == "float":
        parts.sections.add("float level")
        _add_tables(parts, "float", factors.astype(np.float32), sums.astype(np.float32))
        return _call(factors)
    ends = (0, 255) if entry == "uint8" else (-32768, 32767)
    whole, moved, shifts = np.array([_fixed_point(*pair, *ends) for pair in zip(factors, sums, strict=True)]).T
    parts.sections.add("whole level")
    _add_tables(parts, "int32_t", whole, moved)
    parts.add("input_shift", "uint8_t", shifts)
    return _call(factors)


def _call(factors: npt.NDArray[np.float64]) -> str:
    return "level_of((v), c)" if len(factors) > 1 else "level_of((v), 0)"


def _add_tables(parts: Parts, kind: str, factors: npt.NDArray[Any], sums: npt.NDArray[Any]) -> None:
    parts.add("input_factor", kind, factors)
    parts.add("input_sum", kind, sums)


def _fixed_point(factor: float, added: float, low: int, high: int) -> tuple[int, int, int]:
    """Return a factor and what is added, both times 2**shift, and the shift: 32 bits hold all that comes out.

    Raises:
        RequestError: the numbers are too large for that.
    """
    for bits in range(MOST_BITS, LEAST_BITS - 1, -1):
        shift = min(30, bits - math.frexp(factor)[1])
        if shift < 1:
            continue
        whole, moved = round(factor * 2.0**shift), round(added * 2.0**shift + 2.0 ** (shift - 1))
        if max(abs(whole * low), abs(whole * high), abs(moved), *(abs(whole * v + moved) for v in (low, high))) < 2**31:
            return whole, moved, shift
    raise RequestError(
        "the input's values lie too far from zero, or too close together, for whole numbers; use --entry float"
    )
