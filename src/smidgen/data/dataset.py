"""A data set: class names, four splits that share no image, and the digest that names their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.data.origin import UNKNOWN_ORIGIN, Origin
from smidgen.spec import UNSTATED, InputSpec, Shape

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

SPLITS = ("train", "selection", "confirmation", "test")


@dataclass(frozen=True, eq=False)
class _Pending:
    """How the images of a lazy split are made, and what is known about them before."""

    make: Callable[[], Images]
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    lock: Any = field(default_factory=Lock)


@dataclass(frozen=True, eq=False)
class Split:
    """Examples that are used together: to train, to select, to confirm or to test.

    Attributes:
        images: uint8 or float32 [n, channels, height, width]. A uint8 value v stands for v / 255.
        labels: int32 [n], the class of each image, counted from 0.
        rows: int64 [n], the index of each image in the data as it was given, where the images of a test split follow
            the training images. Empty if unknown.
    """

    images: Images = field(repr=False)
    labels: Labels
    rows: Indices = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _pending: _Pending | None = field(default=None, init=False, repr=False)

    @classmethod
    def lazy(
        cls, make: Callable[[], Images], shape: tuple[int, int, int, int], dtype: npt.DTypeLike, labels: Labels
    ) -> Split:
        """Build a split whose images are made when they are first read.

        Args:
            make: Returns the images. It is called at most once, by the thread that reads them first.
            shape: The shape of the images, [n, channels, height, width].
            dtype: Their type, uint8 or float32.
            labels: int32 [n].
        """
        split = cls(np.zeros(0, np.uint8), labels)
        del vars(split)["images"]  # reading it calls __getattr__ from now on
        vars(split)["_pending"] = _Pending(make, shape, dtype)
        return split

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `images`, [n, channels, height, width]; a lazy split does not make them for it."""
        pending = self._pending
        return self.images.shape if pending is None else pending.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of `images`; a lazy split does not make them for it."""
        pending = self._pending
        return self.images.dtype if pending is None else np.dtype(pending.dtype)

    def first(self, count: int) -> Split:
        """Return the first `count` examples, or all if there are fewer."""
        return Split(self.images[:count], self.labels[:count], self.rows[:count])

    def __len__(self) -> int:
        return len(self.labels)

    # A type checker that saw __getattr__ would accept every name.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Images:
            if name != "images":
                raise AttributeError(f"a Split has no attribute '{name}'")
            return self._make_images()

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle of a lazy split has the images, because a callable cannot always be sent."""
        return {"images": self.images, "labels": self.labels, "rows": self.rows, "_pending": None}

    def _make_images(self) -> Images:
        pending = self._pending
        if pending is not None:
            with pending.lock:
                if "images" not in vars(self):
                    images = pending.make()
                    assert (images.shape, images.dtype) == (pending.shape, np.dtype(pending.dtype))
                    vars(self)["images"] = images
                    vars(self)["_pending"] = None  # what `make` refers to can be freed
        made: Images = vars(self)["images"]
        return made


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples for a classifier, in four splits that share no image.

    Attributes:
        name: The published name, or the name of the file or folder.
        class_names: The name of each class, in the order of the labels.
        train: What networks learn from.
        selection: The half of the validation split on which networks are chosen.
        confirmation: The other half, which takes no part in choosing.
        test: What the reported network is scored on, once.
        split_seed: The seed of the cuts.
        digest: SHA-256 in hex of the class names and the content of every split.
        input: What the numbers mean; the images of every split are `input.to_network(values)`. By default as the images
            are: bytes, or floating-point numbers that are read as they are.
        origin: What was understood when the data was read.
        copies: How many copies of each training image there are; all but the first were moved a little.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split = field(repr=False)
    selection: Split = field(repr=False)
    confirmation: Split = field(repr=False)
    test: Split = field(repr=False)
    split_seed: int
    digest: str
    input: InputSpec = UNSTATED
    origin: Origin = UNKNOWN_ORIGIN
    copies: int = 1

    def __post_init__(self) -> None:
        if not self.input.is_stated:
            object.__setattr__(self, "input", input_as_it_is(self.train.dtype, self.input_shape))

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def splits(self) -> dict[str, Split]:
        """The four splits by name, the training split first."""
        return {name: getattr(self, name) for name in SPLITS}

    @property
    def total_images(self) -> int:
        """The number of images that the data was given with."""
        return 1 + max(int(split.rows.max(initial=-1)) for split in self.splits.values())

    @property
    def own_test_images(self) -> int:
        """The number of images that were given as a test split, whose rows come last; 0 if it was cut from the rest."""
        last = np.arange(self.total_images - len(self.test), self.total_images)
        return len(self.test) if np.array_equal(self.test.rows, last) else 0


def input_as_it_is(dtype: np.dtype[Any], shape: Shape) -> InputSpec:
    """Describe images that are read as they are: bytes as value / 255, others without offset and scale."""
    if dtype == np.uint8:
        return InputSpec("image-bytes", shape)
    return InputSpec("vector" if shape[1:] == (1, 1) else "image-floats", shape)


def digest_of(class_names: tuple[str, ...], splits: Iterable[Split], input: InputSpec = UNSTATED) -> str:
    """SHA-256 in hex of everything that a training can depend on; the data set's name is no part of it.

    What the input means is part of it where values are scaled or laid out in time.
    """
    sha256 = hashlib.sha256(json.dumps(class_names).encode())
    if input.is_scaled or input.kind == "signal":
        sha256.update(replace(input, low=(), high=()).to_json().encode())
    for split in splits:
        for array in (split.images, split.labels):
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            sha256.update(f"{little_endian.dtype.str}{array.shape}".encode())
            sha256.update(little_endian.data)
    return sha256.hexdigest()
