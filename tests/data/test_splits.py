"""Splits: which images belong to which, with groups and without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_data import GOOD_X, GOOD_Y, four, grouped, members, numbered

from smidgen.data import from_arrays, oversampled, without_test_split
from smidgen.errors import DataError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(5, 90), min_size=2, max_size=6), st.integers(0, 2**32), st.booleans())
def test_splits_share_no_image_and_lose_none(sizes, split_seed, own_test):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = numbered(len(labels))[0]
    test = (np.full((3, 2, 3), 255, np.uint8), [0, 0, 1]) if own_test else None
    dataset = from_arrays(images, labels, split_seed=split_seed, test=test)
    splits = four(dataset)[:3] if own_test else four(dataset)
    assert sorted(i for split in splits for i in members(split)) == list(range(len(labels)))
    assert all(split.labels.tolist() == labels[members(split)].tolist() for split in splits)
    assert all(set(split.labels) == set(labels) for split in splits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(20, 200), min_size=2, max_size=6), st.integers(0, 2**32))
def test_splits_have_their_share_of_every_class(sizes, split_seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    train, selection, confirmation, test = four(from_arrays(numbered(len(labels))[0], labels, split_seed=split_seed))
    rest = len(labels) - len(test)
    validation = len(selection) + len(confirmation)
    assert len(test) == len(labels) // 5
    assert validation == rest // 4
    assert 0 <= len(selection) - len(confirmation) <= 1
    counts = [np.bincount(split.labels) for split in (train, selection, confirmation, test)]
    assert np.abs(counts[3] - np.array(sizes) * len(test) / len(labels)).max() < 1
    assert np.abs(counts[1] + counts[2] - (np.array(sizes) - counts[3]) * validation / rest).max() < 1
    assert np.abs(counts[1] - counts[2]).max() <= 1


@pytest.mark.parametrize(("n", "validation"), [(59_999, 14_999), (60_000, 10_000), (80_000, 10_000)])
def test_validation_is_ten_thousand_from_sixty_thousand_on(n, validation):
    X, y = np.zeros((n, 1)), np.arange(n) % 10
    dataset = from_arrays(X, y, test=(X[:10], y[:10]))
    assert len(dataset.selection) + len(dataset.confirmation) == validation
    assert len(dataset.train) == n - validation


def test_seed_moves_every_cut_and_leaves_a_given_test_split_alone():
    X, y = numbered(60)
    first, second = from_arrays(X, y, split_seed=1), from_arrays(X, y, split_seed=2)
    assert members(first.test) != members(second.test)
    given = [from_arrays(X, y, split_seed=seed, test=(X[:9], y[:9])) for seed in (1, 2)]
    assert members(given[0].selection) != members(given[1].selection)
    assert members(given[0].test) == members(given[1].test) == list(range(9))


def test_negative_seed_is_refused():
    with pytest.raises(DataError, match=r"split_seed=-1 must be at least 0"):
        from_arrays(GOOD_X, GOOD_Y, split_seed=-1)


@given(
    groups_a_class=st.integers(4, 30),
    sizes=st.lists(st.integers(3, 9), min_size=1, max_size=5),
    split_seed=st.integers(0, 9),
)
def test_no_group_is_torn_apart_and_every_split_has_every_class(groups_a_class, sizes, split_seed):
    X, y, groups = grouped(groups_a_class, sizes, split_seed)
    data = from_arrays(X, y, split_seed=split_seed, groups=groups)
    splits = (data.train, data.selection, data.confirmation, data.test)
    assert sorted(np.concatenate([split.rows for split in splits]).tolist()) == list(range(len(y)))
    members = [set(groups[split.rows].tolist()) for split in splits]
    for place, some in enumerate(members):
        assert all(not some & other for other in members[place + 1 :])
    for split in splits:
        assert set(split.labels.tolist()) == {0, 1}
        np.testing.assert_array_equal(y[split.rows], split.labels)
        np.testing.assert_array_equal(X[split.rows, 0], data.input.to_units(split.images)[:, 0, 0, 0])


def test_groups_keep_the_shares_of_the_splits_where_there_are_many():
    X, y, groups = grouped(400, [1, 2, 3, 4], 0)
    data = from_arrays(X, y, groups=groups)
    n = len(y)
    assert len(data.test) == pytest.approx(n / 5, rel=0.03)
    assert len(data.selection) == pytest.approx(n / 10, rel=0.05)
    assert len(data.confirmation) == pytest.approx(n / 10, rel=0.05)


def test_groups_that_cannot_be_are_refused():
    X, y, groups = grouped(3, [5], 0)
    message = r"class '0' is the majority of 3 of 6 groups and needs 4, .* give at least four groups of each class"
    with pytest.raises(DataError, match=message):
        from_arrays(X, y, groups=groups)
    names = np.array(["setosa", "virginica"])[y]
    with pytest.raises(DataError, match=r"class 'setosa' is the majority of 0 of 1 groups"):
        from_arrays(X[y < 2], np.where(groups % 3 == 0, names, "virginica"), groups=np.zeros(len(y)))
    with pytest.raises(DataError, match=r"there are 30 examples and groups of shape 29; give each a group"):
        from_arrays(X, y, groups=groups[:-1])


def test_rare_classes_are_repeated_where_it_is_learned_and_nowhere_else():
    y = np.repeat([0, 1, 2], [400, 100, 8])
    data = from_arrays(np.arange(508)[:, None] + 0.5, y)
    even = oversampled(data)
    before = np.bincount(data.train.labels)
    assert np.bincount(even.train.labels).tolist() == [before[0], before[0], min(before[0], 20 * before[2])]
    assert set(even.train.rows.tolist()) == set(data.train.rows.tolist())
    np.testing.assert_array_equal(data.input.to_units(even.train.images)[:, 0, 0, 0], even.train.rows + 0.5)
    assert (even.selection, even.confirmation, even.test) == (data.selection, data.confirmation, data.test)
    assert even.digest != data.digest


def test_training_images_of_a_file_that_goes_class_by_class_are_mixed():
    X, _ = numbered(400)
    labels = np.sort(np.arange(400) % 4)
    first = from_arrays(X, labels).train.first(60)
    assert np.bincount(first.labels).min() >= 8
    assert first.labels.tolist() == labels[members(first)].tolist()
    again, other = from_arrays(X, labels), from_arrays(X, labels, split_seed=1)
    assert members(again.train) == members(from_arrays(X, labels).train) != members(other.train)
    every = without_test_split(X, labels).train
    assert np.bincount(every.first(60).labels).min() >= 8
