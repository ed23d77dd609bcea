"""CSV and Parquet files."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from smidgen.data import from_arrays, load
from smidgen.errors import DataError

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
        ("1,2,ant\n3,bee\n", r"numbers: line 2 has 2 fields and line 1 has 3; .*same number of columns"),
        ("1,2,ant\n3,red,bee\n", r"column '2' has text in 1 row \('red' in line 2\); encode text as numbers, or leave"),
        ("1,2,ant\n3,,bee\n4,,bee\n", r"column '2' has no value in 2 rows \(the first in line 2\); fill the values or"),
        ("a,b,c\n\n1,2,ant\n\n3,NA,bee\n", r"'b' has no value in 1 row \(the first in line 5\).*with --drop b"),
        ("a,b,c,d\n1,2,3,ant\n3,x,y,bee\n", r"'b' has text in 1 row .*; column 'c' has text .* --drop b --drop c"),
        ("a,b,c\n1,2,ant\nx,5,bee\n", r"'a' has text in 1 row \('x' in row 2\); encode text as numbers, or leave"),
        ("a,b,label\n1,2,ant,\n3,4,bee,\n", r"line 2 has 4 fields and line 1 has 3"),
        (
            "a,b\n" + "".join(f"1,0.{n * n:04}\n" for n in range(99, 0, -1)),
            r"no column that is named label, labels.*'b', has 99 diff",
        ),
        (",a,label\n0.5,1,ant\n1,1,ant\n", r"has a column without a name that is no index; name it"),
        ("a,b,c\n" + "1,2,ant\n" * 6 + "nan,2,bee\n" * 6, r"column 'a' has no value in 6 rows \(the first in row 7\)"),
        (
            "a,label\n" + "1,ant\n" * 6 + "2,\n3,nan\n",
            r"2 of 8 rows have no label \(the first is row 7; labels are col",
        ),
        ("a,a,label\n1,2,ant\n", r"has several columns 'a'; give each column a name of its own"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "table.csv")


def test_csv_that_is_not_text(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"1,2,ant\n" * 9 + b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(
        DataError, match=r"cannot read .* as a table of numbers: line 10 is not UTF-8; write the file as"
    ):
        load(tmp_path / "table.csv")


def test_parquet_is_as_csv(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": FEATURES[:, 0], "label": TABLE_LABELS, "b": FEATURES[:, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    assert load(tmp_path / "table.parquet").origin.label_source == "column 'label'"
    assert load(tmp_path / "table.parquet").digest == from_arrays(FEATURES, TABLE_LABELS).digest
    parquet.write_table(pyarrow.table({**columns, "b": TABLE_LABELS}), tmp_path / "text.parquet")
    with pytest.raises(
        DataError,
        match=r"column 'b' has text in 30 rows \('ant' in row 1\); encode text as numbers, or leave out with --drop b",
    ):
        load(tmp_path / "text.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk" * 9)
    with pytest.raises(DataError, match=r"cannot read .*junk\.parquet"):
        load(tmp_path / "junk.parquet")


def test_a_table_larger_than_memory_is_refused_by_its_size(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": np.zeros(60_000), "label": np.zeros(60_000)})  # some kilobytes as Parquet
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setenv("SMIDGEN_MEMORY", "900 kB")
    for suffix, needs in ((".parquet", "1.0 MB"), (".csv", "1.9 MB")):
        with pytest.raises(
            DataError, match=rf"needs about {needs} of memory and at most 0.9 MB are allowed; give fewer"
        ):
            load(tmp_path / f"t{suffix}")
    assert (tmp_path / "t.parquet").stat().st_size < 10_000


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "table.parquet").touch()
    with pytest.raises(DataError, match=r"without pyarrow, which is not installed; pip install 'smidgen\[tables\]'"):
        load(tmp_path / "table.parquet")
