"""How a teacher takes its images: the layout of the axes and the range of the values.

A network does not say whether it was trained on values from 0 to 255, from 0 to 1 or on standardized ones, and fed with
the wrong range it is wrong without an error. So what the user does not state is found by trying every format that fits
on a sample of the training split (`smidgen.teacher.fitting`).

    layouts    nchw  nhwc  nhw  nct  ntc  flat  flat-hwc
    ranges     0..1  0..255  -1..1  LOW..HIGH  standardised  imagenet; as-is for data other than uint8
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Split
from smidgen.errors import TeacherError
from smidgen.spec import InputSpec

Floats = npt.NDArray[np.float32]

LAYOUTS: dict[str, Callable[[Floats], Floats]] = {
    "nchw": lambda images: images,
    "nhwc": lambda images: images.transpose(0, 2, 3, 1),
    "nhw": lambda images: images[:, 0],
    "nct": lambda images: images[:, :, 0],
    "ntc": lambda images: images[:, :, 0].transpose(0, 2, 1),
    "flat": lambda images: images.reshape(len(images), -1),
    "flat-hwc": lambda images: images.transpose(0, 2, 3, 1).reshape(len(images), -1),
}
"""Functions from float32 [n, channels, height, width] to the axes that a teacher takes."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel, for values from 0 to 1, as torchvision's networks take them."""

BYTE_RANGES = ("0..1", "0..255", "-1..1", "standardised", "imagenet")
OTHER_RANGES = ("as-is", "standardised")
"""The ranges that are tried for uint8 images and for all others, the commonest first."""


@dataclass(frozen=True, eq=False)
class TeacherInputFormat:
    """How images become a teacher's input: value * scale + shift in each channel, then the layout.

    Attributes:
        layout: A name in `LAYOUTS`.
        values: The range, such as "0..1".
        scale: float32 [channels, 1, 1], for values as the data has them.
        shift: float32 [channels, 1, 1].
    """

    layout: str
    values: str
    scale: Floats = field(repr=False)
    shift: Floats = field(repr=False)

    def __str__(self) -> str:
        return f"{self.layout} {self.values}"

    def __call__(self, images: npt.NDArray[Any]) -> Floats:
        """Convert images [n, channels, height, width] to the teacher's input: float32, C-contiguous."""
        return np.ascontiguousarray(LAYOUTS[self.layout](images.astype(np.float32) * self.scale + self.shift))


def input_formats(
    text: str, train: Split, input_shape: tuple[int | None, ...] | None, name: str, read_as: InputSpec
) -> list[TeacherInputFormat]:
    """List the formats that the user's statement and the teacher's input shape allow.

    Args:
        text: "nhwc 0..1", either word alone, or "".
        train: The training split; its values give the standardised range.
        input_shape: The shape of the teacher's input without the batch axis; None for an axis of any length, and for
            the whole shape if it is unknown.
        name: What an error calls the teacher.
        read_as: What the data's numbers mean; ranges are those of the user's own values.

    Raises:
        TeacherError: A word is unknown, or the teacher takes no layout of these images.
    """
    words = text.lower().split()
    layouts = [word for word in words if word in LAYOUTS]
    ranges = [word for word in words if word not in LAYOUTS]
    if len(layouts) > 1 or len(ranges) > 1:
        raise TeacherError(
            f"--teacher-input '{text}' has too many words; give a layout and a range, such as 'nhwc 0..1'"
        )
    fitting = [layout for layout in layouts or _distinct_layouts(train) if _fits(layout, train, input_shape)]
    if not fitting:
        raise TeacherError(
            f"{name} takes images of shape {_shape_text(input_shape)}, and the data's are "
            f"{'x'.join(map(str, train.shape[1:]))} (channels, height, width); give a teacher for such images, "
            "or resize the data to the teacher's size (--resize)"
        )
    return [_format(layout, values, train, read_as) for layout in fitting for values in ranges or _usual_ranges(train)]


def _distinct_layouts(train: Split) -> list[str]:
    """Layouts that differ for these images in shape or order; nhw is for one channel."""
    channels, height, width = train.shape[1:]
    if height * width == 1:
        return ["flat", "nchw"]
    if height == 1:
        return ["nct", "ntc", "nchw", "nhwc", "flat", "flat-hwc"]
    return ["nchw", "nhwc", "nhw", "flat"] if channels == 1 else ["nchw", "nhwc", "flat", "flat-hwc"]


def _fits(layout: str, train: Split, input_shape: tuple[int | None, ...] | None) -> bool:
    if (layout == "nhw" and train.shape[1] != 1) or (layout in ("nct", "ntc") and train.shape[2] != 1):
        return False
    if input_shape is None:
        return True
    shape = LAYOUTS[layout](np.zeros((1, *train.shape[1:]), np.float32)).shape[1:]
    return len(shape) == len(input_shape) and all(
        wanted in (None, axis) for wanted, axis in zip(input_shape, shape, strict=True)
    )


def _usual_ranges(train: Split) -> tuple[str, ...]:
    if train.dtype != np.uint8:
        return OTHER_RANGES
    return BYTE_RANGES if train.shape[1] == 3 else BYTE_RANGES[:-1]


def _format(layout: str, values: str, train: Split, read_as: InputSpec) -> TeacherInputFormat:
    scale, shift = _scale_and_shift(values, train)
    if values != "standardised":  # the data's own scale is undone first: value = image / scale + offset
        scale, shift = scale / read_as.scales, read_as.offsets.astype(np.float64) * scale + shift
    columns = (np.broadcast_to(np.float32(v), train.shape[1]).reshape(-1, 1, 1) for v in (scale, shift))
    return TeacherInputFormat(layout, values, *columns)


def _scale_and_shift(values: str, train: Split) -> tuple[Any, Any]:
    """(scale, shift) for values as the data has them."""
    unit = 1 / 255 if train.dtype == np.uint8 else 1.0
    if values == "as-is":
        return 1.0, 0.0
    if values == "standardised":
        mean, std = _mean_and_std(train)
        return 1 / std, -mean / std
    if values == "imagenet" and train.shape[1] == 3:
        mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
        return unit / std, -mean / std
    low, high = _bounds(values)
    return unit * (high - low), low


def _bounds(values: str) -> tuple[float, float]:
    """The numbers of a range LOW..HIGH."""
    low, dots, high = values.partition("..")
    try:
        bounds = float(low), float(high)
    except ValueError:
        dots = ""
    if not dots:
        known = ", ".join(dict.fromkeys((*BYTE_RANGES, *OTHER_RANGES)))
        raise TeacherError(f"'{values}' is no range for this data; use one of {known}, or LOW..HIGH")
    return bounds


def _mean_and_std(train: Split) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each channel over the training split, for values as the data has them.

    A vector's features are its channels. The deviation of a channel that never changes is 1, so that it divides.
    """
    axes = (0, 2, 3)
    mean, std = (np.asarray(f(train.images, axis=axes, dtype=np.float64)) for f in (np.mean, np.std))
    return mean, np.where(std > 0, std, 1.0)


def _shape_text(shape: tuple[int | None, ...] | None) -> str:
    return "of any kind" if shape is None else "[n, " + ", ".join("any" if a is None else str(a) for a in shape) + "]"
