"""A store that cannot be opened, read or written says why, and what was stored is intact."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from permissions import posix, read_only
from services import PASSWORD, Server, postgresql
from small_disk import on_a_small_disk
from smidgen.errors import StoreError
from smidgen.trials.store import SCHEMA, Store
from store_samples import OUTCOME, SEEDS, TRIAL, assert_same

pytest_plugins = ("store_samples",)

PATIENCE_SECONDS = 30


def change_schema(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (version,))
    finally:
        connection.close()


def test_a_newer_schema_is_refused_and_not_touched(path: Path) -> None:
    with Store(path) as store:
        store.put(TRIAL, OUTCOME)
    change_schema(path, SCHEMA + 1)
    with pytest.raises(StoreError, match=f"has schema {SCHEMA + 1} and this Smidgen knows {SCHEMA}; update smidgen"):
        Store(path)
    change_schema(path, SCHEMA)
    with Store(path) as store:
        assert_same(store.get(TRIAL), OUTCOME)


def test_a_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    garbage = b"these are my notes, not a database. " * 100
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match="file is not a database; it is some other file, left as it was"):
        Store(path)
    assert path.read_bytes() == garbage
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("changed", [b"CREATE TABLE tri\xa7ls", b"CREATE TALBE trials"])
def test_a_file_with_a_damaged_schema_is_refused_and_not_touched(path: Path, changed: bytes) -> None:
    with Store(path) as store:
        store.put(TRIAL, OUTCOME)
    damaged = path.read_bytes().replace(b"CREATE TABLE trials", changed)
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="the file is damaged; move it away or restore a copy"):
        Store(path)
    assert path.read_bytes() == damaged


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing is not a directory; make it first"):
        Store(tmp_path / "missing" / "store.sqlite")


def test_a_directory_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file; give a file"):
        Store(tmp_path)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder with a store that may be read and not written."""
    with Store(tmp_path / "store.sqlite") as store:
        store.put(TRIAL, OUTCOME)
    with read_only(tmp_path):
        yield tmp_path


@posix
def test_no_permission_is_said(unprivileged: Path) -> None:
    assert (unprivileged / "store.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"store\.sqlite failed: .*; give a"):
        Store(unprivileged / "store.sqlite")
    with pytest.raises(StoreError, match="new failed: unable to open database file; give a file that you may"):
        Store(unprivileged / "new")
    assert [file.name for file in unprivileged.iterdir()] == ["store.sqlite"]


def test_a_read_only_database_is_read_and_not_written(path: Path) -> None:
    with Store(path) as store:
        store.put(TRIAL, OUTCOME)
    with Store(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        assert store.get(TRIAL) is not None
        with pytest.raises(StoreError, match="readonly database"):
            store.put(TRIAL.with_seed(1), OUTCOME)


def test_a_seed_beyond_64_bits_is_our_error(store: Store) -> None:
    with pytest.raises(StoreError, match=r"too large|out of range"):
        store.put(TRIAL.with_seed(2**70), OUTCOME)
    assert store.rows() == []


def test_a_writer_that_waits_too_long_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.store.database.BUSY_SECONDS", 0.05)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        with Store(path) as store:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="database is locked; another process has held it"):
                store.put(TRIAL, OUTCOME)
            writer.execute("ROLLBACK")
            store.put(TRIAL, OUTCOME)
            assert_same(store.get(TRIAL), OUTCOME)
    finally:
        writer.close()


FILLS_THE_DISK = """
import resource, sys
import numpy as np
from smidgen.errors import StoreError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
outcome = Outcome(0, Score(1, 2), Score(1, 2), (), 0.0, np.zeros(10_000, np.float32))
with Store(sys.argv[1]) as store:
    if sys.argv[2:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    stored = 0
    try:
        while stored < 1000:
            store.put(trial.with_seed(stored), outcome)
            stored += 1
    except StoreError as error:
        print(error)
    rows = store.rows()
    print(stored, len(rows), sorted(trial.seed for trial, _ in rows) == list(range(stored)))
"""


def check_what_a_full_disk_left(printed: str, message: str) -> int:
    said, counts = printed.splitlines()
    assert message in said
    stored, rows, whole = counts.split()
    assert 0 < int(stored) == int(rows) < 1000
    assert whole == "True"
    return int(stored)


@posix
def test_a_limit_on_the_size_of_a_file_leaves_what_was_stored(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FILLS_THE_DISK, str(path), "400000"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    stored = check_what_a_full_disk_left(finished.stdout, "disk I/O error; check the disk")
    with Store(path) as store:
        assert len(store.rows()) == stored
        store.put(TRIAL, OUTCOME)
        assert_same(store.get(TRIAL), OUTCOME)


@posix
def test_a_full_disk_is_said_and_leaves_what_was_stored(work: Path) -> None:
    finished = on_a_small_disk(work, "1m", '"$@" "$disk/store.sqlite"', sys.executable, "-c", FILLS_THE_DISK)
    assert finished.returncode == 0, finished.stderr
    check_what_a_full_disk_left(finished.stdout, "store.sqlite failed: database or disk is full; free some space")


# --- a server that goes away -------------------------------------------------------------------


def test_a_server_that_restarts_is_waited_for_and_what_was_stored_is_there() -> None:
    with postgresql() as server, Store(server.url) as store:
        store.put(SEEDS[0], OUTCOME)
        assert store.claim(SEEDS[1:3]) == SEEDS[1:3]
        server.stop()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(store.put, SEEDS[1], OUTCOME)
            reading = pool.submit(store.get, SEEDS[0])
            server.start()
            waiting.result(PATIENCE_SECONDS)
            assert_same(reading.result(PATIENCE_SECONDS), OUTCOME)
        assert {trial.seed for trial, _ in store.rows()} == {0, 1}
        with Store(server.url) as other:
            assert other.claim(SEEDS[:3]) == [SEEDS[2]], "claims ended with the server"


def test_a_server_that_stays_away_is_one_clear_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.store.database.BUSY_SECONDS", 0.1)
    with postgresql() as server, Store(server.url) as store:
        store.put(TRIAL, OUTCOME)
        server.stop()
        with pytest.raises(StoreError, match="check that the database can be reached") as caught:
            store.put(TRIAL.with_seed(8), OUTCOME)
        assert "\n" not in str(caught.value)
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        for form in (PASSWORD, "s3cret"):
            assert form not in str(caught.value) + repr(caught.value.__cause__) + repr(store)
        with pytest.raises(StoreError, match="check that the database can be reached"):
            Store(server.url)
        server.start()
        assert_same(store.get(TRIAL), OUTCOME)


def test_a_wrong_password_is_said_at_once_and_not_shown(server: Server) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store(server.url.replace("s3cret", "wrongword"))
    assert "wrongword" not in str(caught.value) + str(caught.value.__cause__)
