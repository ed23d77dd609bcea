"""Who trains which trial at the moment, on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from smidgen.records import Trial


class Claims:
    """Claims on trials, as PostgreSQL's advisory locks of one connection: they end with it, however it ends.

    Any thread may call any method; one at a time is let in, because the locks belong to the one connection.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Any = None
        self._claimed: set[str] = set()
        self._lock = threading.Lock()

    def take(self, trials: Sequence[Trial]) -> set[str]:
        """Claim the trials that nobody has claimed, neither another process nor this object; return their keys."""
        with self._lock:
            free = sorted({trial.key for trial in trials} - self._claimed)
            taken = set(self._call("pg_try_advisory_lock", free))
            self._claimed |= taken
            return taken

    def drop(self, keys: set[str]) -> None:
        """End the claims on `keys`; keys that this object did not claim are ignored."""
        from sqlalchemy.exc import SQLAlchemyError

        with self._lock:
            mine = sorted(keys & self._claimed)
            self._claimed -= keys
            try:
                self._call("pg_advisory_unlock", mine)
            except SQLAlchemyError:
                self._disconnect()  # the connection is gone, and its locks with it

    def close(self) -> None:
        """End all claims at once; without this, the server ends them when it notices that the connection is gone."""
        self.drop(set(self._claimed))
        with self._lock:
            self._disconnect()

    def _call(self, function: str, keys: Sequence[str]) -> list[str]:
        """Call a function of PostgreSQL for each key and return the keys for which it returns true."""
        from sqlalchemy.exc import SQLAlchemyError

        if not keys:
            return []
        # A lock's name is a signed 64-bit integer: the first bits of the SHA-256.
        numbers = {int.from_bytes(bytes.fromhex(key[:16]), signed=True): key for key in keys}
        statement = f"SELECT n FROM unnest(%s::bigint[]) AS n WHERE {function}(n)"
        try:
            self._connection = self._connection or self._connect()
            return [numbers[row[0]] for row in self._connection.exec_driver_sql(statement, (list(numbers),))]
        except SQLAlchemyError:
            self._disconnect()
            raise

    def _connect(self) -> Any:
        """Connect with short keepalives, so that the server soon notices a machine that lost its power."""
        connection = self._engine.connect()
        for setting, value in (("idle", 10), ("interval", 10), ("count", 3)):
            connection.exec_driver_sql(f"SET tcp_keepalives_{setting} = {value}")
        return connection

    def _disconnect(self) -> None:
        """Close the connection without returning it to the pool, where its locks would live on."""
        connection, self._connection = self._connection, None
        self._claimed.clear()
        if connection is not None:
            connection.invalidate()
            connection.close()
