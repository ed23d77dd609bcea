"""Data sets of torch and of Hugging Face -> arrays of images and labels.

Neither package is loaded: a data set is anything with a length and items, each of them (image, label), or a row
with both by name. An image may be an array, a tensor or a picture of Pillow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import DataError

IMAGE_NAMES = ("image", "img", "picture", "pixel_values", "x")
LABEL_NAMES = ("label", "labels", "target", "y", "class")


def arrays_of(dataset: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(X, y) as `smidgen.data.from_arrays` takes them; the labels are names where the data set has names for them.

    Raises:
        DataError: items of another form, or images of several sizes.
    """
    try:
        total = len(dataset)
    except TypeError:
        raise DataError(f"a {type(dataset).__name__} has no length; give a data set with items, no stream") from None
    pairs = [_pair(dataset[place], place) for place in range(total)]
    if not pairs:
        raise DataError(f"the {type(dataset).__name__} is empty; give at least five images of each class")
    shapes = {image.shape for image, _ in pairs}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise DataError(f"images have shapes {first} and {second}; bring them to one size in the data set's transform")
    names = _class_names(dataset)
    labels = [names[int(label)] if names else label for _, label in pairs]
    return np.stack([image for image, _ in pairs]), np.array(labels)


def _pair(item: Any, place: int) -> tuple[npt.NDArray[Any], Any]:
    if isinstance(item, dict):
        image, label = (_named(item, names, place) for names in (IMAGE_NAMES, LABEL_NAMES))
    elif isinstance(item, tuple | list) and len(item) == 2:
        image, label = item
    else:
        raise DataError(f"item {place} is a {type(item).__name__}; a classifier's items are (image, label)")
    return np.asarray(image), label.item() if hasattr(label, "item") else label


def _named(item: dict[str, Any], names: tuple[str, ...], place: int) -> Any:
    found = next((name for name in names if name in item), None)
    if found is None:
        raise DataError(f"item {place} has {', '.join(item)}; rename one column '{names[0]}'")
    return item[found]


def _class_names(dataset: Any) -> list[str]:
    """Hugging Face: `features["label"].names`; torchvision: `classes`. [] where there are none."""
    features = getattr(dataset, "features", None)
    if isinstance(features, dict):
        columns = (getattr(features.get(name), "names", None) for name in LABEL_NAMES)
        return next((list(names) for names in columns if names), [])
    return [str(name) for name in getattr(dataset, "classes", ())]
