"""Which images go where: cuts at random within each class, or of whole groups.

A cut depends on the labels, the groups and a seed alone. The generator's raw words are used, which NumPy promises
never to change (NEP 19).

A group is what must not be torn apart: the frames of a video, the patients of a study, the augmented copies of a
picture. If one of them were trained on and another were scored, the score would say how well it was remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import DataError
from smidgen.streams import TEST_SPLIT, VALIDATION_SPLIT, split_words

Labels = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

MOST_REPEATS = 20
"""Of an image of a rare class: more would learn it by heart."""


@dataclass(frozen=True, eq=False)
class Cut:
    """How one data set is cut. `groups`: text [n], the group of each training image; None where each stands alone."""

    split_seed: int
    groups: npt.NDArray[np.str_] | None = field(default=None, repr=False)

    def test(self, labels: Labels) -> tuple[Indices, Indices]:
        """(the rest, a fifth for testing) as sorted indices."""
        if self.groups is None:
            return cut(labels, len(labels) // 5, 1, self.split_seed, TEST_SPLIT)
        return _cut_groups(labels, self.groups, len(labels) // 5, (1, 3), self.split_seed, TEST_SPLIT)

    def validation(self, labels: Labels, kept: Indices) -> tuple[Indices, Indices, Indices]:
        """(train, selection, confirmation), each a sorted part of `kept`."""
        if self.groups is None:
            return cut_validation(labels, kept, self.split_seed)
        labels, groups = labels[kept], self.groups[kept]
        train, validation = _cut_groups(
            labels, groups, _validation_count(len(kept)), (2, 1), self.split_seed, VALIDATION_SPLIT
        )
        first = _halved(labels[validation], groups[validation], self.split_seed)
        parts = (train, validation[first], validation[~first])
        for rows in parts:
            _check_every_class(labels[rows], int(labels.max()) + 1)
        return kept[parts[0]], kept[parts[1]], kept[parts[2]]


def cut_validation(labels: Labels, kept: Indices, split_seed: int) -> tuple[Indices, Indices, Indices]:
    """(train, selection, confirmation), each a sorted part of `kept`."""
    train, validation = cut(labels[kept], _validation_count(len(kept)), 2, split_seed, VALIDATION_SPLIT)
    # Every second one, class after class: halves within one image of each other, in all and in each class.
    by_class = validation[_shuffled_by_class(labels[kept][validation], split_seed, VALIDATION_SPLIT)]
    selection, confirmation = np.sort(by_class[::2]), np.sort(by_class[1::2])
    return kept[train], kept[selection], kept[confirmation]


def cut(labels: Labels, count: int, least: int, split_seed: int, stream: int) -> tuple[Indices, Indices]:
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
    """Indices class after class, at random within a class."""
    return np.lexsort((split_words(len(labels), split_seed, stream), labels))


def _validation_count(images: int) -> int:
    return 10_000 if images >= 60_000 else images // 4


def even_rows(labels: Labels) -> Indices:
    """Places of images such that each class comes as often as the commonest: each once, those of rarer ones again."""
    sizes = np.bincount(labels)
    pieces = []
    for place in range(len(sizes)):
        rows = np.flatnonzero(labels == place)
        wanted = min(int(sizes.max()), MOST_REPEATS * len(rows))
        pieces.append(np.resize(rows, wanted))
    return np.sort(np.concatenate(pieces))


# --- groups -------------------------------------------------------------------------------------


def _cut_groups(
    labels: Labels, groups: npt.NDArray[Any], count: int, least: tuple[int, int], split_seed: int, stream: int
) -> tuple[Indices, Indices]:
    """(the rest, about `count` of the images) in whole groups, of each class in proportion.

    least: how many groups of each class are taken, and how many stay

    A group counts as of the class that most of its images have.
    """
    codes, owners, sizes, order = _in_order(labels, groups, split_seed, stream)
    taken = np.zeros(len(sizes), bool)
    for owner in range(int(labels.max()) + 1):
        mine = order[owners[order] == owner]
        if len(mine) < sum(least):
            raise DataError(
                f"class {owner} (from 0) has {len(mine)} groups where {sum(least)} are needed; give at least four "
                "groups of each class, or leave the groups out"
            )
        middles = np.cumsum(sizes[mine]) - sizes[mine] / 2
        quota = sizes[mine].sum() * count / len(labels)
        number = int(np.clip((middles < quota).sum(), least[0], len(mine) - least[1]))
        taken[mine[:number]] = True
    return np.flatnonzero(~taken[codes]), np.flatnonzero(taken[codes])


def _halved(labels: Labels, groups: npt.NDArray[Any], split_seed: int) -> npt.NDArray[np.bool_]:
    """Which images go to the first half: each group to the half with fewer images of its class so far."""
    codes, owners, sizes, order = _in_order(labels, groups, split_seed, VALIDATION_SPLIT)
    first = np.zeros(len(sizes), bool)
    held = np.zeros((2, int(labels.max()) + 1), np.int64)
    for group in sorted(order.tolist(), key=lambda group: -sizes[group]):
        owner = owners[group]
        half = int(held[0, owner] > held[1, owner])
        first[group] = half == 0
        held[half, owner] += sizes[group]
    return first[codes]


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


def _check_every_class(labels: Labels, classes: int) -> None:
    missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(missing):
        raise DataError(
            f"class {missing[0]} (from 0) would be missing in a split, for its images are in too few groups; give at "
            "least four groups of each class, or leave the groups out"
        )
