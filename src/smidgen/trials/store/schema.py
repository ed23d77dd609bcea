"""The tables of the store (schema 3).

    meta            the version of the schema
    trials          one row for each training: its key, its outcome and its weights
    arrays          what is computed once and used again: a teacher's logits, predicted classes, ranges of features
    scores          how many images of a split a network gets right, where no trial's row says so
    measurements    single numbers with a unit, such as seconds

Arrays are little-endian bytes in row order, lists are JSON text. Every row has a checksum of its other columns
(`rows.checksum_of`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Table
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = postgresql.Insert | sqlite.Insert

SCHEMA = 3


class Tables(NamedTuple):
    """The tables, as SQLAlchemy describes them."""

    meta: Table
    trials: Table
    arrays: Table
    scores: Table
    measurements: Table


@cache
def tables() -> Tables:
    """Describe the tables. Lists are JSON as text: PostgreSQL's JSON type refuses the NaN of a diverged loss."""
    from sqlalchemy import BigInteger, Float, Integer, LargeBinary, MetaData, Table, Text

    def table(name: str, keys: Iterable[str], *more: Column[Any], **columns: type) -> Table:
        described = [*(_column(key, Text, primary_key=True) for key in keys), *_columns(columns), *more]
        return Table(name, metadata, *described)

    def checked(name: str, *keys: str, **columns: type) -> Table:
        return table(name, keys, created=Text, checksum=Text, **columns)

    metadata = MetaData()
    trials = table(
        "trials",
        ["key"],
        # With the defaults, a process of an older Smidgen that has the store open can go on adding rows.
        _column("start", Text, server_default=""),
        _column("checksum", Text, server_default=""),
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
    return Tables(
        meta=table("meta", ["key"], value=Integer),
        trials=trials,
        arrays=checked("arrays", "key", dtype=Text, shape=Text, data=LargeBinary),
        scores=checked("scores", "trial", "split", "subject", correct=Integer, total=Integer),
        measurements=checked("measurements", "key", value=Float, unit=Text),
    )


def _column(name: str, kind: type, **options: Any) -> Column[Any]:
    from sqlalchemy import Column

    return Column(name, kind, nullable=False, **options)


def _columns(kinds: dict[str, type]) -> list[Column[Any]]:
    return [_column(name, kind) for name, kind in kinds.items()]


def insert_once(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> Insert:
    """Make the statement that inserts rows and skips those whose primary key is in the table already."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).values(rows).on_conflict_do_nothing(index_elements=list(table.primary_key))
