"""Exact copies among images: they are found by a hash of their values, counted, and kept in one split.

A network that was trained on an image and is scored on its copy shows memory. With labels at random, each image three
times and cuts at random, it is right on far more test images than chance allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Images, Indices, Labels
from smidgen.data.origin import Copies
from smidgen.data.splits import Cut
from smidgen.errors import DataError


def content_codes(arrays: Sequence[Images]) -> Indices:
    """Number images by their content: int64 [images of all arrays], equal for exact copies, in order of appearance."""
    known: dict[bytes, int] = {}
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for each in arrays for image in each)
    return np.array([known.setdefault(digest, len(known)) for digest in digests], np.int64)


def keeping_copies_together(
    cut: Cut, images: Images, labels: Labels, has_own_test: bool, is_published: bool = False
) -> tuple[Cut, Copies]:
    """Change a cut so that exact copies stay in one split, and count the copies.

    Where that leaves a class with too few different images for every split, the cut stays as it is.

    Args:
        cut: How the images are cut otherwise, with the groups of the user.
        images: Of the whole data set but a given test split.
        labels: int32 [n].
        has_own_test: Whether there is a test split already.
        is_published: Whether the data set is cut as everybody cuts it; the cut stays as it is.
    """
    codes = content_codes([images])
    copies = Copies(len(codes), len(codes) - len(np.unique(codes)), _contradicting(codes, labels))
    if not copies.repeated:
        return cut, copies
    if is_published:
        return cut, replace(copies, apart="published data is cut as always")
    together = replace(cut, groups=_joined(codes, cut.groups).astype(str))
    try:
        kept = np.arange(len(labels)) if has_own_test else together.test(labels)[0]
        together.validation(labels, kept)
    except DataError:
        return cut, replace(copies, apart="a class has fewer than four different images or groups")
    return together, copies


def counted_in_test(copies: Copies, images: Images, test_images: Images) -> Copies:
    """Count how many images of a given test split equal another image.

    Args:
        copies: What is counted already.
        images: Those that are not for testing.
        test_images: Those of the test split, of the same type.
    """
    codes = content_codes([images, test_images])
    found = int(np.isin(codes[len(images) :], codes[: len(images)]).sum())
    return replace(copies, test_images=len(test_images), in_test=found)


def _contradicting(codes: Indices, labels: Labels) -> int:
    """How many images have a copy with another label."""
    least = np.full(int(codes.max()) + 1, np.iinfo(np.int64).max)
    most = np.full(len(least), -1, np.int64)
    np.minimum.at(least, codes, labels)
    np.maximum.at(most, codes, labels)
    return int((least != most)[codes].sum())


def _joined(codes: Indices, groups: npt.NDArray[np.str_] | None) -> Indices:
    """The sets of images that are linked by equal codes or by equal groups: int64 [n]."""
    if groups is None:
        return codes
    group_codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
    joined = np.arange(len(codes))
    while True:
        before = joined
        for links in (codes, group_codes):
            least = np.full(int(links.max()) + 1, len(codes))
            np.minimum.at(least, links, joined)
            joined = least[links]
        if np.array_equal(before, joined):
            return joined
