"""An answer on disk: the page, the picture, the table of trials, the winner and its teacher as files.

report.html  frontier.png  trials.csv  winner.safetensors  teacher.safetensors

and, where the fewest bytes were searched for, the file with its curve and the table of files:

winner.smidgen  winner.png  winner.csv

A teacher that was brought is the user's own, and is not written again.
"""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

import smidgen
from smidgen.atomic_files import draft_folder
from smidgen.errors import ModelFileError, RequestError
from smidgen.model import Model, save_safetensors, save_smidgen
from smidgen.records import Outcome, Trial
from smidgen.report.page import (
    Coded,
    CodedStage,
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
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult
from smidgen.trials.evaluate import classify


def write(answer: ShrinkResult, folder: Path, command: str = "") -> RunReport:
    """Write everything into `folder`, which is made if it is missing; what the page says is returned.

    Raises:
        RequestError: the folder cannot be written to; what was there is left as it was.
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
    """Write the file, its curve beside it as .png, and everything that was tried as .csv.

    Raises:
        ModelFileError, RequestError: a place that cannot hold them; the file itself is written last.
    """
    points = [_file_point(tried) for tried in found.candidates]
    winner = _file_point(found.winner)
    with draft_folder(path.parent) as draft:
        picture, rows = draft / f"{path.stem}.png", draft / f"{path.stem}.csv"
        frontier_picture(points, pareto([*points, winner]), found.floor.accuracy, winner, None, picture, "bytes")
        rows.write_text(tried_csv(found), encoding="utf-8")
    save_smidgen(found.winner.quantized, path)


def tried_csv(found: CompressResult) -> str:
    """One row a file, in the order in which the search asked for them."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(FILES_HEAD)
    for tried in found.candidates:
        outcome = tried.outcome
        halves = (outcome.selection, outcome.confirmation)
        counts = [count for half in halves for count in (half.correct, half.total)]
        trial = tried.trial
        rows.writerow([tried.stage, trial.spec, outcome.parameters, tried.file_bytes, *counts, tried.price, trial.key])
    return text.getvalue()


FILES_HEAD = (
    *("stage", "spec", "parameters", "file_bytes", "selection_correct", "selection_total"),
    *("confirmation_correct", "confirmation_total", "price", "key"),
)


def _file_point(tried: FileCandidate) -> Point:
    return Point(tried.file_bytes, tried.outcome.validation, str(tried.quantized.spec), tried.trial.seed)


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
    """What the system said; a ModelFileError was raised from it."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)


def report_of(answer: ShrinkResult, file_bytes: int, command: str) -> RunReport:
    """What the page says of an answer."""
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


def how_chosen(answer: ShrinkResult) -> tuple[str, ...]:
    """The steps of the choice, one sentence each, from the run's own counts."""
    data = answer.data
    networks = len({str(tried.trial.spec) for tried in answer.candidates})
    return (
        f"{len(data.train):,} images trained, and {len(data.selection):,} images of the training data, set aside, "
        f"chose among {networks:,} networks in {len(answer.candidates):,} trainings.",
        *(_how_held(answer) if answer.goal.target else _how_best(answer)),
        *(answer.teacher.notes if answer.teacher else ()),
        f"The {len(data.test):,} test images were scored once, after that.",
        f"The same network and recipe from {len(answer.fresh_seeds)} fresh seeds held the floor on all "
        f"{len(data.selection) + len(data.confirmation):,} validation images {answer.fresh_seeds_met} times.",
    )


def _how_held(answer: ShrinkResult) -> tuple[str, ...]:
    """Sentences about the choice of the smallest network that holds an accuracy."""
    data, floor, goal = answer.data, answer.floor, answer.goal
    rule = "the lower end of its 95 % Wilson interval" if floor.rule == "wilson" else "its plain rate"
    measure = ", its accuracy being the mean over the classes," if goal.balanced else ""
    classes = f" Each class had to reach {100 * goal.class_floor:g} % on both." if goal.class_floor else ""
    limits = f" Only networks of {goal.limits} were tried." if goal.limits else ""
    refused = (
        f"{len(answer.rejected)} smaller networks did not" if answer.rejected else "no smaller network was refused"
    )
    return (
        f"A network holds the floor when {rule}{measure} over all validation images is at or above "
        f"{floor.accuracy:.6g}; that takes {100 * needed_rate(data, floor, goal.balanced):.2f} % right.{limits}",
        f"The smallest that reached it on those images had to reach it again on {len(data.confirmation):,} further "
        f"ones that took no part in choosing; {refused}.{classes}",
    )


def _how_best(answer: ShrinkResult) -> tuple[str, ...]:
    """Sentences about the choice of the best network within limits."""
    data = answer.data
    return (
        f"Of the networks of {answer.goal.limits}, the one with the fewest errors on those images was taken.",
        f"{len(data.confirmation):,} further images took no part in choosing; what the network is said to hold, "
        f"{100 * answer.floor.accuracy:.6g} %, is the lower end of the 95 % Wilson interval of the worse half.",
    )


def _teacher(answer: ShrinkResult) -> Teacher | None:
    """What the page compares with; None where the teacher's size or its test score are not known."""
    teacher = answer.teacher
    if teacher is None or not teacher.parameters or answer.teacher_test is None:
        return None
    return Teacher(teacher.name, teacher.parameters, answer.teacher_test)


def trials_csv(answer: ShrinkResult) -> str:
    """One row a training, in the order in which the run asked for them."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(TRIALS_HEAD)
    teacher = answer.teacher
    trained = [(teacher.trial, teacher.outcome, "teacher")] if teacher and teacher.trial and teacher.outcome else []
    for trial, outcome, stage in (
        *trained,
        *((tried.trial, tried.outcome, tried.stage) for tried in answer.candidates),
    ):
        recipe = trial.recipe
        scores = (outcome.selection.correct, outcome.selection.total)
        confirmed = (outcome.confirmation.correct, outcome.confirmation.total)
        learned = (recipe.loss, recipe.epochs, trial.seed, outcome.diverged_at, f"{outcome.train_seconds:.3f}")
        rows.writerow([stage, trial.spec, outcome.parameters, *scores, *confirmed, *learned, trial.key])
    return text.getvalue()


TRIALS_HEAD = (
    *("stage", "spec", "parameters", "selection_correct", "selection_total", "confirmation_correct"),
    *("confirmation_total", "loss", "epochs", "seed", "diverged_at", "train_seconds", "key"),
)


def layer_rows(spec: smidgen.spec.plan.NetSpec, input_shape: smidgen.spec.plan.Shape) -> tuple[LayerRow, ...]:
    """The layers of a network as text and counts."""
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
        stages=tuple(CodedStage(rung.name, rung.file_bytes, rung.selection) for rung in found.stages),
    )


def _point(trial: Trial, outcome: Outcome) -> Point:
    return Point(outcome.parameters, outcome.validation, str(trial.spec), trial.seed)


def _confusion(answer: ShrinkResult, logits: np.ndarray) -> np.ndarray:
    classes = answer.data.classes
    pairs = answer.data.test.labels.astype(np.int64) * classes + logits.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _wrong(answer: ShrinkResult, logits: np.ndarray) -> tuple[WrongImage, ...]:
    """The images that it gets wrong, the surest errors first; none for vectors, which are no pictures."""
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
