"""How a teacher wants its images: their axes and their range, given, or found by what makes it right.

A network does not say whether it was trained on 0 to 255, on 0 to 1 or on standardised values, and fed with
the wrong one it is wrong without a word. So each way that fits is tried on a sample of the training
split, and the one that makes the teacher right most often is taken; of equals the surer one.

    layouts    nchw  nhwc  nhw  flat  flat-hwc
    ranges     0..1  0..255  -1..1  LOW..HIGH  standardised  imagenet; as-is for data that is no bytes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Split
from smidgen.errors import TeacherError

Floats = npt.NDArray[np.float32]

LAYOUTS: dict[str, Callable[[Floats], Floats]] = {
    "nchw": lambda images: images,
    "nhwc": lambda images: images.transpose(0, 2, 3, 1),
    "nhw": lambda images: images[:, 0],
    "flat": lambda images: images.reshape(len(images), -1),
    "flat-hwc": lambda images: images.transpose(0, 2, 3, 1).reshape(len(images), -1),
}
"""float32 [n, channels, height, width] -> the axes that a teacher takes."""

# Of torchvision's own networks, for values from 0 to 1.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

BYTE_RANGES = ("0..1", "0..255", "-1..1", "standardised", "imagenet")
OTHER_RANGES = ("as-is", "standardised")
"""What is tried, in this order, for images of bytes and for all others."""


@dataclass(frozen=True, eq=False)
class TeacherInputFormat:
    """How images become a teacher's input: x * scale + shift for each channel, then the layout.

    scale, shift: float32 [channels, 1, 1], for values as the data holds them
    """

    layout: str
    values: str
    scale: Floats = field(repr=False)
    shift: Floats = field(repr=False)

    def __str__(self) -> str:
        return f"{self.layout} {self.values}"

    def __call__(self, images: npt.NDArray[Any]) -> Floats:
        """Images [n, channels, height, width] as the teacher takes them: float32, C-contiguous."""
        return np.ascontiguousarray(LAYOUTS[self.layout](images.astype(np.float32) * self.scale + self.shift))


def input_formats(
    text: str, train: Split, input_shape: tuple[int | None, ...] | None, name: str
) -> list[TeacherInputFormat]:
    """The ways that `text` ("nhwc 0..1", either word alone, or "") leaves open and the teacher's shape allows.

    Raises:
        TeacherError: a word that is not known, or no layout that the teacher takes.
    """
    words = text.lower().split()
    layouts = [word for word in words if word in LAYOUTS]
    ranges = [word for word in words if word not in LAYOUTS]
    if len(layouts) > 1 or len(ranges) > 1:
        raise TeacherError(f"--teacher-input '{text}' has too many words; give a layout and a range, as 'nhwc 0..1'")
    fitting = [layout for layout in layouts or _different(train) if _fits(layout, train, input_shape)]
    if not fitting:
        raise TeacherError(
            f"{name} takes images of shape {_shape_text(input_shape)}, and the data's are "
            f"{'x'.join(map(str, train.images.shape[1:]))} (channels, height, width); give a teacher for such images, "
            "or the data in its size (--resize)"
        )
    return [_way(layout, values, train) for layout in fitting for values in ranges or _usual_ranges(train)]


def _different(train: Split) -> list[str]:
    """The layouts that are not the same numbers in the same shape as an earlier one; nhw is for one channel."""
    channels, height, width = train.images.shape[1:]
    if height * width == 1:
        return ["flat", "nchw"]
    return ["nchw", "nhwc", "nhw", "flat"] if channels == 1 else ["nchw", "nhwc", "flat", "flat-hwc"]


def _fits(layout: str, train: Split, input_shape: tuple[int | None, ...] | None) -> bool:
    if layout == "nhw" and train.images.shape[1] != 1:
        return False
    if input_shape is None:
        return True
    shape = LAYOUTS[layout](np.zeros((1, *train.images.shape[1:]), np.float32)).shape[1:]
    return len(shape) == len(input_shape) and all(
        wanted in (None, axis) for wanted, axis in zip(input_shape, shape, strict=True)
    )


def _usual_ranges(train: Split) -> tuple[str, ...]:
    if train.images.dtype != np.uint8:
        return OTHER_RANGES
    return BYTE_RANGES if train.images.shape[1] == 3 else BYTE_RANGES[:-1]


def _way(layout: str, values: str, train: Split) -> TeacherInputFormat:
    scale, shift = _line(values, train)
    columns = (np.broadcast_to(np.float32(v), train.images.shape[1]).reshape(-1, 1, 1) for v in (scale, shift))
    return TeacherInputFormat(layout, values, *columns)


def _line(values: str, train: Split) -> tuple[Any, Any]:
    """(scale, shift) for values as the data holds them."""
    unit = 1 / 255 if train.images.dtype == np.uint8 else 1.0
    low, dots, high = values.partition("..")
    if values == "as-is":
        return 1.0, 0.0
    if values == "standardised":
        mean, std = _moments(train)
        return 1 / std, -mean / std
    if values == "imagenet" and train.images.shape[1] == 3:
        means, stds = (np.array(numbers) for numbers in _IMAGENET)
        return unit / stds, -means / stds
    try:
        lowest, highest = float(low), float(high)
    except ValueError:
        dots = ""
    if not dots:
        known = ", ".join(dict.fromkeys((*BYTE_RANGES, *OTHER_RANGES)))
        raise TeacherError(f"'{values}' is no range for this data; use one of {known}, or LOW..HIGH")
    return unit * (highest - lowest), lowest


def _moments(train: Split) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each channel over the training split, as the data holds them.

    A vector's features are its channels. A channel that never changes is divided by one.
    """
    axes = (0, 2, 3)
    mean, std = (np.asarray(f(train.images, axis=axes, dtype=np.float64)) for f in (np.mean, np.std))
    return mean, np.where(std > 0, std, 1.0)


def _shape_text(shape: tuple[int | None, ...] | None) -> str:
    return "of any kind" if shape is None else "[n, " + ", ".join("any" if a is None else str(a) for a in shape) + "]"
