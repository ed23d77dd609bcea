"""Rows that were damaged are deleted with a warning, and what they said is trained or computed again."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset
from smidgen.errors import StoreError
from smidgen.records import Recipe, Score
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.store.schema import tables
from smidgen.trials.study import Study
from store_samples import OUTCOME, TRIAL, assert_same

pytest_plugins = ("store_samples",)

WORDS = "damaged row in its table {}"


def damage(store: Store, table: str, **values: object) -> None:
    """Change all rows of a table behind the store's back."""
    update = getattr(tables(), table).update().values(**values)
    store._database.write(lambda connection: connection.execute(update))


@pytest.mark.parametrize(
    "values",
    [
        {"weights": b"\0" * 16},
        {"weights": b""},
        {"selection_correct": 96},
        {"losses": "[0.3, 0.25"},
        {"train_seconds": 1.25},
        {"recipe": "{}"},
        {"checksum": "0" * 64},
    ],
)
def test_a_damaged_trial_is_dropped_with_a_warning_and_may_be_put_again(
    store: Store, values: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    whole = TRIAL.with_seed(8)
    store.put(TRIAL, OUTCOME)
    damage(store, "trials", **values)
    store.put(whole, OUTCOME)
    with caplog.at_level(logging.WARNING, "smidgen.trials.store"):
        assert [*store.get_many([TRIAL, whole])] == [whole.key]
    (said,) = caplog.messages
    assert WORDS.format("trials") in said and TRIAL.key in said and store.location in said
    assert len(store.rows()) == 1
    store.put(TRIAL, OUTCOME)
    assert_same(store.get(TRIAL), OUTCOME)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"weights": b"\0" * 15},
        {"losses": "[0.3, 0.25"},
        {"losses": '["x"]'},
        {"losses": "[" * 100_000},
        {"selection_correct": -1},
        {"selection_correct": 10**9},
        {"recipe": "[]"},
        {"recipe": '{"epochs": "many"}'},
        {"spec": "conv " + "9" * 5000},
        {"spec": ""},
    ],
)
def test_a_row_that_says_what_cannot_be_is_no_traceback(
    store: Store, values: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """A row without a checksum, as an older version wrote them, can say anything."""
    store.put(TRIAL, OUTCOME)
    damage(store, "trials", checksum="", **values)
    with caplog.at_level(logging.WARNING, "smidgen.trials.store"):
        rows = store.rows()
        assert store.get(TRIAL) is None or "spec" in values or "recipe" in values
    assert rows == [] or "weights" in values
    assert "spec" in values or "recipe" in values or WORDS.format("trials") in caplog.text


def test_values_of_other_types_than_the_columns_are_no_traceback(tmp_path: Path) -> None:
    """SQLite keeps a text in a column of bytes."""
    with Store(tmp_path / "store.sqlite") as store:
        store.put(TRIAL, OUTCOME)
        store.put_array("a", np.zeros(3))
        store.put_score(TRIAL.key, split="test", of="it", score=Score(1, 2))
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as database:
        database.execute("update trials set checksum = '', weights = 'text', losses = 3")
        database.execute("update arrays set checksum = '', dtype = 'O', shape = '[-1]'")
        database.execute("update scores set checksum = '', correct = 'one'")
        database.commit()
    with Store(tmp_path / "store.sqlite") as store:
        for read in (lambda: store.get(TRIAL), lambda: store.get_array("a"), store.rows):
            try:
                assert not read()
            except StoreError as error:
                assert "has a row of another type in its table" in str(error)
        assert store.get_score(TRIAL.key, split="test", of="it") is None


def test_a_study_trains_a_damaged_trial_again_and_gets_the_same_bits(digits: Dataset, store: Store) -> None:
    context = TrainingContext(digits)
    trials = [context.trial(parse_spec("maxpool 2, dense 10"), Recipe(epochs=1), seed) for seed in (0, 1)]
    study = Study(store, workers=2)
    first = study.run(context, trials, "first")
    damage(store, "trials", weights=b"no weights")
    again = study.run(context, trials, "again")
    assert (study.trained, study.remembered) == (4, 0)
    assert [outcome.weights.tobytes() for outcome in again] == [outcome.weights.tobytes() for outcome in first]


def test_damaged_arrays_scores_and_measurements_are_missing_and_may_be_put_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    array, score = np.arange(6, dtype=np.float32), Score(3, 4)
    for _ in range(2):
        store.put_array("key", array)
        store.put_score("trial", split="selection", of="decoded file", score=score)
        store.put_measurement("key", 0.5, unit="s")
        assert store.get_array("key").tobytes() == array.tobytes()  # type: ignore[union-attr]
        assert store.get_score("trial", split="selection", of="decoded file") == score
        assert store.get_measurement("key") == 0.5
        damage(store, "arrays", shape="[2, 3]")
        damage(store, "scores", correct=4)
        damage(store, "measurements", value=0.25)
        assert store.get_array("key") is None
        assert store.get_score("trial", split="selection", of="decoded file") is None
        assert store.get_measurement("key") is None
    assert len(caplog.messages) == 6
    for table in ("arrays", "scores", "measurements"):
        assert sum(WORDS.format(table) in message for message in caplog.messages) == 2


def test_a_row_that_an_older_smidgen_adds_has_no_checksum_and_is_taken(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(TRIAL, OUTCOME)
    damage(store, "trials", checksum="")
    assert_same(store.get(TRIAL), OUTCOME)
    assert caplog.messages == []
