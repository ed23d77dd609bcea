"""Data sets from arrays, from torch and Hugging Face, and from the contents of files: checked, converted and cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.checks import (
    MIN_IMAGES_PER_CLASS,
    Array,
    check_class_sizes,
    class_names_of,
    encode_labels,
    shape_text,
    to_images,
    to_values,
    with_common_type,
)
from smidgen.data.copies import counted_in_test, keeping_copies_together
from smidgen.data.dataset import Dataset, Images, Indices, Labels, Split, digest_of
from smidgen.data.facts import with_facts
from smidgen.data.framework_datasets import arrays_of, columns_of_frame
from smidgen.data.layout import Layout, stated_layout
from smidgen.data.origin import Origin
from smidgen.data.readers import Contents, Raw
from smidgen.data.readers.table import features_of
from smidgen.data.scaling import describe_input
from smidgen.data.splits import Cut, oversampled_rows
from smidgen.errors import DataError
from smidgen.spec import InputSpec
from smidgen.spec.input import IMAGE_BYTES


def from_arrays(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    name: str = "arrays",
    split_seed: int = 0,
    test: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    groups: npt.ArrayLike | None = None,
    classes: Sequence[str] = (),
    layout: str = "",
) -> Dataset:
    """Build a data set from arrays.

    Args:
        X: Numbers [n, features], a signal [n, time, channels] or [n, channels, time], or pictures [n, height, width],
            [n, height, width, channels] or [n, channels, height, width] with 1 to 16 channels. `Dataset.input` says
            which was taken. Pictures of whole numbers from 0 to 255 become uint8, which a network reads as value / 255;
            values that are all 0 or 1 do not, because divided by 255 they would be nearly 0. Vectors and signals are
            standardised by what the training split says.
        y: Labels [n], numbers or text. Classes are in numerical order if all labels are numbers, else in alphabetical
            order. X and y can be arrays, tensors, or data frames and series of pandas.
        name: What reports call the data set.
        split_seed: The seed of the cuts.
        test: X and y of a test split. Without it, a fifth of the images is cut off.
        groups: Numbers or text [n]. Images of one group (one patient, one video) stay in one split.
        classes: The names of the classes in another order.
        layout: The axes of an example where its shape does not tell: "time-channels", "channels-time", "height-width",
            "height-width-channels" or "channels-height-width".

    Raises:
        DataError: The arrays do not fit a classifier.
    """
    raw_test = None if test is None else Raw(_array(test[0], "test X"), _array(test[1], "test y"))
    raw_groups = None if groups is None else _array(groups, "groups")
    frame = columns_of_frame(X)
    names = () if frame is None else frame.names
    raw = Raw(_array(X, "X"), _array(y, "y"), raw_groups)
    contents = Contents(raw, raw_test, feature_names=names, layout=layout)
    return build(name, contents, split_seed, order=tuple(classes))


def from_dataset(dataset: Any, test: Any = None, name: str = "dataset", split_seed: int = 0) -> Dataset:
    """Build a data set from one of torch (items are image and label) or of Hugging Face (rows with named columns).

    Args:
        dataset: Anything with a length and items: (image, label), or a dict of both. A DataLoader stands for its data
            set. Classes are in the order of the data set's names, if it has names (`classes`, below a Subset too).
        test: A test split of the same kind. Without it, a fifth of the images is cut off.
        name: What reports call the data set.
        split_seed: The seed of the cuts.

    Raises:
        DataError: The items have another form, or do not fit a classifier.
    """
    X, y, names = arrays_of(dataset)
    return from_arrays(X, y, name, split_seed, None if test is None else arrays_of(test)[:2], classes=names)


def without_test_split(X: npt.ArrayLike, y: npt.ArrayLike, name: str = "arrays", split_seed: int = 0) -> Dataset:
    """Build a data set from arrays whose test images the caller keeps: `test` is the confirmation half again.

    Args:
        X: Numbers in a shape that `from_arrays` takes; read as there.
        y: Labels [n], numbers or text.
        name: What reports call the data set.
        split_seed: The seed of the cuts.

    Returns:
        The data set. If a class has fewer than five images, nothing is set aside and every split is all of them.

    Raises:
        DataError: The arrays do not fit a classifier.
    """
    (images, layout), raw_labels = to_values(_array(X, "X"), "X"), _array(y, "y")
    class_names = class_names_of(raw_labels, len(images))
    labels = encode_labels(raw_labels, len(images), class_names)
    every = np.arange(len(labels))
    rows = (every, every, every)
    if np.bincount(labels).min() >= MIN_IMAGES_PER_CLASS:
        cut, _ = keeping_copies_together(Cut(split_seed, None, class_names), images, labels, True)
        rows = cut.mixed_validation(labels, every)
    read_as, (train, selection, confirmation) = _as_networks_read(
        layout, [Split(images[some], labels[some], some) for some in rows]
    )
    digest = digest_of(class_names, (train, selection, confirmation, confirmation), read_as)
    return Dataset(name, class_names, train, selection, confirmation, confirmation, split_seed, digest, input=read_as)


def as_images(X: npt.ArrayLike) -> Images:
    """Bring numbers of any shape that `from_arrays` takes to the shape that a network takes.

    Args:
        X: Numbers. uint8 stays and is read as value / 255; every other type becomes float32 and is read as it is.

    Returns:
        uint8 or float32 [n, channels, height, width].

    Raises:
        DataError: The shape is another, or a number is not finite.
    """
    return to_images(_array(X, "X"), "X")


def oversampled(data: Dataset) -> Dataset:
    """Repeat training images of rare classes until every class has as many as the commonest (at most 20 times each).

    The splits that networks are scored on stay as they are.
    """
    return _with_training_rows(data, oversampled_rows(data.train.labels))


def repeated(data: Dataset, factors: Sequence[float]) -> Dataset:
    """Multiply the training images of each class.

    Args:
        data: The data set; the splits that networks are scored on stay as they are.
        factors: The number of images of each class that are wanted, as a multiple of those there are. Above 1, images
            are repeated; below 1, some are left out, but never all.
    """
    if all(factor == 1 for factor in factors):
        return data
    pieces = []
    for code, factor in enumerate(factors):
        rows = np.flatnonzero(data.train.labels == code)
        pieces.append(np.resize(rows, max(1, round(len(rows) * factor))))
    return _with_training_rows(data, np.sort(np.concatenate(pieces)))


def _with_training_rows(data: Dataset, rows: Indices) -> Dataset:
    """The data set with these training images, of which some come several times."""
    train = Split(
        data.train.images[rows], data.train.labels[rows], data.train.rows[rows] if len(data.train.rows) else rows
    )
    digest = digest_of(data.class_names, (train, data.selection, data.confirmation, data.test), data.input)
    return replace(data, train=train, digest=digest)


def build(
    name: str, contents: Contents, split_seed: int, class_names: tuple[str, ...] = (), order: tuple[str, ...] = ()
) -> Dataset:
    """Check the contents of a file or folder, convert them and cut them into splits.

    Args:
        name: What reports call the data set.
        contents: Training images and labels, and perhaps groups and test images.
        split_seed: The seed of the cuts.
        class_names: The name of each class if the labels are indices; () if the labels are the names.
        order: The names in the order that the user gives; () orders them by number or alphabet.

    Raises:
        DataError: The contents do not fit a classifier, or the seed is negative.
    """
    if split_seed < 0:
        raise DataError(f"split_seed={split_seed} must be at least 0")
    train, test = contents.train, contents.test
    images, layout = to_values(train.images, "examples", stated_layout(contents.layout))
    values, labels = _classes(contents, len(images), len(class_names), order)
    names = class_names or values
    cut = Cut(split_seed, _groups(train, test, len(images)), names)
    cut, copies = keeping_copies_together(cut, images, labels, test is not None, is_published=bool(class_names))
    if test is None:
        kept, test_rows = cut.test(labels)
        test_split = Split(images[test_rows], labels[test_rows], test_rows)
    else:
        kept = np.arange(len(labels))
        images, test_split = _given_test_split(images, test, values, layout)
        copies = counted_in_test(copies, images, test_split.images)
    validation = cut.validation if class_names else cut.mixed_validation  # published data are mixed already
    parts = validation(labels, kept)
    read_as, splits = _as_networks_read(
        layout, [*(Split(images[rows], labels[rows], rows) for rows in parts), test_split]
    )
    digest = digest_of(names, splits, read_as)
    training, selection, confirmation, test_split = splits
    origin = Origin(contents.label_source, contents.feature_names, contents.notes, copies, bool(contents.layout))
    found = Dataset(name, names, training, selection, confirmation, test_split, split_seed, digest, read_as, origin)
    return with_facts(found)


def _classes(contents: Contents, images: int, classes: int, order: tuple[str, ...]) -> tuple[tuple[str, ...], Labels]:
    """(the different labels as text, the class of each training image); `classes` is 0 if their number is unknown."""
    raw = contents.train.labels
    try:
        values = tuple(map(str, range(classes))) or class_names_of(raw, images, order)
        labels = encode_labels(raw, images, values)
        check_class_sizes(labels, values)
    except DataError as error:
        # Numbers of another column that were read as labels are the usual cause.
        hint = f"; the labels are {contents.label_source}" if contents.label_source else ""
        raise DataError(f"{error}{hint}") from error
    return values, labels


def _as_networks_read(layout: Layout, splits: Sequence[Split]) -> tuple[InputSpec, list[Split]]:
    """Describe the input by the first split, the training split, and bring every split to what networks read."""
    described = describe_input(splits[0].images, layout)
    if described.kind == IMAGE_BYTES:
        return described, list(splits)
    return described, [replace(split, images=described.to_network(split.images)) for split in splits]


def _given_test_split(images: Array, test: Raw, values: tuple[str, ...], layout: Layout) -> tuple[Array, Split]:
    """(training images, test split) of one type; the rows of the test split follow those of the training images."""
    images, test_images = with_common_type(images, to_values(test.images, "test examples", layout)[0])
    rows = np.arange(len(images), len(images) + len(test_images))
    return images, Split(test_images.copy(), encode_labels(test.labels, len(test_images), values), rows)


def _groups(train: Raw, test: Raw | None, images: int) -> Array | None:
    """The group of each training image, checked; None if the data has no groups."""
    if train.groups is None:
        return None
    groups = train.groups.reshape(-1) if train.groups.ndim == 2 and train.groups.shape[1] == 1 else train.groups
    if groups.shape != (images,):
        raise DataError(
            f"there are {images:,} examples and groups of shape {shape_text(groups.shape)}; give each a group"
        )
    if test is not None and test.groups is not None:
        both = set(map(str, groups.tolist())) & set(map(str, test.groups.tolist()))
        if both:
            raise DataError(f"group '{min(both)}' is in the training and in the test examples; keep each group in one")
    return groups.astype(str)


def _array(values: npt.ArrayLike, what: str) -> Array:
    frame = columns_of_frame(values)
    if frame is not None and what.endswith("X"):
        return features_of(frame, range(len(frame.names)))
    if hasattr(values, "detach"):  # a tensor of torch, perhaps on a GPU
        values = values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} is ragged: {error}; give rows of one length, images of one size") from error
