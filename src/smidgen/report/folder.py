"""The run folder of a search.

    report.html  frontier.png  trials.csv  winner.safetensors  teacher.safetensors

With a byte search, also the shortest file, its curve and the table of files:

    winner.smidgen  winner.png  winner.csv

A teacher that the user gave is not written again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import smidgen
from smidgen.atomic_files import draft_folder
from smidgen.errors import ModelFileError, RequestError
from smidgen.model import Model, save_safetensors, save_smidgen
from smidgen.records import Outcome, Trial
from smidgen.report.csv import files_csv, trials_csv
from smidgen.report.page import write_page
from smidgen.report.plots import frontier_picture
from smidgen.report.view import PageView
from smidgen.search.byte_search import FileCandidate
from smidgen.search.compress import CompressResult
from smidgen.search.frontier import Point, pareto
from smidgen.search.result import ShrinkResult


def write(result: ShrinkResult, folder: Path, command: str = "") -> None:
    """Write the run folder, which is made if it is missing.

    Args:
        result: The result of the search.
        folder: The folder to write.
        command: The command line that started the run, for the page.

    Raises:
        RequestError: The folder cannot be written to; its earlier content is left as it was.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with draft_folder(folder) as draft:
            _write_all(result, draft, command)
    except (OSError, ModelFileError) as error:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise RequestError(
            f"cannot write to {folder}: {_reason(error)}; give another place by --out, everything that was trained "
            "is kept"
        ) from error


def write_compressed(found: CompressResult, path: Path) -> None:
    """Write the file, its curve beside it as .png, and all candidate files as .csv; the file itself comes last.

    Raises:
        ModelFileError: The file cannot be written.
        RequestError: The picture or the table cannot be written.
    """
    points = [_file_point(file) for file in found.candidates]
    winner = _file_point(found.winner)
    with draft_folder(path.parent) as draft:
        picture, rows = draft / f"{path.stem}.png", draft / f"{path.stem}.csv"
        frontier_picture(points, pareto([*points, winner]), found.floor.accuracy, winner, None, picture, "bytes")
        rows.write_text(files_csv(found), encoding="utf-8")
    save_smidgen(found.winner.quantized, path)


def _file_point(file: FileCandidate) -> Point:
    return Point(file.file_bytes, file.outcome.validation, str(file.quantized.spec), file.trial.seed)


def _write_all(result: ShrinkResult, folder: Path, command: str) -> None:
    size_bytes = save_safetensors(_model(result, result.winner, result.outcome), folder / "winner.safetensors")
    if result.teacher and result.teacher.trial and result.teacher.outcome:
        save_safetensors(_model(result, result.teacher.trial, result.teacher.outcome), folder / "teacher.safetensors")
    if result.file:
        write_compressed(result.file, folder / "winner.smidgen")
    view = PageView.of(result, size_bytes, command)
    write_page(view, folder / "report.html")
    front = pareto([*view.points, view.winner])
    picture, floor = folder / "frontier.png", result.floor.accuracy
    frontier_picture(view.points, front, floor, view.winner, result.turning_point, picture)
    (folder / "trials.csv").write_text(trials_csv(result), encoding="utf-8")


def _reason(error: OSError | ModelFileError) -> str:
    """Return the operating system's message; a ModelFileError has it as its cause."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)


def _model(result: ShrinkResult, trial: Trial, outcome: Outcome) -> Model:
    metadata = {
        "trial": trial.key,
        "data": result.data.name,
        "data_digest": result.data.digest,
        "validation": f"{outcome.validation.correct}/{outcome.validation.total}",
        "smidgen": smidgen.__version__,
    }
    return Model(
        trial.spec, result.data.input_shape, result.data.class_names, outcome.weights, metadata, result.data.input
    )
