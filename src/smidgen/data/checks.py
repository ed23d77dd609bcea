"""Raw arrays become images and labels that fit a classifier, or an error says what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Images, Labels
from smidgen.errors import DataError

Array = npt.NDArray[Any]

MIN_IMAGES_PER_CLASS = 5
"""One image to test on, one in each half of the validation split, two to train on."""
MAX_CLASSES = 255


# --- images ------------------------------------------------------------------------------------


def to_images(raw: Array, what: str, detect_bytes: bool = True) -> Images:
    """Bring an array to the shape and type that networks take.

    Args:
        raw: Numbers of any type, in a shape that `smidgen.data.from_arrays` takes.
        what: What an error calls the array.
        detect_bytes: Whether whole numbers from 0 to 255 of another type become uint8 too.

    Returns:
        uint8 or float32 [n, channels, height, width], C-contiguous; it may share memory with `raw`.

    Raises:
        DataError: The array is empty, has another shape or type, or contains numbers that are not finite.
    """
    if raw.dtype.kind not in "buif":
        raise DataError(f"{what} are of type {raw.dtype}; give an array of numbers, every image of one size")
    shaped = np.ascontiguousarray(_channels_first(raw, what))
    if shaped.size == 0:
        raise DataError(f"{what} have shape {shape_text(raw.shape)} and are empty; give images of at least a pixel")
    if shaped.dtype == np.uint8:
        return shaped
    with np.errstate(over="ignore"):
        floats = shaped.astype(np.float32)
    _check_finite(floats, what)
    return floats.astype(np.uint8) if detect_bytes and _are_bytes(floats) else floats


def _channels_first(raw: Array, what: str) -> Array:
    match raw.shape:
        case (n, features):
            return raw.reshape(n, features, 1, 1)
        case (n, height, width):
            return raw.reshape(n, 1, height, width)
        # [n, features, 1, 1] is what a vector of features becomes above.
        case (_, 1 | 3, _, _) | (_, _, 1, 1):
            return raw
        case (_, _, _, 1 | 3):
            return raw.transpose(0, 3, 1, 2)
    raise DataError(
        f"{what} have shape {shape_text(raw.shape)}; give [n, features], [n, height, width], "
        "[n, height, width, 1 or 3] or [n, 1 or 3, height, width]"
    )


def _check_finite(floats: npt.NDArray[np.float32], what: str) -> None:
    # One sum is faster than a mask, and it is finite only if every value is.
    with np.errstate(invalid="ignore"):
        if np.isfinite(floats.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(floats))
    image, channel, row, column = (int(index) for index in bad[0])
    raise DataError(
        f"{what} contain {len(bad)} values that are not finite in float32; the first is {floats[tuple(bad[0])]} in "
        f"image {image} (from 0) at channel {channel}, row {row}, column {column}; replace or remove them"
    )


def _are_bytes(floats: npt.NDArray[np.float32]) -> bool:
    low, high = floats.min(), floats.max()
    return bool(low >= 0 and 1 < high <= 255) and bool((floats == np.rint(floats)).all())


def with_common_type(images: Images, test_images: Images) -> tuple[Images, Images]:
    """Convert both arrays to float32 unless both are uint8.

    Raises:
        DataError: Their images differ in shape.
    """
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"training images are {shape_text(images.shape[1:])} and test images {shape_text(test_images.shape[1:])} "
            "(channels, height, width); give both in one size"
        )
    if images.dtype == test_images.dtype:
        return images, test_images
    return images.astype(np.float32), test_images.astype(np.float32)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as errors print it: "30x2x3"."""
    return "x".join(map(str, shape)) or "()"


# --- labels ------------------------------------------------------------------------------------


def class_names_of(raw: Array, images: int) -> tuple[str, ...]:
    """Find the classes: the different labels as text, in numerical order if all are whole numbers.

    Args:
        raw: Labels [n] or [n, 1], numbers or text.
        images: n.

    Raises:
        DataError: The labels do not fit a classifier.
    """
    values = np.unique(_plain_labels(raw, images))
    if not 2 <= len(values) <= MAX_CLASSES:
        raise DataError(
            f"the number of classes is {len(values):,} (one is '{values[0]}'); a classifier needs 2 to {MAX_CLASSES}"
        )
    names = [str(value) for value in values]
    try:
        return tuple(sorted(names, key=int))
    except ValueError:
        return tuple(sorted(names))


def encode_labels(raw: Array, images: int, class_names: tuple[str, ...]) -> Labels:
    """Replace each label by its index in `class_names`: int32 [n].

    Raises:
        DataError: A label is not among the names, or the labels do not fit the images.
    """
    found, inverse = np.unique(_plain_labels(raw, images), return_inverse=True)
    index_of = {name: index for index, name in enumerate(class_names)}
    unknown = [str(value) for value in found if str(value) not in index_of]
    if unknown:
        raise DataError(f"the test split has label '{unknown[0]}', which no training image has; remove or relabel it")
    codes = np.array([index_of[str(value)] for value in found], np.int32)
    return codes[inverse.reshape(-1)]


def check_class_sizes(labels: Labels, class_names: tuple[str, ...]) -> None:
    """Raise a DataError if a class has too few images to have one in every split."""
    counts = np.bincount(labels, minlength=len(class_names))
    rarest = int(counts.argmin())
    if counts[rarest] < MIN_IMAGES_PER_CLASS:
        raise DataError(
            f"class '{class_names[rarest]}' has {counts[rarest]} of the {len(labels):,} images to train on; give at "
            f"least {MIN_IMAGES_PER_CLASS} images of each class, or leave the class out"
        )


def _plain_labels(raw: Array, images: int) -> Array:
    """Labels [n] as whole numbers or text."""
    labels = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        raise DataError(f"labels have shape {shape_text(raw.shape)}; give one label for each image, not one-hot rows")
    if len(labels) != images:
        raise DataError(f"there are {images:,} images and {len(labels):,} labels; give one label for each image")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "f":
        return _whole_numbers(labels)
    if labels.dtype.kind not in "biuU":
        raise DataError(f"labels are of type {labels.dtype}; give whole numbers or text, one for each image")
    return labels.astype(np.int8) if labels.dtype.kind == "b" else labels


def _whole_numbers(labels: Array) -> npt.NDArray[np.int64]:
    wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) < 2**53)))
    if len(wrong):
        raise DataError(
            f"{len(wrong)} labels are not whole numbers; the first is {labels[wrong[0]]} at image {wrong[0]}; "
            "a classifier needs a class for each image"
        )
    return labels.astype(np.int64)
