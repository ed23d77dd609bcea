"""What the stages of a search share: its fixed settings, and the candidates that were trained so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.model import Model
from smidgen.records import Outcome, Trial
from smidgen.search.confirm import Looks
from smidgen.search.effort import (
    DISTILLATION_RECIPES,
    LEAST_MACS,
    MANY_IMAGES,
    MOST_PARAMETERS,
    RETRAINING_RATES,
    RUNGS,
    Effort,
    epochs_of,
)
from smidgen.search.goal import Goal
from smidgen.search.judge import Judge
from smidgen.search.progress import Progress
from smidgen.search.proposals import Space
from smidgen.search.ranking import CandidateScore, estimated_errors, expected_scores, promising
from smidgen.search.result import TrainedCandidate
from smidgen.spec import NetSpec
from smidgen.transforms import parameters_with_input
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.study import Study

TRAINING_IMAGES = 10_000
"""Training images used to estimate the error of a network that lost channels (the first N)."""


@dataclass(eq=False)
class History:
    """What was trained so far; the only thing that changes during a search.

    Attributes:
        candidates: Every training of a candidate once, in order.
        runs: Scores of the trainings of each of `RUNGS`; those that compare recipes or draw the curve are not in it.
        work: Multiply-accumulates of all of them, whether they were trained or remembered.
        notes: What was found out on the way, one sentence each.
        looks: Which candidates the confirmation half was asked about.
        starts: The first weights of trainings that go on from another network's, by their digest.
        training_errors: Errors on the first training images, by the trial's key.
    """

    candidates: list[TrainedCandidate] = field(default_factory=list)
    runs: dict[str, list[CandidateScore]] = field(default_factory=lambda: {rung: [] for rung in RUNGS})
    work: float = 0.0
    notes: list[str] = field(default_factory=list)
    looks: Looks = field(default_factory=Looks)
    starts: dict[str, Start] = field(default_factory=dict)
    training_errors: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Search:
    """One search for the smallest network.

    Attributes:
        study: Runs trials and remembers them.
        context: The data, and the teacher's logits where there is a teacher.
        goal: What is searched for.
        effort: How much is tried.
        seed: Seed of the search and of every training.
        judge: Says whether an outcome meets the requirement.
        recipe_name: Which of `DISTILLATION_RECIPES` trainings use.
        moved: The data with moved copies of each picture, and the teacher's logits for them; None where pictures are
            not moved.
        own_teacher: The outcome of the teacher that was trained here; None if there is none.
        teacher_is_left_out: Whether a candidate was as accurate as that teacher; the context keeps its logits for the
            trainings that learned from it before.
        progress: Estimates the time that is left; None if nobody listens.
        most_work: Multiply-accumulates of all trainings at most; None for no limit.
        history: What was trained so far.
    """

    study: Study
    context: TrainingContext
    goal: Goal
    effort: Effort
    seed: int
    judge: Judge
    recipe_name: str = "labels"
    moved: TrainingContext | None = None
    own_teacher: Outcome | None = None
    teacher_is_left_out: bool = False
    most_work: float | None = None
    progress: Progress | None = None
    history: History = field(default_factory=History)

    @property
    def data(self) -> Dataset:
        return self.context.dataset

    @property
    def expected(self) -> tuple[CandidateScore, ...]:
        """Every network of the generations with the error that a long training is expected to leave."""
        return expected_scores([self.history.runs[rung] for rung in self.effort.rungs])

    def promising(self, rung: str, count: int) -> tuple[NetSpec, ...]:
        """The `count` most promising networks that had a training of the rung below this one and none of this."""
        rungs = self.effort.rungs
        below = {score.spec for score in self.history.runs[rungs[rungs.index(rung) - 1]]}
        scores = [score for score in self.expected if score.spec in below]
        return promising(scores, self.history.runs[rung], self.sized_error, count)

    @property
    def sized_error(self) -> float:
        """The allowed error by which sizes are expected: half an image of the selection half where none may be wrong.

        No size is expected to leave no error at all.
        """
        return max(self.judge.requirement.allowed_error, 0.5 / len(self.data.selection))

    def space(self, macs_factor: int = 1, *, limited: bool = True) -> Space:
        """The networks that may be trained.

        Args:
            macs_factor: Multiplies the number of multiply-accumulates that the effort allows.
            limited: Whether they are within the goal's limits.
        """
        return space_of(self.data, self.goal if limited else None, self.effort, macs_factor)

    def trials(
        self,
        specs: Sequence[NetSpec],
        rung: str,
        *,
        seeds: int = 1,
        first_seed: int = 0,
        recipe_name: str = "",
        doublings: int = 0,
    ) -> list[Trial]:
        """The trainings of these networks, of the length of a rung, from `seeds` seeds each.

        Args:
            specs: The networks.
            rung: One of `RUNGS`.
            seeds: Seeds of each network, counted from the search's own seed.
            first_seed: How many seeds of these networks were used before.
            recipe_name: One of `DISTILLATION_RECIPES`; the search's own by default.
            doublings: How often the length of the rung is doubled.
        """
        recipe = DISTILLATION_RECIPES[recipe_name or self.recipe_name]
        epochs = epochs_of(self.effort, rung, len(self.data.train), self.data.copies)
        recipe = replace(recipe, epochs=2**doublings * epochs)
        first = self.seed + first_seed
        return [self.context.trial(spec, recipe, first + k) for spec in specs for k in range(seeds)]

    def retraining(self, model: Model, rung: str, doublings: int = 0, *, learning_rate: float | None = None) -> Trial:
        """The training, of the length of a rung doubled so often, that goes on from a network's weights.

        Its learning rate, unless given, is that of `RETRAINING_RATES`, or the recipe's for other rungs and few images.
        """
        start = Start(model.weights)
        self.history.starts[start.digest] = start
        (trial,) = self.trials([model.spec], rung, doublings=doublings)
        rates = RETRAINING_RATES if len(self.data.train) >= MANY_IMAGES else {}
        rate = learning_rate or rates.get(rung, trial.recipe.learning_rate)
        return replace(trial, recipe=replace(trial.recipe, learning_rate=rate), start_digest=start.digest)

    def model(self, candidate: TrainedCandidate) -> Model:
        """The candidate's network, with the weights that it was trained to."""
        data = self.data
        return Model(
            candidate.trial.spec, data.input_shape, data.class_names, candidate.outcome.weights, input=data.input
        )

    def train(self, trials: Sequence[Trial], stage: str) -> list[TrainedCandidate]:
        """Train, or look up, the trials of a stage; those that are new and within the limits become candidates.

        All learn from the pictures as they are, or all from moved copies.
        """
        outcomes = self.study.run(self._with_starts(trials), trials, self._described(stage))
        trained = [TrainedCandidate(trial, outcome, stage) for trial, outcome in zip(trials, outcomes, strict=True)]
        known = {candidate.trial.key for candidate in self.history.candidates}
        new = {candidate.trial.key: candidate for candidate in trained if candidate.trial.key not in known}
        self.history.candidates += [candidate for candidate in new.values() if self.allows(candidate.trial.spec)]
        self.history.work += sum(self.cost(candidate.trial) for candidate in new.values())
        return trained

    def context_of(self, trial: Trial) -> TrainingContext:
        """What a training learns from: the pictures as they are, or moved copies of them."""
        if self.moved and trial.data_digest == self.moved.dataset.digest:
            return self.moved
        return self.context

    def cost(self, trial: Trial) -> float:
        """The estimated multiply-accumulates of a training."""
        return self.context_of(trial).cost(trial)

    def _with_starts(self, trials: Sequence[Trial]) -> TrainingContext:
        """The context with the first weights that these trials name."""
        context = self.context_of(trials[0]) if trials else self.context
        starts = {digest: self.history.starts[digest] for trial in trials if (digest := trial.start_digest)}
        return replace(context, starts=starts) if starts else context

    def allows(self, spec: NetSpec) -> bool:
        """Whether the network is within the goal's limits; others are trained only to be made smaller."""
        return _is_in_size(self.goal, self.data, spec) and self.goal.satisfies(spec, self.data.input_shape)

    def affordable(self, trials: Sequence[Trial], share: float = 1.0) -> list[Trial]:
        """The first of these trainings whose work the budget still allows; all of them without a budget.

        Args:
            trials: Trainings, the most wanted first.
            share: The share of the budget that may be spent up to the end of this stage.
        """
        if self.most_work is None:
            return list(trials)
        spent = accumulate(map(self.cost, trials), initial=self.history.work)
        return [
            trial
            for trial, after in zip(trials, islice(spent, 1, None), strict=True)
            if after <= share * self.most_work
        ]

    def affordable_rungs(self, trials: Mapping[str, Sequence[Trial]], share: float) -> dict[str, list[Trial]]:
        """The trainings of each rung that the budget still allows, the shortest rung first; see `affordable`."""
        allowed = set(self.affordable([trial for some in trials.values() for trial in some], share))
        return {rung: [trial for trial in some if trial in allowed] for rung, some in trials.items()}

    def train_rungs(self, trials: Mapping[str, Sequence[Trial]], stage: str) -> None:
        """Train the trials of a stage, given by their rung, and add their scores to the runs of each rung."""
        trained = iter(self.train([trial for some in trials.values() for trial in some], stage))
        for rung, some in trials.items():
            self.history.runs[rung] += map(self.score, islice(trained, len(some)))

    def score(self, candidate: TrainedCandidate) -> CandidateScore:
        """The candidate's size and its error on the selection half."""
        error = 1.0 - self.judge.rate(candidate.trial, candidate.outcome, "selection")
        return CandidateScore(candidate.trial.spec, candidate.outcome.parameters, error)

    def is_met(self, candidate: TrainedCandidate, half: str) -> bool:
        """Whether the candidate meets the requirement on "selection" or "confirmation"."""
        look = self.look(candidate) if half == "confirmation" else 1
        return self.judge.is_met(candidate.trial, candidate.outcome, half, look)

    def look(self, candidate: TrainedCandidate) -> int:
        """The turn at which the confirmation half was first asked about the candidate; asking now takes the next."""
        return self.history.looks.turn(candidate.trial.key)

    def by_size(self) -> list[TrainedCandidate]:
        """All candidates: the smallest first, of equals the most accurate on selection."""
        candidates = self.history.candidates
        return sorted(candidates, key=lambda candidate: (candidate.outcome.parameters, self.score(candidate).error))

    def smallest_selected(self) -> TrainedCandidate | None:
        """The smallest candidate that meets the requirement on the selection half; None without a required accuracy."""
        if not self.goal.target:
            return None
        return next((one for one in self.by_size() if self.is_met(one, "selection")), None)

    def likely(self) -> list[TrainedCandidate]:
        """The candidates that meet the requirement on the selection half, but those that did by luck, by size.

        A network that lost channels did by luck if its estimated error exceeds the allowed one.
        """
        if not self.goal.target:
            return []
        estimates, allowed = self.estimated_errors(), self.judge.requirement.allowed_error
        usual = (one for one in self.by_size() if estimates.get(one.trial.key, 0.0) <= allowed)
        return [one for one in usual if self.is_met(one, "selection")]

    def estimated_errors(self) -> dict[str, float]:
        """The estimated error of networks that lost channels, by their trials' keys; confirmation takes no part.

        Of many networks those best on the selection half alone are in part the lucky ones; see `estimated_errors`.
        Those that saw moved copies know fewer images by heart, so that they have an average difference of their own.
        """
        known = [one for one in self.history.candidates if one.trial.start_digest and not one.outcome.diverged_at]
        errors = {one.trial.key: (self.score(one).error, self._training_error(one)) for one in known}
        found = dict[str, float]()
        for digest in dict.fromkeys(one.trial.data_digest for one in known):
            alike = [one.trial.key for one in known if one.trial.data_digest == digest]
            found |= estimated_errors({key: errors[key] for key in alike})
        return found

    def _training_error(self, one: TrainedCandidate) -> float:
        """The error on the first training images as they are: a few images are followed by their moved copies."""
        known, network = self.history.training_errors, (one.trial.spec, one.outcome.weights)
        if one.trial.key not in known:
            first = self.data.train.first(min(TRAINING_IMAGES, len(self.data.train) // self.data.copies))
            found = self.study.score(self.context, one.trial, network, first, name="train", of="the first images")
            known[one.trial.key] = 1 - found.rate
        return known[one.trial.key]

    def tell(self, note: str) -> None:
        """Keep a sentence for the report, and show it at once."""
        self.history.notes.append(note)
        self.study.reporter.say(note)

    def _described(self, stage: str) -> str:
        """The name of a stage with the best network so far and the time that is left, if somebody listens."""
        if self.progress is None:
            return stage
        left = self.progress.left(self.history.work, self.study.work)
        return "; ".join(filter(None, (stage, self._best_so_far(), left)))

    def _best_so_far(self) -> str:
        """The smallest network that passes selection so far, or the most accurate."""
        candidates = self.history.candidates
        if not candidates:
            return ""
        best = self.smallest_selected() or min(candidates, key=lambda candidate: self.score(candidate).error)
        rate = 100 * (1 - self.score(best).error)
        return f"best so far {best.outcome.parameters:,} parameters, {rate:.2f} %"


def space_of(data: Dataset, goal: Goal | None, effort: Effort, macs_factor: int = 1) -> Space:
    """The networks for some data within a goal's limits, if any, and an effort's arithmetic times a factor."""
    macs = macs_factor * max(
        LEAST_MACS, effort.macs_a_pixel * max(data.input_shape[0], math.prod(data.input_shape[1:]))
    )
    space = Space(data.input_shape, data.classes, MOST_PARAMETERS, macs)
    return space if goal is None else goal.limited(space).that(lambda spec: _is_in_size(goal, data, spec))


def _is_in_size(goal: Goal, data: Dataset, spec: NetSpec) -> bool:
    """Whether the parameters are within the limit; offsets and scales that no layer can take up are parameters too."""
    most = goal.limits.parameters
    return most is None or parameters_with_input(spec, data.input) <= most
