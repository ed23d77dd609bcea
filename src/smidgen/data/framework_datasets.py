"""Data sets of torch and of Hugging Face, and data frames of pandas, become arrays.

None of these packages is imported: a data set is anything with a length and items, each of them (image, label) or a
dict with both by name. An image may be an array, a tensor or a Pillow image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.checks import is_missing
from smidgen.data.readers.columns import Table
from smidgen.errors import DataError

IMAGE_NAMES = ("image", "img", "picture", "pixel_values", "x")
LABEL_NAMES = ("label", "labels", "target", "y", "class")


def arrays_of(dataset: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[str, ...]]:
    """Read all items of a data set.

    Args:
        dataset: A data set of torch or of Hugging Face, or a torch DataLoader, of which the data set is read.

    Returns:
        (X, y, names): X and y as `smidgen.data.from_arrays` takes them. Labels are class names if the data set has
        names, else what the items have. `names` are those that occur, in the data set's order; () if it has none.

    Raises:
        DataError: The items have another form, or their images differ in size.
    """
    dataset = _of_loader(dataset)
    kind = type(dataset).__name__
    try:
        total = len(dataset)
    except TypeError:
        raise DataError(f"a {kind} has no length; pass a data set with items, not a stream") from None
    pairs = [_pair(dataset[index], index) for index in range(total)]
    if not pairs:
        raise DataError(f"the {kind} is empty; give at least five images of each class")
    shapes = {image.shape for image, _ in pairs}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise DataError(f"images have shapes {first} and {second}; resize them to one in the data set's transform")
    X, names = np.stack([image for image, _ in pairs]), _class_names(dataset)
    if not names:
        return X, np.array([label for _, label in pairs]), ()
    labels = [_named(label, names, index) for index, (_, label) in enumerate(pairs)]
    return X, np.array(labels), tuple(name for name in names if name in set(labels))


def _of_loader(dataset: Any) -> Any:
    """The data set of a torch DataLoader that goes through all of it; anything else as it is."""
    if not (hasattr(dataset, "dataset") and hasattr(dataset, "batch_sampler")):
        return dataset
    sampler = type(dataset.sampler).__name__
    if sampler not in ("SequentialSampler", "RandomSampler"):
        raise DataError(
            f"a DataLoader with a {sampler} does not go through every item once; pass its data set, or a Subset of it"
        )
    return dataset.dataset


def _named(label: Any, names: Sequence[str], index: int) -> str:
    try:
        return names[range(len(names))[int(label)]]
    except (IndexError, ValueError, TypeError) as error:
        raise DataError(
            f"item {index} has label {label!r}, and there are {len(names)} class names; correct it"
        ) from error


def _pair(item: Any, index: int) -> tuple[npt.NDArray[Any], Any]:
    if isinstance(item, dict):
        image, label = (_item_column(item, names, index) for names in (IMAGE_NAMES, LABEL_NAMES))
    elif isinstance(item, tuple | list) and len(item) == 2:
        image, label = item
    else:
        raise DataError(f"cannot use item {index} of type {type(item).__name__}; items must be (image, label)")
    return np.asarray(image), label.item() if hasattr(label, "item") else label


def _item_column(item: dict[str, Any], names: tuple[str, ...], index: int) -> Any:
    found = next((name for name in names if name in item), None)
    if found is None:
        raise DataError(f"item {index} has the columns {', '.join(item)}; rename one of them '{names[0]}'")
    return item[found]


def _class_names(dataset: Any) -> list[str]:
    """`features["label"].names` of Hugging Face, `classes` of torchvision, also below a Subset; [] without names."""
    features = getattr(dataset, "features", None)
    if isinstance(features, dict):
        columns = (getattr(features.get(name), "names", None) for name in LABEL_NAMES)
        return next((list(names) for names in columns if names), [])
    classes = getattr(dataset, "classes", None)
    if isinstance(classes, Sequence) and not isinstance(classes, str):
        return [str(name) for name in classes]
    parts = [dataset.dataset] if hasattr(dataset, "indices") and hasattr(dataset, "dataset") else []
    parts += list(getattr(dataset, "datasets", ()))
    found = [_class_names(part) for part in parts]
    return found[0] if found and all(names == found[0] for names in found) else []


# --- data frames -----------------------------------------------------------------------------------


def columns_of_frame(frame: Any) -> Table | None:
    """The columns of a data frame of pandas, without its index; None for anything else."""
    if not (hasattr(frame, "iloc") and hasattr(frame, "columns")):
        return None
    columns = tuple(_column_of_frame(frame.iloc[:, place]) for place in range(len(frame.columns)))
    return Table("X", tuple(map(str, frame.columns)), columns, is_frame=True)


def _column_of_frame(series: Any) -> npt.NDArray[Any]:
    """Numbers with NaN for a missing one, dates, or text with "" for a missing one."""
    values = np.asarray(series)
    if values.dtype.kind != "O":
        return values
    listed = [None if is_missing(value) else value for value in values.tolist()]
    if all(value is None or isinstance(value, int | float) for value in listed):
        return np.array([np.nan if value is None else float(value) for value in listed])
    return np.array(["" if value is None else str(value) for value in listed], dtype=str)
