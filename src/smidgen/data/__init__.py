"""Data for a classifier: loaded, checked, and cut into the four splits that everything else relies on.

    >>> data = load("mnist")                                # doctest: +SKIP
    >>> len(data.train), len(data.selection), len(data.confirmation), len(data.test)    # doctest: +SKIP
    (50000, 5000, 5000, 10000)

The validation split is cut from the training data, never from the test data, and has two halves: what is
chosen is chosen on `selection`, and `confirmation`, which took no part in choosing, says whether it holds.
Cuts are at random within each class and depend on the labels and `split_seed` alone. Data that brings no test
split has a fifth cut off for one first.

    smidgen.data.formats    files -> arrays as they come
    smidgen.data.sources    where the published data sets are fetched from
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.formats import READERS, Contents, Raw, read, read_csv, read_idx_folder
from smidgen.data.sources import PUBLISHED, Cached, Say, fetch, status
from smidgen.errors import DataError
from smidgen.spec import Shape

__all__ = ["NAMES", "Cached", "Dataset", "Split", "fetch", "from_arrays", "load", "status"]

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

NAMES = tuple(PUBLISHED)

LEAST_PER_CLASS = 5
"""Of each class, at least: one image to test on, one in each half of the validation split, two to train on."""
MOST_CLASSES = 255


@dataclass(frozen=True, eq=False)
class Split:
    """Examples that belong together.

    images: uint8 or float32 [n, channels, height, width]
    labels: int32 [n], from 0
    """

    images: Images
    labels: Labels

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


def load(name_or_path: str | Path, split_seed: int = 0, cache: Path | None = None, say: Say | None = None) -> Dataset:
    """Load a published data set by name (one of `NAMES`), or a file or folder of the user's own.

    A name that is also a file here is the published set; write `./mnist` for the file. `say` is told what is
    fetched from where.

    Raises:
        DataError: not found, not readable, or not fit for a classifier; the message says what to do.
    """
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        contents = _published(name_or_path, cache, say)
        return _build(name_or_path, contents, split_seed, PUBLISHED[name_or_path].class_names)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and _is_name(name_or_path) and not (name_or_path and path.exists()):
        raise DataError(_unknown(name_or_path))
    return _build(path.resolve().name if path.is_dir() else path.stem, read(path), split_seed)


def from_arrays(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    name: str = "arrays",
    split_seed: int = 0,
    test: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Dataset:
    """A data set from arrays.

    X: numbers [n, features], [n, height, width], [n, height, width, 1 or 3] or [n, 1 or 3, height, width]; where
        a shape can be read as either of the last two, it is the last.
        Whole numbers from 0 to 255 become uint8 (read as value / 255), all others float32; so do values that
        are all 0 or 1, which divided by 255 would be nearly nothing.
    y: labels [n]: numbers or text. Classes are in numerical order where all are whole numbers, else in
        alphabetical order.
    test: X and y of a test split; without it, a fifth is cut off.

    Raises:
        DataError: the arrays are not fit for a classifier.
    """
    raw_test = None if test is None else Raw(_array(test[0], "test X"), _array(test[1], "test y"))
    return _build(name, Contents(Raw(_array(X, "X"), _array(y, "y")), raw_test), split_seed)


def _published(name: str, cache: Path | None, say: Say | None) -> Contents:
    paths = fetch(name, cache, say)
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
    images = _images(train.images, "images")
    values = tuple(str(place) for place in range(len(class_names))) or _values(train.labels, len(images))
    labels = _codes(train.labels, len(images), values)
    _check_classes(labels, values)
    if test is not None:
        test_images = _images(test.images, "test images")
        images, test_images = _alike(images, test_images)
        test_split = Split(test_images.copy(), _codes(test.labels, len(test_images), values))
        kept = np.arange(len(labels))
    else:
        kept, tested = _cut(labels, len(labels) // 5, 1, split_seed, _TEST_STREAM)
        test_split = Split(images[tested], labels[tested])
    training, selected, confirmed = _cut_validation(labels, kept, split_seed)
    train_split, selection, confirmation = (
        Split(images[rows], labels[rows]) for rows in (training, selected, confirmed)
    )
    names = class_names or values
    digest = _digest(names, (train_split, selection, confirmation, test_split))
    return Dataset(name, names, train_split, selection, confirmation, test_split, split_seed, digest)


# --- images ------------------------------------------------------------------------------------


def _images(raw: Array, what: str) -> Images:
    """uint8 or float32 [n, channels, height, width], C-contiguous; may share memory with `raw`."""
    if raw.dtype.kind not in "buif":
        raise DataError(f"{what} are of type {raw.dtype}; give an array of numbers, every image of one size")
    shaped = np.ascontiguousarray(_channels_first(raw, what))
    if shaped.size == 0:
        raise DataError(
            f"{what} have shape {_by(raw.shape)}: there is nothing in them; give images of at least a pixel"
        )
    if shaped.dtype == np.uint8:
        return shaped
    with np.errstate(over="ignore"):
        floats = shaped.astype(np.float32)
    _check_finite(floats, what)
    return floats.astype(np.uint8) if _are_bytes(floats) else floats


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
        f"{what} have shape {_by(raw.shape)}; give [n, features], [n, height, width], [n, height, width, 1 or 3] "
        "or [n, 1 or 3, height, width]"
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


def _alike(images: Images, test_images: Images) -> tuple[Images, Images]:
    """Both of one type, once they are of one shape."""
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"training images are {_by(images.shape[1:])} and test images {_by(test_images.shape[1:])} "
            "(channels, height, width); give both in one size"
        )
    if images.dtype == test_images.dtype:
        return images, test_images
    return images.astype(np.float32), test_images.astype(np.float32)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


# --- labels ------------------------------------------------------------------------------------


def _plain_labels(raw: Array, images: int) -> Array:
    """Labels [n] as whole numbers or text."""
    labels = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        raise DataError(f"labels have shape {_by(raw.shape)}; give one label an image, not one-hot rows")
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


def _values(raw: Array, images: int) -> tuple[str, ...]:
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


def _codes(raw: Array, images: int, values: tuple[str, ...]) -> Labels:
    """The place of each label in `values`: int32 [n]."""
    found, inverse = np.unique(_plain_labels(raw, images), return_inverse=True)
    known = {value: place for place, value in enumerate(values)}
    strange = [str(value) for value in found if str(value) not in known]
    if strange:
        raise DataError(f"the test split has label '{strange[0]}', which no training image has; remove or relabel it")
    places = np.array([known[str(value)] for value in found], np.int32)
    return places[inverse.reshape(-1)]


def _check_classes(labels: Labels, values: tuple[str, ...]) -> None:
    counts = np.bincount(labels, minlength=len(values))
    fewest = int(counts.argmin())
    if counts[fewest] < LEAST_PER_CLASS:
        raise DataError(
            f"class '{values[fewest]}' has {counts[fewest]} of the {len(labels):,} images to train on; give at least "
            f"{LEAST_PER_CLASS} images of each class, or leave the class out"
        )


# --- splits ------------------------------------------------------------------------------------

_TEST_STREAM, _VALIDATION_STREAM = 3, 4


def _cut_validation(labels: Labels, kept: Indices, split_seed: int) -> tuple[Indices, Indices, Indices]:
    """(train, selection, confirmation), each a sorted part of `kept`."""
    count = 10_000 if len(kept) >= 60_000 else len(kept) // 4
    train, validation = _cut(labels[kept], count, 2, split_seed, _VALIDATION_STREAM)
    # Every second one, class after class: halves within one image of each other, in all and in each class.
    by_class = validation[_shuffled_by_class(labels[kept][validation], split_seed, _VALIDATION_STREAM)]
    selection, confirmation = np.sort(by_class[::2]), np.sort(by_class[1::2])
    return kept[train], kept[selection], kept[confirmation]


def _cut(labels: Labels, count: int, least: int, split_seed: int, stream: int) -> tuple[Indices, Indices]:
    """(the rest, `count` of the images) as sorted indices; every class in proportion, and at least `least` of it."""
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes)
    quotas = np.maximum(np.diff(ends * count // len(labels), prepend=0), least)
    order = _shuffled_by_class(labels, split_seed, stream)
    place_in_class = np.arange(len(labels)) - np.repeat(ends - sizes, sizes)
    taken = np.zeros(len(labels), bool)
    taken[order] = place_in_class < np.repeat(quotas, sizes)
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _shuffled_by_class(labels: Labels, split_seed: int, stream: int) -> Indices:
    """Indices class after class, at random within a class.

    The generator's raw words are used, which NumPy promises never to change (NEP 19).
    """
    raw = np.random.PCG64([split_seed, stream]).random_raw(len(labels))
    return np.lexsort((raw, labels))


def _digest(class_names: tuple[str, ...], splits: Iterable[Split]) -> str:
    """SHA-256 in hex of all that a training can depend on; the name is no part of it."""
    sha256 = hashlib.sha256(json.dumps(class_names).encode())
    for split in splits:
        for array in (split.images, split.labels):
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            sha256.update(f"{little_endian.dtype.str}{array.shape}".encode())
            sha256.update(little_endian.data)
    return sha256.hexdigest()
