"""Tables in long form become windows of a signal, and no two windows that overlap are in two splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_data import four

from smidgen.data import facts_of, from_arrays, load
from smidgen.data.readers import ReadOptions, read
from smidgen.errors import DataError, RequestError

RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.permutation(4800)
ACTIVITIES = np.array(["rest", "walk"])


def recording(people: int = 8, steps: int = 200, bouts: int = 4) -> dict[str, np.ndarray]:
    """Rows of people who rest and walk by turns; the two values of a row tell it apart from every other."""
    n = people * steps
    return {
        "person": np.repeat([f"p{number}" for number in range(people)], steps),
        "time": np.tile(np.arange(steps) * 20, people),
        "a": NUMBERS[:n] % 100 + 0.25,
        "b": NUMBERS[:n] // 100 + 0.5,
        "state": ACTIVITIES[np.tile(np.arange(steps) * bouts // steps % 2, people)],
    }


def save(path: Path, columns: dict[str, np.ndarray], order: np.ndarray | None = None) -> Path:
    rows = np.stack([values.astype(str) for values in columns.values()], axis=1)
    lines = [",".join(columns), *(",".join(row) for row in rows[order if order is not None else slice(None)])]
    path.write_text("\n".join(lines))
    return path


def rows_of(windows: np.ndarray) -> np.ndarray:
    """The rows of the table that each window has: int64 [windows, time]; windows [n, time, 2]."""
    return np.argsort(NUMBERS)[np.rint((windows[:, :, 1] - 0.5) * 100 + windows[:, :, 0] - 0.25).astype(np.int64)]


def test_windows_are_the_rows_of_the_table(tmp_path):
    columns = recording()
    path = save(tmp_path / "long.csv", columns)
    contents = read(path, ReadOptions.of(window=16, step=8, group_column="person"))
    assert contents.layout == "time-channels"
    assert contents.feature_names == ("a", "b")
    rows = rows_of(contents.train.images)
    assert contents.train.images.shape == (len(rows), 16, 2)
    assert (np.diff(rows, axis=1) == 1).all()
    assert (rows[:, 0] % 200 % 8 == 0).all()
    for window, label, group in zip(rows, contents.train.labels, contents.train.groups, strict=True):
        assert set(columns["state"][window]) == {label}
        assert len(set(columns["person"][window])) == 1
        assert group == window[0] // 200
    # 24 windows a person; the label changes at rows 50, 100 and 150, in 2 windows each.
    assert len(rows) == 8 * (24 - 6)
    assert "144 windows of 16 rows, one at every 8 rows" in contents.notes
    assert "48 windows with two labels left out" in contents.notes
    assert any(note.startswith("column 'time' is left out: it tells the time") for note in contents.notes)


@pytest.mark.parametrize("with_groups", [True, False])
@pytest.mark.parametrize("bouts", [4, 20])
def test_no_row_is_in_two_splits(tmp_path, with_groups, bouts):
    path = save(tmp_path / "long.csv", recording(people=8, steps=600, bouts=bouts))
    options = {"group_column": "person"} if with_groups else {"drop": ("person",)}
    data = load(path, window=16, step=4, **options)
    rows = rows_of(read(path, ReadOptions.of(window=16, step=4, **options)).train.images)
    seen = [set(rows[split.rows].ravel().tolist()) for split in four(data)]
    assert all(seen)
    assert sum(map(len, seen)) == len(set.union(*seen))
    if with_groups:
        people = [{row // 600 for row in rows} for rows in seen]
        assert sum(map(len, people)) == 8
    assert all((np.bincount(split.labels, minlength=2) > 0).all() for split in four(data))
    assert (data.input.kind, data.input_shape) == ("signal", (2, 1, 16))


def test_rows_are_sorted_by_time_and_no_window_reaches_over_a_pause(tmp_path):
    columns = recording()
    columns["time"] = columns["time"] + np.where(np.arange(1600) % 200 >= 100, 5000, 0)
    options = ReadOptions.of(window=16, step=8, group_column="person", time_column="time")
    sorted_ = read(save(tmp_path / "a.csv", columns), options)
    shuffled = read(save(tmp_path / "b.csv", columns, RANDOM.permutation(1600)), options)
    assert "8 pauses over which no window reaches" in sorted_.notes
    rows = rows_of(sorted_.train.images)
    assert not ((rows[:, :1] % 200 < 100) & (rows[:, -1:] % 200 >= 100)).any()
    np.testing.assert_array_equal(rows, rows_of(shuffled.train.images))


def test_what_the_user_stated_is_not_hinted_at(tmp_path):
    columns = recording(people=2)
    columns["time"] = np.arange(400) * 20
    path = save(tmp_path / "long.csv", columns)
    rows, cut = load(path, drop=("person",)), load(path, drop=("person",), window=16)
    assert any("--window cuts windows of a signal" in fact for fact in rows.origin.facts)
    assert any(fact.startswith("column 'time' is left out: it rises by 20 in each row") for fact in cut.origin.facts)
    assert not any("--window" in fact or "--layout" in fact for fact in cut.origin.facts)


def test_times_may_be_dates(tmp_path):
    columns = recording()
    start = np.datetime64("2026-01-31T12:00:00")
    columns["time"] = start + (columns["time"]).astype("timedelta64[ms]")
    options = ReadOptions.of(window=16, group_column="person", time_column="time")
    shuffled = read(save(tmp_path / "a.csv", columns, RANDOM.permutation(1600)), options)
    assert (np.diff(rows_of(shuffled.train.images), axis=1) == 1).all()
    columns["time"] = np.array(["noon"] * 1600)
    with pytest.raises(DataError, match=r"in --time-column; write times as numbers or as 2026-01-31"):
        read(save(tmp_path / "a.csv", columns), options)


def test_without_times_a_window_has_rows_that_follow_one_another_in_the_file(tmp_path):
    columns = recording(people=2)
    order = np.argsort(np.arange(400) % 200 // 50 * 2 + np.arange(400) // 200, kind="stable")  # by turns
    rows = rows_of(
        read(save(tmp_path / "a.csv", columns, order), ReadOptions.of(window=16, group_column="person")).train.images
    )
    assert (np.diff(rows, axis=1) == 1).all()
    assert len(rows) == 2 * 4 * 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 16, "time_column": "time"}, DataError, r"rows 1 and 201 have one time in one group; name each"),
        ({"window": 500, "group_column": "person"}, DataError, r"no window of 500 rows of one label and one group"),
        ({"step": 5}, RequestError, "--step and --time-column are for windows; give --window too"),
        ({"window": 1}, RequestError, "window=1 must be at least 2"),
        ({"window": 16, "group_column": "dog"}, DataError, "no column 'dog'; give --group-column one of"),
    ],
)
def test_windows_that_cannot_be_cut(tmp_path, options, error, message):
    path = save(tmp_path / "long.csv", recording())
    with pytest.raises(error, match=message):
        load(path, drop=() if "group_column" in options else ("person",), **options)


def test_windows_are_of_tables_alone(tmp_path):
    np.savez(tmp_path / "x.npz", X=RANDOM.random((20, 3)), y=np.arange(20) % 2)
    with pytest.raises(DataError, match=r"is not a table; leave out --window"):
        load(tmp_path / "x.npz", window=4)


def test_people_who_do_everything_are_kept_whole():
    X, people, y = RANDOM.random((400, 3)), np.repeat(np.arange(10), 40), np.arange(400) % 4
    y[::3] = 0  # everybody rests most
    data = from_arrays(X, y, groups=people)
    members = [set(people[split.rows].tolist()) for split in four(data)]
    assert sum(map(len, members)) == 10
    assert all((np.bincount(split.labels, minlength=4) > 0).all() for split in four(data))
    assert not any("people" in fact or "class" in fact for fact in facts_of(data))
