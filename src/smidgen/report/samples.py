"""The test samples that the page holds, and how its drawing is prepared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split

MOST_SAMPLES = 30
SAMPLES_PER_CLASS = 3
MOST_SAMPLE_BYTES = 300_000
"""Bounds of the samples of a page: how many, how many of each class, and their bytes together."""

LOOKED_AT = 2_000
"""Training images that show whether drawings are centred."""

CENTRED_SHARE = 0.95
"""Share of the images that must be as MNIST's for a drawing to be centred and scaled."""

MNIST_BOX, MNIST_SIDE = 20, 28
"""MNIST's digits fill 20 of 28 pixels with their longer side, and their centre of mass is pixel 14 (LeCun et al. 1998,
section III.A)."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A test sample.

    Attributes:
        row: Its index in the data as it was given; -1 if unknown.
        label: Its class.
        values: uint8 or float32 [channels, height, width], in the user's units.
    """

    row: int
    label: int
    values: npt.NDArray[Any] = field(repr=False)


def samples_of(data: Dataset) -> tuple[Sample, ...]:
    """Return the first test samples of each class, in turns of the classes, as many as the bounds allow."""
    test = data.test
    size = int(np.prod(test.shape[1:])) * (1 if test.dtype == np.uint8 else 4)
    most = min(MOST_SAMPLES, MOST_SAMPLE_BYTES // size)
    first = [np.flatnonzero(test.labels == label)[:SAMPLES_PER_CLASS] for label in range(data.classes)]
    turns = [int(rows[turn]) for turn in range(SAMPLES_PER_CLASS) for rows in first if turn < len(rows)][:most]
    return tuple(_sample(data, test, index) for index in turns)


def _sample(data: Dataset, split: Split, index: int) -> Sample:
    row = int(split.rows[index]) if len(split.rows) else -1
    values = data.input.to_units(split.images[index : index + 1])[0]
    return Sample(row, int(split.labels[index]), values)


def value_ranges(data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the least and the greatest value of each channel in training, in the user's units."""
    channels = data.input_shape[0]
    if data.train.dtype == np.uint8:
        return (0.0,) * channels, (255.0,) * channels
    known = data.input
    if not (known.low and known.high):
        values = known.to_units(data.train.images)
        return tuple(map(float, values.min(axis=(0, 2, 3)))), tuple(map(float, values.max(axis=(0, 2, 3))))
    return tuple(np.resize(known.low, channels).tolist()), tuple(np.resize(known.high, channels).tolist())


def is_made_as_mnist(data: Dataset) -> bool:
    """Whether the training images are centred and scaled as MNIST's are, so that a drawing must be, too."""
    channels, height, width = data.input_shape
    if channels != 1 or height != width or data.train.dtype != np.uint8 or height < 2:
        return False
    images = data.train.images[:LOOKED_AT, 0].astype(np.float64)
    images = images[images.any(axis=(1, 2))]
    if not len(images):
        return False
    fits = _longer_sides(images) == round(MNIST_BOX / MNIST_SIDE * height)
    off = np.abs(_centres_of_mass(images) - height / 2).max(axis=1)
    return bool((fits & (off <= 0.75)).mean() >= CENTRED_SHARE)


def _longer_sides(images: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the longer side of what is not black: int64 [n]."""
    sides = []
    for axis in (1, 2):
        has_ink: npt.NDArray[np.bool_] = np.asarray(images.any(axis=axis))
        sides.append(has_ink.shape[1] - has_ink.argmax(axis=1) - has_ink[:, ::-1].argmax(axis=1))
    longer: npt.NDArray[np.int64] = np.maximum(*sides)
    return longer


def _centres_of_mass(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the row and the column of the centre of mass: float64 [n, 2]."""
    places = np.arange(images.shape[1])
    mass = images.sum(axis=(1, 2))
    return np.stack([(images.sum(axis=axis) * places).sum(axis=1) / mass for axis in (2, 1)], axis=1)
