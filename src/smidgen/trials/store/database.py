"""The database under the store: which one a URL means, how it is set up, and what its failures mean.

A password is in no text that this module makes: neither in a location nor in a message.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

BUSY_SECONDS = 30.0
"""How long a locked file, or a server that went away, is waited for."""


_SERVER_LIMITS = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 10, "keepalives_count": 3}
"""libpq's, in seconds: without them, a server whose cable was pulled would be waited for for hours."""


def url_of(url_or_path: str | Path) -> URL:
    """What the user gave, as a URL; a path is a file of SQLite.

    Raises:
        StoreError: it cannot be read, or the directory is missing.
    """
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


def shown(url: URL) -> str:
    """Where the store is. Options are dropped, for a password can stand there too."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(query={}).render_as_string(hide_password=True)


def engine_of(url: URL, location: str) -> Engine:
    """Connections to the database, each set up as the store needs it.

    Raises:
        StoreError: a kind of database that is not known, or whose driver is not installed.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import ArgumentError

    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(f"the store {location} is of the kind '{kind}'; use an SQLite file or PostgreSQL")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError(f"the store {location} has no file, so no two threads would share it; give a path")
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


def is_away(error: Exception) -> bool:
    """Whether a server cannot be reached at the moment: it restarts, or the network is down. Never so for a file."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    if not isinstance(error, DBAPIError) or "sqlite" in type(error.orig).__module__:
        return False
    # A connection that breaks is "invalidated"; one that cannot be made is an OperationalError without a state,
    # and states of class 57 are a server that goes down or comes up.
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or (isinstance(error, OperationalError) and state[:2] in ("", "57", "08"))


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
    ("no space left", "free some space on the server; what was stored before is intact"),
    ("disk i/o error", "check the disk and the limit on the size of a file; what was stored before is intact"),
    ("readonly", "give a place that you may write to (SMIDGEN_STORE)"),
    ("unable to open", "give a file that you may read and write, in a directory where you may (SMIDGEN_STORE)"),
    (
        "locked",
        f"another process has held it for {BUSY_SECONDS:g} s; end that one, or give another store (SMIDGEN_STORE)",
    ),
    ("not a database", "it is some other file, left as it was; give another path (SMIDGEN_STORE)"),
    ("malformed", "the file is damaged; move it away or restore a copy"),
)


def reason(error: Exception, password: str | None) -> str:
    """The driver's own first line (the statement is of no use to a user) and what to do."""
    fact = next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), type(error).__name__)
    remedies = [remedy for words, remedy in _REMEDIES if words in fact.lower()]
    otherwise = "check that the database can be reached, or give another store; the same line then goes on from there"
    return f"{_without(fact, password)}; {remedies[0] if remedies else otherwise}"


def _without(text: str, password: str | None) -> str:
    """No driver that we know says the password, and this holds it for those that we do not."""
    return text.replace(password, "***") if password else text
