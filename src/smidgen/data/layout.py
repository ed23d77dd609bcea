"""Which axis of an array is time, which is rows, which is channels: found from its shape, or as the user says.

- [n, f] is a vector.
- [n, a, b] is a signal if one side is at least twice the other, and that one at most 32: the shorter side is its
  channels. Whole numbers from 0 to 255 are a signal only from eight times on, beside at most 16 channels. All else is a
  grey picture.
- [n, a, 1, b] is a signal; [n, 1, a, b] and [n, a, b, 1] are as [n, a, b].
- [n, a, b, c] is a picture. Its channels are an axis of 1 or 3, the first before the last; else one of at most 16: the
  one that leaves a square, then the shorter, then the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import DataError
from smidgen.spec import Shape
from smidgen.spec.input import CHANNELS_TIME, IMAGE_AXES, SIGNAL_AXES, TIME_CHANNELS

Array = npt.NDArray[Any]

ROWS, ROWS_CHANNELS, CHANNELS_ROWS = IMAGE_AXES
LAYOUTS = (*SIGNAL_AXES, *IMAGE_AXES)
"""What `--layout` takes: the axes of one example, in order."""

MAX_SIGNAL_CHANNELS, SIGNAL_RATIO = 32, 2
MAX_BYTE_CHANNELS, BYTE_RATIO = 16, 8
MAX_IMAGE_CHANNELS = 16


@dataclass(frozen=True)
class Layout:
    """How arrays are laid out.

    Attributes:
        axes: A name in `LAYOUTS`; "" for vectors.
        is_ambiguous: Whether the shape alone also allows the other kind, a picture for a signal.
    """

    axes: str = ""
    is_ambiguous: bool = False

    @property
    def kind(self) -> str:
        """ "vector", "signal" or "image"."""
        if not self.axes:
            return "vector"
        return "signal" if self.axes in SIGNAL_AXES else "image"

    def arranged(self, raw: Array) -> Array:
        """Return the values as [n, channels, height, width], a view where that is possible.

        Raises:
            DataError: The array has another number of axes.
        """
        match self.axes, raw.shape:
            case "", (count, *rest):
                return raw.reshape(count, int(np.prod(rest)), 1, 1)
            case (("height-width" | "time-channels" | "channels-time"), (count, length)):
                return raw.reshape(count, 1, 1, length)
            case "height-width", (count, height, width):
                return raw.reshape(count, 1, height, width)
            case "channels-height-width", (_, _, _, _):
                return raw
            case "height-width-channels", (_, _, _, _):
                return raw.transpose(0, 3, 1, 2)
            case (("time-channels" | "channels-time"), (_, _, _, *_)):
                return self._signal(raw)
        raise DataError(f"X has shape {_text(raw.shape)}, which is not laid out as {self.axes}; leave out --layout")

    def _signal(self, raw: Array) -> Array:
        """Return [n, channels, 1, time]. An axis of length 1 beside two others is neither."""
        count, *sides = raw.shape
        if len(sides) == 3:
            if 1 not in sides:
                raise DataError(f"X has shape {_text(raw.shape)}, which no signal has; give [n, time, channels]")
            sides.remove(1)
        pairs = raw.reshape(count, *sides)
        return (pairs.transpose(0, 2, 1) if self.axes == TIME_CHANNELS else pairs)[:, :, None, :]


def stated_layout(axes: str) -> Layout | None:
    """Return the layout that the user states; None for "", which finds it.

    Raises:
        DataError: There is no such layout.
    """
    if axes and axes not in LAYOUTS:
        raise DataError(f"--layout {axes} is not known; use one of {', '.join(LAYOUTS)}")
    return Layout(axes) if axes else None


def find_layout(shape: tuple[int, ...], are_bytes: Callable[[], bool]) -> Layout | None:
    """Find how an array is laid out.

    Args:
        shape: Its shape, [n, ...].
        are_bytes: Tells whether all values are whole numbers from 0 to 255; called only where it matters.

    Returns:
        The layout; None if no classifier takes such arrays.
    """
    match shape[1:]:
        case (_,) | (_, 1, 1):
            return Layout()
        case (height, width):
            return _of_two(height, width, ROWS, are_bytes())
        case (first, 1, last):
            return Layout(TIME_CHANNELS if last < first else CHANNELS_TIME)
        case (1, height, width):
            return _of_two(height, width, CHANNELS_ROWS, are_bytes())
        case (height, width, 1):
            return _of_two(height, width, ROWS_CHANNELS, are_bytes())
        case (first, rows, last):
            return _picture(first, rows, last)
    return None


def _of_two(first: int, last: int, picture_axes: str, are_bytes: bool) -> Layout:
    """The layout of two sides: a signal, whose channels are the shorter side, or a grey picture."""
    short, long = sorted((first, last))
    most, ratio = (MAX_BYTE_CHANNELS, BYTE_RATIO) if are_bytes else (MAX_SIGNAL_CHANNELS, SIGNAL_RATIO)
    if short == 1 or (short <= most and long >= ratio * short):
        return Layout(TIME_CHANNELS if last < first else CHANNELS_TIME, is_ambiguous=short > 1)
    return Layout(picture_axes, is_ambiguous=not are_bytes)


def _picture(first: int, rows: int, last: int) -> Layout | None:
    if first in (1, 3) or last in (1, 3):
        return Layout(CHANNELS_ROWS if first in (1, 3) else ROWS_CHANNELS)
    found = [
        (sides[0] != sides[1], channels, axes)
        for channels, sides, axes in ((first, (rows, last), CHANNELS_ROWS), (last, (first, rows), ROWS_CHANNELS))
        if channels <= MAX_IMAGE_CHANNELS
    ]
    return Layout(min(found)[2]) if found else None  # "channels-..." comes before "height-..."


def arranged_like(raw: Array, axes: str, shape: Shape) -> Array | None:
    """Arrange arrays for a network, in the axes that it was trained from if they fit, else in those that do.

    Args:
        raw: [n, ...].
        axes: The axes in training, a name in `LAYOUTS`; "" if they are unknown.
        shape: (channels, height, width) that the network takes.

    Returns:
        [n, channels, height, width]; None if no layout gives this shape.
    """
    for name in filter(None, (axes, CHANNELS_ROWS, ROWS_CHANNELS, ROWS, CHANNELS_TIME, TIME_CHANNELS)):
        if _fits(raw.shape, name, shape):
            return Layout(name).arranged(raw)
    flat = shape[1:] == (1, 1) and raw.shape[1:] == shape[:1]
    return Layout().arranged(raw) if flat else None


def _fits(given: tuple[int, ...], axes: str, shape: Shape) -> bool:
    """Whether arrays of this shape, laid out so, are of the network's shape."""
    try:
        return Layout(axes).arranged(np.zeros((0, *given[1:]), np.uint8)).shape[1:] == shape
    except DataError:
        return False


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(["n", *map(str, shape[1:])]) + "]"
