"""The store's tables, what a row says of a trial, and the steps from older schemas to ours.

Arrays are bytes of little-endian float32, lists are JSON text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smidgen.records import Augmentation, Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = postgresql.Insert | sqlite.Insert

SCHEMA = 2


class Tables(NamedTuple):
    meta: Table
    trials: Table
    logits: Table


@cache
def tables() -> Tables:
    """Lists are JSON in a text column: PostgreSQL's JSON type refuses NaN, which a diverged loss is."""
    from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, MetaData, Table, Text

    def table(name: str, *more: Column[Any], **columns: type) -> Table:
        key = Column("key", Text, primary_key=True)
        plain: Iterable[Column[Any]] = (Column(name, kind, nullable=False) for name, kind in columns.items())
        return Table(name, metadata, key, *plain, *more)

    metadata = MetaData()
    meta = table("meta", value=Integer)
    trials = table(
        "trials",
        # The default lets a Smidgen of schema 1, which has the store open, go on adding rows.
        Column("start", Text, nullable=False, server_default=""),
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
    return Tables(meta, trials, table("logits", shape=Text, data=LargeBinary, created=Text))


def insert_once(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> Insert:
    """A row whose key is there already is left out."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).values(rows).on_conflict_do_nothing(index_elements=["key"])


# --- records <-> rows ------------------------------------------------------------------------


def trial_row(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    # int() and float(): sqlite3 does not know NumPy's own.
    return {
        "key": trial.key,
        "spec": str(trial.spec),
        "recipe": json.dumps(asdict(trial.recipe)),
        "seed": int(trial.seed),
        "data": trial.data_digest,
        "engine": trial.engine_name,
        "teacher": trial.teacher_key,
        "parameters": int(outcome.parameters),
        "selection_correct": int(outcome.selection.correct),
        "selection_total": int(outcome.selection.total),
        "confirmation_correct": int(outcome.confirmation.correct),
        "confirmation_total": int(outcome.confirmation.total),
        "losses": json.dumps([float(loss) for loss in outcome.losses]),
        "train_seconds": float(outcome.train_seconds),
        "diverged_at": int(outcome.diverged_at),
        "weights": to_bytes(outcome.weights),
        "created": now(),
        "start": trial.start_digest,
    }


def trial_of(row: Any) -> Trial:
    fields = json.loads(row.recipe)
    recipe = Recipe(**{**fields, "augment": Augmentation(**fields.get("augment", {}))})
    return Trial(parse_spec(row.spec), recipe, row.seed, row.data, row.engine, row.teacher, row.start)


def outcome_of(row: Any, weights: npt.NDArray[np.float32]) -> Outcome:
    return Outcome(
        parameters=row.parameters,
        selection=Score(row.selection_correct, row.selection_total),
        confirmation=Score(row.confirmation_correct, row.confirmation_total),
        losses=tuple(json.loads(row.losses)),
        train_seconds=row.train_seconds,
        weights=weights,
        diverged_at=row.diverged_at,
    )


def to_bytes(array: npt.NDArray[np.float32]) -> bytes:
    return array.astype("<f4").tobytes()


def to_array(content: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(content, "<f4").astype(np.float32)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# --- from older schemas to ours --------------------------------------------------------------


def _to_2(connection: Connection) -> None:
    """Trials gain `start`; recipes gain patience, augment and average, so that every key is made of more."""
    connection.exec_driver_sql("ALTER TABLE trials ADD COLUMN start TEXT NOT NULL DEFAULT ''")
    _renew_keys(connection)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {2: _to_2}
"""The step to each schema from the one before it. A schema, once released, is never changed."""


def migrate(connection: Connection, found: int) -> None:
    """From schema `found` to ours, in the caller's transaction: all of it, or nothing."""
    meta = tables().meta
    for version in range(found + 1, SCHEMA + 1):
        MIGRATIONS[version](connection)
        connection.execute(meta.update().where(meta.c.key == "schema").values(value=version))


def _renew_keys(connection: Connection) -> None:
    """Give each row the key that its trial has today: a field that is added means what it meant without it.

    A teacher's key is part of its students' keys and of its logits' name, so teachers come first.
    """
    trials = tables().trials
    columns = [column for column in trials.c if column is not trials.c.weights]
    rows = {row.key: row for row in connection.execute(trials.select().with_only_columns(*columns))}
    renewed: dict[str, str] = {"": ""}
    for old in rows:
        _renew_key(connection, rows, renewed, old)
    _rename_logits(connection, renewed)


def _renew_key(connection: Connection, rows: dict[str, Any], renewed: dict[str, str], old: str) -> str:
    """The key that a row has from now on; one that has no row stays as it is."""
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
    logits = tables().logits
    for (name,) in connection.execute(logits.select().with_only_columns(logits.c.key)).all():
        teacher, *rest = name.split(" ")
        connection.execute(
            logits.update().where(logits.c.key == name).values(key=" ".join([renewed.get(teacher, teacher), *rest]))
        )
