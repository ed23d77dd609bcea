"""A user's arrays and pictures become what a trained network reads, in the units and axes that it was trained from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.checks import check_numbers, shape_text
from smidgen.data.layout import arranged_like
from smidgen.errors import DataError
from smidgen.spec import InputSpec, Shape
from smidgen.spec.input import IMAGE_BYTES, SIGNAL, TIME_CHANNELS

Array = npt.NDArray[Any]

RANGE_MARGIN = 0.25
"""Share of the range in training by which a value may lie outside unsaid: new data often go a little further."""


def network_input(X: Array, input: InputSpec) -> tuple[Array, tuple[str, ...]]:
    """Bring arrays to what a network reads.

    Args:
        X: Numbers of any type, in the units and axes of the data that the network was trained from.
        input: What the network reads.

    Returns:
        uint8 or float32 [n, channels, height, width], and what the user should know, one sentence each.

    Raises:
        DataError: The arrays are of another shape, or not all are finite numbers.
    """
    check_numbers(X, "X")
    values = arranged_like(X, input.axes, input.shape)
    if values is None:
        raise DataError(_wrong_shape(X.shape, input))
    if input.kind == IMAGE_BYTES:
        inputs, notes = _from_bytes(values, input)
    else:
        values, notes = _in_units(values, input)
        inputs, notes = input.to_network(values), notes + outside_notes(values, input)
    if not np.isfinite(inputs).all():
        raise DataError("X has values that are not finite numbers, or too large for float32; replace or remove them")
    return np.ascontiguousarray(inputs), notes


def _from_bytes(values: Array, input: InputSpec) -> tuple[Array, tuple[str, ...]]:
    """Read the values of a network for images in bytes; floats from 0 to 1 have been divided by 255 already."""
    if values.dtype == np.uint8 or values.size == 0:
        return values.astype(np.uint8), ()
    low, high = values.min(), values.max()
    whole = bool((values == np.rint(values)).all())
    if whole and low >= 0 and high <= 255 and (high > 1 or values.dtype.kind != "f"):
        return values.astype(np.uint8), ()
    if low >= 0 and high <= 1:
        note = "X has numbers from 0 to 1, read as bytes that are divided by 255 already"
        return values.astype(np.float32), (note,) if input.is_stated else ()
    if not input.is_stated and (low < 0 or high <= 2):
        return values.astype(np.float32), (
            f"the file does not say what the network reads, and X has numbers from {low:g} to {high:g}, which are read "
            "as they are",
        )
    outside = int(((values < 0) | (values > 255)).sum())
    note = f"{outside:,} of {values.size:,} values of X lie outside 0 to 255 (from {low:g} to {high:g})"
    return input.to_network(values), (note,) if outside else ()


def _in_units(values: Array, input: InputSpec) -> tuple[Array, tuple[str, ...]]:
    """Bring the bytes of pictures to the range of numbers that a network was trained from, where it is known."""
    unit = input.byte_unit if values.dtype == np.uint8 else None
    if unit is None or unit[0] == "0..255":
        return values, ()
    return _scaled_bytes(values, unit), (f"X has bytes, brought to {unit[0]}, the range in training",)


def picture_values(pixels: npt.NDArray[np.uint8], input: InputSpec) -> Array:
    """Bring a picture's bytes [n, channels, height, width] to what a network reads.

    Raises:
        DataError: The network was trained on numbers in a range to which bytes cannot be brought for certain.
    """
    if input.kind == IMAGE_BYTES:
        return pixels
    unit = input.byte_unit
    if unit is None:
        seen = f"from {min(input.low):g} to {max(input.high):g}" if input.low else "that the file does not describe"
        raise DataError(
            f"the network was trained on numbers {seen}, and how a picture's bytes become such numbers is unknown; use "
            "smidgen.load(file).predict(X) with X made as for training"
        )
    return input.to_network(_scaled_bytes(pixels, unit))


def _scaled_bytes(values: Array, unit: tuple[str, float, float]) -> Array:
    _, black, white = unit
    return (values.astype(np.float64) * ((white - black) / 255) + black).astype(np.float32)


def outside_notes(values: Array, input: InputSpec) -> tuple[str, ...]:
    """Say how many values lie outside the range in training by more than a quarter of its width; () if none does."""
    if not input.low or not input.high or values.size == 0:
        return ()
    low, high = (np.broadcast_to(np.array(end), input.shape[:1]).reshape(-1, 1, 1) for end in (input.low, input.high))
    slack = RANGE_MARGIN * (high - low) + 1e-6 * np.maximum(np.abs(low), np.abs(high))
    outside = (values < low - slack) | (values > high + slack)
    if not outside.any():
        return ()
    worst = int(outside.sum(axis=(0, 2, 3)).argmax())
    name = "feature" if input.shape[1:] == (1, 1) else "channel"
    where = f" in {name} {worst} (from 0)" if input.shape[0] > 1 else ""
    column = values[:, worst]
    return (
        f"{int(outside.sum()):,} of {values.size:,} values of X lie far outside those in training, most{where}: from "
        f"{column.min():g} to {column.max():g} for {low[worst, 0, 0]:g} to {high[worst, 0, 0]:g}; check the units",
    )


def _wrong_shape(given: tuple[int, ...], input: InputSpec) -> str:
    wanted = "x".join(map(str, input.shape))
    return (
        f"X has examples of {shape_text(given[1:])} and the network takes {wanted} (channels, height, width); "
        f"{_remedy(given[1:], input.shape, input)}"
    )


def _remedy(given: tuple[int, ...], wanted: Shape, input: InputSpec) -> str:
    """Say how to make arrays of the wanted shape."""
    if math.prod(given) != math.prod(wanted):
        return "give examples of that size"
    channels, height, width = wanted
    if (height, width) == (1, 1):
        sides: tuple[int, ...] = (channels,)
    elif input.kind == SIGNAL:
        sides = (width, channels) if input.axes == TIME_CHANNELS else (channels, width)
    else:
        sides = (height, width) if channels == 1 else wanted
    return f"give X.reshape(-1, {', '.join(map(str, sides))})"
