"""Exact copies are counted and stay in one split."""

from __future__ import annotations

import numpy as np
import pytest
from sample_data import four

from smidgen.data import Dataset, Split, facts_of, from_arrays, load, summary, without_test_split
from smidgen.data.copies import content_codes

RANDOM = np.random.default_rng(11)


def nearest(data: Dataset, split: Split) -> float:
    """The accuracy of answering with the label of the nearest training image."""
    known, asked = (each.images.reshape(len(each), -1).astype(float) for each in (data.train, split))
    distance = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    return float((data.train.labels[distance.argmin(axis=1)] == split.labels).mean())


def contents(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


@pytest.mark.parametrize("sort", [True, False])
def test_random_labels_stay_at_chance_where_each_image_comes_three_times(sort):
    X, y = RANDOM.random((300, 6)), RANDOM.integers(0, 2, 300)
    order = np.arange(900) if sort else RANDOM.permutation(900)
    data = from_arrays(np.repeat(X, 3, axis=0)[order], np.repeat(y, 3)[order])
    for split in (data.selection, data.confirmation, data.test):
        assert 0.3 < nearest(data, split) < 0.7
    found = [contents(split) for split in four(data)]
    assert sum(map(len, found)) == len(set.union(*found)) == 300
    assert [len(split) for split in four(data)] == pytest.approx([540, 90, 90, 180], abs=10)
    assert summary(data).copies.repeated == 600
    assert "600 of 900 examples are exact copies of earlier ones; copies stay in one split" in facts_of(data)


def test_data_without_copies_is_cut_as_ever_and_says_nothing():
    X, y = RANDOM.random((100, 3)), np.arange(100) % 2
    data = from_arrays(X, y)
    assert data.origin.copies.facts == ()
    assert data.digest == from_arrays(X, y, groups=None).digest
    assert load("digits").origin.copies.facts == ()


def test_an_image_that_is_most_of_a_class_is_not_most_of_what_is_scored():
    X, y = RANDOM.random((400, 3)), np.arange(400) % 2
    X[np.flatnonzero(y == 0)[:150]] = 0.0
    for seed in range(5):
        data = from_arrays(X, y, split_seed=seed)
        assert [len(split) for split in four(data)] == pytest.approx([240, 40, 40, 80], abs=30)


def test_copies_with_two_labels_are_counted():
    X, y = RANDOM.random((100, 3)), np.arange(100) % 2
    X[:4] = X[4]
    data = from_arrays(X, y)
    assert "5 examples are exact copies of others with another label; no network can tell them" in facts_of(data)


def test_a_class_of_few_different_images_is_cut_at_random_and_it_is_said():
    X, y = np.tile([[0.0, 0.5], [0.5, 0.0], [0.5, 0.5], [1.0, 1.0]], (30, 1)), np.tile([1, 1, 0, 0], 30)
    data = from_arrays(X, y)
    assert [len(split) for split in four(data)] == [72, 12, 12, 24]
    assert any("copies of earlier ones; they are in several splits (a class has" in line for line in facts_of(data))


def test_groups_and_copies_are_both_kept():
    X, groups = RANDOM.random((240, 2)), np.repeat(np.arange(40), 6)
    X[0], X[100] = X[30], X[150]  # links the groups 0 and 5, and 16 and 25
    data = from_arrays(X, np.arange(240) // 6 % 2, groups=groups)
    members = [set(groups[split.rows].tolist()) for split in four(data)]
    assert sum(map(len, members)) == 40
    assert sum({0, 5} <= each for each in members) == sum({16, 25} <= each for each in members) == 1


def test_a_test_split_that_overlaps_is_said():
    X, y = RANDOM.integers(0, 256, (90, 4, 4)).astype(np.uint8), np.arange(90) % 3
    data = from_arrays(X, y, test=(np.concatenate([X[:20], 255 - X[20:30]]), y[:30]))
    (said,) = facts_of(data)
    assert said.startswith("20 of 30 test examples are exact copies of training or validation examples")


def test_what_the_caller_tests_himself_keeps_copies_together_too():
    X, y = np.repeat(RANDOM.random((100, 3)), 3, axis=0), np.repeat(np.arange(100) % 2, 3)
    data = without_test_split(X, y)
    found = [contents(split) for split in (data.train, data.selection, data.confirmation)]
    assert sum(map(len, found)) == 100


def test_codes_are_equal_for_copies_alone():
    images = RANDOM.integers(0, 2, (200, 1, 1, 3)).astype(np.uint8)
    codes = content_codes([images[:120], images[120:]])
    same = (images[:, None] == images[None]).all(axis=(2, 3, 4))
    np.testing.assert_array_equal(codes[:, None] == codes[None], same)
