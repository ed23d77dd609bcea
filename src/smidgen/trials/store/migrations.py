"""The steps from older schemas to the present one. A schema, once released, never changes.

Everything happens in one transaction: a migration that is interrupted has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from smidgen.errors import StoreError
from smidgen.records import Score, Trial
from smidgen.trials.store.rows import checksum_of, measurement_row, score_row, to_array, trial_of, with_checksum
from smidgen.trials.store.schema import SCHEMA, insert_once, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

LOCK = 7364196
"""Key of PostgreSQL's advisory lock for preparing a store: any number, as long as it is always the same."""


def prepare(connection: Connection, location: str) -> None:
    """Create the tables that are missing, check the version of the schema, and migrate an older one.

    Args:
        connection: a connection in a transaction that may write.
        location: the store as messages name it.

    Raises:
        StoreError: the store has a newer schema.
    """
    if connection.dialect.name == "postgresql":
        # There, "create if missing" is not atomic.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    meta = tables().meta
    meta.metadata.create_all(connection)
    row = connection.execute(meta.select().where(meta.c.key == "schema")).one_or_none()
    if row is None:  # otherwise nothing is written: a role that may only read and add rows can open the store
        connection.execute(insert_once(connection, meta, [{"key": "schema", "value": SCHEMA}]))
    found = SCHEMA if row is None else row.value
    if found > SCHEMA:
        raise StoreError(
            f"the store {location} has schema {found} and this Smidgen knows {SCHEMA}; "
            "update smidgen, or give another store (--store or SMIDGEN_STORE)"
        )
    for version in range(found + 1, SCHEMA + 1):
        MIGRATIONS[version](connection)
        connection.execute(meta.update().where(meta.c.key == "schema").values(value=version))


@cache
def _logits() -> Table:
    """Describe the table of schemas 1 and 2 that arrays, scores and measurements come from."""
    from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

    columns = (Column("shape", Text), Column("data", LargeBinary), Column("created", Text))
    return Table("logits", MetaData(), Column("key", Text, primary_key=True), *columns)


# --- from 1 to 2 -----------------------------------------------------------------------------


def _to_2(connection: Connection) -> None:
    """Add `start` to trials, and renew every key: recipes now have patience, augment and average."""
    connection.exec_driver_sql("ALTER TABLE trials ADD COLUMN start TEXT NOT NULL DEFAULT ''")
    _renew_keys(connection)


def _renew_keys(connection: Connection) -> None:
    """Give each row the key that its trial has today: a field that is added means what its absence meant.

    A teacher's key is part of its students' keys and of the name of its logits, so teachers come first.
    """
    trials = tables().trials
    columns = [column for column in trials.c if column.name not in ("weights", "checksum")]
    rows = {row.key: row for row in connection.execute(trials.select().with_only_columns(*columns))}
    renewed: dict[str, str] = {"": ""}
    for old in rows:
        _renew_key(connection, rows, renewed, old)
    _rename_logits(connection, renewed)


def _renew_key(connection: Connection, rows: dict[str, Any], renewed: dict[str, str], old: str) -> str:
    """Renew the key of one row and return it; a key without a row stays as it is."""
    if old in renewed or old not in rows:
        return renewed.get(old, old)
    trial = trial_of(rows[old])
    teacher = _renew_key(connection, rows, renewed, trial.teacher_key)
    new = Trial(**{**vars(trial), "teacher_key": teacher}).key
    renewed[old] = new
    table = tables().trials
    connection.execute(table.update().where(table.c.key == old).values(key=new, teacher=teacher))
    return new


def _rename_logits(connection: Connection, renewed: dict[str, str]) -> None:
    logits = _logits()
    for (name,) in connection.execute(logits.select().with_only_columns(logits.c.key)).all():
        teacher, *rest = name.split(" ")
        connection.execute(
            logits.update().where(logits.c.key == name).values(key=" ".join([renewed.get(teacher, teacher), *rest]))
        )


# --- from 2 to 3 -----------------------------------------------------------------------------

SCORE_MARK = " as filed, "
SECONDS_MARK = " seconds for the training images"
"""Parts of the names under which schema 2 kept scores (two floats) and seconds (one) among the logits."""


def _to_3(connection: Connection) -> None:
    """Give every trial a checksum, and move `logits` into arrays, scores and measurements."""
    connection.exec_driver_sql("ALTER TABLE trials ADD COLUMN checksum TEXT NOT NULL DEFAULT ''")
    _add_checksums(connection)
    logits = _logits()
    for (name,) in connection.execute(logits.select().with_only_columns(logits.c.key)).all():
        row = connection.execute(logits.select().where(logits.c.key == name)).one()
        table, values = _typed(row)
        connection.execute(table.insert().values(**values))
    logits.drop(connection)


def _add_checksums(connection: Connection) -> None:
    """One row at a time: the weights of a whole store need not fit into memory."""
    trials = tables().trials
    for (key,) in connection.execute(trials.select().with_only_columns(trials.c.key)).all():
        row = connection.execute(trials.select().where(trials.c.key == key)).one()
        checksum = checksum_of(dict(row._mapping))
        connection.execute(trials.update().where(trials.c.key == key).values(checksum=checksum))


def _typed(row: Any) -> tuple[Table, dict[str, Any]]:
    """Return the table and the columns of a row of `logits`, whose name tells what it is."""
    if SCORE_MARK in row.key:
        trial, split = row.key.split(SCORE_MARK)
        correct, total = to_array(row.data)
        score = score_row(trial, split, "decoded file", Score(int(correct), int(total)))
        return tables().scores, with_checksum({**score, "created": row.created})
    if row.key.endswith(SECONDS_MARK):
        seconds = measurement_row(row.key, float(to_array(row.data)[0]), "s")
        return tables().measurements, with_checksum({**seconds, "created": row.created})
    array = {"key": row.key, "dtype": "<f4", "shape": row.shape, "data": row.data, "created": row.created}
    return tables().arrays, with_checksum(array)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {2: _to_2, 3: _to_3}
"""The step to each schema from the one before it."""
