"""The run folder of a search.

    report.html  frontier.png  trials.csv  winner.safetensors  teacher.safetensors

Without matplotlib the pictures are missing. With a byte search, also the shortest file, its curve and the table:

    winner.smidgen  winner.png  winner.csv

and run.json, which names the run and its files. A teacher that the user gave is not written again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import smidgen
from smidgen.atomic_files import cannot_write, draft_files
from smidgen.errors import ModelFileError, RequestError
from smidgen.extras import can_draw
from smidgen.model import Model, save_safetensors, save_smidgen
from smidgen.records import Outcome, Trial
from smidgen.report.csv import files_csv, trials_csv
from smidgen.report.device import Device
from smidgen.report.page import write_page
from smidgen.report.plots import frontier_figure, frontier_picture
from smidgen.report.run_files import RUN_DIGITS, run_folder, run_name, stamp
from smidgen.report.view import PageView
from smidgen.search.byte_search import FileCandidate
from smidgen.search.compress import CompressResult
from smidgen.search.frontier import Point, TurningPoint, pareto
from smidgen.search.result import ShrinkResult
from smidgen.trials.evaluate import shipped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(
    result: ShrinkResult, folder: Path, command: str = "", *, samples: bool = True, device: Device | None = None
) -> None:
    """Write the run folder, all at once and in place of an older run; it is made if it is missing.

    Args:
        result: The result of the search.
        folder: The folder to write.
        command: The command line that started the run, for the page.
        samples: Whether the page may hold test samples.
        device: The answer's C program, for the page; None leaves it out.

    Raises:
        RequestError: The folder cannot be written to; its earlier content is left as it was.
    """
    run = _run_of(result)
    try:
        with run_folder(folder, run, "shrink") as draft:
            _write_all(result, draft, command, run, samples, device)
    except (OSError, ModelFileError) as error:
        raise RequestError(
            f"cannot write to {folder}: {_reason(error)}; give another place by --out, everything that was trained "
            "is kept"
        ) from error


def write_compressed(found: CompressResult, path: Path) -> None:
    """Write the file, its curve beside it as .png, and all candidate files as .csv.

    The picture and the table name the file that they belong to by the first digits of its SHA-256. A kill leaves files
    of one search only.

    Raises:
        ModelFileError: A file cannot be written.
    """
    others = [f"{path.stem}.csv", *([f"{path.stem}.png"] if can_draw() else [])]
    try:
        with draft_files(path.parent, [path.name, *others]) as draft:
            _write_file(found, draft / path.name)
            run = sha256((draft / path.name).read_bytes()).hexdigest()[:RUN_DIGITS]
            for name in others:
                stamp(draft / name, run)
        if not can_draw():
            path.with_suffix(".png").unlink(missing_ok=True)  # that of an earlier file
    except OSError as error:
        raise ModelFileError(cannot_write(path, error)) from error


def _write_file(found: CompressResult, path: Path) -> None:
    save_smidgen(found.winner.quantized, path)
    points = [_file_point(file) for file in found.candidates]
    winner = _file_point(found.winner)
    if can_draw():
        front = pareto([*points, winner])
        frontier_picture(points, front, found.floor.accuracy, winner, None, path.with_suffix(".png"), "bytes")
    path.with_suffix(".csv").write_text(files_csv(found), encoding="utf-8")


def float_file_bytes(result: ShrinkResult) -> int:
    """Return the length of the winner's .safetensors file in a run folder."""
    with TemporaryDirectory() as folder:
        return save_safetensors(
            _model(result, result.winner, result.outcome, _run_of(result)), Path(folder) / "winner.safetensors"
        )


def _run_of(result: ShrinkResult) -> str:
    """Return the name of the run: it depends on what was asked for and on everything that was trained."""
    trained = [candidate.trial.key for candidate in result.candidates]
    files = [file.trial.key for file in result.file.candidates] if result.file else []
    teacher = result.teacher.key if result.teacher else ""
    return run_name("shrink", result.goal, result.data.digest, teacher, result.winner.key, *trained, *files)


def _file_point(file: FileCandidate) -> Point:
    return Point(file.file_bytes, file.outcome.validation, str(file.quantized.spec), file.trial.seed)


def _write_all(
    result: ShrinkResult, folder: Path, command: str, run: str, samples: bool, device: Device | None
) -> None:
    size_bytes = save_safetensors(_model(result, result.winner, result.outcome, run), folder / "winner.safetensors")
    if result.teacher and result.teacher.trial and result.teacher.outcome:
        teacher = _model(result, result.teacher.trial, result.teacher.outcome, run)
        save_safetensors(teacher, folder / "teacher.safetensors")
    if result.file:
        _write_file(result.file, folder / "winner.smidgen")
    view = PageView.of(result, size_bytes, command, samples=samples, device=device)
    write_page(view, folder / "report.html")
    if can_draw():
        frontier_picture(*_curve(view), folder / "frontier.png", teacher=view.teacher_mark)
    (folder / "trials.csv").write_text(trials_csv(result), encoding="utf-8")


def frontier_of(view: PageView) -> Figure:
    """Draw the curve of a run: accuracy against parameters."""
    return frontier_figure(*_curve(view), teacher=view.teacher_mark)


def _curve(view: PageView) -> tuple[Sequence[Point], Sequence[Point], float, Point, TurningPoint | None]:
    """The points of a run, the Pareto front, the floor, the winner and the turning point."""
    front, result = pareto([*view.points, view.winner]), view.result
    return view.points, front, result.floor.accuracy, view.winner, result.turning_point


def _reason(error: OSError | ModelFileError) -> str:
    """Return the operating system's message; a ModelFileError has it as its cause."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)


def _model(result: ShrinkResult, trial: Trial, outcome: Outcome, run: str) -> Model:
    metadata = {
        "run": run,
        "trial": trial.key,
        "data": result.data.name,
        "data_digest": result.data.digest,
        "validation": f"{outcome.validation.correct}/{outcome.validation.total}",
        "smidgen": smidgen.__version__,
    }
    return replace(shipped(result.data, trial.spec, outcome.weights), metadata=metadata)
