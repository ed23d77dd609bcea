"""The store remembers trainings: what was trained once is never trained again.

A training is a pure function of its key, so the store only ever gains rows: no row is changed, none says
"running", and a process may be killed at any moment. It is an SQLite file, or a PostgreSQL database for a team.

    with Store(default_path()) as store:
        outcome = store.get(trial) or train_and_put(trial)

Modules:
    schema        the tables
    rows          records <-> rows, and checksums
    migrations    the steps from older schemas
    database      URLs, connections, and what a failure means
    claims        who trains which trial at the moment (PostgreSQL)

**Contract of every method of `Store`**

- Threads: any thread may call any method at any time, and any number of processes may open one store. A store must
  not be used across a fork: open it in the process that uses it.
- Ownership: arrays that are returned belong to the caller; arrays that are passed in are copied.
- Writes: what is put is committed when the method returns, and survives a killed process. After a power cut the last
  few rows may be missing from an SQLite file, which stays whole. A key that exists keeps its first value.
- Damage: each row has a checksum. A row that does not match it is deleted, a warning goes to the logger
  `smidgen.trials.store` (without a logging configuration, Python prints it on stderr), and the method returns what it
  returns for a missing row, so that the caller trains or computes it again.
- Raises: every method raises StoreError if the database cannot be read or written. A server that cannot be reached
  is retried for `database.BUSY_SECONDS` first.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from smidgen import environment
from smidgen.errors import StoreError
from smidgen.foreign_text import shown
from smidgen.records import Outcome, Score, Trial
from smidgen.trials.store.claims import Claims
from smidgen.trials.store.database import Database
from smidgen.trials.store.migrations import prepare
from smidgen.trials.store.rows import (
    Array,
    Row,
    array_of,
    array_row,
    is_whole,
    keyed_outcome_of,
    measurement_row,
    outcome_of,
    readable,
    score_of,
    score_row,
    trial_of,
    trial_row,
)
from smidgen.trials.store.schema import SCHEMA, insert_once, tables

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select, Table

__all__ = ["SCHEMA", "Store", "default_path", "open_store"]

R = TypeVar("R")
LOGGER = logging.getLogger(__name__)

KEYS_PER_QUERY = 500
ROWS_PER_INSERT = 50
"""Far below the number of parameters that SQLite takes in a statement (32,766; 999 before 2020)."""


class Store:
    """Outcomes by trial; arrays, scores and measurements by name. The module's text is the contract of every method.

    Attributes:
        location: a path, or a URL without password and options.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        """Open the store, create it if there is none, and migrate one of an older schema.

        Args:
            url_or_path: an SQLite file, or a URL of SQLite or PostgreSQL as SQLAlchemy reads it.

        Raises:
            StoreError: the directory is missing, no permission, the disk is full, not a database, an
                unknown kind of database or its driver is not installed, or a newer schema.
        """
        self._database = Database(url_or_path)
        self.location: str = self._database.location
        self._claims = Claims(self._database.engine) if self._database.is_server else None
        weakref.finalize(self, _close, self._database, self._claims).atexit = False
        try:
            with self._database.transaction() as connection:
                prepare(connection, self.location)
        except BaseException:
            self.close()
            raise

    @property
    def is_shared(self) -> bool:
        """Whether `claim` sees the claims of others: True for a server, False for a file."""
        return self._claims is not None

    # --- trials ---

    def get(self, trial: Trial) -> Outcome | None:
        """Return the outcome of a trial, or None if there is none."""
        return self.get_many([trial]).get(trial.key)

    def get_many(self, trials: Iterable[Trial]) -> dict[str, Outcome]:
        """Return the outcomes that are stored, by `Trial.key`; one query for each `KEYS_PER_QUERY` trials."""
        table = tables().trials
        found: dict[str, Outcome] = {}
        for part in _parts([*{trial.key for trial in trials}], KEYS_PER_QUERY):
            found |= self._whole_rows(table, table.c.key.in_(part), keyed_outcome_of)
        return found

    def put(self, trial: Trial, outcome: Outcome) -> None:
        """Keep an outcome, and end the caller's claim on the trial."""
        self.put_many([(trial, outcome)])

    def put_many(self, pairs: Sequence[tuple[Trial, Outcome]]) -> None:
        """Keep outcomes in one transaction: all of them or, if this raises, none. Claims on them end."""
        # In the order of keys: two processes that write the same rows in two orders would wait for each other.
        rows = sorted((trial_row(trial, outcome) for trial, outcome in pairs), key=lambda row: str(row["key"]))
        self._insert(tables().trials, rows)
        self.release(trial for trial, _ in pairs)

    def rows(self) -> list[tuple[Trial, Outcome]]:
        """Return every trial with its outcome, oldest first, by key within a second.

        `weights` are left empty and checksums are not checked: the weights are not read. Rows that cannot be read are
        left out.
        """
        from sqlalchemy import select

        table = tables().trials
        query = select(*(column for column in table.c if column is not table.c.weights))
        ordered = query.order_by(table.c.created, table.c.key)
        rows = self._read_all(table, ordered)
        decoded = [readable(lambda row: (trial_of(row), outcome_of(row, np.zeros(0, np.float32))), row) for row in rows]
        return [pair for pair in decoded if pair is not None]

    # --- claims ---

    def claim(self, trials: Iterable[Trial]) -> list[Trial]:
        """Claim trials, and return those that the caller is to train now, in their order.

        Trials that are stored, or that another living process has claimed, are left out: look for them later. A claim
        ends with `put`, `release` or `close`, and with the process or its connection. Claims only save work: a
        process that trains without one does no harm. SQLite has no claims; there, every trial is returned, and two
        commands that need the same trial at the same moment both train it.
        """
        trials = list(trials)
        claims = self._claims
        if claims is None or not trials:
            return trials
        mine = self._database.retry(lambda: claims.take(trials))
        # After the claim: a process that has finished a trial stores it before it ends its claim.
        stored = self._stored([trial.key for trial in trials if trial.key in mine])
        self.release(trial for trial in trials if trial.key in mine & stored)
        return [trial for trial in trials if trial.key in mine - stored]

    def release(self, trials: Iterable[Trial]) -> None:
        """End the caller's claims on trials that it will not train; other trials are ignored."""
        if self._claims is not None:
            self._claims.drop({trial.key for trial in trials})

    # --- arrays, scores, measurements ---

    def get_array(self, key: str) -> Array | None:
        """Return the array under `key` with the shape and dtype that it was put with, or None."""
        table = tables().arrays
        return self._whole_row(table, table.c.key == key, array_of)

    def put_array(self, key: str, array: Array) -> None:
        """Keep a numeric array of any shape and memory order."""
        self._insert(tables().arrays, [array_row(key, array)])

    def get_score(self, trial_key: str, *, split: str, of: str) -> Score | None:
        """Return the score that was put under the same names, or None."""
        table = tables().scores
        names = (table.c.trial == trial_key) & (table.c.split == split) & (table.c.subject == of)
        return self._whole_row(table, names, lambda row: score_of(row.correct, row.total))

    def put_score(self, trial_key: str, *, split: str, of: str, score: Score) -> None:
        """Keep a score.

        Args:
            trial_key: `Trial.key`; the trial itself need not be stored.
            split: the split that was classified, such as "selection".
            of: what classified it, such as "decoded file"; the column `subject`.
            score: the counts.
        """
        self._insert(tables().scores, [score_row(trial_key, split, of, score)])

    def get_measurement(self, key: str) -> float | None:
        """Return the number under `key`, or None."""
        table = tables().measurements
        return self._whole_row(table, table.c.key == key, lambda row: float(row.value))

    def put_measurement(self, key: str, value: float, *, unit: str) -> None:
        """Keep one number that was measured, such as a time with unit="s"."""
        self._insert(tables().measurements, [measurement_row(key, value, unit)])

    def count(self) -> int:
        """Return the number of trials."""
        from sqlalchemy import func, select

        query = select(func.count()).select_from(tables().trials)
        return int(self._database.read(lambda connection: connection.execute(query).scalar_one()))

    # --- open and closed ---

    def close(self) -> None:
        """Close the connections and end all claims; the next call of a method opens connections again."""
        _close(self._database, self._claims)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.location!r})"

    # --- rows ---

    def _stored(self, keys: Sequence[str]) -> set[str]:
        """Return those of the trials' keys that are stored."""
        table = tables().trials
        query = table.select().with_only_columns(table.c.key)

        def read(connection: Connection) -> set[str]:
            parts = (query.where(table.c.key.in_(part)) for part in _parts(keys, KEYS_PER_QUERY))
            return {row.key for part in parts for row in connection.execute(part)}

        return self._database.read(read)

    def _insert(self, table: Table, rows: list[Row]) -> None:
        def write(connection: Connection) -> None:
            for part in _parts(rows, ROWS_PER_INSERT):
                connection.execute(insert_once(connection, table, part))

        self._database.write(write)

    def _whole_row(self, table: Table, condition: ColumnElement[bool], decode: Callable[[Any], R]) -> R | None:
        return next(iter(self._whole_rows(table, condition, decode)), None)

    def _whole_rows(self, table: Table, condition: ColumnElement[bool], decode: Callable[[Any], R]) -> list[R]:
        """Decode the rows that match their checksum; those that do not, or cannot be decoded, are deleted."""
        found = []
        for row in self._read_all(table, table.select().where(condition)):
            decoded = readable(decode, row) if is_whole(dict(row._mapping)) else None
            if decoded is None:
                self._drop_damaged(table, row._mapping)
            else:
                found.append(decoded)
        return found

    def _read_all(self, table: Table, query: Select[Any]) -> list[Any]:
        """Read rows; a column of another type than the schema's, such as text for bytes, is no fault of the program."""
        try:
            return list(self._database.read(lambda connection: connection.execute(query).all()))
        except (TypeError, ValueError) as error:
            raise StoreError(
                f"the store {self.location} has a row of another type in its table {table.name}: {error}; "
                "delete the row, or give another store"
            ) from error

    def _drop_damaged(self, table: Table, row: Any) -> None:
        """Delete one row, unless another process has already replaced it, whose checksum is then another."""
        keys = [(column, row[column.name]) for column in table.primary_key]
        delete = table.delete().where(table.c.checksum == row["checksum"])
        for column, value in keys:
            delete = delete.where(column == value)
        name, done = (
            shown(", ".join(str(value) for _, value in keys)),
            "it was deleted, and is computed again when needed",
        )
        try:
            self._database.write(lambda connection: connection.execute(delete))
        except StoreError as error:  # a role may have no right to delete
            done = f"it is computed again each time, because it cannot be deleted ({error})"
        LOGGER.warning("the store %s has a damaged row in its table %s (%s); %s", self.location, table.name, name, done)


@contextmanager
def open_store(store: Store | str | Path | None) -> Iterator[Store]:
    """Open a store for as long as the block runs; a `Store` is the caller's and stays open.

    Args:
        store: a `Store`, what `Store` takes, or None for `default_path()`.

    Raises:
        StoreError: the store cannot be opened.
    """
    if isinstance(store, Store):
        yield store
        return
    with Store(store or default_path()) as opened:
        yield opened


def default_path() -> str | Path:
    """Return the store that is used where none is named: `SMIDGEN_STORE`, else `store.sqlite` in the cache.

    The folder of the cache is made if it is missing.

    Raises:
        StoreError: the folder cannot be made.
    """
    if chosen := environment.store():
        return chosen
    directory = environment.cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make {directory}: {error.strerror}; set SMIDGEN_CACHE to a directory that you may write to"
        ) from error
    return directory / "store.sqlite"


def _close(database: Database, claims: Claims | None) -> None:
    if claims is not None:
        claims.close()
    database.close()


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
