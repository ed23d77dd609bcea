"""Trials that train nothing and take as long as they are told: what is left is the cost of running them.

The seconds of a trial are its learning rate, so that a task says by itself how long it takes. The executors of
other processes get `run` in the place of `trials.remote.run`; threads get `evaluate` in the place of the real one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import numpy as np

from smidgen.data import from_arrays
from smidgen.engine import DEFAULT_CONTROL, TrainControl
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials import remote, study
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.workers import Pool

PARAMETERS = 700
"""Of each outcome's weights: about those of a network that was found for MNIST."""

NOTHING = 1e-9
"""Seconds of a trial that takes none; a learning rate is above 0."""


def context() -> TrainingContext:
    """Data that nobody looks at."""
    generator = np.random.default_rng(0)
    return TrainingContext(from_arrays(generator.normal(size=(100, 4)), np.arange(100) % 2, name="stub"))


def trials(known: TrainingContext, count: int, seconds: float, first_seed: int = 0) -> list[Trial]:
    """So many trials of so many seconds each."""
    recipe = Recipe(learning_rate=max(seconds, NOTHING), schedule="constant", epochs=1)
    digest, spec = known.dataset.digest, parse_spec("dense 2")
    return [Trial(spec, recipe, seed, digest, "stub") for seed in range(first_seed, first_seed + count)]


def evaluate(_known: TrainingContext, trial: Trial, _control: TrainControl = DEFAULT_CONTROL) -> Outcome:
    """Wait, and say something that depends on the trial."""
    seconds = trial.recipe.learning_rate
    if seconds > NOTHING:
        time.sleep(seconds)
    weights = np.full(PARAMETERS, trial.seed, np.float32)
    return Outcome(PARAMETERS, Score(90, 100), Score(90, 100), (0.5,), seconds, weights)


def run(task: remote.Task) -> remote.TaskResult:
    """`smidgen.trials.remote.run` without data."""
    outcomes = tuple(evaluate(_NO_LESSONS, trial) for trial in task.trials)
    return remote.TaskResult(f"process {os.getpid()}", outcomes)


_NO_LESSONS: Any = None


class Stubbed(Executor):
    """Another executor, to which every task goes as a stub; counts the tasks."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.tasks = inner, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += 1
        return self.inner.submit(run if fn is remote.run else fn, *args, **kwargs)


def stubbed(pool: Pool) -> Pool:
    """The same workers without training."""
    return Pool(Stubbed(pool.executor), pool.capacity, lambda _digest, _content: None)


def stubbed_threads() -> AbstractContextManager[Any]:
    """Threads of this process without training."""
    return patch.object(study, "evaluate", evaluate)


def check(outcomes: Sequence[Outcome], asked: Sequence[Trial]) -> None:
    """Each came back to its own trial."""
    wrong = [trial.seed for trial, outcome in zip(asked, outcomes, strict=True) if outcome.weights[0] != trial.seed]
    if wrong:
        raise AssertionError(f"{len(wrong)} outcomes belong to other trials, the first to seed {wrong[0]}")
