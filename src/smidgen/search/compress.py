"""The second question: the fewest bytes of a file at a floor, for networks that are trained already.

    Goal(floor=Floor(0.97))        the shortest file that holds 97 %
    Goal(within=0.001)             the shortest within a tenth of a point of the network that was given
    Goal(size_bytes=256)           the most accurate file of at most 256 bytes

The search is in `smidgen.search.byte_search`; here is what is asked, and the evidence.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from smidgen.data import Dataset
from smidgen.errors import FloorNotMet, RequestError
from smidgen.model import Model, QuantizedModel, as_quantized, encode, flat_weights
from smidgen.records import Floor, Score
from smidgen.reporter import Reporter
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS, NOT_TRAINED, ByteSearch, ByteSearchEffort, FileCandidate
from smidgen.search.confirm import confirm
from smidgen.search.goal import Goal, as_goal
from smidgen.search.judge import HALVES, Judge, Requirement, shown_floor
from smidgen.teacher import Teacher, context_with_model, run_teacher
from smidgen.transforms import grid_steps, quantize_model, with_coder
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.store import Store, default_path
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool

FINE_SHARE = 0.02
"""The step of grids that hardly change a network, as a share of a tensor's root mean square."""


@dataclass(frozen=True)
class CompressionStage:
    """One stage of a network's way into its file: how long the file is there, and the selection half's score."""

    name: str
    file_bytes: int
    selection: Score


@dataclass(frozen=True, eq=False)
class CompressResult:
    """The file, and the evidence.

    given: the most accurate network that was given, in full precision; given_test: its test score
    winner: what is in the file; test: of what the file decodes to. Both test scores were taken once, at the end
    rejected: shorter files that held on the selection half and not on the confirmation half
    stages: from the float32 weights to the file
    written_to: the path of the file; None where none was written
    """

    data: Dataset = field(repr=False)
    goal: Goal
    floor: Floor
    given: Model = field(repr=False)
    given_test: Score
    winner: FileCandidate
    test: Score
    rejected: tuple[FileCandidate, ...] = field(repr=False)
    candidates: tuple[FileCandidate, ...] = field(repr=False)
    stages: tuple[CompressionStage, ...]
    seconds: float
    trained: int
    remembered: int
    written_to: Path | None = None

    @property
    def given_bytes(self) -> int:
        """Of the given network's parameters, as float32."""
        return 4 * self.given.spec.parameters(self.given.input_shape)

    @property
    def headline(self) -> str:
        """The answer in a line."""
        ratio = self.given_bytes / self.winner.file_bytes
        return (
            f"{self.winner.file_bytes:,} bytes hold {100 * self.floor.accuracy:.4g} % on {self.data.name}, "
            f"1/{ratio:,.0f} of the {self.given_bytes:,} that were given"
        )


def compress(
    models: Model | Sequence[Model],
    data: Dataset,
    floor: float | Floor | Goal,
    *,
    teacher: object = None,
    effort: str | ByteSearchEffort = "normal",
    seed: int = 0,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
    pool: Pool | None = None,
) -> CompressResult:
    """The shortest file of one of these networks that holds `floor` on `data`.

    teacher: what is imitated while the weights are trained on their grids; None: the first of the networks
    effort: one of `squeeze.SQUEEZINGS`

    Raises:
        RequestError: a goal, an effort or a network that does not fit.
        FloorNotMet: no file that was tried holds the floor; the message gives the best.
    """
    start = time.perf_counter()
    networks = [models] if isinstance(models, Model) else list(models)
    _check(networks, data)
    spent = effort if isinstance(effort, ByteSearchEffort) else _named_effort(effort)
    goal = as_goal(floor)
    with store or Store(default_path()) as opened:
        study = Study(opened, workers, reporter, pool)
        context = TrainingContext(data, engine)
        networks.sort(key=lambda model: -_validation(context, model).rate)
        context = _context(study, context, networks, teacher)
        return search_bytes(study, context, networks, goal, spent, seed, start)


def search_bytes(
    study: Study,
    context: TrainingContext,
    models: Sequence[Model],
    goal: Goal,
    effort: ByteSearchEffort,
    seed: int,
    start: float,
    given_test: Score | None = None,
    requirement: Requirement | None = None,
) -> CompressResult:
    """The same with a study and context that are there already.

    models: the first is the one to compare with; given_test: its test score where that is known
    requirement: None derives it from `goal` and the scores of the first network
    """
    data, given = context.dataset, models[0]
    judge = Judge(requirement or _requirement(context, goal, given), context)
    squeeze = ByteSearch(study, context, effort, judge.requirement.allowed_error, seed, _near_bytes(goal))
    squeeze.search(models)
    winner, rejected = _chosen(squeeze, judge, goal)
    return CompressResult(
        data=data,
        goal=goal,
        floor=judge.requirement.floor or shown_floor(winner.outcome),
        given=given,
        given_test=given_test or score(context, given.spec, given.weights, data.test, study.workers),
        winner=winner,
        test=score(context, winner.quantized.spec, winner.outcome.weights, data.test, study.workers),
        rejected=rejected,
        candidates=tuple(squeeze.candidates),
        stages=tuple(_compression_stages(context, given, winner)),
        seconds=time.perf_counter() - start,
        trained=study.trained,
        remembered=study.remembered,
    )


# --- what is compressed ----------------------------------------------------------------------


def _named_effort(name: str) -> ByteSearchEffort:
    if name not in BYTE_SEARCH_EFFORTS:
        raise RequestError(f"effort='{name}' is not known; use one of {', '.join(BYTE_SEARCH_EFFORTS)}")
    return BYTE_SEARCH_EFFORTS[name]


def _check(models: Sequence[Model], data: Dataset) -> None:
    if not models:
        raise RequestError("no network was given; give at least one")
    for model in models:
        if tuple(model.input_shape) != data.input_shape or len(model.class_names) != data.classes:
            shapes = ["x".join(map(str, shape)) for shape in (model.input_shape, data.input_shape)]
            raise RequestError(
                f"'{model.spec}' takes {shapes[0]} and knows {len(model.class_names)} classes; {data.name} has "
                f"{shapes[1]} and {data.classes}: give the data that it was trained on"
            )


def _context(study: Study, context: TrainingContext, models: Sequence[Model], teacher: object) -> TrainingContext:
    """With the logits of the teacher, or of the first network."""
    imitated = models[0] if teacher is None else teacher
    if isinstance(imitated, Model):
        return context_with_model(study.store, context, imitated, study.workers)
    data = context.dataset
    study.reporter.stage("the teacher's logits", len(data.train) + len(data.selection) + len(data.confirmation))
    brought = teacher if isinstance(teacher, Teacher) else Teacher(teacher)
    taught = run_teacher(study.store, data, brought, study.reporter)
    return replace(context, teacher_key=taught.key, teacher_logits=taught.logits)


def _validation(context: TrainingContext, model: Model) -> Score:
    data = context.dataset
    return sum((score(context, model.spec, model.weights, getattr(data, half)) for half in HALVES), Score(0, 0))


# --- what is chosen --------------------------------------------------------------------------


def _requirement(context: TrainingContext, goal: Goal, given: Model) -> Requirement:
    """The requirement that follows from a goal, with distances measured from the network that was given."""
    data = context.dataset
    scores = {half: score(context, given.spec, given.weights, getattr(data, half)) for half in HALVES}
    return Requirement.of(goal, data, scores)


def _near_bytes(goal: Goal) -> int | None:
    return None if goal.target else goal.limits.file_bytes


def _chosen(search: ByteSearch, judge: Judge, goal: Goal) -> tuple[FileCandidate, tuple[FileCandidate, ...]]:
    rejected: tuple[FileCandidate, ...] = ()
    most = goal.limits.file_bytes
    if judge.requirement.floor is None:
        best = search.best_within(most or min(file.file_bytes for file in search.candidates))
    else:
        confirmed = confirm(search.ordered(), lambda file, half: judge.is_met(file.filed, file.outcome, half))
        best, rejected = confirmed.candidate, confirmed.rejected
    if best is None or (most and best.file_bytes > most):
        raise FloorNotMet(_not_met_text(search, judge.requirement, most, best))
    return best, rejected


def _not_met_text(
    search: ByteSearch, requirement: Requirement, most_bytes: int | None, best: FileCandidate | None
) -> str:
    files, floor = search.candidates, requirement.floor
    within = f" of at most {most_bytes:,} bytes" if most_bytes else ""
    if floor is None:
        shortest = min(file.file_bytes for file in files)
        return f"no file{within} was found; the shortest of {len(files)} has {shortest:,} bytes"
    accurate = max(files, key=lambda file: file.outcome.validation.rate)
    found = f"; {best.file_bytes:,} bytes hold it" if best else ""
    return (
        f"no file{within} of {len(files)} that were tried holds a floor of {floor.accuracy:.6g}{found}: "
        f"that takes {requirement.requirement_text}, and the most accurate has {accurate.outcome.validation} in "
        f"{accurate.file_bytes:,} bytes; lower the floor, raise --effort, or give a better network"
    )


# --- the way there ---------------------------------------------------------------------------


def _compression_stages(context: TrainingContext, given: Model, winner: FileCandidate) -> list[CompressionStage]:
    """From float32 to the file, each stage encoded and scored."""
    fine = quantize_model(given, grid_steps(given, FINE_SHARE))
    stages: list[tuple[str, QuantizedModel]] = [
        ("float32", as_quantized(given)),
        ("fine grids, without training", with_coder(fine, "fixed")),
        ("the same, range coder", fine),
    ]
    if winner.stage != NOT_TRAINED:
        stages += [
            ("trained on its grids, fixed lengths", with_coder(winner.quantized, "fixed")),
            ("the same, Huffman", with_coder(winner.quantized, "huffman")),
        ]
    stages.append(("the file", winner.quantized))
    selection = context.dataset.selection
    return [
        CompressionStage(
            name, len(encode(quantized)), score(context, quantized.spec, flat_weights(quantized), selection)
        )
        for name, quantized in stages
    ]
