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

import numpy as np

import smidgen
from smidgen.atomic_files import draft_folder
from smidgen.errors import ModelFileError, RequestError
from smidgen.model import Model, save_safetensors, save_smidgen
from smidgen.records import Outcome, Trial
from smidgen.report.choice import how_chosen
from smidgen.report.csv import files_csv, trials_csv
from smidgen.report.page import (
    Coded,
    Comparison,
    LayerRow,
    Run,
    RunReport,
    Teacher,
    Tried,
    Winner,
    WrongImage,
    write_page,
)
from smidgen.report.plots import frontier_picture
from smidgen.search.byte_search import FileCandidate
from smidgen.search.compress import CompressResult
from smidgen.search.frontier import Point, pareto
from smidgen.search.result import ShrinkResult
from smidgen.trials.evaluate import classify


def write(answer: ShrinkResult, folder: Path, command: str = "") -> RunReport:
    """Write the run folder, which is made if it is missing, and return what its page says.

    Args:
        answer: The result of the search.
        folder: The folder to write.
        command: The command line that started the run, for the page.

    Raises:
        RequestError: The folder cannot be written to; its earlier content is left as it was.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with draft_folder(folder) as draft:
            report = _write_all(answer, draft, command)
    except (OSError, ModelFileError) as error:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise RequestError(
            f"cannot write to {folder}: {_reason(error)}; give another place by --out, everything that was trained "
            "is kept"
        ) from error
    return report


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


def _write_all(answer: ShrinkResult, folder: Path, command: str) -> RunReport:
    size_bytes = save_safetensors(_model(answer, answer.winner, answer.outcome), folder / "winner.safetensors")
    if answer.teacher and answer.teacher.trial and answer.teacher.outcome:
        save_safetensors(_model(answer, answer.teacher.trial, answer.teacher.outcome), folder / "teacher.safetensors")
    if answer.file:
        write_compressed(answer.file, folder / "winner.smidgen")
    report = report_of(answer, size_bytes, command)
    write_page(report, folder / "report.html")
    points, winner = [tried.point for tried in report.tried], report.winner.point
    front = pareto([*points, winner])
    frontier_picture(points, front, report.floor, winner, report.turning, folder / "frontier.png")
    (folder / "trials.csv").write_text(trials_csv(answer), encoding="utf-8")
    return report


def _reason(error: OSError | ModelFileError) -> str:
    """Return the operating system's message; a ModelFileError has it as its cause."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)


def report_of(answer: ShrinkResult, file_bytes: int, command: str) -> RunReport:
    """Return what the page says about a result."""
    logits = classify(answer.context, answer.winner.spec, answer.outcome.weights, answer.data.test)
    trained = [tried for tried in answer.candidates if not tried.outcome.diverged_at]
    return RunReport(
        title=f"{answer.data.name} at {100 * answer.floor.accuracy:.6g} %",
        data_name=answer.data.name,
        question=answer.question,
        floor=answer.floor.accuracy,
        winner=_winner(answer, file_bytes),
        teacher=_teacher(answer),
        tried=tuple(Tried(_point(t.trial, t.outcome), t.stage) for t in trained if t.stage != "fresh seeds"),
        turning=answer.turning_point,
        how_chosen=how_chosen(answer),
        confusion=_confusion(answer, logits),
        class_names=answer.data.class_names,
        wrong=_wrong(answer, logits),
        run=Run(
            answer.seconds,
            answer.trained + answer.remembered,
            smidgen.__version__,
            answer.winner.engine_name,
            answer.data.digest,
            tuple(sorted({tried.trial.seed for tried in answer.candidates})),
            command,
        ),
        fresh_seeds=tuple(tried.outcome.validation for tried in answer.fresh_seeds),
        fresh_held=answer.fresh_seeds_met,
        learned_from=tuple(
            Comparison(way, tried[0].outcome.parameters, tuple(t.outcome.validation for t in tried))
            for way, tried in answer.recipes.items()
        ),
        coded=_coded(answer),
    )


def _teacher(answer: ShrinkResult) -> Teacher | None:
    """Return the teacher for the page; None if its size or its test score is unknown."""
    teacher = answer.teacher
    if teacher is None or not teacher.parameters or answer.teacher_test is None:
        return None
    return Teacher(teacher.name, teacher.parameters, answer.teacher_test)


def layer_rows(spec: smidgen.spec.plan.NetSpec, input_shape: smidgen.spec.plan.Shape) -> tuple[LayerRow, ...]:
    """Return the layers of a network as text and counts."""
    return tuple(
        LayerRow(str(plan.layer), "x".join(map(str, plan.output_shape)), plan.parameters, plan.macs)
        for plan in spec.plan(input_shape)
    )


def _winner(answer: ShrinkResult, file_bytes: int) -> Winner:
    spec, shape, outcome = answer.winner.spec, answer.data.input_shape, answer.outcome
    return Winner(
        spec=str(spec),
        layers=layer_rows(spec, shape),
        parameters=outcome.parameters,
        file_bytes=file_bytes,
        macs=spec.macs(shape),
        selection=outcome.selection,
        confirmation=outcome.confirmation,
        test=answer.test,
    )


def _model(answer: ShrinkResult, trial: Trial, outcome: Outcome) -> Model:
    metadata = {
        "trial": trial.key,
        "data": answer.data.name,
        "data_digest": answer.data.digest,
        "validation": f"{outcome.validation.correct}/{outcome.validation.total}",
        "smidgen": smidgen.__version__,
    }
    return Model(trial.spec, answer.data.input_shape, answer.data.class_names, outcome.weights, metadata)


def _coded(answer: ShrinkResult) -> Coded | None:
    found = answer.file
    if found is None:
        return None
    outcome = found.winner.outcome
    return Coded(
        spec=str(found.winner.quantized.spec),
        parameters=outcome.parameters,
        file_bytes=found.winner.file_bytes,
        selection=outcome.selection,
        confirmation=outcome.confirmation,
        test=found.test,
        stages=found.stages,
    )


def _point(trial: Trial, outcome: Outcome) -> Point:
    return Point(outcome.parameters, outcome.validation, str(trial.spec), trial.seed)


def _confusion(answer: ShrinkResult, logits: np.ndarray) -> np.ndarray:
    classes = answer.data.classes
    pairs = answer.data.test.labels.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _wrong(answer: ShrinkResult, logits: np.ndarray) -> tuple[WrongImage, ...]:
    """Return the wrongly classified test images, the largest margins first; none for data that are not images."""
    test, names = answer.data.test, answer.data.class_names
    predicted = logits.argmax(axis=1)
    rows = np.flatnonzero(predicted != test.labels)
    margins = logits[rows, predicted[rows]] - logits[rows, test.labels[rows]]
    if min(test.images.shape[2:]) < 2 or test.images.dtype != np.uint8:
        return ()
    return tuple(
        WrongImage(test.images[row], names[test.labels[row]], names[predicted[row]], float(margin))
        for margin, row in sorted(zip(margins.tolist(), rows.tolist(), strict=True), reverse=True)
    )
