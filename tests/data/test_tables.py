"""CSV and Parquet files."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from smidgen.data import from_arrays, load, summary
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
        ("1,2,ant\n3,red,bee\n", r"column '2' has 'red' in line 2, which is not a number, .*column 3, the last"),
        ("1,2,ant\n3,,bee\n", r"column '2' is empty in line 2; fill it or drop the row"),
        ("a,b,c\n\n1,2,ant\n\n3,,bee\n", r"column 'b' is empty in line 5; fill it or drop the row"),
        ('a,c,b\n1,"ant\nbee",2\n3,4,bee\n', r"column 'c' has .* in line 2, .* labels are column 'b', the last"),
        ("a,b,label\n1,2,ant,\n3,4,bee,\n", r"line 2 has 4 fields and line 1 has 3"),
        ("a,b\n" + "".join(f"1,0.{n:03}\n" for n in range(99)), r"no column is named label, y or target"),
        (",a,label\n0,1,ant\n", r"has a column without a name, which may be an index"),
        ("1,2,ant\n" * 6 + "nan,2,bee\n" * 6, r"contain 6 values that are not finite"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ("a,b,c\n", "column 'c', the last (no column is named label, y or target)"),
        ("a,b,Target\n", "column 'Target'"),
        ("", "column 3, the last (the table has no header)"),
    ],
)
def test_a_table_says_which_column_has_the_labels(tmp_path, header, source):
    (tmp_path / "table.csv").write_text(header + "".join(f'{a},{b},"{c}"\n' for a, b, c in ROWS))
    dataset = load(tmp_path / "table.csv")
    assert (dataset.label_source, summary(dataset).label_source) == (source, source)


def test_csv_that_is_not_text(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(DataError, match=r"cannot read .* as a table of numbers: 'utf-8' codec"):
        load(tmp_path / "table.csv")


def test_parquet_is_as_csv(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": FEATURES[:, 0], "label": TABLE_LABELS, "b": FEATURES[:, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    assert load(tmp_path / "table.parquet").label_source == "column 'label'"
    assert load(tmp_path / "table.parquet").digest == from_arrays(FEATURES, TABLE_LABELS).digest
    parquet.write_table(pyarrow.table({**columns, "b": TABLE_LABELS}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"column 'b' is of type .* and not of numbers; leave it out or encode it"):
        load(tmp_path / "text.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk" * 9)
    with pytest.raises(DataError, match=r"cannot read .*junk\.parquet"):
        load(tmp_path / "junk.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "table.parquet").touch()
    with pytest.raises(DataError, match=r"without pyarrow, which is not installed; pip install pyarrow"):
        load(tmp_path / "table.parquet")
