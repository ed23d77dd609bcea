"""The tables of a run folder as CSV: trials.csv and sweep.csv with a row a training, winner.csv with a row a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from smidgen.foreign_text import in_csv
from smidgen.records import Outcome
from smidgen.search.compress import CompressResult
from smidgen.search.result import ShrinkResult
from smidgen.search.sweep import SweepResult

TRIALS_HEAD = (
    *("stage", "spec", "parameters", "selection_correct", "selection_total", "confirmation_correct"),
    *("confirmation_total", "loss", "epochs", "seed", "diverged_at", "train_seconds", "key"),
)
FILES_HEAD = (
    *("stage", "spec", "parameters", "file_bytes", "selection_correct", "selection_total"),
    *("confirmation_correct", "confirmation_total", "price", "key"),
)
SWEEP_HEAD = (
    *("family", "width", "spec", "parameters", "seed", "validation_correct", "validation_total"),
    *("test_correct", "test_total", "train_seconds"),
)


def trials_csv(result: ShrinkResult) -> str:
    """Return one row a training of a search, as `trials_rows` has them."""
    place = TRIALS_HEAD.index("train_seconds")
    rows = [(*row[:place], f"{row[place]:.3f}", *row[place + 1 :]) for row in trials_rows(result)]
    return csv_text(TRIALS_HEAD, rows)


def trials_rows(result: ShrinkResult) -> list[tuple[object, ...]]:
    """Return one row a training of a search, the teacher first, then candidates in the order of the search."""
    teacher = result.teacher
    trained = [(teacher.trial, teacher.outcome, "teacher")] if teacher and teacher.trial and teacher.outcome else []
    trained += [(candidate.trial, candidate.outcome, candidate.stage) for candidate in result.candidates]
    rows: list[tuple[object, ...]] = []
    for trial, outcome, stage in trained:
        recipe = trial.recipe
        training = (recipe.loss, recipe.epochs, trial.seed, outcome.diverged_at, outcome.train_seconds)
        rows.append((stage, trial.spec, outcome.parameters, *_counts(outcome), *training, trial.key))
    return rows


def files_csv(result: CompressResult) -> str:
    """Return one row a candidate file, in the order of the search."""
    rows = []
    for file in result.candidates:
        size = (file.outcome.parameters, file.file_bytes)
        rows.append((file.stage, file.trial.spec, *size, *_counts(file.outcome), file.price, file.trial.key))
    return csv_text(FILES_HEAD, rows)


def sweep_csv(result: SweepResult) -> str:
    """Return one row a seed of each width."""
    rows = []
    for width in result.widths:
        seeds = zip(width.validation, width.test, width.train_seconds, strict=True)
        for seed, (validation, test, seconds) in enumerate(seeds):
            network = (result.family, width.width, width.spec, width.parameters)
            counts = (validation.correct, validation.total, test.correct, test.total)
            rows.append((*network, seed, *counts, f"{seconds:.3f}"))
    return csv_text(SWEEP_HEAD, rows)


def _counts(outcome: Outcome) -> tuple[int, ...]:
    halves = (outcome.selection, outcome.confirmation)
    return tuple(count for half in halves for count in (half.correct, half.total))


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV; no cell of it is a formula to a spreadsheet."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((head, *([in_csv(cell) for cell in row] for row in rows)))
    return text.getvalue()
