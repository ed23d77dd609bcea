"""The database under the store: which one a URL means, how connections are set up, and what its failures mean.

No text that this module makes contains the password: neither a location nor a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from smidgen.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

R = TypeVar("R")

BUSY_SECONDS = 30.0
"""How long to wait for a locked file, or for a server that cannot be reached."""
RETRY_SECONDS = 0.5
"""Pause between two attempts to reach a server."""

_SERVER_LIMITS = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 10, "keepalives_count": 3}
"""Options of libpq, in seconds. Without them, a broken network connection is noticed only after hours."""


class Database:
    """A pool of connections to one database.

    Any thread may call any method. Each failure of the database becomes a StoreError that says where and what to do.

    Attributes:
        location: a path, or a URL without password and options.
        is_server: whether it is a PostgreSQL server and not an SQLite file.
        engine: SQLAlchemy's own.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        """Find the database; the first call connects to it.

        Raises:
            StoreError: the URL cannot be read, the directory is missing, the kind of database is not known, or its
                driver is not installed.
        """
        url = url_of(url_or_path)
        self.location = shown(url)
        self.is_server = url.get_backend_name() == "postgresql"
        self.engine = engine_of(url, self.location)
        # The same pool of connections; the option makes `_begin` take the write lock at once.
        self._writer = self.engine.execution_options(smidgen_writes=True)
        self._password = url.password

    def read(self, action: Callable[[Connection], R]) -> R:
        """Call `action` with a connection; retry while a server cannot be reached."""

        def once() -> R:
            with self.engine.connect() as connection:
                return action(connection)

        return self.retry(once)

    def write(self, action: Callable[[Connection], object]) -> None:
        """Call `action` in a transaction and commit it; retry while a server cannot be reached.

        Twice must be as good as once: a connection can break after the server has committed.
        """

        def once() -> None:
            with self._writer.begin() as connection:
                action(connection)

        self.retry(once)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction that writes, commit it at the end, and never retry."""
        with self._reported(), self._writer.begin() as connection:
            yield connection

    def retry(self, action: Callable[[], R]) -> R:
        """Call `action` again while a server cannot be reached, for `BUSY_SECONDS`."""
        from sqlalchemy.exc import SQLAlchemyError

        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            with self._reported():
                try:
                    return action()
                except SQLAlchemyError as error:
                    if not is_away(error) or time.monotonic() > deadline:
                        raise
            time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self.engine.dispose()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OverflowError, UnicodeDecodeError) as error:
            raise StoreError(f"the store {self.location} failed: {reason(error, self._password)}") from error


# --- URLs and connections --------------------------------------------------------------------


def url_of(url_or_path: str | Path) -> URL:
    """Read a URL, or make one of a path, which is an SQLite file.

    Raises:
        StoreError: the URL cannot be read, or the directory is missing.
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if "://" in str(url_or_path):
        try:
            url = _without_stray_signs(make_url(str(url_or_path)))
            # Releases of SQLAlchemy differ in the driver that they take "postgresql://" for.
            return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        except (ArgumentError, ValueError):
            # Neither the text nor its error is shown: they may contain a password.
            raise StoreError(
                "the store's URL cannot be read; write it like postgresql://user:password@host/database, "
                "with %-escapes for special characters in the password, such as %40 for @"
            ) from None
    path = Path(url_or_path).expanduser()
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be made: {path.parent} is not a directory; make it first")
    return URL.create("sqlite", database=str(path))


def _without_stray_signs(url: URL) -> URL:
    """Check that a password ended where SQLAlchemy took it to end: an unescaped @ leaves its rest in another part.

    Raises:
        ValueError: A part other than the user and the password has an @.
    """
    parts = [url.host, url.database, *url.query.keys(), *map(str, url.query.values())]
    if url.get_backend_name() != "sqlite" and any("@" in part for part in parts if part):
        raise ValueError
    return url


def shown_argument(argument: str) -> str:
    """Return an argument of a command line for a report: a URL in it without password and options.

    Of a URL that cannot be read, only the part before :// is shown.
    """
    if "://" not in argument:
        return argument
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return f"{option}{equals}{shown(_without_stray_signs(make_url(value)))}"
    except (ArgumentError, ValueError):
        return f"{option}{equals}{value.partition('://')[0]}://***"


def shown(url: URL) -> str:
    """Return the URL as messages show it: without options, because a password can be among them too."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(query={}).render_as_string(hide_password=True)


def engine_of(url: URL, location: str) -> Engine:
    """Make the pool of connections, each set up as the store needs it.

    Raises:
        StoreError: the kind of database is not known, or its driver is not installed.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import ArgumentError

    kind = _checked_kind(url, location)
    # A server may have dropped an idle connection.
    options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": _SERVER_LIMITS}
    if kind == "sqlite":
        # None: the driver begins no transaction of its own; `_begin` does.
        options = {"connect_args": {"isolation_level": None, "timeout": BUSY_SECONDS}}
    try:
        engine = create_engine(url, hide_parameters=True, **options)
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"the store {location} needs a driver: {error}; pip install 'smidgen[postgresql]'") from error
    if kind == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin)
    return engine


def _checked_kind(url: URL, location: str) -> str:
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(f"the store {location} is of the kind '{kind}'; use an SQLite file or PostgreSQL")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError(f"the store {location} has no file, so no two threads would share it; give a path")
    return kind


def _tune_sqlite(connection: Any, _: object) -> None:
    """With a write-ahead log, readers and one writer work at once, and a kill at any moment leaves the file whole."""
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous = NORMAL").close()


def _use_write_ahead_log(connection: Any) -> None:
    """Retry by hand: SQLite ignores its timeout when it changes the mode of a file that others open too."""
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
    """Take the lock at the start of a write: a reader that becomes a writer fails at once, whatever the timeout."""
    writes = connection.get_execution_options().get("smidgen_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# --- failures --------------------------------------------------------------------------------


def is_away(error: Exception) -> bool:
    """Return whether a server cannot be reached: it restarts, or the network is down. Always False for a file."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    if not isinstance(error, DBAPIError) or "sqlite" in type(error.orig).__module__:
        return False
    # A connection that breaks is "invalidated"; one that cannot be made is an OperationalError without a state,
    # and states of class 57 are a server that goes down or comes up.
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or (isinstance(error, OperationalError) and state[:2] in ("", "57", "08"))


_GRANTS = "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO this role"
_DAMAGED = "the file is damaged; move it away or restore a copy"
_REMEDIES = (
    (
        "permission denied for schema",
        "the store's tables are not there and this role may not make them; let the owner of the database open the "
        f"store once and then {_GRANTS}",
    ),
    ("permission denied for table", f"let the owner of the tables {_GRANTS}"),
    ("must be owner of", "the store has an older schema, which the owner of its tables must open once"),
    (
        "disk is full",
        "free some space or give another place (--store or SMIDGEN_STORE); what was stored before is intact",
    ),
    ("no space left", "free some space on the server; what was stored before is intact"),
    ("disk i/o error", "check the disk and the limit on the size of a file; what was stored before is intact"),
    ("readonly", "give a place that you may write to (--store or SMIDGEN_STORE)"),
    (
        "unable to open",
        "give a file that you may read and write, in a directory where you may (--store or SMIDGEN_STORE)",
    ),
    (
        "locked",
        f"another process has held it for {BUSY_SECONDS:g} s; end that one, or give another (--store or SMIDGEN_STORE)",
    ),
    ("not a database", "it is some other file, left as it was; give another path (--store or SMIDGEN_STORE)"),
    ("malformed", _DAMAGED),
    ("codec can't decode", _DAMAGED),  # the message about a malformed schema quotes damaged text
)


def reason(error: Exception, password: str | None) -> str:
    """Return the first line of the driver's message, and what to do; the SQL statement would not help a user."""
    fact = next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), type(error).__name__)
    remedies = [remedy for words, remedy in _REMEDIES if words in fact.lower()]
    otherwise = "check that the database can be reached, or give another store; the same line then goes on from there"
    return f"{_without(fact, password)}; {remedies[0] if remedies else otherwise}"


def _without(text: str, password: str | None) -> str:
    """Mask the password, in case a driver puts it into a message."""
    return text.replace(password, "***") if password else text
