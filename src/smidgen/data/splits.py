"""Which images belong to which split: cuts at random within each class, or of whole groups.

A cut depends on the labels, the groups and a seed alone. It uses the generator's raw words, which NumPy promises never
to change (NEP 19).

A group is a set of images that are nearly copies: the frames of a video, the scans of a patient, the augmented copies
of an image. If some of them were trained on and others scored, the score would measure memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Indices, Labels
from smidgen.errors import DataError
from smidgen.streams import TEST_SPLIT, TRAINING_ORDER, VALIDATION_SPLIT, split_words

MAX_REPEATS = 20
"""How often oversampling uses an image at most; a network would memorize one that came more often."""


@dataclass(frozen=True, eq=False)
class Cut:
    """How one data set is cut.

    Attributes:
        split_seed: The seed of the cuts.
        groups: Text [n], the group of each training image; None if every image is a group of its own.
        class_names: The name of each class, for errors.
    """

    split_seed: int
    groups: npt.NDArray[np.str_] | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()

    def test(self, labels: Labels) -> tuple[Indices, Indices]:
        """Cut a fifth off for testing: (rest, test) as sorted indices."""
        if self.groups is None:
            return cut(labels, len(labels) // 5, 1, self.split_seed, TEST_SPLIT)
        return self._cut_groups(labels, self.groups, len(labels) // 5, (1, 3), TEST_SPLIT)

    def validation(self, labels: Labels, kept: Indices) -> tuple[Indices, Indices, Indices]:
        """Cut the images that are not for testing: (train, selection, confirmation), each a sorted part of `kept`."""
        if self.groups is None:
            return cut_validation(labels, kept, self.split_seed)
        labels, groups = labels[kept], self.groups[kept]
        train, validation = self._cut_groups(labels, groups, _validation_count(len(kept)), (2, 1), VALIDATION_SPLIT)
        first = _first_half(labels[validation], groups[validation], self.split_seed)
        parts = (train, validation[first], validation[~first])
        for rows in parts:
            self._check_every_class(labels[rows])
        return kept[parts[0]], kept[parts[1]], kept[parts[2]]

    def mixed_validation(self, labels: Labels, kept: Indices) -> tuple[Indices, Indices, Indices]:
        """Cut as `validation` does, with the training images in a random order.

        A search looks at the first training images, and files often go class by class.
        """
        train, selection, confirmation = self.validation(labels, kept)
        order = np.argsort(split_words(len(train), self.split_seed, TRAINING_ORDER), kind="stable")
        return train[order], selection, confirmation

    def _cut_groups(
        self, labels: Labels, groups: npt.NDArray[Any], count: int, limits: tuple[int, int], stream: int
    ) -> tuple[Indices, Indices]:
        """(rest, about `count` of the images) in whole groups, of each class in proportion.

        limits: at least how many groups of each class are taken, and at least how many stay

        A group belongs to the class that most of its images have.
        """
        codes, owners, sizes, order = _in_order(labels, groups, self.split_seed, stream)
        taken = np.zeros(len(sizes), bool)
        if len(self.class_names) and np.bincount(owners, minlength=len(self.class_names)).min() < sum(limits):
            mixed = _mixed_groups(labels, codes, sizes, order, count, limits)
            if mixed is not None:
                return np.flatnonzero(~mixed[codes]), np.flatnonzero(mixed[codes])
        for owner, name in enumerate(self.class_names):
            mine = order[owners[order] == owner]
            if len(mine) < sum(limits):
                raise DataError(
                    f"class '{name}' is the majority of {len(mine)} of {len(sizes)} groups and needs {sum(limits)}, "
                    "because a group counts for its majority class; give at least four groups of each class, or leave "
                    "the groups out"
                )
            # A group above the quota stays, as long as there are others: taken alone it would be most of the split.
            quota = sizes[mine].sum() * count / len(labels)
            mine = mine[np.argsort(sizes[mine] > quota, kind="stable")]
            middles = np.cumsum(sizes[mine]) - sizes[mine] / 2
            number = int(np.clip((middles < quota).sum(), limits[0], len(mine) - limits[1]))
            taken[mine[:number]] = True
        return np.flatnonzero(~taken[codes]), np.flatnonzero(taken[codes])

    def _check_every_class(self, labels: Labels) -> None:
        missing = np.flatnonzero(np.bincount(labels, minlength=len(self.class_names)) == 0)
        if len(missing):
            raise DataError(
                f"class '{self.class_names[missing[0]]}' is missing in a split, because its examples are in too few "
                "groups; give at least four groups of each class, or leave the groups out"
            )


def cut_validation(labels: Labels, kept: Indices, split_seed: int) -> tuple[Indices, Indices, Indices]:
    """Cut images without groups: (train, selection, confirmation), each a sorted part of `kept`.

    The validation split is a quarter of `kept`, and 10,000 of 60,000 images or more.

    Args:
        labels: int32 [n] of all images.
        kept: The indices of the images to cut.
        split_seed: The seed of the cut.
    """
    train, validation = cut(labels[kept], _validation_count(len(kept)), 2, split_seed, VALIDATION_SPLIT)
    # Every second image, class after class: the halves differ by at most one image, in all and in each class.
    by_class = validation[_shuffled_by_class(labels[kept][validation], split_seed, VALIDATION_SPLIT)]
    selection, confirmation = np.sort(by_class[::2]), np.sort(by_class[1::2])
    return kept[train], kept[selection], kept[confirmation]


def cut(labels: Labels, count: int, per_class: int, split_seed: int, stream: int) -> tuple[Indices, Indices]:
    """Take about `count` of the images, every class in proportion.

    Args:
        labels: int32 [n].
        count: How many images are taken; more if the classes need it.
        per_class: How many images of each class are taken at least.
        split_seed: The seed of the cut.
        stream: The random stream, different for each kind of cut.

    Returns:
        (rest, taken) as sorted indices.
    """
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes)
    quotas = np.maximum(np.diff(ends * count // len(labels), prepend=0), per_class)
    order = _shuffled_by_class(labels, split_seed, stream)
    place_in_class = np.arange(len(labels)) - np.repeat(ends - sizes, sizes)
    taken = np.zeros(len(labels), bool)
    taken[order] = place_in_class < np.repeat(quotas, sizes)
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _shuffled_by_class(labels: Labels, split_seed: int, stream: int) -> Indices:
    """Indices class after class, at random within a class."""
    return np.lexsort((split_words(len(labels), split_seed, stream), labels))


def _validation_count(images: int) -> int:
    return 10_000 if images >= 60_000 else images // 4


def oversampled_rows(labels: Labels) -> Indices:
    """Indices that repeat the images of rarer classes until each class comes as often as the commonest.

    An image comes at most `MAX_REPEATS` times.
    """
    sizes = np.bincount(labels)
    pieces = []
    for code in range(len(sizes)):
        rows = np.flatnonzero(labels == code)
        wanted = min(int(sizes.max()), MAX_REPEATS * len(rows))
        pieces.append(np.resize(rows, wanted))
    return np.sort(np.concatenate(pieces))


# --- groups -------------------------------------------------------------------------------------


def _first_half(labels: Labels, groups: npt.NDArray[Any], split_seed: int) -> npt.NDArray[np.bool_]:
    """Which images belong to the first half: each group joins the half with fewer images of its class so far."""
    codes, owners, sizes, order = _in_order(labels, groups, split_seed, VALIDATION_SPLIT)
    first = np.zeros(len(sizes), bool)
    counts = np.zeros((2, int(labels.max()) + 1), np.int64)
    for group in sorted(order.tolist(), key=lambda group: -sizes[group]):
        owner = owners[group]
        totals = counts.sum(axis=1)
        half = int((counts[0, owner], totals[0]) > (counts[1, owner], totals[1]))
        first[group] = half == 0
        counts[half, owner] += sizes[group]
    return first[codes]


def _mixed_groups(
    labels: Labels, codes: Indices, sizes: Indices, order: Indices, count: int, limits: tuple[int, int]
) -> npt.NDArray[np.bool_] | None:
    """Which groups are taken where groups have images of many classes, as the recordings of one person do.

    Groups are taken in random order, beginning at the first place that gives every class `limits[0]` groups among those
    that are taken and `limits[1]` among the rest; None if there is no such place.
    """
    present = np.zeros((len(sizes), int(labels.max()) + 1), bool)
    present[codes, labels] = True
    for first in range(len(order)):
        turned = np.roll(order, -first)
        number = int((np.cumsum(sizes[turned]) - sizes[turned] / 2 < count).sum())
        taken = turned[: np.clip(number, limits[0], max(limits[0], len(order) - limits[1]))]
        inside = present[taken].sum(axis=0)
        if inside.min() >= limits[0] and (present.sum(axis=0) - inside).min() >= limits[1]:
            return np.isin(np.arange(len(sizes)), taken)
    return None


def _in_order(
    labels: Labels, groups: npt.NDArray[Any], split_seed: int, stream: int
) -> tuple[Indices, Indices, Indices, Indices]:
    """(the group of each image, the class and the size of each group, the groups in random order)."""
    names, codes = np.unique(groups, return_inverse=True)
    codes = codes.reshape(-1)
    table = np.zeros((len(names), int(labels.max()) + 1), np.int64)
    np.add.at(table, (codes, labels), 1)
    order = np.argsort(split_words(len(names), split_seed, stream), kind="stable")
    return codes, table.argmax(axis=1), table.sum(axis=1), order
