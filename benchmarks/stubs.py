"""Stub trials that train nothing and take a given time, so that only the cost of running trials is measured.

The seconds of a trial are its learning rate, so that a task says by itself how long it takes. On other processes,
`run` replaces `trials.remote.run`; on threads, `Study(evaluate=stubs.evaluate)` replaces the real training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from smidgen.data import from_arrays
from smidgen.engine import DEFAULT_CONTROL, TrainControl
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials import remote
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.workers import Pool

PARAMETERS = 700
"""Weights of each outcome: about as many as a network that is found for MNIST has."""

NOTHING = 1e-9
"""Learning rate of a trial that takes no time; a learning rate must be above 0."""


def context() -> TrainingContext:
    """Make a context with data that no stub reads."""
    generator = np.random.default_rng(0)
    return TrainingContext(from_arrays(generator.normal(size=(100, 4)), np.arange(100) % 2, name="stub"))


def trials(known: TrainingContext, count: int, seconds: float, first_seed: int = 0) -> list[Trial]:
    """Make `count` trials that take `seconds` each."""
    recipe = Recipe(learning_rate=max(seconds, NOTHING), schedule="constant", epochs=1)
    digest, spec = known.dataset.digest, parse_spec("dense 2")
    return [Trial(spec, recipe, seed, digest, "stub") for seed in range(first_seed, first_seed + count)]


def evaluate(_known: TrainingContext, trial: Trial, _control: TrainControl = DEFAULT_CONTROL) -> Outcome:
    """Wait for the trial's seconds and return an outcome that tells its seed."""
    seconds = trial.recipe.learning_rate
    if seconds > NOTHING:
        time.sleep(seconds)
    weights = np.full(PARAMETERS, trial.seed, np.float32)
    return Outcome(PARAMETERS, Score(90, 100), Score(90, 100), (0.5,), seconds, weights)


def run(task: remote.Task) -> remote.TaskResult:
    """Replace `smidgen.trials.remote.run`; no data is needed."""
    outcomes = tuple(evaluate(_NO_CONTEXT, trial) for trial in task.trials)
    return remote.TaskResult(f"process {os.getpid()}", outcomes)


_NO_CONTEXT: Any = None


class Stubbed(Executor):
    """Pass every task on to another executor as a stub, and count the tasks."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.tasks = inner, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += 1
        return self.inner.submit(run if fn is remote.run else fn, *args, **kwargs)


def stubbed(pool: Pool) -> Pool:
    """Return the same workers, which then train nothing."""
    return Pool(Stubbed(pool.executor), pool.capacity, lambda _digest, _content: None)


def check(outcomes: Sequence[Outcome], asked: Sequence[Trial]) -> None:
    """Raise AssertionError unless each outcome belongs to its own trial."""
    wrong = [trial.seed for trial, outcome in zip(asked, outcomes, strict=True) if outcome.weights[0] != trial.seed]
    if wrong:
        raise AssertionError(f"{len(wrong)} outcomes belong to other trials, the first to seed {wrong[0]}")
