"""What the stages of a search share: its fixed settings, and the candidates that were trained so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from smidgen.data import Dataset
from smidgen.records import Trial
from smidgen.search.effort import (
    DISTILLATION_RECIPES,
    LEAST_MACS,
    MOST_PARAMETERS,
    Effort,
)
from smidgen.search.goal import Goal
from smidgen.search.judge import Judge
from smidgen.search.proposals import Space
from smidgen.search.ranking import CandidateScore, expected_share
from smidgen.search.result import TrainedCandidate
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.study import Study


@dataclass(eq=False)
class History:
    """What was trained so far; the only thing that changes during a search.

    Attributes:
        candidates: Every training of a candidate once, in order.
        short_runs: Scores of the short trainings, which rank networks.
        long_runs: Scores of the long trainings.
    """

    candidates: list[TrainedCandidate] = field(default_factory=list)
    short_runs: list[CandidateScore] = field(default_factory=list)
    long_runs: list[CandidateScore] = field(default_factory=list)


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
        recipe_name: Which of `DISTILLATION_RECIPES` long trainings use.
        history: What was trained so far.
    """

    study: Study
    context: TrainingContext
    goal: Goal
    effort: Effort
    seed: int
    judge: Judge
    recipe_name: str = "labels"
    history: History = field(default_factory=History)

    @property
    def data(self) -> Dataset:
        return self.context.dataset

    @property
    def allowed_short_error(self) -> float:
        """The error of a short training from which a long one is expected to meet the requirement."""
        return self.judge.requirement.allowed_error / expected_share(self.history.short_runs, self.history.long_runs)

    def space(self, macs_factor: int = 1) -> Space:
        """The networks within the goal's limits.

        Args:
            macs_factor: Multiplies the number of multiply-accumulates that the effort allows.
        """
        shape = self.data.input_shape
        macs = macs_factor * max(LEAST_MACS, self.effort.macs_a_value * math.prod(shape))
        return self.goal.limited(Space(shape, self.data.classes, MOST_PARAMETERS, macs))

    def trials(
        self, specs: Sequence[NetSpec], steps: int, *, seeds: int = 1, first_seed: int = 0, recipe_name: str = ""
    ) -> list[Trial]:
        """The trainings of these networks for about `steps` optimizer steps, from `seeds` seeds each.

        Args:
            specs: The networks.
            steps: Optimizer steps, rounded to whole epochs.
            seeds: Seeds of each network, counted from the search's own seed.
            first_seed: How many seeds of these networks were used before.
            recipe_name: One of `DISTILLATION_RECIPES`; the search's own by default.
        """
        recipe = DISTILLATION_RECIPES[recipe_name or self.recipe_name]
        recipe = replace(recipe, epochs=max(1, round(steps / recipe.steps(len(self.data.train)))))
        first = self.seed + first_seed
        return [self.context.trial(spec, recipe, first + k) for spec in specs for k in range(seeds)]

    def train(self, trials: Sequence[Trial], stage: str) -> list[TrainedCandidate]:
        """Train, or look up, the trials of a stage, and add those that are new to the history."""
        outcomes = self.study.run(self.context, trials, stage)
        trained = [TrainedCandidate(trial, outcome, stage) for trial, outcome in zip(trials, outcomes, strict=True)]
        known = {candidate.trial.key for candidate in self.history.candidates}
        new = {candidate.trial.key: candidate for candidate in trained if candidate.trial.key not in known}
        self.history.candidates += new.values()
        return trained

    def train_long(self, trials: Sequence[Trial], stage: str) -> None:
        """Train the trials of a stage and add their scores to the long runs."""
        self.history.long_runs += map(self.score, self.train(trials, stage))

    def score(self, candidate: TrainedCandidate) -> CandidateScore:
        """The candidate's size and its error on the selection half."""
        error = 1.0 - self.judge.rate(candidate.trial, candidate.outcome, "selection")
        return CandidateScore(candidate.trial.spec, candidate.outcome.parameters, error)

    def is_met(self, candidate: TrainedCandidate, half: str) -> bool:
        """Whether the candidate meets the requirement on "selection" or "confirmation"."""
        return self.judge.is_met(candidate.trial, candidate.outcome, half)
