"""A data set: its digest, its rows, and splits whose images are made when they are first read."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sample_data import members, numbered

from smidgen.data import Split, from_arrays


def test_cut_is_pinned():
    """Stored outcomes are keyed by the digest: the same seed must cut the same for ever."""
    dataset = from_arrays(*numbered(40, 2), split_seed=7)
    assert members(dataset.test) == PINNED_TEST
    assert members(dataset.selection) == PINNED_SELECTION
    assert members(dataset.confirmation) == PINNED_CONFIRMATION
    assert dataset.digest == PINNED_DIGEST


PINNED_TEST = [7, 11, 13, 18, 21, 22, 26, 30]
PINNED_SELECTION = [5, 16, 20, 23]
PINNED_CONFIRMATION = [1, 6, 19, 34]
PINNED_DIGEST = "0fbebce845620a15fe301905acd9150495691f869061bd5cb1ee50dc62d595f3"


def test_digest_covers_images_labels_classes_and_split_and_not_the_name():
    X, y = numbered(60)
    base = from_arrays(X, y)
    brighter, relabelled = X.copy(), y.copy()
    brighter[17, 1, 0] += 1
    relabelled[[0, 1]] = relabelled[[1, 0]]
    others = [
        from_arrays(brighter, y),
        from_arrays(X, relabelled),
        from_arrays(X, y + 1),
        from_arrays(X, y, split_seed=1),
        from_arrays(X.reshape(60, 3, 2), y),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 6
    assert from_arrays(X, y, name="another").digest == base.digest
    assert len(base.digest) == 64


def test_rows_are_places_in_the_data_as_it_came():
    X, y = np.arange(100)[:, None] + 0.5, np.arange(100) % 4
    data = from_arrays(X, y)
    for split in (data.train, data.selection, data.confirmation, data.test):
        np.testing.assert_array_equal(X[split.rows, 0], data.input.to_units(split.images)[:, 0, 0, 0])
    assert (data.total_images, data.own_test_images) == (100, 0)
    with_test = from_arrays(X, y, test=(X[:20] + 1, y[:20]))
    np.testing.assert_array_equal(with_test.test.rows, np.arange(100, 120))
    assert (with_test.total_images, with_test.own_test_images) == (120, 20)


def lazy(made: list[str], shape: tuple[int, int, int, int] = (6, 1, 2, 2)) -> Split:
    """A split that notes in `made` when its images are made."""

    def make() -> np.ndarray:
        made.append(threading.current_thread().name)
        time.sleep(0.05)
        return np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2)

    return Split.lazy(make, shape, np.uint8, np.arange(6, dtype=np.int32) % 2)


def test_a_lazy_split_is_made_once_by_the_first_of_many_threads() -> None:
    made: list[str] = []
    split = lazy(made)
    assert (len(split), split.shape, split.dtype, len(split.rows)) == (6, (6, 1, 2, 2), np.uint8, 0)
    assert made == [] and "images" not in repr(split)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: split.images, range(8)))
    assert len(made) == 1
    assert all(images is found[0] for images in found)
    assert (split.shape, split.dtype) == ((6, 1, 2, 2), np.uint8)


def test_a_lazy_split_can_be_copied_pickled_and_replaced() -> None:
    for copied in (copy.copy(lazy([])), pickle.loads(pickle.dumps(lazy([]))), replace(lazy([]), labels=np.zeros(6))):
        assert copied.images.reshape(-1).tolist() == list(range(24))
        assert copied.shape == (6, 1, 2, 2)


def test_a_lazy_split_that_is_not_as_it_was_said_to_be_is_an_error() -> None:
    with pytest.raises(AssertionError):
        lazy([], shape=(7, 1, 2, 2)).images  # noqa: B018
    with pytest.raises(AttributeError, match="a Split has no attribute 'image'"):
        lazy([]).image  # noqa: B018
