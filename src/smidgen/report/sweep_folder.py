"""The folder of a sweep: a table of every training and a picture of the curve."""

from __future__ import annotations

from pathlib import Path

from smidgen.atomic_files import draft_folder
from smidgen.errors import RequestError
from smidgen.report.csv import sweep_csv
from smidgen.search.sweep import SweepResult


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
