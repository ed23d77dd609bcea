"""A `ShrinkResult` made by hand, so that tests of the page need no search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Origin, Split
from smidgen.records import Floor, Outcome, Recipe, Score, Trial
from smidgen.report.view import PageView
from smidgen.search.frontier import TurningPoint
from smidgen.search.goal import Goal, Target
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.spec import parse_spec
from smidgen.teacher import TeacherOutputs
from smidgen.trials.evaluate import TrainingContext

CONFUSION = np.array([[90, 3, 0], [7, 80, 1], [0, 0, 99]])
TURNING = TurningPoint(932, 0.981, 800, 1200, "found in 990 of 1,000 curves drawn again from the seeds of each size")
NOTE = "20 of 30 examples are exact copies of <others>"
NO_NUMBERS = np.zeros(0, np.float32)


def a_page(
    candidates: int = 30,
    *,
    confusion: npt.NDArray[np.int64] = CONFUSION,
    class_names: Sequence[str] = ("cat", "dog", "owl"),
    data_name: str = "mnist",
) -> PageView:
    """A winner of 403 parameters at 97 %, among candidates of other sizes, with a teacher of 1,199,882."""
    labels, predicted = (rows.repeat(confusion.ravel()) for rows in np.indices(confusion.shape).reshape(2, -1))
    half = Split(np.zeros((2500, 1, 28, 28), np.uint8), np.arange(2500, dtype=np.int32) % len(class_names))
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 28, 28)).astype(np.uint8)
    test = Split(images, labels.astype(np.int32))
    data = Dataset(data_name, tuple(class_names), half, half, half, test, 0, "3f0c9a1b", origin=Origin(notes=(NOTE,)))
    logits = 4.2 * np.eye(len(class_names), dtype=np.float32)[predicted]
    return PageView(_result(data, candidates), logits, 512, "smidgen shrink mnist --floor 97")


def a_live_page(data: Dataset, text: str) -> PageView:
    """The page of a network with random weights, as its only candidate; whether it is any good does not matter."""
    spec = parse_spec(text)
    weights = np.random.default_rng(0).normal(size=spec.parameters(data.input_shape)).astype(np.float32)
    half = Score(len(data.selection) // 2, len(data.selection))
    outcome = Outcome(len(weights), half, half, (), 0.0, weights)
    trial = Trial(spec, Recipe(), 0, data.digest, "native-1-fma")
    result = replace(
        _result(data, 0), context=TrainingContext(data), goal=Goal(Target(0.4, rule="rate")), floor=Floor(0.4, "rate"),
        winner=trial, outcome=outcome, teacher=None, teacher_test=None, fresh_seeds=(), fresh_seeds_hold=(),
        recipes={}, turning_point=None, candidates=(TrainedCandidate(trial, outcome, "finalists"),),
    )  # fmt: skip
    return PageView.of(result, 512)


def a_candidate(text: str, score: Score, stage: str, parameters: int = 403, seed: int = 0) -> TrainedCandidate:
    """A training with this score on the validation split; any whole number of parameters will do."""
    trial = Trial(parse_spec(text), Recipe(), seed, "3f0c9a1b", "native-1-fma")
    selection = Score(score.correct // 2, score.total // 2)
    rest = Score(score.correct - selection.correct, score.total - selection.total)
    return TrainedCandidate(trial, Outcome(parameters, selection, rest, (), 0.0, NO_NUMBERS), stage)


def _result(data: Dataset, candidates: int) -> ShrinkResult:
    winner = a_candidate("maxpool 2, dense 2 relu, dense 3", Score(4878, 5000), "finalists")
    fresh = [a_candidate(str(winner.trial.spec), Score(right, 5000), "fresh seeds") for right in (4880, 4840)]
    labels = [a_candidate(str(winner.trial.spec), Score(right, 5000), "labels") for right in (4800, 4810, 4900)]
    return ShrinkResult(
        data=data,
        context=TrainingContext(data),
        goal=Goal(Target(0.97)),
        floor=Floor(0.97),
        is_met=True,
        winner=replace(winner.trial, teacher_key="the teacher"),
        outcome=winner.outcome,
        test=Score(9760, 10_000),
        teacher=_teacher(),
        teacher_test=Score(9915, 10_000),
        fresh_seeds=tuple(fresh),
        fresh_seeds_hold=(True, False),
        recipes={"labels": tuple(labels)},
        candidates=tuple(_candidate_number(index) for index in range(candidates)),
        rejected=(),
        turning_point=TURNING,
        file=None,
        seconds=73.4,
        trained=400,
        remembered=12,
    )


def _candidate_number(index: int) -> TrainedCandidate:
    score = Score(min(4990, 2500 + 90 * index), 5000)
    stage = "generation 1" if index % 3 else "finalists"
    return a_candidate(f"dense {index + 1} relu, dense 3", score, stage, 120 + 37 * index, index % 3)


def _teacher() -> TeacherOutputs:
    return TeacherOutputs(
        key="a teacher",
        name="conv 32x3x3 relu, dense 3",
        parameters=1_199_882,
        logits=NO_NUMBERS,
        halves={"selection": Score(2480, 2500), "confirmation": Score(2478, 2500)},
        validation_logits=lambda _: NO_NUMBERS,
        test=lambda: None,
        notes=("The teacher was read from a file.",),
    )
