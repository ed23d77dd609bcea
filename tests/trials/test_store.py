"""What the store keeps comes back as it was, from SQLite and from PostgreSQL."""

from __future__ import annotations

import gc
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset
from smidgen.errors import StoreError
from smidgen.records import Augmentation, Recipe, Score, Trial
from smidgen.search.sweep import sweep
from smidgen.spec import parse_spec
from smidgen.trials.store import Store, open_store
from store_samples import OUTCOME, RECIPE, TRIAL, WEIGHTS, assert_same, fields

pytest_plugins = ("store_samples",)


def test_an_outcome_comes_back_bit_for_bit(store: Store) -> None:
    assert store.get(TRIAL) is None
    store.put(TRIAL, OUTCOME)
    found = store.get(TRIAL)
    assert_same(found, OUTCOME)
    assert found is not None
    found.weights[0] = 9  # the caller's own copy
    assert_same(store.get(TRIAL), OUTCOME)


def test_an_outcome_outlives_the_store(url: str) -> None:
    with Store(url) as first:
        first.put(TRIAL, OUTCOME)
    with Store(url) as second:
        assert_same(second.get(TRIAL), OUTCOME)


def test_a_diverged_outcome_keeps_its_nan(store: Store) -> None:
    weights = np.array([math.nan, 1], np.float32)
    store.put(TRIAL, replace(OUTCOME, losses=(2.3, math.nan), diverged_at=2, weights=weights))
    found = store.get(TRIAL)
    assert found is not None
    assert found.diverged_at == 2
    assert found.losses[0] == 2.3
    assert math.isnan(found.losses[1])
    assert found.weights.tobytes() == weights.tobytes()


def test_numbers_of_numpys_are_kept_as_numbers(store: Store) -> None:
    score = Score(np.int64(3), np.int64(4))  # type: ignore[arg-type]
    loss = np.float32(0.5)
    store.put(TRIAL, replace(OUTCOME, selection=score, losses=(loss,), train_seconds=np.float64(2)))  # type: ignore[arg-type]
    found = store.get(TRIAL)
    assert found is not None
    assert (found.selection, found.losses, found.train_seconds) == (Score(3, 4), (0.5,), 2.0)


@pytest.mark.parametrize(
    "other",
    [
        TRIAL.with_seed(8),
        replace(TRIAL, spec=parse_spec("dense 10")),
        replace(TRIAL, recipe=replace(RECIPE, learning_rate=0.3)),
        replace(TRIAL, data_digest="other"),
        replace(TRIAL, engine_name="torch"),
        replace(TRIAL, teacher_key=""),
        replace(TRIAL, start_digest="digest of what it starts from"),
        replace(TRIAL, recipe=replace(RECIPE, augment=Augmentation(shift=2))),
    ],
)
def test_every_field_of_a_trial_is_part_of_its_key(other: Trial, store: Store) -> None:
    store.put(TRIAL, OUTCOME)
    assert store.get(other) is None


def test_the_first_outcome_stays(store: Store) -> None:
    store.put(TRIAL, OUTCOME)
    store.put(TRIAL, replace(OUTCOME, parameters=5))
    assert_same(store.get(TRIAL), OUTCOME)
    assert len(store.rows()) == 1


def test_put_many_is_put_for_each(store: Store) -> None:
    store.put(TRIAL.with_seed(3), OUTCOME)
    pairs = [(TRIAL.with_seed(seed), replace(OUTCOME, parameters=seed)) for seed in range(120)]
    store.put_many(pairs)
    store.put_many([])
    found = store.get_many(trial for trial, _ in pairs)
    wanted = {trial.key: OUTCOME.parameters if trial.seed == 3 else trial.seed for trial, _ in pairs}
    assert {key: outcome.parameters for key, outcome in found.items()} == wanted


def test_get_many_finds_what_is_there_over_several_queries(store: Store) -> None:
    trials = [TRIAL.with_seed(seed) for seed in range(1100)]
    stored = trials[::100]
    for trial in stored:
        store.put(trial, replace(OUTCOME, parameters=trial.seed))
    found = store.get_many(iter(trials + trials))
    assert {key: outcome.parameters for key, outcome in found.items()} == {trial.key: trial.seed for trial in stored}
    assert store.get_many([]) == {}


def test_rows_rebuild_every_trial_without_its_weights(store: Store) -> None:
    moved = Recipe(augment=Augmentation(shift=1.5, shear=0.1), patience=3, average=0.99)
    trials = [
        TRIAL,
        TRIAL.with_seed(2**40),
        replace(TRIAL, recipe=Recipe()),
        replace(TRIAL, recipe=moved, start_digest="s"),
    ]
    for trial in trials:
        store.put(trial, OUTCOME)
    rows = store.rows()
    assert {trial for trial, _ in rows} == set(trials)
    assert {trial.key for trial, _ in rows} == {trial.key for trial in trials}
    for _, outcome in rows:
        assert fields(outcome) == fields(OUTCOME)
        assert outcome.weights.size == 0


def test_logits_come_back_with_their_shape_and_the_first_stay(store: Store) -> None:
    logits = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert store.get_array("teacher:data:train") is None
    store.put_array("teacher:data:train", logits)
    store.put_array("teacher:data:train", logits + 1)
    found = store.get_array("teacher:data:train")
    assert found is not None
    assert (found.dtype.name, found.shape, found.tolist()) == ("float32", (3, 2), logits.tolist())
    found[0, 0] = 5  # the caller's own copy
    assert store.get_array("teacher:data:test") is None


def test_logits_in_any_memory_order_are_kept_in_row_order(store: Store) -> None:
    logits = np.arange(6, dtype=np.float32).reshape(2, 3).T
    store.put_array("key", logits)
    found = store.get_array("key")
    assert found is not None
    assert found.tolist() == logits.tolist()


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32", "int64", "float32", "float64", ">f4", ">i2"])
def test_arrays_come_back_with_their_dtype(store: Store, dtype: str) -> None:
    array = np.array([[0, 1, 2], [3, 4, 250]]).astype(dtype)
    store.put_array("key", array)
    found = store.get_array("key")
    assert found is not None
    assert (found.dtype.name, found.tolist()) == (array.dtype.name, array.tolist())
    assert found.dtype.isnative


def test_an_empty_array_and_a_single_number_keep_their_shape(store: Store) -> None:
    for shape in ((0, 10), (), (1, 1, 1)):
        store.put_array(str(shape), np.ones(shape, np.float32))
        found = store.get_array(str(shape))
        assert found is not None and found.shape == shape


def test_scores_are_told_apart_by_trial_split_and_subject_and_the_first_stays(store: Store) -> None:
    assert store.get_score("trial", split="selection", of="decoded file") is None
    store.put_score("trial", split="selection", of="decoded file", score=Score(90, 100))
    store.put_score("trial", split="selection", of="decoded file", score=Score(91, 100))
    store.put_score("trial", split="confirmation", of="decoded file", score=Score(80, 100))
    store.put_score("trial", split="selection", of="network", score=Score(np.int64(70), 100))  # type: ignore[arg-type]
    assert store.get_score("trial", split="selection", of="decoded file") == Score(90, 100)
    assert store.get_score("trial", split="confirmation", of="decoded file") == Score(80, 100)
    assert store.get_score("trial", split="selection", of="network") == Score(70, 100)
    assert store.get_score("other", split="selection", of="network") is None


def test_a_measurement_comes_back_exactly_and_the_first_stays(store: Store) -> None:
    assert store.get_measurement("seconds") is None
    store.put_measurement("seconds", 0.1 + 0.2, unit="s")
    store.put_measurement("seconds", 9.0, unit="s")
    assert store.get_measurement("seconds") == 0.1 + 0.2


def test_plain_sql_reads_the_columns(file_store: Store, path: Path) -> None:
    """The columns of a schema are a promise; a change here needs a new schema version."""
    file_store.put(TRIAL, OUTCOME)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT key, value FROM meta").fetchall() == [("schema", 3)]
        names = [column[1] for column in connection.execute("PRAGMA table_info(trials)")]
        row = dict(zip(names, connection.execute("SELECT * FROM trials").fetchone(), strict=True))
    finally:
        connection.close()
    created = row.pop("created")
    assert created[4] == "-"
    assert created.endswith("Z")
    assert len(row.pop("checksum")) == 64
    assert row == {
        "key": TRIAL.key,
        "spec": "conv 2x3x3 leaky_relu(0.1), dense 10",
        "recipe": '{"loss": "kl", "temperature": 3.0, "label_weight": 0.0, "optimizer": "adam", '
        '"learning_rate": 0.30000000000000004, "schedule": "one-cycle", "epochs": 3, "batch_size": 128, '
        '"patience": 0, "augment": {"shift": 0.0, "rotation": 0.0, "scale": 0.0, "shear": 0.0}, "average": 0.0}',
        "seed": 7,
        "data": "digest",
        "engine": "native-1-fma",
        "teacher": "teacher key",
        "parameters": 4,
        "selection_correct": 95,
        "selection_total": 100,
        "confirmation_correct": 48,
        "confirmation_total": 50,
        "losses": "[0.30000000000000004, 0.25]",
        "train_seconds": 1.5,
        "diverged_at": 0,
        "weights": WEIGHTS.astype("<f4").tobytes(),
        "start": "",
    }


# --- names and secrets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nodriver://user:secret@host/db",
        "mysql://user:secret@host/db",
        "oracle://host/db?password=secret",
        "postgresql://user:sec/secret@host:x/db",
        "postgresql://user:secret@host:x/db",
        "nothing://user:secret@host/db",
        "://secret",
    ],
)
def test_a_password_is_in_no_message(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="has no file, so no two threads would share it; give a path"):
        Store(url)


def test_a_store_shows_where_it_is(file_store: Store, path: Path) -> None:
    assert file_store.location == str(path)
    assert repr(file_store) == f"Store({str(path)!r})"


def test_a_url_of_sqlite_is_the_same_store(file_store: Store, path: Path) -> None:
    file_store.put(TRIAL, OUTCOME)
    with Store(f"sqlite:///{path}") as other:
        assert_same(other.get(TRIAL), OUTCOME)


# --- whose store it is -------------------------------------------------------------------------


def has_connections(store: Store) -> bool:
    return "Connections in pool: 0" not in store._database.engine.pool.status()


def test_a_store_of_the_callers_stays_open_and_one_of_a_path_is_closed(path: Path) -> None:
    with Store(path) as mine:
        mine.put(TRIAL, OUTCOME)
        with open_store(mine) as used:
            assert used is mine
        assert has_connections(mine)
    assert not has_connections(mine)
    with open_store(path) as own:
        assert_same(own.get(TRIAL), OUTCOME)
        assert has_connections(own)
    assert not has_connections(own)


def test_a_search_leaves_the_callers_store_open(digits: Dataset, own_store: Path) -> None:
    with Store(own_store) as mine:
        sweep(digits, "mlp1", [1], seeds=1, recipe=Recipe(epochs=1), store=mine)
        assert has_connections(mine)


def test_a_store_that_nobody_holds_is_closed(path: Path) -> None:
    store = Store(path)
    engine = store._database.engine
    del store
    gc.collect()
    assert "Connections in pool: 0" in engine.pool.status()
