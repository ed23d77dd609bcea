"""The search for the shortest file of trained networks at an accuracy floor.

    Goal(Target(0.97))                        the shortest file that holds 97 %
    Goal(Target(within=0.001))                the shortest within a tenth of a point of the network that was given
    Goal(limits=Limits(file_bytes=256))       the most accurate file of at most 256 bytes

The search itself is in `smidgen.search.byte_search`; this module says what is required, and collects the evidence.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smidgen.data import Dataset
from smidgen.errors import FloorNotMet, RequestError
from smidgen.model import Model, QuantizedModel, as_quantized, encode, flat_weights
from smidgen.records import Floor, Score
from smidgen.reporter import Reporter
from smidgen.search.byte_search import (
    BYTE_SEARCH_EFFORTS,
    FINE_STEP,
    NOT_TRAINED,
    ByteSearch,
    ByteSearchEffort,
    FileCandidate,
)
from smidgen.search.confirm import Confirmed, Looks, confirm
from smidgen.search.effort import effort_named
from smidgen.search.goal import Goal, as_goal
from smidgen.search.judge import HALVES, Judge, Requirement, balanced_scores, shown_floor
from smidgen.spec import NetSpec
from smidgen.teacher import Teacher, context_with_model, run_teacher
from smidgen.transforms import fold_batch_norm, grid_steps, quantize_model, with_coder, with_input, without_idle_biases
from smidgen.trials.evaluate import TrainingContext, classify, score
from smidgen.trials.store import Store, open_store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool

LEAST_RATIO = 1.5
"""A file that is less shorter than the float32 weights is compared by its bytes, as 1/1 would say nothing."""


@dataclass(frozen=True)
class CompressionStage:
    """One stage between a network and its file: the length of the file there, and its score on the selection half."""

    name: str
    file_bytes: int
    selection: Score


@dataclass(frozen=True, eq=False)
class CompressResult:
    """The shortest file that was found, and the evidence.

    Attributes:
        data: The data set.
        goal: What was searched for.
        floor: The accuracy floor; where the goal has no target, the floor that the winner is shown to hold.
        given: The most accurate network that was given, in full precision.
        given_test: Its score on the test split.
        winner: The file.
        test: The score, on the test split, of the network that the file decodes to.
        rejected: Shorter files that met the floor on the selection half and failed on the confirmation half.
        candidates: Every file that was tried, in order.
        stages: From the float32 weights to the file.
        seconds: How long the search took.
        trained: Trainings that were run.
        remembered: Trainings that were found in the store.
        written_to: The path of the file; None if none was written.
    """

    data: Dataset
    goal: Goal
    floor: Floor
    given: Model
    given_test: Score
    winner: FileCandidate
    test: Score
    rejected: tuple[FileCandidate, ...]
    candidates: tuple[FileCandidate, ...]
    stages: tuple[CompressionStage, ...]
    seconds: float
    trained: int
    remembered: int
    written_to: Path | None = None

    def __str__(self) -> str:
        """The headline, the network, its test score, and what was trained."""
        return (
            f"{self.headline}\n{self.winner.quantized.spec}\n"
            f"test: {self.test}; the given network: {self.given_test}\n"
            f"{self.trained:,} trained, {self.remembered:,} remembered, {self.seconds:.1f} s"
        )

    def __repr__(self) -> str:
        return f"<CompressResult: {self.headline}>"

    @property
    def given_bytes(self) -> int:
        """The bytes of the given network's parameters as float32."""
        return 4 * self.given.spec.parameters(self.given.input_shape)

    @property
    def headline(self) -> str:
        """The result in a line."""
        ratio = self.given_bytes / self.winner.file_bytes
        share = f"1/{ratio:,.0f} of" if ratio >= LEAST_RATIO else "against"
        return (
            f"{self.winner.file_bytes:,} bytes hold {100 * self.floor.accuracy:.4g} % on {self.data.name}, "
            f"{share} the {self.given_bytes:,} of the given weights as float32"
        )


def compress(
    models: Model | Sequence[Model],
    data: Dataset,
    goal: Goal | Floor | float,
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
    """Find the shortest file of one of these networks that meets a goal on a data set.

    Args:
        models: One or more trained networks.
        data: The data that they were trained on.
        goal: An accuracy floor, or a `Goal`.
        teacher: The network to imitate while weights are trained on their grids: a `Model`, a
            `smidgen.teacher.Teacher` or anything that one takes as its source; None is the most accurate of `models`.
        effort: A name in `BYTE_SEARCH_EFFORTS`, or a `ByteSearchEffort`.
        seed: Seed of the search and of every training.
        store: Remembers trials; the user's own by default.
        workers: Trainings at once; None is one a CPU.
        engine: "auto", "native" or "torch".
        reporter: Is told of each stage and of its progress.
        pool: Workers in other processes or on other machines.

    Raises:
        RequestError: The goal or the effort is invalid, or a network does not fit the data.
        FloorNotMet: No file reached the floor; the message names the best.
    """
    started = time.perf_counter()
    networks = [models] if isinstance(models, Model) else list(models)
    goal, effort = as_goal(goal), effort_named(effort, BYTE_SEARCH_EFFORTS)
    _check(networks, data)
    networks = [with_input(model, data.input) for model in networks]
    with open_store(store) as opened:
        study, context = Study(opened, workers, reporter, pool), TrainingContext(data, engine)
        networks.sort(key=lambda model: -sum(_half_scores(context, model).values(), Score(0, 0)).rate)
        context = _with_logits(study, context, networks[0] if teacher is None else teacher)
        return search_bytes(study, context, networks, goal=goal, effort=effort, seed=seed, started=started)


def search_bytes(
    study: Study,
    context: TrainingContext,
    models: Sequence[Model],
    *,
    goal: Goal,
    effort: ByteSearchEffort,
    seed: int,
    requirement: Requirement | None = None,
    given: Model | None = None,
    given_test: Score | None = None,
    looks: Looks | None = None,
    started: float | None = None,
) -> CompressResult:
    """Find the shortest file of these networks, as `compress` does, inside a study.

    Args:
        study: Runs trials and remembers them.
        context: The data, and the logits to imitate.
        models: The networks.
        goal: What is searched for.
        effort: How much is tried.
        seed: Seed of the search and of every training.
        requirement: The rates to reach; None derives them from `goal` and the scores of the first network.
        given: The network that the result is compared with; None is the first.
        given_test: The test score of that network, if it is known.
        looks: Whom the confirmation half was asked about before; None if about nobody.
        started: When the whole run started (`time.perf_counter`); None is now.
    """
    started = time.perf_counter() if started is None else started
    given, most_bytes = given or models[0], goal.limits.file_bytes
    requirement = requirement or Requirement.of(goal, context.dataset, _half_scores(context, given, goal.balanced))
    judge = Judge(requirement, context, classify)
    near = None if goal.target else most_bytes
    search = ByteSearch(study, context, effort, requirement.allowed_error, seed, near, judge.rate)
    search.run(models)
    chosen = _choose(search, judge, most_bytes, looks or Looks())
    winner = _checked(chosen.candidate, search, judge, most_bytes)
    return CompressResult(
        data=context.dataset,
        goal=goal,
        floor=requirement.floor or shown_floor(winner.outcome),
        given=given,
        given_test=given_test or _score_on_test(study, context, given),
        winner=winner,
        test=_score_on_test(study, context, winner.model),
        rejected=chosen.rejected,
        candidates=tuple(search.candidates),
        stages=tuple(_stages(context, given, winner)),
        seconds=time.perf_counter() - started,
        trained=study.trained,
        remembered=study.remembered,
    )


# --- the networks that are given --------------------------------------------------------------


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


def _with_logits(study: Study, context: TrainingContext, teacher: object) -> TrainingContext:
    """The context with the logits of the teacher."""
    if isinstance(teacher, Model):
        return context_with_model(study.store, context, teacher, study.workers)
    data = context.dataset
    study.reporter.stage("the teacher's logits", len(data.train) + len(data.selection) + len(data.confirmation))
    source = teacher if isinstance(teacher, Teacher) else Teacher(teacher)
    outputs = run_teacher(study.store, data, source, study.reporter)
    return replace(context, teacher_key=outputs.key, teacher_logits=outputs.logits)


def _half_scores(context: TrainingContext, model: Model, balanced: bool = False) -> dict[str, Score]:
    """The network's scores on the halves of the validation split."""
    splits = context.dataset.splits
    if balanced:
        return balanced_scores(context.dataset, lambda half: classify(context, model.spec, model.weights, splits[half]))
    return {half: score(context, model.spec, model.weights, getattr(context.dataset, half)) for half in HALVES}


def _score_on_test(study: Study, context: TrainingContext, model: Model) -> Score:
    return score(context, model.spec, model.weights, context.dataset.test, study.workers)


# --- the file that is chosen ------------------------------------------------------------------


def _choose(search: ByteSearch, judge: Judge, most_bytes: int | None, looks: Looks) -> Confirmed[FileCandidate]:
    """The shortest file that is confirmed; without a target, the most accurate within the limit of bytes."""
    if judge.requirement.floor is None:
        most_bytes = most_bytes or min(file.file_bytes for file in search.candidates)
        return Confirmed(search.best_within(most_bytes), ())

    def is_met(file: FileCandidate, half: str) -> bool:
        look = looks.turn(file.trial.key) if half == "confirmation" else 1
        return judge.is_met(file.filed, file.outcome, half, look)

    return confirm(search.ordered(), is_met)


def _checked(chosen: FileCandidate | None, search: ByteSearch, judge: Judge, most_bytes: int | None) -> FileCandidate:
    if chosen is None or (most_bytes and chosen.file_bytes > most_bytes):
        raise FloorNotMet(_not_met_text(chosen, search.candidates, judge, most_bytes))
    return chosen


def _not_met_text(
    chosen: FileCandidate | None, files: Sequence[FileCandidate], judge: Judge, most_bytes: int | None
) -> str:
    requirement = judge.requirement
    limit = f" of at most {most_bytes:,} bytes" if most_bytes else ""
    if requirement.floor is None:
        shortest = min(file.file_bytes for file in files)
        return f"no file{limit} was found; the shortest of {len(files)} has {shortest:,} bytes. Raise --bytes"
    rate, best = max(((judge.rate_overall(file.filed, file.outcome), file) for file in files), key=lambda pair: pair[0])
    longer = f"; one of {chosen.file_bytes:,} bytes does" if chosen else ""
    return (
        f"no file{limit} reached {100 * requirement.floor.accuracy:.6g} %{longer} (needs "
        f"{requirement.requirement_text}; best of {len(files)}: {100 * rate:.2f} %, "
        f"{best.file_bytes:,} bytes). Lower --floor, raise {'--bytes or ' if most_bytes else ''}--effort, or give a "
        "more accurate network"
    )


# --- the stages between the network and the file ----------------------------------------------


def _stages(context: TrainingContext, given: Model, winner: FileCandidate) -> list[CompressionStage]:
    """From float32 to the file, each stage encoded and scored on the selection half.

    A file of another network than the given one begins with its own weights in float32.
    """
    is_given = _is_of(given, winner.trial.spec)
    models = {"float32 in a .smidgen file": as_quantized(given if is_given else winner.model)}
    if is_given:
        fine = quantize_model(given, grid_steps(given, FINE_STEP))
        models["fine grids, without training"] = with_coder(fine, "fixed")
        models["the same, range coder"] = fine
    if winner.stage != NOT_TRAINED:
        models["trained on its grids, fixed lengths"] = with_coder(winner.quantized, "fixed")
        models["the same, Huffman"] = with_coder(winner.quantized, "huffman")
    models["the file"] = winner.quantized
    return [_stage(context, name, quantized) for name, quantized in models.items()]


def _is_of(given: Model, spec: NetSpec) -> bool:
    """Whether a file's network is the given one, but for the batch norms and idle biases that the search removes."""
    folded = fold_batch_norm(given)
    return spec in (folded.spec, *(without_idle_biases(folded, may_pad).spec for may_pad in (False, True)))


def _stage(context: TrainingContext, name: str, quantized: QuantizedModel) -> CompressionStage:
    selection = score(context, quantized.spec, flat_weights(quantized), context.dataset.selection)
    return CompressionStage(name, len(encode(quantized)), selection)
