"""The documents' trainings: one network from several seeds, kept in the store, and its answers to the test images.

A `Job` says what is trained and from how many seeds; a `Bench` trains jobs through a `Study`, so that a second run
finds all of them in the store. An `Effort` limits the cost: it cuts epochs and seeds, or leaves a job out, by its
multiply-accumulates alone.

Everything is chosen on the validation split. The test split is scored once for each trial that a table reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import NetSpec
from smidgen.studies.phrases import rate_text, seeds_text
from smidgen.teacher import context_with_teacher
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.study import Study

Answers = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Effort:
    """Limits on the cost of a document.

    Attributes:
        row_macs: Multiply-accumulates that the seeds of a job may take together; one seed is always trained.
        epoch_share: The share of a recipe's epochs that is trained.
        largest_macs: A job whose one training takes more multiply-accumulates is left out.
    """

    name: str
    most_seeds: int
    row_macs: float
    epoch_share: float
    largest_macs: float

    @property
    def is_whole(self) -> bool:
        """Whether all epochs are trained; otherwise no training uses the validation images, and no file is searched."""
        return self.epoch_share >= 1


EFFORTS = {
    "full": Effort("full", 16, 220e12, 1.0, 100e12),
    "quick": Effort("quick", 1, 0.3e12, 0.12, 0.6e12),
}
"""The efforts of `smidgen reproduce`. "full" has room for ten seeds of logit-regression's teacher, the largest network
that is trained as often."""


@dataclass(frozen=True, eq=False)
class Job:
    """One training, repeated from several seeds.

    Attributes:
        start: Makes the start of a seed's training; None for fresh weights.
        needed: Whether other jobs depend on this one, so that it is never left out.
    """

    spec: NetSpec
    recipe: Recipe
    seeds: int = 3
    start: Callable[[int], Start] | None = None
    needed: bool = False


Jobs = Mapping[str, Job]


@dataclass(frozen=True, eq=False)
class Runs:
    """The trainings of a job within the effort, seed by seed.

    Attributes:
        answers: uint8 [seeds, test images], the class that each network gives to each test image.
        macs: Multiply-accumulates of one training.
    """

    job: Job
    trials: tuple[Trial, ...]
    outcomes: tuple[Outcome, ...] = field(repr=False)
    answers: Answers = field(repr=False)
    labels: npt.NDArray[np.integer] = field(repr=False)
    macs: float = 0.0

    @cached_property
    def test(self) -> tuple[Score, ...]:
        """The test score of each seed."""
        return tuple(Score(int((row == self.labels).sum()), len(self.labels)) for row in self.answers)

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
        """The mean rate on the selection half, the only one by which anything is chosen."""
        return fmean(outcome.selection.rate for outcome in self.outcomes)

    @property
    def validation(self) -> tuple[Score, ...]:
        return tuple(outcome.validation for outcome in self.outcomes)

    @property
    def parameters(self) -> int:
        return self.outcomes[0].parameters

    @property
    def epochs(self) -> float:
        """The mean number of epochs, which early stopping may cut."""
        return fmean(len(outcome.losses) for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """The mean time of one training."""
        return fmean(outcome.train_seconds for outcome in self.outcomes)

    @property
    def middle(self) -> int:
        """The index of the seed with the median validation score; of two, the better."""
        order = sorted(range(len(self.outcomes)), key=lambda index: self.outcomes[index].validation.correct)
        return order[len(order) // 2]

    @property
    def best(self) -> tuple[Trial, Outcome]:
        """The seed with the most selection images right, the first of equals."""
        return max(zip(self.trials, self.outcomes, strict=True), key=lambda seed: seed[1].selection.correct)

    @property
    def chosen(self) -> Score:
        """The test score of the seed that the selection half chooses, `best`."""
        return self.test[self.trials.index(self.best[0])]

    @property
    def mean_score(self) -> Score:
        """The mean test count over the seeds, from which the interval of one network is made."""
        return Score(round(fmean(score.correct for score in self.test)), self.test[0].total)

    def __str__(self) -> str:
        """The test rates for a table in percent, with the seeds and the epochs: "97.31 ±0.12 (10; 20)"."""
        return self.cell(self.rates)

    def cell(self, rates: tuple[float, ...]) -> str:
        """Return other rates of these networks, one a seed, as `str` returns the test rates."""
        spread = f" ±{rate_text(stdev(rates))}" if len(rates) > 1 else ""
        return f"{rate_text(fmean(rates))}{spread} ({len(rates)}; {self.epochs:.3g})"

    @property
    def text(self) -> str:
        """The mean test rate, the standard deviation and the seeds for a sentence: "97.31 ± 0.12 % (10 seeds)"."""
        return seeds_text(self.rates)


def best_on_selection(runs: Mapping[str, Runs]) -> str:
    """Return the name of the runs with the best mean on the selection half, the first of equals; "" for none."""
    return max(runs, key=lambda name: runs[name].selection, default="")


class Bench:
    """Trains jobs on one study within an effort, and lists all runs and what was left out."""

    def __init__(self, study: Study, effort: Effort, engine: str = "auto", document: str = "") -> None:
        self.study, self.effort, self.engine, self.document = study, effort, engine, document
        self.runs: dict[str, Runs] = {}
        self.left_out: list[str] = []

    def context(self, data: Dataset) -> TrainingContext:
        return TrainingContext(data, self.engine)

    def train(
        self, context: TrainingContext, jobs: Jobs, prefix: str = "", ahead: Jobs | None = None
    ) -> dict[str, Runs]:
        """Train jobs and return their runs by name, without those that the effort leaves out.

        Args:
            context: What they learn from.
            jobs: The jobs by name.
            prefix: Put before each name in `self.runs`, which lists the runs of all calls; the reporter shows it.
            ahead: Jobs of a later call, trained along so that no core waits for one long training.
        """
        context, early = self._trials(context, ahead or {})
        context, trials = self._trials(context, jobs)
        self.left_out += [prefix + name for name in jobs if name not in trials]
        wanted = [trial for seeds in (*trials.values(), *early.values()) for trial in seeds]
        outcomes = iter(self.study.run(context, wanted, f"{self.document}, {prefix}".rstrip(", :")))
        runs = {}
        for name, seeds in trials.items():
            found = tuple(next(outcomes) for _ in seeds)
            answers = np.stack([self._answers(context, *pair) for pair in zip(seeds, found, strict=True)])
            job = replace(jobs[name], recipe=seeds[0].recipe, seeds=len(seeds))
            runs[name] = Runs(job, seeds, found, answers, context.dataset.test.labels, context.cost(seeds[0]))
        self.runs |= {prefix + name: found for name, found in runs.items()}
        return runs

    def fit(self, context: TrainingContext, job: Job) -> Job | None:
        """Return the job within the effort, or None where it is left out."""
        effort = self.effort
        recipe = replace(job.recipe, epochs=max(1, round(job.recipe.epochs * effort.epoch_share)))
        cost = context.cost(context.trial(job.spec, recipe, 0))
        if cost > effort.largest_macs and not job.needed:
            return None
        seeds = max(1, min(job.seeds, effort.most_seeds, int(effort.row_macs / cost)))
        return replace(job, recipe=recipe, seeds=seeds)

    def taught(self, context: TrainingContext, teacher: Runs) -> TrainingContext:
        """Return the context with the logits of the teacher's best seed."""
        found = context_with_teacher(self.study.store, context, *teacher.best, self.study.workers)
        return replace(found, starts={})

    def training_rates(self, context: TrainingContext, runs: Runs) -> tuple[float, ...]:
        """Return the accuracy of each seed's network on the context's training images; the store keeps it."""
        train = context.dataset.train

        def rate(trial: Trial, outcome: Outcome) -> Array:
            logits = classify(context, trial.spec, outcome.weights, train, self.study.workers)
            return np.asarray([(logits.argmax(axis=1) == train.labels).mean()])

        def kept(trial: Trial, outcome: Outcome) -> float:
            key = f"{trial.key} {context.dataset.digest} training accuracy"
            return float(self.array(key, partial(rate, trial, outcome))[0])

        return tuple(map(kept, runs.trials, runs.outcomes))

    def array(self, key: str, make: Callable[[], Array]) -> Array:
        """Return an array from the store, which is made if the store does not have it."""
        found = self.study.store.get_array(key)
        if found is None:
            found = make()
            self.study.store.put_array(key, found)
        return found

    def _trials(self, context: TrainingContext, jobs: Jobs) -> tuple[TrainingContext, dict[str, tuple[Trial, ...]]]:
        """Return the trials of each job within the effort, and the context with their starts."""
        starts, trials = dict(context.starts), {}
        for name, job in jobs.items():
            if (kept := self.fit(context, job)) is None:
                continue
            made = [kept.start(seed) if kept.start else None for seed in range(kept.seeds)]
            starts |= {start.digest: start for start in made if start}
            digests = enumerate(start.digest if start else "" for start in made)
            trials[name] = tuple(context.trial(kept.spec, kept.recipe, seed, digest) for seed, digest in digests)
        return replace(context, starts=starts), trials

    def _answers(self, context: TrainingContext, trial: Trial, outcome: Outcome) -> Answers:
        """Return the class of each test image, uint8 [n]; the store keeps it, so the test split is scored once."""

        def classes() -> Answers:
            logits = classify(context, trial.spec, outcome.weights, context.dataset.test, self.study.workers)
            return np.asarray(logits.argmax(axis=1), np.uint8)

        return self.array(f"{trial.key} {context.dataset.digest} test classes", classes)
