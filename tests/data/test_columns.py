"""Which column of a table has the labels, which are features, and which only number the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset, from_arrays, load, oversampled, summary
from smidgen.data.facts import facts_of
from smidgen.errors import DataError

RANDOM = np.random.default_rng(5)
VALUES = RANDOM.normal(size=(60, 3)).round(4)
KINDS = np.arange(60) % 3


def table(path: Path, header: str, *columns: object, separator: str = ",") -> Path:
    """Write a CSV file with these columns."""
    rows = zip(*columns, strict=True)
    lines = [*([header] if header else []), *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def features(data: Dataset) -> np.ndarray:
    """All values of a data set in the order of its rows, float64 [n, features]."""
    splits = list(data.splits.values())
    values = np.concatenate([split.images[:, :, 0, 0] for split in splits])
    return values[np.argsort(np.concatenate([split.rows for split in splits]))]


# --- the label ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "order", "source", "names"),
    [
        # An axis that is called y is no label, wherever the label stands.
        ("x,y,z,target", "abck", "column 'target'", ("x", "y", "z")),
        ("x,y,z,state", "abck", "column 'state', the last", ("x", "y", "z")),
        ("Activity,x,y,z", "kabc", "column 'Activity'", ("x", "y", "z")),
        ("x,y,class", "abk", "column 'class'", ("x", "y")),
        ("a,y,b", "akb", "column 'y'", ("a", "b")),
        ("a,b,Species", "abk", "column 'Species'", ("a", "b")),
        ("label,y,a", "kab", "column 'label'", ("y", "a")),
        ("", "abk", "column 3, the last", ("1", "2")),
        ("0,1,2", "abk", "column '2', the last", ("0", "1")),
    ],
)
def test_the_label_is_found(tmp_path, header, order, source, names):
    columns = {"a": VALUES[:, 0], "b": VALUES[:, 1], "c": VALUES[:, 2], "k": KINDS}
    data = load(table(tmp_path / "t.csv", header, *(columns[each] for each in order)))
    assert data.origin.label_source == summary(data).label_source == source
    assert data.origin.feature_names == names
    assert data.class_names == ("0", "1", "2")
    wanted = np.stack([columns[each] for each in order if each != "k"], axis=1)
    np.testing.assert_array_equal(features(data), wanted.astype(np.float32))
    assert any(line.startswith(f"labels are {source}") for line in facts_of(data))


def test_text_is_the_label_where_the_last_column_cannot_be(tmp_path):
    data = load(table(tmp_path / "t.csv", "kind,a,b", np.array(["ant", "bee", "cat"])[KINDS], *VALUES[:, :2].T))
    assert data.origin.label_source == "column 'kind', the only one with text"
    assert data.class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("x,y,z", VALUES.T, r"'z', has 60 different numbers in 60 rows; give --label with one of x, y, z"),
        (
            "label,a,class",
            (KINDS, VALUES[:, 0], KINDS),
            r"columns 'label' and 'class', and each could be .*--label label",
        ),
        ("", (KINDS, VALUES[:, 0], KINDS), r"columns 1 and 3 both look like labels; give --label 1 or --label 3"),
    ],
)
def test_a_label_that_is_not_certain_is_asked_for(tmp_path, header, columns, message):
    with pytest.raises(DataError, match=message):
        load(table(tmp_path / "t.csv", header, *columns))


def test_the_label_is_what_the_user_names(tmp_path):
    path = table(tmp_path / "t.csv", "label,a,class,city", KINDS, VALUES[:, 0], 9 - KINDS, ["Graz", "Linz"] * 30)
    data = load(path, label="class", drop=("label", "city"))
    assert data.class_names == ("7", "8", "9")
    assert data.origin.feature_names == ("a",)
    with pytest.raises(DataError, match=r"has no column 'klass'; give --label one of label, a, class, city"):
        load(path, label="klass")
    with pytest.raises(DataError, match=r"no column 'town'; give --drop one of"):
        load(path, drop="town")
    with pytest.raises(DataError, match=r"is not a table; leave out --label \(for .csv, .tsv and .parquet\)"):
        np.savez(tmp_path / "t.npz", X=VALUES, y=KINDS)
        load(tmp_path / "t.npz", label="y")


def test_rows_without_a_group_are_counted(tmp_path):
    who = np.where(np.arange(60) % 20 == 7, "", "anna")
    with pytest.raises(
        DataError, match=r"3 of 60 rows have no group \(the first is row 8; groups are column 'who'\); fill"
    ):
        load(table(tmp_path / "t.csv", "a,who,label", VALUES[:, 0], who, KINDS), group_column="who")


# --- columns that number the rows ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("", np.arange(60), "rises by 1 in each row"),
        ("", np.sort(RANDOM.choice(1000, 60, replace=False)), "numbers the rows"),
        ("Unnamed: 0", RANDOM.permutation(60), "numbers the rows"),
        ("id", 1 + RANDOM.permutation(60), "numbers the rows"),
        ("n", np.arange(1, 61), "rises by 1 in each row"),
        ("timestamp", 20 * np.arange(60), "rises by 20 in each row"),
        ("seconds", (0.02 * np.arange(60)).round(2), "rises by 0.02 in each row"),
    ],
)
def test_a_column_that_numbers_the_rows_is_no_feature(tmp_path, name, values, reason):
    data = load(table(tmp_path / "t.csv", f"{name},a,label", values, VALUES[:, 0], np.sort(KINDS)))
    assert data.origin.feature_names == ("a",)
    (said,) = (line for line in facts_of(data) if "is left out" in line)
    assert said.startswith(f"column '{name}' is left out: it {reason}")
    assert ("--window" in said) == (name == "timestamp")


def test_a_column_that_only_rises_is_kept_and_named(tmp_path):
    times = np.cumsum(RANDOM.uniform(1, 2, 60)).round(3)
    data = load(table(tmp_path / "t.csv", "time,a,label", times, VALUES[:, 0], KINDS))
    assert data.origin.feature_names == ("time", "a")
    assert any("column 'time' rises from row to row" in line and "--drop time" in line for line in facts_of(data))
    assert load(tmp_path / "t.csv", drop=["time"]).origin.feature_names == ("a",)


def test_the_index_that_pandas_writes_is_no_feature(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(VALUES, columns=["a", "b", "c"]).assign(state=np.sort(KINDS))
    filtered = frame[RANDOM.random(60) < 0.9]
    filtered.to_parquet(tmp_path / "filtered.parquet")
    frame.set_index(pandas.Index(np.sort(RANDOM.random(60)), name="when")).to_parquet(tmp_path / "named.parquet")
    filtered.to_csv(tmp_path / "filtered.csv")
    for name in ("filtered.parquet", "named.parquet", "filtered.csv"):
        data = load(tmp_path / name)
        assert data.origin.feature_names == ("a", "b", "c"), name
        assert data.origin.label_source == "column 'state', the last"
        assert sum("is left out" in line for line in facts_of(data)) == 1


def test_columns_of_pandas_that_are_categories_dates_and_gaps(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(VALUES, columns=["a", "b", "c"]).assign(label=KINDS)
    categories = frame.assign(label=pandas.Categorical.from_codes(KINDS, ["lo", "mid", "hi"]))
    categories.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").class_names == ("hi", "lo", "mid")
    assert load(tmp_path / "t.parquet", classes="lo,mid,hi").class_names == ("lo", "mid", "hi")
    nullable = frame.assign(a=(frame["a"] * 10).round().astype("Int64"))
    nullable.loc[5, "a"] = pandas.NA
    nullable.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'a' has no value in 1 row \(the first in row 6\); fill the values"):
        load(tmp_path / "t.parquet")
    frame.assign(image=[[1.0, 2.0]] * 60).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'image' has values of type object and no numbers"):
        load(tmp_path / "t.parquet")
    frame.assign(when=pandas.Timestamp("2026-01-01")).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'when' has dates and no numbers; .*leave out with --drop when"):
        load(tmp_path / "t.parquet")


# --- labels that are numbers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [lambda k: f"{k}.0", lambda k: f"{k}" if k % 2 else f"{k}.0", lambda k: f"{float(k):.3e}"]
)
def test_labels_written_as_floats_are_numbers(tmp_path, write):
    kinds = np.arange(110) % 11
    data = load(table(tmp_path / "t.csv", "a,label", RANDOM.normal(size=110).round(4), map(write, kinds)))
    assert data.class_names == tuple(map(str, range(11)))
    assert (data.test.labels == kinds[data.test.rows]).all()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["03", "3", "3.0", "10"], ("3", "10")),
        (["01", "02", "10"], ("01", "02", "10")),
        (["3", "3.0", "none"], ("3", "none")),
        (["10.5", "2.5"], ("2.5", "10.5")),
        (["1e3", "20"], ("20", "1000")),
    ],
)
def test_labels_that_are_one_number_are_one_class(labels, names):
    y = np.array(labels * 10)
    assert from_arrays(RANDOM.normal(size=(len(y), 2)), y).class_names == names


def test_classes_are_in_the_order_that_the_user_gives(tmp_path):
    path = table(tmp_path / "t.csv", "a,label", VALUES[:, 0], np.array(["lo", "mid", "hi"])[KINDS])
    data = load(path, classes=("lo", "mid", "hi"))
    assert data.class_names == ("lo", "mid", "hi")
    assert (data.train.labels == KINDS[data.train.rows]).all()
    for wrong, message in (
        ("lo,hi", "misses 'mid'; give each of .* once"),
        ("lo,mid,hi,top", "has 'top', which is no class"),
        ("lo,mid,hi,lo", "repeats"),
    ):
        with pytest.raises(DataError, match=f"--classes {wrong} {message}"):
            load(path, classes=wrong)


# --- how numbers and text are written --------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ";"), (".tsv", "\t")])
def test_decimal_commas(tmp_path, suffix, separator):
    written = [[f"{value:.4f}".replace(".", ",") for value in column] for column in VALUES.T[:2]]
    path = table(tmp_path / f"t{suffix}", separator.join(("a", "b", "label")), *written, KINDS, separator=separator)
    data = load(path)
    np.testing.assert_array_equal(features(data), VALUES[:, :2].astype(np.float32))
    assert "numbers have decimal commas" in facts_of(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1", "utf-8"])
def test_encodings(tmp_path, encoding):
    names = np.array(["Grün", "Öl", "Süß"])
    text = "a,Größe,label\n" + "\n".join(
        f"{a},{b},{name}" for (a, b, _), name in zip(VALUES, names[KINDS], strict=True)
    )
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    data = load(tmp_path / "t.csv")
    assert data.class_names == ("Grün", "Süß", "Öl")
    assert data.origin.feature_names == ("a", "Größe")
    said = "line 1 is not UTF-8, so the file is read as Windows-1252 (Latin-1)"
    assert (said in facts_of(data)) == (encoding == "latin-1")


def test_bytes_that_are_not_utf8_do_not_merge_classes(tmp_path):
    rows = b"\n".join(
        b"%.4f,%s" % (a, label) for a, label in zip(VALUES[:, 0], [b"\xe9", b"\xe8", b"e"] * 20, strict=True)
    )
    (tmp_path / "t.csv").write_bytes(b"a,label\n" + rows)
    data = load(tmp_path / "t.csv")
    assert data.class_names == ("e", "è", "é")
    with pytest.raises(DataError, match=r"label b'\\xe9' of example 0 is not UTF-8; give labels as str"):
        from_arrays(VALUES, np.array([b"\xe9", b"\xe8", b"e"] * 20))


# --- what can mislead ------------------------------------------------------------------------------


def test_a_feature_that_never_changes_is_named(tmp_path):
    data = load(table(tmp_path / "t.csv", "a,b,label", VALUES[:, 0], [7] * 60, KINDS))
    assert summary(data).constant_features == ("b",)
    assert "1 feature with one value in the whole training split: b" in facts_of(data)
    assert summary(data).features[0] == ("a", np.float32(VALUES[:, 0].min()), np.float32(VALUES[:, 0].max()))


def test_unequal_classes_say_what_the_commonest_alone_would_give():
    y = np.arange(1000) < 10
    data = from_arrays(RANDOM.normal(size=(1000, 2)), np.where(y, "fault", "good"))
    assert summary(data).majority_rate == pytest.approx(0.99)
    said = facts_of(data)[-1]
    assert facts_of(oversampled(data)) == facts_of(data), "repeated images change nothing in what is said"
    assert said == (
        "class 'good' has 990 examples and 'fault' 10: answering always 'good' is 99.0% accurate; --balanced asks for "
        "the mean over the classes"
    )
    assert "always" not in " ".join(facts_of(from_arrays(VALUES, KINDS)))
