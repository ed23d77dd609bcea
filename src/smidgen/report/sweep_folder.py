"""The folder that a sweep writes: a table of every training and a picture of the curve."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from smidgen.atomic_files import draft_folder
from smidgen.errors import RequestError
from smidgen.search.sweep import SweepResult

SWEEP_HEAD = (
    *("family", "width", "spec", "parameters", "seed", "validation_correct", "validation_total"),
    *("test_correct", "test_total", "train_seconds"),
)


def sweep_csv(result: SweepResult) -> str:
    """One row a seed."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(SWEEP_HEAD)
    for row in result.widths:
        for seed, (validation, test, seconds) in enumerate(
            zip(row.validation, row.test, row.train_seconds, strict=True)
        ):
            counts = (validation.correct, validation.total, test.correct, test.total)
            rows.writerow((result.family, row.width, row.spec, row.parameters, seed, *counts, f"{seconds:.3f}"))
    return text.getvalue()


def write_sweep(result: SweepResult, folder: Path) -> None:
    """Write sweep.csv and sweep.png into `folder`, which is made if it is missing.

    Raises:
        RequestError: the folder cannot be written to.
    """
    from smidgen.report.plots import sweep_picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with draft_folder(folder) as draft:
            (draft / "sweep.csv").write_text(sweep_csv(result), encoding="utf-8")
            groups = {row.name: (row.parameters, row.validation) for row in result.widths}
            sweep_picture(groups, result.turning_point, draft / "sweep.png")
    except OSError as error:
        raise RequestError(
            f"cannot write to {folder}: {error.strerror or error}; give another place by --out"
        ) from error
