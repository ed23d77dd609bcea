"""Data sets of torch and of Hugging Face become arrays of images and labels.

Neither package is imported: a data set is anything with a length and items, each of them (image, label) or a dict with
both by name. An image may be an array, a tensor or a Pillow image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import DataError

IMAGE_NAMES = ("image", "img", "picture", "pixel_values", "x")
LABEL_NAMES = ("label", "labels", "target", "y", "class")


def arrays_of(dataset: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Read all items of a data set.

    Args:
        dataset: A data set of torch or of Hugging Face.

    Returns:
        (X, y) as `smidgen.data.from_arrays` takes them. Labels are class names if the data set has names, else what
        the items have.

    Raises:
        DataError: The items have another form, or their images differ in size.
    """
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
    names = _class_names(dataset)
    labels = [names[int(label)] if names else label for _, label in pairs]
    return np.stack([image for image, _ in pairs]), np.array(labels)


def _pair(item: Any, index: int) -> tuple[npt.NDArray[Any], Any]:
    if isinstance(item, dict):
        image, label = (_column(item, names, index) for names in (IMAGE_NAMES, LABEL_NAMES))
    elif isinstance(item, tuple | list) and len(item) == 2:
        image, label = item
    else:
        raise DataError(f"cannot use item {index} of type {type(item).__name__}; items must be (image, label)")
    return np.asarray(image), label.item() if hasattr(label, "item") else label


def _column(item: dict[str, Any], names: tuple[str, ...], index: int) -> Any:
    found = next((name for name in names if name in item), None)
    if found is None:
        raise DataError(f"item {index} has the columns {', '.join(item)}; rename one of them '{names[0]}'")
    return item[found]


def _class_names(dataset: Any) -> list[str]:
    """`features["label"].names` of Hugging Face, `classes` of torchvision; [] if the data set has no names."""
    features = getattr(dataset, "features", None)
    if isinstance(features, dict):
        columns = (getattr(features.get(name), "names", None) for name in LABEL_NAMES)
        return next((list(names) for names in columns if names), [])
    return [str(name) for name in getattr(dataset, "classes", ())]
