"""Raw arrays become images and labels that fit a classifier, or an error says what is wrong with them."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Images, Labels
from smidgen.data.layout import MAX_IMAGE_CHANNELS, Layout, find_layout
from smidgen.errors import DataError

Array = npt.NDArray[Any]

MIN_IMAGES_PER_CLASS = 5
"""One image to test on, one in each half of the validation split, two to train on."""
MAX_CLASSES = 255


# --- images ------------------------------------------------------------------------------------


def to_values(raw: Array, what: str, layout: Layout | None = None) -> tuple[Array, Layout]:
    """Bring an array to the axes of a network's input; its values stay in the user's units.

    Args:
        raw: Numbers of any type, in a shape that `smidgen.data.from_arrays` takes.
        what: What an error calls the array.
        layout: How it is laid out; None finds it.

    Returns:
        The values [n, channels, height, width], C-contiguous, and their layout. They are uint8 if all are whole numbers
        from 0 to 255, float32 if that holds every value exactly, else float64; they may share memory with `raw`.

    Raises:
        DataError: The array is empty, has another shape or type, or contains numbers that are not finite.
    """
    check_numbers(raw, what)
    if raw.size == 0:
        raise DataError(f"{what} have shape {shape_text(raw.shape)} and are empty; give at least one number each")
    layout = layout or find_layout(raw.shape, lambda: _are_bytes(raw))
    if layout is None:
        raise DataError(
            f"{what} have shape {shape_text(raw.shape)}; give [n, features], [n, height, width], "
            f"[n, height, width, channels], [n, channels, height, width] with 1 to {MAX_IMAGE_CHANNELS} channels, "
            "[n, time, channels] or [n, channels, time]"
        )
    shaped = np.ascontiguousarray(layout.arranged(raw))
    if shaped.dtype == np.uint8:
        return shaped, layout
    with np.errstate(over="ignore"):
        floats = shaped.astype(np.float32)
    _check_finite(floats, what)
    if _are_bytes(floats):
        return floats.astype(np.uint8), layout
    return (floats if np.array_equal(floats, shaped) else shaped.astype(np.float64)), layout


def check_numbers(raw: Array, what: str) -> None:
    """Raise a DataError unless an array is of numbers."""
    if raw.dtype.kind not in "buif":
        raise DataError(f"{what} are of type {raw.dtype}; give an array of numbers, every example of one size")


def to_images(raw: Array, what: str) -> Images:
    """Bring an array to the shape that networks take; uint8 stays, and every other type becomes float32.

    Raises:
        DataError: As `to_values`.
    """
    values, _ = to_values(raw, what)
    return values if raw.dtype == np.uint8 else values.astype(np.float32)


def _check_finite(floats: npt.NDArray[np.float32], what: str) -> None:
    # One sum is faster than a mask, and it is finite only if every value is.
    with np.errstate(invalid="ignore"):
        if np.isfinite(floats.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(floats))
    image, channel, row, column = (int(index) for index in bad[0])
    raise DataError(
        f"{what} contain {len(bad)} values that are not finite in float32; the first is {floats[tuple(bad[0])]} in "
        f"example {image} (from 0) at channel {channel}, row {row}, column {column}; replace or remove them"
    )


def _are_bytes(values: Array) -> bool:
    """Whether all values are whole numbers from 0 to 255, and not all 0 or 1."""
    if values.dtype == np.uint8:
        return True
    low, high = values.min(), values.max()
    return bool(low >= 0 and 1 < high <= 255) and bool((values == np.rint(values)).all())


def with_common_type(images: Array, test_images: Array) -> tuple[Array, Array]:
    """Convert both arrays to the type that holds both.

    Raises:
        DataError: Their images differ in shape.
    """
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"training examples are {shape_text(images.shape[1:])} and test examples "
            f"{shape_text(test_images.shape[1:])} (channels, height, width); give both in one size"
        )
    if images.dtype == test_images.dtype:
        return images, test_images
    common = np.promote_types(images.dtype, test_images.dtype)
    return images.astype(common), test_images.astype(common)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as errors print it: "30x2x3"."""
    return "x".join(map(str, shape)) or "()"


# --- labels ------------------------------------------------------------------------------------

_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def class_names_of(raw: Array, images: int, order: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Find the classes: the different labels as text, in numerical order if all are numbers.

    Labels that are one number are one class: "3", "3.0" and "3e0" are the class "3".

    Args:
        raw: Labels [n] or [n, 1], numbers or text.
        images: n.
        order: The names in the order that the user gives; () orders them by number or alphabet.

    Raises:
        DataError: The labels do not fit a classifier, or `order` does not have their names.
    """
    texts: dict[int | float | str, list[str]] = {}
    for value in np.unique(_plain_labels(raw, images)):
        texts.setdefault(_key(str(value)), []).append(str(value))
    if not 2 <= len(texts) <= MAX_CLASSES:
        one = _name(*next(iter(texts.items())))
        raise DataError(
            f"the number of classes is {len(texts):,} (one is '{one}'); a classifier needs 2 to {MAX_CLASSES}"
        )
    if order:
        return _checked_order(order, texts)
    numbers = not any(isinstance(key, str) for key in texts)
    names = {key: _name(key, same) for key, same in texts.items()}
    return tuple(names[key] for key in sorted(texts, key=lambda key: key if numbers else names[key]))


def encode_labels(raw: Array, images: int, class_names: tuple[str, ...]) -> Labels:
    """Replace each label by its index in `class_names`: int32 [n].

    Raises:
        DataError: A label is not among the names, or the labels do not fit the images.
    """
    found, inverse = np.unique(_plain_labels(raw, images), return_inverse=True)
    index_of = {_key(name): index for index, name in enumerate(class_names)}
    unknown = [str(value) for value in found if _key(str(value)) not in index_of]
    if unknown:
        raise DataError(f"the test split has label '{unknown[0]}', which no training example has; remove or relabel it")
    codes = np.array([index_of[_key(str(value))] for value in found], np.int32)
    return codes[inverse.reshape(-1)]


def check_class_sizes(labels: Labels, class_names: tuple[str, ...]) -> None:
    """Raise a DataError if a class has too few images to have one in every split."""
    counts = np.bincount(labels, minlength=len(class_names))
    rarest = int(counts.argmin())
    if counts[rarest] < MIN_IMAGES_PER_CLASS:
        raise DataError(
            f"class '{class_names[rarest]}' has {counts[rarest]} of the {len(labels):,} examples to train on; give at "
            f"least {MIN_IMAGES_PER_CLASS} examples of each class, or leave the class out"
        )


def _key(label: str) -> int | float | str:
    """What makes two labels one class: their number if they are numbers, else their text."""
    if _WHOLE.fullmatch(label):
        return int(label)
    number = float(label) if _NUMBER.fullmatch(label) else math.inf
    return number if math.isfinite(number) else label


def _name(key: int | float | str, texts: list[str]) -> str:
    """The name of a class whose labels are written in these ways: "01" stays, "3.0" is "3"."""
    if isinstance(key, str) or (len(texts) == 1 and (isinstance(key, int) or not key.is_integer())):
        return texts[0]
    return str(int(key)) if float(key).is_integer() else min(texts, key=len)


def _checked_order(order: tuple[str, ...], texts: dict[int | float | str, list[str]]) -> tuple[str, ...]:
    given = [_key(name) for name in order]
    missing = [same[0] for key, same in texts.items() if key not in given]
    extra = [name for name, key in zip(order, given, strict=True) if key not in texts]
    if missing or extra or len(set(given)) < len(given):
        fault = f"misses '{missing[0]}'" if missing else f"has '{extra[0]}', which is no class" if extra else "repeats"
        has = ",".join(_name(key, same) for key, same in texts.items())
        raise DataError(f"--classes {','.join(order)} {fault}; give each of {has} once, in the order of the outputs")
    return order


def _plain_labels(raw: Array, images: int) -> Array:
    """Labels [n] as whole numbers or text."""
    labels = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        raise DataError(f"labels have shape {shape_text(raw.shape)}; give one label for each example, not one-hot rows")
    if len(labels) != images:
        raise DataError(f"there are {images:,} examples and {len(labels):,} labels; give one label for each example")
    if labels.dtype.kind == "O":
        labels = _from_objects(labels)
    if labels.dtype.kind == "S":
        labels = _decoded(labels)
    if labels.dtype.kind == "f":
        return _whole_numbers(labels)
    if labels.dtype.kind not in "biuU":
        raise DataError(f"labels are of type {labels.dtype}; give whole numbers or text, one for each example")
    return labels.astype(np.int8) if labels.dtype.kind == "b" else labels


def _from_objects(labels: Array) -> Array:
    """Labels that are Python objects as an array of one type; those that are missing are counted and refused."""
    values = labels.tolist()
    missing = [place for place, value in enumerate(values) if is_missing(value)]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(values):,} labels are missing (the first is {values[missing[0]]} at example "
            f"{missing[0]}); fill them or leave these examples out"
        )
    for kind in (str, bool, int, float):
        if all(isinstance(value, kind) for value in values):
            return np.array(values)
    return labels


def is_missing(value: object) -> bool:
    """Whether an object stands for a value that is not there: None, a NaN, or pandas's NA and NaT."""
    if isinstance(value, float):
        return value != value
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _decoded(labels: Array) -> Array:
    """Labels of bytes as text; bytes that are not UTF-8 are refused, because replaced they would be one class."""
    try:
        return np.char.decode(labels, "utf-8", "strict")
    except UnicodeDecodeError as error:
        first = next(place for place, value in enumerate(labels.tolist()) if not _is_utf8(value))
        raise DataError(
            f"label {labels.tolist()[first]!r} of example {first} is not UTF-8; give labels as str or whole numbers"
        ) from error


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _whole_numbers(labels: Array) -> npt.NDArray[np.int64]:
    wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) < 2**53)))
    if len(wrong):
        raise DataError(
            f"{len(wrong)} labels are not whole numbers; the first is {labels[wrong[0]]} at example {wrong[0]}; "
            "a classifier needs a class for each example"
        )
    return labels.astype(np.int64)
