"""The folder of a sweep: a table of every training, a picture of the curve, and run.json."""

from __future__ import annotations

from pathlib import Path

from smidgen.errors import RequestError
from smidgen.extras import can_draw
from smidgen.report.csv import sweep_csv
from smidgen.report.run_files import run_folder, run_name
from smidgen.search.sweep import SweepResult


def write_sweep(result: SweepResult, folder: Path) -> None:
    """Write sweep.csv, sweep.png and run.json into `folder`, all at once and in place of an older run.

    Without matplotlib there is no sweep.png.

    Raises:
        RequestError: the folder cannot be written to.
    """
    from smidgen.report.plots import sweep_picture

    trained = [(row.width, row.parameters, row.validation, row.test) for row in result.widths]
    run = run_name("sweep", result.data.digest, result.family, result.recipe, *trained)
    try:
        with run_folder(folder, run, "sweep") as draft:
            (draft / "sweep.csv").write_text(sweep_csv(result), encoding="utf-8")
            if not can_draw():
                return
            groups = {row.name: (row.parameters, row.validation) for row in result.widths}
            sweep_picture(groups, result.turning_point, draft / "sweep.png")
    except OSError as error:
        raise RequestError(
            f"cannot write to {folder}: {error.strerror or error}; give another place by --out"
        ) from error
