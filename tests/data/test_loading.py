"""Loading by name and by path: the published data sets, options, and what is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_data import four, grouped

from smidgen.data import load
from smidgen.errors import DataError


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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"no data set 'mnits' \(did you mean 'mnist'\?\).*known: mnist, fashion-mnist, digits; or give"),
        ("Fashion_MNIST", r"did you mean 'fashion-mnist'"),
        ("zebra", r"no data set 'zebra' and no file"),
        ("", r"no data set ''"),
        ("nowhere/images", r"images does not exist; give a folder, or a file ending in .npz, .csv, .tsv, .parquet"),
        ("nothing.npz", r"nothing.npz does not exist"),
        (Path("mnits"), r"mnits does not exist"),
    ],
)
def test_what_is_not_there(name, message):
    with pytest.raises(DataError, match=message):
        load(name)


def test_unknown_suffix(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"cannot read .*weights.pkl: its format is unknown; give a folder, or"):
        load(tmp_path / "weights.pkl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": (8, 8)}, "is not a folder of images, and nothing else can be resized; leave out --resize"),
        ({"group_column": "who"}, "no array 'who'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, message):
    np.savez(tmp_path / "data.npz", X=np.zeros((20, 3)), y=np.arange(20) % 2)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "data.npz", **options)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_column_of_groups_is_no_feature(tmp_path, suffix):
    X, y, groups = grouped(8, [5, 3], 0)
    X = X[::-1] ** 2  # a value that rose by one step would be taken for the number of the row
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
    data = load(path, group_column="patient")
    assert data.input_shape == (1, 1, 1)
    members = [set(groups[split.rows].tolist()) for split in (data.train, data.selection, data.confirmation, data.test)]
    assert sum(map(len, members)) == len(set(groups.tolist()))
    with pytest.raises(DataError, match=r"no (column|array) 'doctor'"):
        load(path, group_column="doctor")
