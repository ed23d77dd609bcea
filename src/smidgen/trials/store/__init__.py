"""The memo of trials: what was trained once is never trained again.

A trial is a pure function of its key, so the store only ever gains rows: no row is changed, none is
in the state "running", and a process may be killed at any moment. A file by default; any SQLAlchemy
URL of SQLite or PostgreSQL for a team.

    with Store(default_path()) as store:
        outcome = store.get(trial) or train_and_put(trial)

Three tables: `meta` (the schema's version), `trials` (one row a trial, readable by any SQL tool) and
`logits` (a teacher's outputs).

    smidgen.trials.store.schema      the tables, rows <-> records, the steps from older schemas
    smidgen.trials.store.database    URLs, connections, what a failure means
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from smidgen.errors import StoreError
from smidgen.records import Outcome, Trial
from smidgen.trials.store import database
from smidgen.trials.store.schema import (
    SCHEMA,
    insert_once,
    migrate,
    now,
    outcome_of,
    tables,
    to_array,
    to_bytes,
    trial_of,
    trial_row,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

__all__ = ["SCHEMA", "Store", "cache_directory", "default_path"]

R = TypeVar("R")

# Far below the number of parameters that SQLite takes in a statement (32,766; 999 before 2020).
KEYS_A_QUERY = 500
ROWS_AN_INSERT = 50
RETRY_SECONDS = 0.5


class Store:
    """Outcomes by trial, and logits by name.

    Any thread may call any method at any time, and any number of processes may hold the same store. A
    store must not be carried over a fork: open it in the process that uses it. Every array that comes
    out is the caller's own copy. Every method raises StoreError when the database cannot be read or written;
    a server that went away is waited for first, for `database.BUSY_SECONDS`.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        """Open the store, make it when there is none, and bring one of an older schema to ours.

        Raises:
            StoreError: the directory is missing, no permission, the disk is full, not a database, an
                unknown kind of database or its driver is not installed, or a schema newer than ours.
        """
        url = database.url_of(url_or_path)
        self.location: str = database.shown(url)
        """Where the store is: a path, or a URL without password and options."""
        self._password = url.password
        self._engine = database.engine_of(url, self.location)
        # The same pool of connections; the option tells the database to take the write lock at once.
        self._writer = self._engine.execution_options(smidgen_writes=True)
        self._claims = _Claims(self._engine) if url.get_backend_name() == "postgresql" else None
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def is_shared(self) -> bool:
        """Whether `claim` knows what others do: on a server, not on a file."""
        return self._claims is not None

    def get(self, trial: Trial) -> Outcome | None:
        """The outcome of a trial, or None when it was never stored."""
        return self.get_many([trial]).get(trial.key)

    def get_many(self, trials: Iterable[Trial]) -> dict[str, Outcome]:
        """The outcomes that are stored, by `Trial.key`; one query for each 500 trials."""
        table, keys = tables().trials, list({trial.key for trial in trials})

        def read(connection: Connection) -> dict[str, Outcome]:
            found = {}
            for start in range(0, len(keys), KEYS_A_QUERY):
                some = keys[start : start + KEYS_A_QUERY]
                for row in connection.execute(table.select().where(table.c.key.in_(some))):
                    found[row.key] = outcome_of(row, to_array(row.weights))
            return found

        return self._read(read)

    def put(self, trial: Trial, outcome: Outcome) -> None:
        """Keep an outcome; it is committed when this returns, and outlives a killed process.

        A key that is already there keeps its first outcome. After a power cut the last few may be
        missing from an SQLite file, which stays whole.
        """
        self.put_many([(trial, outcome)])

    def put_many(self, pairs: Sequence[tuple[Trial, Outcome]]) -> None:
        """Keep outcomes in one transaction: all of them or, when this raises, none. Their claims end."""
        # By key: two that write the same rows in two orders would wait for each other.
        rows = sorted((trial_row(trial, outcome) for trial, outcome in pairs), key=lambda row: str(row["key"]))
        self._insert(tables().trials, rows)
        self.release(trial for trial, _ in pairs)

    def claim(self, trials: Iterable[Trial]) -> list[Trial]:
        """Those of the trials that the caller is to train now, in their order.

        Left out are those that are stored by now, and those that somebody else who is alive has claimed: look
        for them later. A claim ends with `put`, `release` or `close`, and with the process or its connection,
        so none can be left behind. It is advice, and saves work: whoever puts without one breaks nothing.
        On SQLite there are no claims, and every trial is the caller's: two commands that want the same trial
        at the same moment both train it.
        """
        trials = list(trials)
        if self._claims is None or not trials:
            return trials
        mine = self._retried(lambda: self._claims.take(trials) if self._claims else set())
        # Only now: who held it before has stored it before letting go.
        stored = self._stored([trial for trial in trials if trial.key in mine])
        self.release(trial for trial in trials if trial.key in mine and trial.key in stored)
        return [trial for trial in trials if trial.key in mine and trial.key not in stored]

    def release(self, trials: Iterable[Trial]) -> None:
        """End the claims of trials that the caller will not train; those that it never had are left alone."""
        if self._claims is not None:
            self._claims.drop({trial.key for trial in trials})

    def get_logits(self, key: str) -> npt.NDArray[np.float32] | None:
        """The array that was stored under `key`, or None."""
        table = tables().logits
        row = self._read(lambda connection: connection.execute(table.select().where(table.c.key == key)).one_or_none())
        return None if row is None else to_array(row.data).reshape(json.loads(row.shape))

    def put_logits(self, key: str, logits: npt.NDArray[np.float32]) -> None:
        """Keep float32 logits of any shape; committed when this returns; a key that is there keeps its first."""
        row = {"key": key, "shape": json.dumps(logits.shape), "data": to_bytes(logits), "created": now()}
        self._insert(tables().logits, [row])

    def rows(self) -> list[tuple[Trial, Outcome]]:
        """Every trial with its outcome, oldest first, by key within a second; `weights` are left empty."""
        from sqlalchemy import select

        table = tables().trials
        query = select(*(column for column in table.c if column is not table.c.weights))
        ordered = query.order_by(table.c.created, table.c.key)
        rows = self._read(lambda connection: connection.execute(ordered).all())
        return [(trial_of(row), outcome_of(row, np.zeros(0, np.float32))) for row in rows]

    def close(self) -> None:
        """Give the connections back and end all claims; a store that is used after this opens them again."""
        if self._claims is not None:
            self._claims.close()
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.location!r})"

    def _prepare(self) -> None:
        """Make what is missing, check the version, and migrate, in one transaction."""
        meta = tables().meta
        with self._reported(), self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                # "create if missing" is not atomic there; any number serves, if it is always the same.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7364196)")
            meta.metadata.create_all(connection)
            connection.execute(insert_once(connection, meta, [{"key": "schema", "value": SCHEMA}]))
            found = connection.execute(meta.select().where(meta.c.key == "schema")).one().value
            if found > SCHEMA:
                raise StoreError(
                    f"the store {self.location} has schema {found} and this Smidgen knows {SCHEMA}; "
                    "update smidgen, or give another store (SMIDGEN_STORE)"
                )
            migrate(connection, found)

    def _stored(self, trials: Sequence[Trial]) -> set[str]:
        """The keys of those that are stored."""
        table, keys = tables().trials, [trial.key for trial in trials]

        def read(connection: Connection) -> set[str]:
            query = table.select().with_only_columns(table.c.key)
            parts = (keys[start : start + KEYS_A_QUERY] for start in range(0, len(keys), KEYS_A_QUERY))
            return {row.key for part in parts for row in connection.execute(query.where(table.c.key.in_(part)))}

        return self._read(read)

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        def write() -> None:
            with self._writer.begin() as connection:
                for start in range(0, len(rows), ROWS_AN_INSERT):
                    connection.execute(insert_once(connection, table, rows[start : start + ROWS_AN_INSERT]))

        self._retried(write)

    def _read(self, read: Callable[[Connection], R]) -> R:
        def once() -> R:
            with self._engine.connect() as connection:
                return read(connection)

        return self._retried(once)

    def _retried(self, action: Callable[[], R]) -> R:
        """Do it again while a server is away: every action of ours may be done twice and is as done once."""
        from sqlalchemy.exc import SQLAlchemyError

        deadline = time.monotonic() + database.BUSY_SECONDS
        while True:
            with self._reported():
                try:
                    return action()
                except SQLAlchemyError as error:
                    if not database.is_away(error) or time.monotonic() > deadline:
                        raise
            time.sleep(RETRY_SECONDS)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Every failure of the database as a StoreError that says where and what to do."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OverflowError) as error:
            raise StoreError(f"the store {self.location} failed: {database.reason(error, self._password)}") from error


class _Claims:
    """PostgreSQL's advisory locks, held by one connection that stays open: they end with it, however it ends."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Any = None
        self._held: set[str] = set()
        # One thread at a time: a connection is no thread's own, and a lock is its connection's.
        self._lock = threading.Lock()

    def take(self, trials: Sequence[Trial]) -> set[str]:
        """The keys that nobody held, this object neither; they are held from now on."""
        with self._lock:
            free = sorted({trial.key for trial in trials} - self._held)
            taken = set(self._asked("pg_try_advisory_lock", free))
            self._held |= taken
            return taken

    def drop(self, keys: set[str]) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with self._lock:
            mine = sorted(keys & self._held)
            self._held -= keys
            try:
                self._asked("pg_advisory_unlock", mine)
            except SQLAlchemyError:
                self._forget()  # the connection is gone, and its locks with it

    def close(self) -> None:
        """End all of them now; the server would find out a moment later that the connection is gone."""
        self.drop(set(self._held))
        with self._lock:
            self._forget()

    def _asked(self, function: str, keys: Sequence[str]) -> list[str]:
        """The keys for which the function says yes."""
        from sqlalchemy.exc import SQLAlchemyError

        if not keys:
            return []
        # The first 64 bits of a SHA-256, signed.
        numbers = {int.from_bytes(bytes.fromhex(key[:16]), signed=True): key for key in keys}
        statement = f"SELECT n FROM unnest(%s::bigint[]) AS n WHERE {function}(n)"
        try:
            self._connection = self._connection or self._open()
            return [numbers[row[0]] for row in self._connection.exec_driver_sql(statement, (list(numbers),))]
        except SQLAlchemyError:
            self._forget()
            raise

    def _open(self) -> Any:
        """The server soon looks whether we are still there: a machine that lost its power says no goodbye."""
        connection = self._engine.connect()
        for setting, value in (("idle", 10), ("interval", 10), ("count", 3)):
            connection.exec_driver_sql(f"SET tcp_keepalives_{setting} = {value}")
        return connection

    def _forget(self) -> None:
        """Close the connection, and do not give it back to the pool: its locks would live on there."""
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            connection.invalidate()
            connection.close()


def default_path() -> str | Path:
    """SMIDGEN_STORE (a path or a URL), else `store.sqlite` in the cache directory, which is made if missing.

    Raises:
        StoreError: the cache directory cannot be made.
    """
    if chosen := os.environ.get("SMIDGEN_STORE"):
        return chosen
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make {directory}: {error.strerror}; set SMIDGEN_CACHE to a directory that you may write to"
        ) from error
    return directory / "store.sqlite"


def cache_directory() -> Path:
    """SMIDGEN_CACHE, else the user's own cache."""
    if chosen := os.environ.get("SMIDGEN_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "smidgen"
