"""The memo of trials: what was trained once is never trained again.

A trial is a pure function of its key, so the store only ever gains rows: no row is changed, none is
in the state "running", and a process may be killed at any moment. A file by default; any SQLAlchemy
URL of SQLite or PostgreSQL for a team.

    with Store(default_path()) as store:
        outcome = store.get(trial) or train_and_put(trial)

Three tables: `meta` (the schema's version), `trials` (one row a trial, readable by any SQL tool) and
`logits` (a teacher's outputs). Arrays are bytes of little-endian float32, lists are JSON text.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smidgen.errors import StoreError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Table
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = postgresql.Insert | sqlite.Insert

SCHEMA = 1
BUSY_SECONDS = 30
# Far below the number of parameters that SQLite takes in a statement (32,766; 999 before 2020).
KEYS_A_QUERY = 500


class Store:
    """Outcomes by trial, and logits by name.

    Any thread may call any method at any time, and any number of processes may hold the same store. A
    store must not be carried over a fork: open it in the process that uses it. Every array that comes
    out is the caller's own copy. Every method raises StoreError when the database cannot be read or written.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        """Open the store, and make it when there is none.

        Raises:
            StoreError: the directory is missing, no permission, the disk is full, not a database, an
                unknown kind of database or its driver is not installed, or a schema newer than ours.
        """
        url = _url(url_or_path)
        self.location: str = _shown(url)
        """Where the store is: a path, or a URL without password and options."""
        self._engine = _engine(url, self.location)
        # The same pool of connections; the option tells `_begin` to take the write lock at once.
        self._writer = self._engine.execution_options(smidgen_writes=True)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def get(self, trial: Trial) -> Outcome | None:
        """The outcome of a trial, or None when it was never stored."""
        return self.get_many([trial]).get(trial.key)

    def get_many(self, trials: Iterable[Trial]) -> dict[str, Outcome]:
        """The outcomes that are stored, by `Trial.key`; one query for each 500 trials."""
        table = _tables().trials
        keys = list({trial.key for trial in trials})
        found = {}
        with self._reported(), self._engine.connect() as connection:
            for start in range(0, len(keys), KEYS_A_QUERY):
                some = keys[start : start + KEYS_A_QUERY]
                for row in connection.execute(table.select().where(table.c.key.in_(some))):
                    found[row.key] = _outcome(row, _array(row.weights))
        return found

    def put(self, trial: Trial, outcome: Outcome) -> None:
        """Keep an outcome; it is committed when this returns, and outlives a killed process.

        A key that is already there keeps its first outcome. After a power cut the last few may be
        missing from an SQLite file, which stays whole.
        """
        self._insert_once(_tables().trials, _trial_row(trial, outcome))

    def get_logits(self, key: str) -> npt.NDArray[np.float32] | None:
        """The array that was stored under `key`, or None."""
        table = _tables().logits
        with self._reported(), self._engine.connect() as connection:
            row = connection.execute(table.select().where(table.c.key == key)).one_or_none()
        return None if row is None else _array(row.data).reshape(json.loads(row.shape))

    def put_logits(self, key: str, logits: npt.NDArray[np.float32]) -> None:
        """Keep float32 logits of any shape; committed when this returns; a key that is there keeps its first."""
        row = {"key": key, "shape": json.dumps(logits.shape), "data": _bytes(logits), "created": _now()}
        self._insert_once(_tables().logits, row)

    def rows(self) -> list[tuple[Trial, Outcome]]:
        """Every trial with its outcome, oldest first, by key within a second; `weights` are left empty."""
        from sqlalchemy import select

        table = _tables().trials
        query = select(*(column for column in table.c if column is not table.c.weights))
        with self._reported(), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(table.c.created, table.c.key)).all()
        return [(_trial(row), _outcome(row, np.zeros(0, np.float32))) for row in rows]

    def close(self) -> None:
        """Give the connections back; a store that is used after this opens them again."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.location!r})"

    def _prepare(self) -> None:
        """Make what is missing and check the version, in one transaction."""
        tables = _tables()
        with self._reported(), self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                # "create if missing" is not atomic there; any number serves, if it is always the same.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7364196)")
            tables.meta.metadata.create_all(connection)
            connection.execute(_insert_once(connection, tables.meta, {"key": "schema", "value": SCHEMA}))
            found = connection.execute(tables.meta.select().where(tables.meta.c.key == "schema")).one().value
            if found > SCHEMA:
                raise StoreError(
                    f"the store {self.location} has schema {found} and this Smidgen knows {SCHEMA}; "
                    "update smidgen, or give another store (SMIDGEN_STORE)"
                )

    def _insert_once(self, table: Table, row: dict[str, Any]) -> None:
        with self._reported(), self._writer.begin() as connection:
            connection.execute(_insert_once(connection, table, row))

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Every failure of the database as a StoreError that says where and what to do."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OverflowError) as error:
            raise StoreError(f"the store {self.location} failed: {_reason(error)}") from error


def default_path() -> str | Path:
    """SMIDGEN_STORE (a path or a URL), else `store.sqlite` in the cache directory, which is made if missing.

    Raises:
        StoreError: the cache directory cannot be made.
    """
    if chosen := os.environ.get("SMIDGEN_STORE"):
        return chosen
    directory = _cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make {directory}: {error.strerror}; set SMIDGEN_CACHE to a directory that you may write to"
        ) from error
    return directory / "store.sqlite"


def _cache_directory() -> Path:
    if chosen := os.environ.get("SMIDGEN_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "smidgen"


# --- the tables ------------------------------------------------------------------------------


class _Tables(NamedTuple):
    meta: Table
    trials: Table
    logits: Table


@cache
def _tables() -> _Tables:
    """Lists are JSON in a text column: PostgreSQL's JSON type refuses NaN, which a diverged loss is."""
    from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, MetaData, Table, Text

    def table(name: str, **columns: type) -> Table:
        key = Column("key", Text, primary_key=True)
        return Table(name, metadata, key, *(Column(name, kind, nullable=False) for name, kind in columns.items()))

    metadata = MetaData()
    meta = table("meta", value=Integer)
    trials = table(
        "trials",
        spec=Text,
        recipe=Text,
        seed=BigInteger,
        data=Text,
        engine=Text,
        teacher=Text,
        parameters=BigInteger,
        selection_correct=Integer,
        selection_total=Integer,
        confirmation_correct=Integer,
        confirmation_total=Integer,
        losses=Text,
        train_seconds=Float,
        diverged_at=Integer,
        weights=LargeBinary,
        created=Text,
    )
    return _Tables(meta, trials, table("logits", shape=Text, data=LargeBinary, created=Text))


def _insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> Insert:
    from sqlalchemy.dialects import postgresql, sqlite

    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).values(**row).on_conflict_do_nothing(index_elements=["key"])


# --- records <-> rows ------------------------------------------------------------------------


def _trial_row(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    # int() and float(): sqlite3 does not know NumPy's own.
    return {
        "key": trial.key,
        "spec": str(trial.spec),
        "recipe": json.dumps(asdict(trial.recipe)),
        "seed": int(trial.seed),
        "data": trial.data,
        "engine": trial.engine,
        "teacher": trial.teacher,
        "parameters": int(outcome.parameters),
        "selection_correct": int(outcome.selection.correct),
        "selection_total": int(outcome.selection.total),
        "confirmation_correct": int(outcome.confirmation.correct),
        "confirmation_total": int(outcome.confirmation.total),
        "losses": json.dumps([float(loss) for loss in outcome.losses]),
        "train_seconds": float(outcome.train_seconds),
        "diverged_at": int(outcome.diverged_at),
        "weights": _bytes(outcome.weights),
        "created": _now(),
    }


def _trial(row: Any) -> Trial:
    recipe = Recipe(**json.loads(row.recipe))
    return Trial(parse_spec(row.spec), recipe, row.seed, row.data, row.engine, row.teacher)


def _outcome(row: Any, weights: npt.NDArray[np.float32]) -> Outcome:
    return Outcome(
        parameters=row.parameters,
        selection=Score(row.selection_correct, row.selection_total),
        confirmation=Score(row.confirmation_correct, row.confirmation_total),
        losses=tuple(json.loads(row.losses)),
        train_seconds=row.train_seconds,
        weights=weights,
        diverged_at=row.diverged_at,
    )


def _bytes(array: npt.NDArray[np.float32]) -> bytes:
    return array.astype("<f4").tobytes()


def _array(content: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(content, "<f4").astype(np.float32)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# --- the database ----------------------------------------------------------------------------


def _url(url_or_path: str | Path) -> URL:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if "://" in str(url_or_path):
        try:
            url = make_url(str(url_or_path))
            # Which driver "postgresql://" means has changed between releases of SQLAlchemy.
            return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        except (ArgumentError, ValueError):
            # Neither the text nor its error is shown: they may hold a password.
            raise StoreError(
                "the store's URL cannot be read; write it like postgresql://user:password@host/database, "
                "with %-escapes for special characters in the password"
            ) from None
    path = Path(url_or_path).expanduser()
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be made: {path.parent} is not a directory; make it first")
    return URL.create("sqlite", database=str(path))


def _shown(url: URL) -> str:
    """Options are dropped, for a password can stand there too."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(query={}).render_as_string(hide_password=True)


def _engine(url: URL, location: str) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import ArgumentError

    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(f"the store {location} is of the kind '{kind}'; use an SQLite file or PostgreSQL")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError(f"the store {location} has no file, so no two threads would share it; give a path")
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server may have dropped an idle connection
    if kind == "sqlite":
        # None: the driver begins no transaction of its own; `_begin` does.
        options = {"connect_args": {"isolation_level": None, "timeout": BUSY_SECONDS}}
    try:
        engine = create_engine(url, hide_parameters=True, **options)
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"the store {location} needs a driver: {error}; pip install 'psycopg[binary]'") from error
    if kind == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin)
    return engine


def _tune_sqlite(connection: Any, _: object) -> None:
    """A write-ahead log lets readers and one writer work at once; a kill at any moment leaves the file whole."""
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous = NORMAL").close()


def _use_write_ahead_log(connection: Any) -> None:
    """The change of a new file's mode ignores the timeout, so processes that open it at once must ask again."""
    import sqlite3

    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _begin(connection: Connection) -> None:
    """A writer takes the lock before it reads: a deferred one that upgrades fails at once, whatever the timeout."""
    writes = connection.get_execution_options().get("smidgen_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_REMEDIES = (
    ("disk is full", "free some space or give another place (SMIDGEN_STORE); what was stored before is intact"),
    ("disk i/o error", "check the disk and the limit on the size of a file; what was stored before is intact"),
    ("readonly", "give a place that you may write to (SMIDGEN_STORE)"),
    ("unable to open", "give a file that you may read and write, in a directory where you may (SMIDGEN_STORE)"),
    (
        "locked",
        f"another process has held it for {BUSY_SECONDS} s; end that one, or give another store (SMIDGEN_STORE)",
    ),
    ("not a database", "it is some other file, left as it was; give another path (SMIDGEN_STORE)"),
    ("malformed", "the file is damaged; move it away or restore a copy"),
)


def _reason(error: Exception) -> str:
    """The driver's own words (the statement is of no use to a user) and what to do."""
    fact = str(getattr(error, "orig", None) or error).strip()
    remedies = [remedy for words, remedy in _REMEDIES if words in fact.lower()]
    return f"{fact}; {remedies[0] if remedies else 'check that the database can be reached, or give another store'}"
