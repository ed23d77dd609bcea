"""What the numbers of a network's input mean: the units, the axes and the range of what it was trained from."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import SpecError
from smidgen.spec.plan import Shape

IMAGE_BYTES, IMAGE_FLOATS, SIGNAL, VECTOR = KINDS = ("image-bytes", "image-floats", "signal", "vector")

TIME_CHANNELS, CHANNELS_TIME = SIGNAL_AXES = ("time-channels", "channels-time")
IMAGE_AXES = ("height-width", "height-width-channels", "channels-height-width")

RESIZE_RULES = ("box",)
"""How a picture of another size is brought to the network's: each new pixel is the mean of what it covers."""

BYTE_UNITS = (("0..1", 0.0, 1.0), ("-1..1", -1.0, 1.0), ("0..255", 0.0, 255.0))
"""Ranges of pictures in floating-point numbers to which bytes can be brought: name, value of black, value of white."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class InputSpec:
    """What a network reads, in the units of the data that it was trained from.

    The network's own input is (value - offset) * scale in each channel, and value / 255 for an image in bytes. Two
    descriptions are equal if they read the same values alike; `low`, `high` and `is_stated` take no part.

    Attributes:
        kind: A name in `KINDS`. A signal is a map (channels, 1, time), a vector is (features, 1, 1).
        shape: (channels, height, width) of one input.
        offset: One number a channel (of a vector: a feature), or one for all; () for none.
        scale: As `offset`; above 0.
        low: The least value of each channel in training, or one for all, in the user's units; () if unknown.
        high: The greatest, likewise.
        axes: How the user's arrays are laid out: a name in `SIGNAL_AXES` or `IMAGE_AXES`; "" if it does not matter or
            is unknown.
        resize: How pictures of another size are resized, a name in `RESIZE_RULES`.
        is_stated: Whether the data or the file says so; a file from before this description existed does not.
    """

    kind: str
    shape: Shape
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    low: tuple[float, ...] = field(default=(), compare=False)
    high: tuple[float, ...] = field(default=(), compare=False)
    axes: str = ""
    resize: str = "box"
    is_stated: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        wrong = self._wrong()
        if wrong:
            raise SpecError(f"an input {wrong}; describe it as `smidgen.spec.InputSpec` says")

    def _wrong(self) -> str:
        """Say what cannot be; "" if nothing is wrong."""
        for name, known in (("kind", KINDS), ("resize", RESIZE_RULES), ("axes", ("", *SIGNAL_AXES, *IMAGE_AXES))):
            if getattr(self, name) not in known:
                return f"has {name}={getattr(self, name)!r}, which is none of {', '.join(filter(None, known))}"
        for name in ("offset", "scale", "low", "high"):
            numbers = getattr(self, name)
            if len(numbers) not in (0, 1, self.shape[0]):
                return f"of {self.shape[0]} channels has {len(numbers)} numbers in {name}"
            if not all(map(math.isfinite, numbers)):
                return f"has a number in {name} that is not finite"
        if min(self.scale, default=1.0) <= 0:
            return f"has a scale of {min(self.scale):g}, which must be above 0"
        if self.kind == IMAGE_BYTES and self.is_scaled:
            return "in bytes has an offset or a scale, and is always read as value / 255"
        return ""

    @property
    def is_scaled(self) -> bool:
        """Whether an offset or a scale changes any value."""
        return any(offset != 0 for offset in self.offset) or any(scale != 1 for scale in self.scale)

    @property
    def kept_numbers(self) -> int:
        """How many numbers its offsets and scales are, those that change nothing left out."""
        return sum(offset != 0 for offset in self.offset) + sum(scale != 1 for scale in self.scale)

    @property
    def offsets(self) -> Floats:
        """The offset of each channel: float32 [channels]."""
        return np.broadcast_to(np.array(self.offset or (0.0,), np.float32), self.shape[:1])

    @property
    def scales(self) -> Floats:
        """The scale of each channel: float32 [channels]."""
        return np.broadcast_to(np.array(self.scale or (1.0,), np.float32), self.shape[:1])

    @property
    def byte_unit(self) -> tuple[str, float, float] | None:
        """The entry of `BYTE_UNITS` that pictures in floating-point numbers were in; None if it is none of them.

        Numbers must fill at least the upper half of the range, and in -1..1 the lower half of its negative part.
        """
        if self.kind != IMAGE_FLOATS or not self.low or not self.high:
            return None
        low, high = min(self.low), max(self.high)
        fitting = (
            unit
            for unit in BYTE_UNITS
            if unit[1] <= low and unit[2] / 2 < high <= unit[2] and (unit[1] == 0 or low < unit[1] / 2)
        )
        return next(fitting, None)

    def to_network(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring values [n, channels, height, width] in the user's units to what the network's layers read.

        Returns:
            float32 [n, channels, height, width]; an image in bytes stays uint8, which an engine reads as value / 255.
        """
        if self.kind == IMAGE_BYTES:
            return values if values.dtype == np.uint8 else values.astype(np.float32) / np.float32(255)
        if not self.is_scaled:
            return values.astype(np.float32, copy=False)
        offsets, scales = (each.astype(np.float64).reshape(-1, 1, 1) for each in (self.offsets, self.scales))
        return ((values - offsets) * scales).astype(np.float32)

    def to_units(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring what the layers read back to the user's units, except for rounding; bytes stay as they are."""
        if not self.is_scaled:
            return inputs
        offsets, scales = (each.astype(np.float64).reshape(-1, 1, 1) for each in (self.offsets, self.scales))
        return (inputs / scales + offsets).astype(np.float32)

    def __str__(self) -> str:
        """The description in a line: "signal of 3 channels and 128 steps, (value - offset) * scale in each channel"."""
        return f"{self._what}, {self._reading}"

    @property
    def _what(self) -> str:
        channels, height, width = self.shape
        match self.kind:
            case "vector":
                return f"vector of {channels} feature{'s' * (channels > 1)}"
            case "signal":
                return f"signal of {channels} channel{'s' * (channels > 1)} and {width} steps"
        unit = "bytes" if self.kind == IMAGE_BYTES else "floating-point numbers"
        return f"image of {channels}x{height}x{width} in {unit}"

    @property
    def _reading(self) -> str:
        if not self.is_stated:
            return "as far as the file says: bytes are read as value / 255, other numbers as they are"
        if self.kind == IMAGE_BYTES:
            return "read as value / 255"
        if not self.is_scaled:
            return "read as it is"
        one = max(len(self.offset), len(self.scale)) == 1 and self.shape[0] > 1
        each = "one for all" if one else f"in each {'feature' if self.kind == VECTOR else 'channel'}"
        return f"read as (value - offset) * scale, {each}"

    def to_json(self) -> str:
        """Write the description as JSON; `from_json` reads it."""
        found = {name: value for name, value in asdict(self).items() if name != "is_stated" and value not in ((), "")}
        return json.dumps(found, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> InputSpec:
        """Read what `to_json` wrote.

        Raises:
            SpecError: The text is no such description.
        """
        try:
            found = json.loads(text)
            names = {each.name for each in fields(cls)} - {"is_stated"}
            if not (isinstance(found, dict) and {"kind", "shape"} <= found.keys() <= names):
                raise ValueError(f"it has {', '.join(sorted(found))}")
            for name in ("offset", "scale", "low", "high"):
                found[name] = tuple(map(float, found.get(name, ())))
            channels, height, width = map(int, found["shape"])
            return cls(**found | {"shape": (channels, height, width)})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise SpecError(f"'{text[:80]}' describes no input ({error}); save the network again") from error


UNSTATED = InputSpec(IMAGE_BYTES, (1, 1, 1), is_stated=False)
"""The input of a network whose file or maker does not say; its shape is that of the network."""
