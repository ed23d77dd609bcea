"""What the documents' tables are made of: the same training from several seeds, remembered, and its test answers.

A `Job` says what is trained and how often; a `Bench` trains jobs through a `Study`, so that a second run finds
all of them. An `Effort` says how much may be spent: it cuts epochs and seeds, or leaves a job out, by its cost
in multiply-accumulates and by nothing else.

Everything is chosen on the validation split. The test split is scored once for each trial that a table reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt

from smidgen.engine import Start
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import NetSpec
from smidgen.teacher import context_with_teacher
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.study import Study

Answers = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Effort:
    """How much may be spent.

    most_seeds: trainings of a job, at most; row_macs: multiply-accumulates that the seeds of a job take together,
        about (one seed is always trained)
    epoch_share: of the recipe's epochs; largest_macs: a job of which one training takes more is left out
    """

    name: str
    most_seeds: int
    row_macs: float
    epoch_share: float
    largest_macs: float

    @property
    def whole(self) -> bool:
        """Whether epochs are as the recipes have them.

        Where they are cut, nothing is trained on the validation images too, and no shortest file is searched for.
        """
        return self.epoch_share >= 1


EFFORTS = {
    "full": Effort("full", 10, 10e12, 1.0, 100e12),
    "quick": Effort("quick", 1, 0.3e12, 0.12, 0.6e12),
}


@dataclass(frozen=True, eq=False)
class Job:
    """One training, from so many seeds.

    start: of a seed, where its training begins; None for fresh weights
    needed: other jobs stand on this one, so it is never left out, however long it takes
    """

    spec: NetSpec
    recipe: Recipe
    seeds: int = 3
    start: Callable[[int], Start] | None = None
    needed: bool = False


@dataclass(frozen=True, eq=False)
class Runs:
    """What came of a job, seed by seed.

    answers: uint8 [seeds, test images], the class that each network gives to each test image
    """

    job: Job
    trials: tuple[Trial, ...]
    outcomes: tuple[Outcome, ...] = field(repr=False)
    test: tuple[Score, ...]
    answers: Answers = field(repr=False)

    @property
    def rates(self) -> tuple[float, ...]:
        """The test rate of each seed."""
        return tuple(score.rate for score in self.test)

    @property
    def mean(self) -> float:
        return fmean(self.rates)

    @property
    def spread(self) -> float:
        """The standard deviation of the test rates; 0 for one seed."""
        return stdev(self.rates) if len(self.test) > 1 else 0.0

    @property
    def selection(self) -> float:
        """The mean rate on the selection half, by which alone anything is chosen."""
        return fmean(outcome.selection.rate for outcome in self.outcomes)

    @property
    def validation(self) -> tuple[Score, ...]:
        return tuple(outcome.validation for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """The mean time of one training."""
        return fmean(outcome.train_seconds for outcome in self.outcomes)

    @property
    def middle(self) -> int:
        """The place of the seed whose validation score is the median (of two, the better)."""
        order = sorted(range(len(self.outcomes)), key=lambda place: self.outcomes[place].validation.correct)
        return order[len(order) // 2]

    @property
    def best(self) -> int:
        """The place of the seed with the most selection images right, the first of equals."""
        return max(range(len(self.outcomes)), key=lambda place: self.outcomes[place].selection.correct)

    @property
    def mean_score(self) -> Score:
        """The mean count over the seeds, of one test split: what an interval for one network is made from."""
        return Score(round(fmean(score.correct for score in self.test)), self.test[0].total)

    def __str__(self) -> str:
        """For a table of percentages: "97.31 ±0.12 (10)", the mean, the standard deviation, the seeds."""
        spread = f" ±{100 * self.spread:.2f}" if len(self.test) > 1 else ""
        return f"{100 * self.mean:.2f}{spread} ({len(self.test)})"

    @property
    def text(self) -> str:
        """For a sentence."""
        if len(self.test) == 1:
            return f"{100 * self.mean:.2f} % (one seed)"
        return f"{100 * self.mean:.2f} ± {100 * self.spread:.2f} % ({len(self.test)} seeds)"


class Bench:
    """Trains jobs on one study, within an effort, and keeps a list of all of them and of what was left out."""

    def __init__(self, study: Study, effort: Effort, engine: str = "auto") -> None:
        self.study, self.effort, self.engine = study, effort, engine
        self.runs: dict[str, Runs] = {}
        self.left_out: list[str] = []

    def train(
        self,
        context: TrainingContext,
        jobs: Mapping[str, Job],
        stage: str,
        prefix: str = "",
        ahead: Mapping[str, Job] | None = None,
    ) -> dict[str, Runs]:
        """The runs of the jobs by name; those that the effort leaves out are missing.

        prefix: put before each name in `self.runs`, which holds the runs of all calls
        ahead: jobs that are asked for later, trained along so that no core waits for one long training
        """
        context, early = _trials(context, self._kept(context, ahead or {}))
        kept = self._kept(context, jobs)
        self.left_out += [prefix + name for name in jobs if name not in kept]
        context, trials = _trials(context, kept)
        wanted = [trial for many in (*trials.values(), *early.values()) for trial in many]
        outcomes = self.study.run(context, wanted, stage)
        runs, place = {}, 0
        for name, many in trials.items():
            runs[name] = self._runs(context, kept[name], many, tuple(outcomes[place : place + len(many)]))
            place += len(many)
        self.runs |= {prefix + name: found for name, found in runs.items()}
        return runs

    def remembers(self, context: TrainingContext, jobs: Mapping[str, Job]) -> bool:
        """Whether all that `train` would do is in the store, so that the images themselves are not needed."""
        context, trials = _trials(context, self._kept(context, jobs))
        wanted = [trial for many in trials.values() for trial in many]
        store = self.study.store
        known = store.get_many(wanted)
        return all(t.key in known and store.get_array(_answers_key(context, t)) is not None for t in wanted)

    def _kept(self, context: TrainingContext, jobs: Mapping[str, Job]) -> dict[str, Job]:
        fitted = {name: self.fit(context, job) for name, job in jobs.items()}
        return {name: job for name, job in fitted.items() if job is not None}

    def fit(self, context: TrainingContext, job: Job) -> Job | None:
        """The job within the effort, or None where it is left out."""
        effort = self.effort
        epochs = max(1, round(job.recipe.epochs * effort.epoch_share))
        recipe = replace(job.recipe, epochs=epochs)
        cost = context.cost(context.trial(job.spec, recipe, 0))
        if cost > effort.largest_macs and not job.needed:
            return None
        seeds = max(1, min(job.seeds, effort.most_seeds, int(effort.row_macs / cost)))
        return replace(job, recipe=recipe, seeds=seeds)

    def taught(self, context: TrainingContext, runs: Runs) -> TrainingContext:
        """The context with the logits of these runs' best seed (by the selection half) as the teacher's."""
        place = runs.best
        found = context_with_teacher(
            self.study.store, context, runs.trials[place], runs.outcomes[place], self.study.workers
        )
        return replace(found, starts={})

    def _runs(
        self, context: TrainingContext, job: Job, trials: tuple[Trial, ...], outcomes: tuple[Outcome, ...]
    ) -> Runs:
        pairs = zip(trials, outcomes, strict=True)
        answers = np.stack([self._answers(context, trial, outcome) for trial, outcome in pairs])
        labels = context.dataset.test.labels
        scores = tuple(Score(int((row == labels).sum()), len(labels)) for row in answers)
        return Runs(job, trials, outcomes, scores, answers)

    def _answers(self, context: TrainingContext, trial: Trial, outcome: Outcome) -> Answers:
        """The class of each test image, uint8 [n], from the store when it is there: the test split is scored once."""
        key = _answers_key(context, trial)
        found = self.study.store.get_array(key)
        if found is None:
            logits = classify(context, trial.spec, outcome.weights, context.dataset.test, self.study.workers)
            found = logits.argmax(axis=1).astype(np.uint8)
            self.study.store.put_array(key, found)
        return found.astype(np.uint8)


def _trials(context: TrainingContext, jobs: Mapping[str, Job]) -> tuple[TrainingContext, dict[str, tuple[Trial, ...]]]:
    """The trials of each job, and the context with what they start from."""
    starts, trials = dict(context.starts), {}
    for name, job in jobs.items():
        many = []
        for seed in range(job.seeds):
            start = job.start(seed) if job.start else None
            starts |= {start.digest: start} if start else {}
            many.append(context.trial(job.spec, job.recipe, seed, start.digest if start else ""))
        trials[name] = tuple(many)
    return replace(context, starts=starts), trials


def _answers_key(context: TrainingContext, trial: Trial) -> str:
    return f"{trial.key} {context.dataset.digest} test classes"
