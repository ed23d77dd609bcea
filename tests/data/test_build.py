"""Data sets from arrays: the shapes, types and labels that they get."""

from __future__ import annotations

import numpy as np
import pytest
from sample_data import four, numbered

from smidgen.data import from_arrays, without_test_split
from smidgen.errors import DataError


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [
        ((20, 7), (7, 1, 1)),
        ((20, 4, 5), (1, 4, 5)),
        ((20, 4, 5, 3), (3, 4, 5)),
        ((20, 4, 5, 1), (1, 4, 5)),
        ((20, 3, 4, 5), (3, 4, 5)),
        ((20, 1, 4, 5), (1, 4, 5)),
        ((20, 7, 1, 1), (7, 1, 1)),
        ((20, 3, 4, 3), (3, 4, 3)),
        ((20, 4, 5, 2), (2, 4, 5)),
        ((20, 9, 4, 4), (9, 4, 4)),
        ((20, 128, 3), (3, 1, 128)),
        ((20, 3, 128), (3, 1, 128)),
        ((20, 3, 1, 128), (3, 1, 128)),
    ],
)
def test_shapes(shape, becomes):
    X = np.random.default_rng(0).random(shape)
    dataset = from_arrays(X, np.arange(20) % 2)
    assert dataset.input_shape == becomes
    for split in four(dataset):
        assert split.images.flags.c_contiguous
        assert split.images.flags.writeable
        assert split.labels.dtype == np.int32


def test_colour_planes_are_moved_and_not_reshaped():
    X = np.arange(20 * 2 * 2 * 3, dtype=np.uint8).reshape(20, 2, 2, 3)
    train = from_arrays(X, np.arange(20) % 2).train
    first = next(i for i in range(20) if X[i, 0, 0, 0] == train.images[0, 0, 0, 0])
    np.testing.assert_array_equal(train.images[0], X[first].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0.0, 7.0, 255.0]), np.uint8),
        (np.array([0, 7, 255], np.int64), np.uint8),
        (np.array([0, 1, 1], np.uint8), np.uint8),
        (np.array([0.0, 7.5, 255.0]), np.float32),
        (np.array([0.0, 7.0, 256.0]), np.float32),
        (np.array([-1.0, 7.0, 255.0]), np.float32),
        # All 0 or 1: divided by 255 they would be nearly nothing.
        (np.array([0.0, 1.0, 1.0]), np.float32),
        (np.array([False, True, True]), np.float32),
        (np.array([0.25, 0.5, 0.75], np.float16), np.float32),
    ],
)
def test_types_of_images(values, dtype):
    pictures = np.tile(values, (12, 2, 1))
    data = from_arrays(pictures, np.arange(12) % 2, layout="height-width")
    assert data.train.images.dtype == dtype
    np.testing.assert_array_equal(data.input.to_units(data.train.images)[:, 0], pictures[: len(data.train)])


def test_test_split_has_the_type_of_the_training_split():
    X, y = np.tile([0.0, 7.0], (12, 2, 1)), np.arange(12) % 2
    dataset = from_arrays(X, y, test=(X[:2] + 0.5, y[:2]))
    assert dataset.train.images.dtype == dataset.test.images.dtype == np.float32
    assert dataset.train.images[0, 0, 0, 1] == 7.0


def test_arrays_of_the_caller_are_not_shared():
    X, y = np.full((12, 4, 4), 7, np.uint8), np.arange(12) % 2
    dataset = from_arrays(X, y, test=(X, y))
    X[:] = 9
    assert {int(split.images.max()) for split in four(dataset)} == {7}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([2, 10, -3], ("-3", "2", "10")),
        (["cat", "ant", "bee"], ("ant", "bee", "cat")),
        (["10", "9", "2"], ("2", "9", "10")),
        ([2.0, 10.0, 1.0], ("1", "2", "10")),
        ([b"cat", b"ant", b"bee"], ("ant", "bee", "cat")),
        (np.array(["cat", "ant", "bee"], object), ("ant", "bee", "cat")),
    ],
)
def test_labels_as_they_come(labels, names):
    y = np.tile(np.asarray(labels), 10)
    dataset = from_arrays(numbered(30)[0], y, test=(numbered(3)[0], y[:3]))
    assert dataset.class_names == names
    as_text = [label.decode() if isinstance(label, bytes) else label for label in labels]
    assert [dataset.class_names[code] for code in dataset.test.labels] == [
        str(int(label)) if isinstance(label, float) else str(label) for label in as_text
    ]


def test_a_column_of_labels_is_taken_and_one_hot_is_refused():
    X, y = numbered(30)
    assert from_arrays(X, y[:, None]).digest == from_arrays(X, y).digest
    with pytest.raises(DataError, match=r"labels have shape 30x3; give one label for each example"):
        from_arrays(X, np.eye(3)[y])


def test_data_whose_test_images_are_elsewhere():
    X, y = np.arange(80.0)[:, None], np.arange(80) % 2
    data = without_test_split(X, y)
    assert data.train.images.dtype == np.float32, "a column is standardised"
    assert abs(data.train.images.mean()) < 0.5 and 0.7 < data.train.images.std() < 1.42
    rows = np.concatenate([data.train.rows, data.selection.rows, data.confirmation.rows])
    assert sorted(rows.tolist()) == list(range(80))
    assert data.test is data.confirmation
    few = without_test_split(X[:6], y[:6])
    assert len(few.train) == len(few.selection) == 6
