"""What a row says: trials, outcomes, arrays, scores and measurements <-> the columns of `schema`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from smidgen.records import Augmentation, Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec

R = TypeVar("R")
Row = dict[str, Any]
Array = npt.NDArray[Any]


def trial_row(trial: Trial, outcome: Outcome) -> Row:
    # int() and float(), because sqlite3 does not accept NumPy's scalars.
    return with_checksum(
        {
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
            "weights": to_bytes(outcome.weights.astype(np.float32, copy=False)),
            "start": trial.start_digest,
            "created": now(),
        }
    )


def trial_of(row: Any) -> Trial:
    fields = json.loads(row.recipe)
    recipe = Recipe(**{**fields, "augment": Augmentation(**fields.get("augment", {}))})
    return Trial(parse_spec(row.spec), recipe, row.seed, row.data, row.engine, row.teacher, row.start)


def outcome_of(row: Any, weights: npt.NDArray[np.float32]) -> Outcome:
    return Outcome(
        parameters=count_of(row.parameters),
        selection=score_of(row.selection_correct, row.selection_total),
        confirmation=score_of(row.confirmation_correct, row.confirmation_total),
        losses=tuple(map(float, json.loads(row.losses))),
        train_seconds=float(row.train_seconds),
        weights=weights,
        diverged_at=count_of(row.diverged_at),
    )


def keyed_outcome_of(row: Any) -> tuple[str, Outcome]:
    return row.key, outcome_of(row, to_array(row.weights))


def score_of(correct: object, total: object) -> Score:
    score = Score(count_of(correct), count_of(total))
    if score.correct > score.total:
        raise ValueError(f"{score.correct} of {score.total} are correct")
    return score


def count_of(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def readable(decode: Callable[[Any], R], row: Any) -> R | None:
    """Decode a row; None if it says what no version of Smidgen writes.

    SQLite keeps values of any type in any column, and a row without a checksum can say anything: whatever the decoders
    of JSON, networks and arrays raise means the same.
    """
    try:
        return decode(row)
    except Exception:
        return None


def array_row(key: str, array: Array) -> Row:
    kind = array.dtype.newbyteorder("<").str
    shape = json.dumps(array.shape)
    return with_checksum({"key": key, "dtype": kind, "shape": shape, "data": to_bytes(array), "created": now()})


def array_of(row: Any) -> Array:
    return to_array(row.data, row.dtype).reshape(json.loads(row.shape))


def score_row(trial_key: str, split: str, subject: str, score: Score) -> Row:
    counts = {"correct": int(score.correct), "total": int(score.total)}
    return with_checksum({"trial": trial_key, "split": split, "subject": subject, **counts, "created": now()})


def measurement_row(key: str, value: float, unit: str) -> Row:
    return with_checksum({"key": key, "value": float(value), "unit": unit, "created": now()})


# --- columns ---------------------------------------------------------------------------------


def to_bytes(array: Array) -> bytes:
    """Encode an array as little-endian bytes in row order."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def to_array(content: bytes, dtype: str = "<f4") -> Array:
    """Decode `to_bytes`; the array is the caller's own, flat, in the machine's byte order."""
    stored = np.frombuffer(content, dtype)
    return stored.astype(stored.dtype.newbyteorder("="))


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# --- checksums -------------------------------------------------------------------------------


def with_checksum(row: Row) -> Row:
    return {**row, "checksum": checksum_of(row)}


def checksum_of(row: Mapping[str, Any]) -> str:
    """Compute the SHA-256, in hex, of every column of a row but the checksum, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(row.keys() - {"checksum"}):
        value = row[name]
        sha.update(f"{name}=".encode())
        sha.update(value if isinstance(value, bytes) else repr(value).encode())
        sha.update(b"\0")
    return sha.hexdigest()


def is_whole(row: Mapping[str, Any]) -> bool:
    """Return whether a row is as it was written. One without a checksum, from an older Smidgen, counts as whole."""
    return not row["checksum"] or row["checksum"] == checksum_of(row)
