"""Arrays as they come -> images and labels that are fit for a classifier, or an error that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.splits import Labels
from smidgen.errors import DataError

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Array = npt.NDArray[Any]

LEAST_PER_CLASS = 5
"""Of each class, at least: one image to test on, one in each half of the validation split, two to train on."""
MOST_CLASSES = 255


# --- images ------------------------------------------------------------------------------------


def images_of(raw: Array, what: str, find_bytes: bool = True) -> Images:
    """uint8 or float32 [n, channels, height, width], C-contiguous; may share memory with `raw`.

    find_bytes: whether whole numbers from 0 to 255 of another type are bytes too
    """
    if raw.dtype.kind not in "buif":
        raise DataError(f"{what} are of type {raw.dtype}; give an array of numbers, every image of one size")
    shaped = np.ascontiguousarray(_channels_first(raw, what))
    if shaped.size == 0:
        raise DataError(
            f"{what} have shape {shape_text(raw.shape)}: there is nothing in them; give images of at least a pixel"
        )
    if shaped.dtype == np.uint8:
        return shaped
    with np.errstate(over="ignore"):
        floats = shaped.astype(np.float32)
    _check_finite(floats, what)
    return floats.astype(np.uint8) if find_bytes and _are_bytes(floats) else floats


def _channels_first(raw: Array, what: str) -> Array:
    match raw.shape:
        case (n, features):
            return raw.reshape(n, features, 1, 1)
        case (n, height, width):
            return raw.reshape(n, 1, height, width)
        # The middle one is a vector of features in the form that we give it.
        case (_, 1 | 3, _, _) | (_, _, 1, 1):
            return raw
        case (_, _, _, 1 | 3):
            return raw.transpose(0, 3, 1, 2)
    raise DataError(
        f"{what} have shape {shape_text(raw.shape)}; give [n, features], [n, height, width], "
        "[n, height, width, 1 or 3] or [n, 1 or 3, height, width]"
    )


def _check_finite(floats: npt.NDArray[np.float32], what: str) -> None:
    # One sum is quicker than a mask, and is finite only where every value is.
    with np.errstate(invalid="ignore"):
        if np.isfinite(floats.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(floats))
    image, channel, row, column = (int(index) for index in bad[0])
    raise DataError(
        f"{what} hold {len(bad)} values that are not finite in float32; the first is {floats[tuple(bad[0])]} in image "
        f"{image} (from 0) at channel {channel}, row {row}, column {column}; replace or remove them"
    )


def _are_bytes(floats: npt.NDArray[np.float32]) -> bool:
    low, high = floats.min(), floats.max()
    return bool(low >= 0 and 1 < high <= 255) and bool((floats == np.rint(floats)).all())


def alike(images: Images, test_images: Images) -> tuple[Images, Images]:
    """Both of one type, once they are of one shape."""
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"training images are {shape_text(images.shape[1:])} and test images {shape_text(test_images.shape[1:])} "
            "(channels, height, width); give both in one size"
        )
    if images.dtype == test_images.dtype:
        return images, test_images
    return images.astype(np.float32), test_images.astype(np.float32)


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


# --- labels ------------------------------------------------------------------------------------


def _plain_labels(raw: Array, images: int) -> Array:
    """Labels [n] as whole numbers or text."""
    labels = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        raise DataError(f"labels have shape {shape_text(raw.shape)}; give one label an image, not one-hot rows")
    if len(labels) != images:
        raise DataError(f"there are {images:,} images and {len(labels):,} labels; give one label an image")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "f":
        return _whole(labels)
    if labels.dtype.kind not in "biuU":
        raise DataError(f"labels are of type {labels.dtype}; give whole numbers or text, one for each image")
    return labels.astype(np.int8) if labels.dtype.kind == "b" else labels


def _whole(labels: Array) -> npt.NDArray[np.int64]:
    wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) < 2**53)))
    if len(wrong):
        raise DataError(
            f"{len(wrong)} labels are not whole numbers; the first is {labels[wrong[0]]} at image {wrong[0]}; "
            "a classifier needs a class for each image"
        )
    return labels.astype(np.int64)


def values_of(raw: Array, images: int) -> tuple[str, ...]:
    """The different labels as text, in the order of the classes."""
    values = np.unique(_plain_labels(raw, images))
    if not 2 <= len(values) <= MOST_CLASSES:
        raise DataError(
            f"the number of classes is {len(values):,} (one is '{values[0]}'); a classifier needs 2 to {MOST_CLASSES}"
        )
    names = [str(value) for value in values]
    try:
        return tuple(sorted(names, key=int))
    except ValueError:
        return tuple(sorted(names))


def codes_of(raw: Array, images: int, values: tuple[str, ...]) -> Labels:
    """The place of each label in `values`: int32 [n]."""
    found, inverse = np.unique(_plain_labels(raw, images), return_inverse=True)
    known = {value: place for place, value in enumerate(values)}
    strange = [str(value) for value in found if str(value) not in known]
    if strange:
        raise DataError(f"the test split has label '{strange[0]}', which no training image has; remove or relabel it")
    places = np.array([known[str(value)] for value in found], np.int32)
    return places[inverse.reshape(-1)]


def check_classes(labels: Labels, values: tuple[str, ...]) -> None:
    counts = np.bincount(labels, minlength=len(values))
    fewest = int(counts.argmin())
    if counts[fewest] < LEAST_PER_CLASS:
        raise DataError(
            f"class '{values[fewest]}' has {counts[fewest]} of the {len(labels):,} images to train on; give at least "
            f"{LEAST_PER_CLASS} images of each class, or leave the class out"
        )
