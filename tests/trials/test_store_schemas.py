"""Stores of older schemas open, and everything in them is found."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from commands import Said
from services import Server
from smidgen.engine import native
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store
from store_samples import OUTCOME, assert_same

pytest_plugins = ("store_samples",)

PATIENCE_SECONDS = 30
NUMBERS = count()
STORES = Path(__file__).parents[1] / "stores"


def old_store(request: pytest.FixtureRequest, kind: str, schema: int) -> str:
    """Copy a store that a Smidgen of an older schema made; return its path or URL."""
    if kind == "sqlite":
        path: Path = request.getfixturevalue("path")
        shutil.copy(STORES / f"schema-{schema}.sqlite", path)
        return str(path)
    server: Server = request.getfixturevalue("server")
    name = f"old_{next(NUMBERS)}"
    url = server.create(name)
    server.sql(name, (STORES / f"schema-{schema}.sql").read_text())
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest) -> str:
    """A store of schema 1: a teacher, its student and its logits, and two of one network."""
    return old_store(request, request.param, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url_of_2(request: pytest.FixtureRequest) -> str:
    """A store of schema 2: a search, a compression and a study's rows; on PostgreSQL the study's rows alone."""
    return old_store(request, request.param, 2)


def test_a_store_of_schema_1_opens_and_what_it_has_is_found(old_url: str) -> None:
    """The trials are those of today that mean the same; nothing of them has changed."""
    data, engine = "d" * 64, "native-1-fused"
    spec = parse_spec("conv 4x3x3 relu, maxpool 2, dense 10")
    teacher = Trial(spec, Recipe(optimizer="nesterov", learning_rate=0.1, epochs=4), 0, data, engine)
    learned = Recipe(loss="kl", temperature=2, epochs=3)
    student = Trial(parse_spec("dense 2 leaky_relu(0.1), dense 10"), learned, 7, data, engine, teacher.key)
    plain = Trial(parse_spec("maxpool 2, dense 10"), Recipe(), 1, data, engine)
    for _ in range(2):  # migrated when it is first opened, and as it is from then on
        with Store(old_url) as store:
            for parameters, trial in ((3, student), (4, teacher), (5, plain)):
                weights = np.arange(parameters, dtype=np.float32) / 7
                scores = (Score(90 + parameters, 100), Score(45, 50))
                assert_same(store.get(trial), Outcome(parameters, *scores, (0.5, 0.25), 1.5, weights))
            diverged = store.get(plain.with_seed(2))
            assert diverged is not None
            assert (diverged.diverged_at, math.isnan(diverged.losses[1])) == (2, True)
            assert {trial.key for trial, _ in store.rows()} == {trial.key for trial in (teacher, student, plain)} | {
                plain.with_seed(2).key
            }
            logits = store.get_array(f"{teacher.key} {data} train")
            assert logits is not None
            assert logits.tobytes() == (np.arange(6, dtype=np.float32) / 3).tobytes()
    with Store(old_url) as store:
        store.put(plain.with_seed(3), OUTCOME)
        assert_same(store.get(plain.with_seed(3)), OUTCOME)
        assert len(store.rows()) == 5


def test_a_migration_that_is_killed_has_done_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(STORES / "schema-1.sqlite", path)

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("smidgen.trials.store.migrations._rename_logits", breaks)
        with pytest.raises(KeyboardInterrupt):
            Store(path)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT value FROM meta").fetchall() == [(1,)]
        assert "start" not in [column[1] for column in connection.execute("PRAGMA table_info(trials)")]
    finally:
        connection.close()
    with Store(path) as store:
        assert len(store.rows()) == 4


def test_many_open_an_old_store_at_once(old_url: str) -> None:
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    def work(_: int) -> int:
        together.wait()
        with Store(old_url) as store:
            return len(store.rows())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [4] * 4


# --- schema 2 ----------------------------------------------------------------------------------


def rows_of_2(table: str) -> dict[str, sqlite3.Row]:
    """Read the rows of the SQLite fixture as schema 2 wrote them, by key."""
    connection = sqlite3.connect(f"file:{STORES / 'schema-2.sqlite'}?mode=ro&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return {row["key"]: row for row in connection.execute(f"SELECT * FROM {table}")}
    finally:
        connection.close()


def test_a_store_of_schema_2_opens_and_every_trial_is_found(url_of_2: str) -> None:
    written = rows_of_2("trials")
    for _ in range(2):  # migrated when it is first opened, and as it is from then on
        with Store(url_of_2) as store:
            trials = [trial for trial, _ in store.rows()]
            outcomes = store.get_many(trials)
            assert len(outcomes) == len(trials) == (5 if store.is_shared else len(written))
            for trial in trials:
                row, found = written[trial.key], outcomes[trial.key]
                assert found.weights.tobytes() == row["weights"]
                assert found.selection == Score(row["selection_correct"], row["selection_total"])
                assert found.confirmation == Score(row["confirmation_correct"], row["confirmation_total"])
                assert str(list(found.losses)) == str(json.loads(row["losses"]))
                assert (found.train_seconds, found.diverged_at) == (row["train_seconds"], row["diverged_at"])


def test_logits_of_schema_2_become_arrays_scores_and_measurements(url_of_2: str) -> None:
    counts = Counter[str]()
    with Store(url_of_2) as store:
        for key, row in rows_of_2("logits").items():
            values = np.frombuffer(row["data"], "<f4")
            if " as filed, " in key:
                trial, split = key.split(" as filed, ")
                score = store.get_score(trial, split=split, of="decoded file")
                assert score in (Score(*map(int, values)), None)
                counts["scores"] += score is not None
            elif key.endswith(" seconds for the training images"):
                assert store.get_measurement(key) == float(values[0])
                counts["measurements"] += 1
            elif (array := store.get_array(key)) is not None:
                assert (array.dtype.name, list(array.shape)) == ("float32", json.loads(row["shape"]))
                assert array.tobytes() == row["data"]
                counts["arrays"] += 1
        shared = store.is_shared
    # Of a teacher two sets of logits; of five trainings the classes of the test images; a data set's ranges.
    assert counts == ({"scores": 6, "arrays": 6, "measurements": 1} if shared else
                      {"scores": 69, "arrays": 8, "measurements": 1})  # fmt: skip


def row_counts(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        tables = ("trials", "arrays", "scores", "measurements")
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    finally:
        connection.close()


def test_a_search_adds_to_a_store_of_schema_2(path: Path, tmp_path: Path, command: Callable[..., Said]) -> None:
    if native.available():
        pytest.skip("the search needs the native core")
    shutil.copy(STORES / "schema-2.sqlite", path)
    Store(path).close()
    before = row_counts(path)
    asked = ("--rule", "rate", "--effort", "glance", "--store", str(path))
    winner = STORES / "schema-2-winner.safetensors"
    file = ("--floor", "0.55", "--data", "digits", *asked, "--out", str(tmp_path / "file.smidgen"))
    said = command("compress", str(winner), *file)
    assert said.code == 0, said.err
    trained = int(re.search(r"(\d+) trainings, ", said.out)[1])
    assert row_counts(path)[0] == before[0] + trained


def test_a_migration_to_3_that_is_killed_has_done_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(STORES / "schema-2.sqlite", path)

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("smidgen.trials.store.migrations._typed", breaks)
        with pytest.raises(KeyboardInterrupt):
            Store(path)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT value FROM meta").fetchall() == [(2,)]
        assert "checksum" not in [column[1] for column in connection.execute("PRAGMA table_info(trials)")]
        assert connection.execute("SELECT count(*) FROM logits").fetchone() == (len(rows_of_2("logits")),)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'arrays'").fetchall() == []
    finally:
        connection.close()
    with Store(path) as store:
        assert len(store.rows()) == len(rows_of_2("trials"))
