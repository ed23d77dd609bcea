"""Data for a classifier: loaded, checked, and cut into the four splits that everything else relies on.

    >>> data = load("mnist")                                # doctest: +SKIP
    >>> len(data.train), len(data.selection), len(data.confirmation), len(data.test)    # doctest: +SKIP
    (50000, 5000, 5000, 10000)

The validation split is cut from the training data, never from the test data, and has two halves: what is
chosen is chosen on `selection`, and `confirmation`, which took no part in choosing, says whether it holds.
Cuts are at random within each class and depend on the labels and `split_seed` alone. Data that brings no test
split has a fifth cut off for one first.

    smidgen.data.checks      arrays as they come -> images and labels, or what is wrong with them
    smidgen.data.readers     files -> arrays as they come
    smidgen.data.framework_datasets    data sets of torch and Hugging Face -> arrays
    smidgen.data.splits      which images go where; groups of near-copies stay together
    smidgen.data.sources     where the published data sets are fetched from
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.checks import (
    LEAST_PER_CLASS,
    Array,
    Images,
    alike,
    check_classes,
    codes_of,
    images_of,
    shape_text,
    values_of,
)
from smidgen.data.framework_datasets import arrays_of
from smidgen.data.readers import AS_IT_IS, READERS, Contents, Raw, Reading, read, read_csv, read_idx_folder
from smidgen.data.sources import PUBLISHED, Cached, fetch, status
from smidgen.data.splits import Cut, Indices, Labels, cut_validation, even_rows
from smidgen.errors import DataError
from smidgen.reporter import Reporter
from smidgen.spec import Shape

__all__ = [
    "NAMES",
    "Cached",
    "Dataset",
    "Reading",
    "Split",
    "as_images",
    "fetch",
    "from_arrays",
    "from_dataset",
    "load",
    "oversampled",
    "status",
    "without_test_split",
]

NAMES = tuple(PUBLISHED)


@dataclass(frozen=True, eq=False)
class Split:
    """Examples that belong together.

    images: uint8 or float32 [n, channels, height, width]
    labels: int32 [n], from 0
    rows: int64 [n], the place of each in the data as it came, a test split of its own last; empty where not known
    """

    images: Images
    labels: Labels
    rows: Indices = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Four splits that share no image. `digest`: SHA-256, in hex, of the class names and every split's content."""

    name: str
    class_names: tuple[str, ...]
    train: Split = field(repr=False)
    selection: Split = field(repr=False)
    confirmation: Split = field(repr=False)
    test: Split = field(repr=False)
    split_seed: int
    digest: str

    @property
    def input_shape(self) -> Shape:
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def total_images(self) -> int:
        """How many images the data came with."""
        return 1 + max(int(split.rows.max(initial=-1)) for split in self._splits)

    @property
    def own_test_images(self) -> int:
        """How many of them came as a test split, and so stand last; 0 where it was cut off."""
        last = np.arange(self.total_images - len(self.test), self.total_images)
        return len(self.test) if np.array_equal(self.test.rows, last) else 0

    @property
    def _splits(self) -> tuple[Split, ...]:
        return self.train, self.selection, self.confirmation, self.test


def load(
    name_or_path: str | Path,
    split_seed: int = 0,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    reading: Reading = AS_IT_IS,
) -> Dataset:
    """Load a published data set by name (one of `NAMES`), or a file or folder of the user's own.

    A name that is also a file here is the published set; write `./mnist` for the file. `reporter` is told what is
    fetched from where. `reading` says to what size pictures are brought and which column holds the group of a row.

    Raises:
        DataError: not found, not readable, or not fit for a classifier; the message says what to do.
    """
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        if reading != AS_IT_IS:
            raise DataError(f"{name_or_path} comes as it is; sizes and groups are for files and folders of your own")
        contents = _published(name_or_path, cache, reporter)
        return _build(name_or_path, contents, split_seed, PUBLISHED[name_or_path].class_names)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and _is_name(name_or_path) and not (name_or_path and path.exists()):
        raise DataError(_unknown(name_or_path))
    return _build(path.resolve().name if path.is_dir() else path.stem, read(path, reading), split_seed)


def from_arrays(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    name: str = "arrays",
    split_seed: int = 0,
    test: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    groups: npt.ArrayLike | None = None,
) -> Dataset:
    """A data set from arrays.

    X: numbers [n, features], [n, height, width], [n, height, width, 1 or 3] or [n, 1 or 3, height, width]; where
        a shape can be read as either of the last two, it is the last.
        Whole numbers from 0 to 255 become uint8 (read as value / 255), all others float32; so do values that
        are all 0 or 1, which divided by 255 would be nearly nothing.
    y: labels [n]: numbers or text. Classes are in numerical order where all are whole numbers, else in
        alphabetical order.
    test: X and y of a test split; without it, a fifth is cut off.
    groups: numbers or text [n]; images of one group, as of one patient or one video, stay in one split.

    Raises:
        DataError: the arrays are not fit for a classifier.
    """
    raw_test = None if test is None else Raw(_array(test[0], "test X"), _array(test[1], "test y"))
    raw_groups = None if groups is None else _array(groups, "groups")
    return _build(name, Contents(Raw(_array(X, "X"), _array(y, "y"), raw_groups), raw_test), split_seed)


def from_dataset(dataset: Any, test: Any = None, name: str = "dataset", split_seed: int = 0) -> Dataset:
    """A data set from one of torch (items are image and label) or of Hugging Face (rows with both by name).

    test: the same of a test split; without it, a fifth is cut off.

    Raises:
        DataError: items of another form, or not fit for a classifier.
    """
    X, y = arrays_of(dataset)
    return from_arrays(X, y, name, split_seed, None if test is None else arrays_of(test))


def oversampled(data: Dataset) -> Dataset:
    """The same data, images of rarer classes repeated in the training split until each has as many as the commonest.

    Only what is learned from changes: nothing that is scored is repeated.
    """
    rows = even_rows(data.train.labels)
    train = Split(
        data.train.images[rows], data.train.labels[rows], data.train.rows[rows] if len(data.train.rows) else rows
    )
    digest = _digest(data.class_names, (train, data.selection, data.confirmation, data.test))
    return replace(data, train=train, digest=digest)


def as_images(X: npt.ArrayLike) -> Images:
    """Numbers in any of the shapes that `from_arrays` takes as a network does: [n, channels, height, width].

    uint8 is read as value / 255 and stays; all else is taken as it is, as float32.

    Raises:
        DataError: another shape, or numbers that are not finite.
    """
    return images_of(_array(X, "X"), "X", find_bytes=False)


def without_test_split(X: npt.ArrayLike, y: npt.ArrayLike, name: str = "arrays", split_seed: int = 0) -> Dataset:
    """A data set from arrays whose caller keeps the test images: `test` is the confirmation half again.

    X is taken by its type, as by `as_images`. Where a class has too few images to set any aside, every split is
    all of them.

    Raises:
        DataError: the arrays are not fit for a classifier.
    """
    images, raw_labels = as_images(X), _array(y, "y")
    values = values_of(raw_labels, len(images))
    labels = codes_of(raw_labels, len(images), values)
    every = np.arange(len(labels))
    rows = (every, every, every)
    if np.bincount(labels).min() >= LEAST_PER_CLASS:
        rows = cut_validation(labels, every, split_seed)
    train, selection, confirmation = (Split(images[some], labels[some], some) for some in rows)
    digest = _digest(values, (train, selection, confirmation, confirmation))
    return Dataset(name, values, train, selection, confirmation, confirmation, split_seed, digest)


def _published(name: str, cache: Path | None, reporter: Reporter | None) -> Contents:
    paths = fetch(name, cache, reporter)
    if name != "digits":
        return read_idx_folder(next(iter(paths.values())).parent)
    table = read_csv(paths["digits.csv"]).train
    return Contents(Raw(np.rint(table.images * 255 / 16).reshape(-1, 8, 8), table.labels))


def _is_name(text: str) -> bool:
    return Path(text).name == text and not Path(text).suffix


def _unknown(name: str) -> str:
    near = get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return (
        f"no data set '{name}'{hint} and no file or folder of that name; known: {', '.join(NAMES)}; "
        f"or give the path of a folder or of a file ending in {', '.join(READERS)}"
    )


def _array(values: npt.ArrayLike, what: str) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} is ragged: {error}; give rows of one length, images of one size") from error


def _build(name: str, contents: Contents, split_seed: int, class_names: tuple[str, ...] = ()) -> Dataset:
    """Check, convert, cut. Where `class_names` are given, the labels are places in them; else they are the names."""
    if split_seed < 0:
        raise DataError(f"split_seed={split_seed} must be at least 0")
    train, test = contents.train, contents.test
    images = images_of(train.images, "images")
    values = tuple(str(place) for place in range(len(class_names))) or values_of(train.labels, len(images))
    labels = codes_of(train.labels, len(images), values)
    check_classes(labels, values)
    by_group = Cut(split_seed, _groups(train, test, len(images)))
    if test is not None:
        test_images = images_of(test.images, "test images")
        images, test_images = alike(images, test_images)
        places = np.arange(len(images), len(images) + len(test_images))
        test_split = Split(test_images.copy(), codes_of(test.labels, len(test_images), values), places)
        kept = np.arange(len(labels))
    else:
        kept, tested = by_group.test(labels)
        test_split = Split(images[tested], labels[tested], tested)
    training, selected, confirmed = by_group.validation(labels, kept)
    train_split, selection, confirmation = (
        Split(images[rows], labels[rows], rows) for rows in (training, selected, confirmed)
    )
    names = class_names or values
    digest = _digest(names, (train_split, selection, confirmation, test_split))
    return Dataset(name, names, train_split, selection, confirmation, test_split, split_seed, digest)


def _groups(train: Raw, test: Raw | None, images: int) -> Array | None:
    """The group of each training image, checked; None where none are given."""
    if train.groups is None:
        return None
    groups = train.groups.reshape(-1) if train.groups.ndim == 2 and train.groups.shape[1] == 1 else train.groups
    if groups.shape != (images,):
        raise DataError(
            f"there are {images:,} images and groups of shape {shape_text(groups.shape)}; give one group an image"
        )
    if test is not None and test.groups is not None:
        both = set(map(str, groups.tolist())) & set(map(str, test.groups.tolist()))
        if both:
            raise DataError(f"group '{min(both)}' is in the training and in the test images; keep each group in one")
    return groups.astype(str)


def _digest(class_names: tuple[str, ...], splits: Iterable[Split]) -> str:
    """SHA-256 in hex of all that a training can depend on; the name is no part of it."""
    sha256 = hashlib.sha256(json.dumps(class_names).encode())
    for split in splits:
        for array in (split.images, split.labels):
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            sha256.update(f"{little_endian.dtype.str}{array.shape}".encode())
            sha256.update(little_endian.data)
    return sha256.hexdigest()
