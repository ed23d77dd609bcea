"""The classes of folders, tables and arrays: which columns are read, in which order, and what the CSV file says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smidgen
from commands import Said, assert_refused
from smidgen.errors import DataError, ModelFileError, RequestError
from smidgen.model import Model, as_quantized, save_smidgen
from smidgen.predictions import predict
from smidgen.spec import InputSpec, parse_spec
from smidgen.spec.input import VECTOR


def vector_model() -> Model:
    """Three features: "small" or "large", as 2a + b - c is below or above 0."""
    weights = np.array([-2, -1, 1, 2, 1, -1, 0, 0], np.float32)
    reads = InputSpec(VECTOR, (3, 1, 1), low=(-9.0,), high=(9.0,))
    return Model(parse_spec("dense 2"), (3, 1, 1), ("small", "large"), weights, input=reads)


def grey_model() -> Model:
    """4x4 grey: "dark" or "light"."""
    weights = np.concatenate([np.full(16, -1), np.full(16, 1), [8, -8]]).astype(np.float32)
    return Model(parse_spec("dense 2"), (1, 4, 4), ("dark", "light"), weights)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("id,a,b,c,label\n11,1,0,0,x\n7,-1,0,0,y\n40,0,0,2,x\n")
    return path


def test_rows_of_a_table_are_read_without_its_label_and_its_numbers(table: Path) -> None:
    found = predict(vector_model(), table)
    assert found.names == ("large", "small", "small")
    assert found.inputs == ("1", "2", "3")
    assert found[0].probabilities[0] == ("large", pytest.approx(1 / (1 + np.exp(-4))))
    assert [each.name for each in found[1:]] == ["small", "small"]


def test_a_parquet_file_is_read_alike(table: Path, tmp_path: Path) -> None:
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    pandas.read_csv(table).to_parquet(tmp_path / "table.parquet")
    np.testing.assert_array_equal(
        predict(vector_model(), tmp_path / "table.parquet").table, predict(vector_model(), table).table
    )


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("a,b,c,d", r"has 4 features \(a, b, c, d\) and the network reads 3; leave columns out by --drop"),
        ("a,b", r"has 2 features \(a, b\) and the network reads 3; give the columns that it was trained on"),
        ("a,b,label", r"has 2 features \(a, b\) and the network reads 3"),
    ],
)
def test_other_columns_than_the_networks_are_refused(tmp_path: Path, head: str, message: str) -> None:
    """A label is never read as a feature that is missing."""
    count = head.count(",") + 1
    (tmp_path / "t.csv").write_text(f"{head}\n{','.join('3' * count)}\n{','.join('1' * count)}\n")
    with pytest.raises(DataError, match=message):
        predict(vector_model(), tmp_path / "t.csv")


def test_columns_are_left_out_by_name(table: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("a,b,noise,c\n1,0,7,0\n-1,0,7,0\n")
    assert predict(vector_model(), tmp_path / "wide.csv", drop=["noise"]).names == ("large", "small")
    with pytest.raises(DataError, match="has no column 'nose'"):
        predict(vector_model(), tmp_path / "wide.csv", drop=["nose"])


def test_text_in_a_column_is_counted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,oops,6\n7,8,9\n")
    with pytest.raises(DataError, match="oops"):
        predict(vector_model(), tmp_path / "t.csv")


def test_values_far_outside_those_in_training_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n100,2,3\n4,5,6\n")
    (note,) = predict(vector_model(), tmp_path / "t.csv").notes
    assert "1 of 6 values of X lie far outside those in training" in note


def test_an_array_is_found_by_its_name(tmp_path: Path) -> None:
    X = np.array([[1.0, 0, 0], [-1, 0, 0]])
    np.savez(tmp_path / "one.npz", anything=X)
    np.savez(tmp_path / "two.npz", y=np.zeros(2), X=X)
    np.savez(tmp_path / "none.npz", first=X, second=X)
    for name in ("one", "two"):
        assert predict(vector_model(), tmp_path / f"{name}.npz").names == ("large", "small")
    with pytest.raises(DataError, match="has first, second, and none is called X"):
        predict(vector_model(), tmp_path / "none.npz")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for name, value in (("b.png", 250), ("a.png", 5), ("inner/c.jpg", 240)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9), value, np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_is_read_in_the_order_of_its_paths(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = predict(grey_model(), pictures)
    assert found.inputs == tuple(str(pictures / name) for name in ("a.png", "b.png", "inner/c.jpg"))
    assert found.names == ("dark", "light", "light")
    monkeypatch.setattr("smidgen.predictions.CHUNK", 2)
    np.testing.assert_array_equal(predict(grey_model(), pictures).table, found.table)
    np.testing.assert_array_equal(
        predict(grey_model(), [pictures / "inner", pictures / "a.png"]).table, found.table[[2, 0]]
    )


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no pictures"):
        predict(grey_model(), tmp_path)


def test_a_table_is_no_picture(table: Path) -> None:
    with pytest.raises(DataError, match=r"takes 1x4x4 values and .* has rows; give them as array X of a \.npz file"):
        predict(grey_model(), table)


def test_the_csv_file_has_the_classes_and_the_probabilities(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    found = predict(grey_model(), pictures, out=out)
    assert found.written_to == out
    head, *rows = csv.reader(out.read_text().splitlines())
    assert head == ["input", "class", "dark", "light"]
    assert [row[1] for row in rows] == [*found.names]
    np.testing.assert_allclose([[float(cell) for cell in row[2:]] for row in rows], found.table, rtol=1e-5)
    with pytest.raises(ModelFileError, match="cannot write"):
        predict(grey_model(), pictures, out=tmp_path / "missing" / "out.csv")


def test_one_example_has_a_name_and_several_are_refused(table: Path) -> None:
    found = predict(vector_model(), table)
    with pytest.raises(RequestError, match="there are 3 predictions; take one of them"):
        found.name  # noqa: B018
    assert repr(found) == "<Predictions: 3 examples, 2 classes>"
    with pytest.raises(RequestError, match="has no file"):
        predict(vector_model(), [])


def test_the_command_prints_a_table_and_writes_the_file(
    command: Callable[..., Said], work: Path, table: Path, pictures: Path
) -> None:
    save_smidgen(as_quantized(vector_model()), work / "net.smidgen")
    said = command("predict", "net.smidgen", str(table), "--out", "out.csv")
    assert (said.code, said.err) == (0, "")
    assert "large" in said.out
    assert "out.csv: 3 rows" in said.out
    assert_refused(command("predict", "net.smidgen", str(pictures)), "not pictures; give a table")
    assert_refused(command("predict", "net.smidgen", "gone.csv"), "no file at gone.csv; give a picture, a folder")


def test_python_and_command_read_one_file_alike(table: Path, tmp_path: Path) -> None:
    save_smidgen(as_quantized(vector_model()), tmp_path / "net.smidgen")
    X = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 2]])
    expected = smidgen.load(tmp_path / "net.smidgen").predict_proba(X)
    np.testing.assert_array_equal(smidgen.predict(tmp_path / "net.smidgen", table).table, expected)
