"""Train batches of trials on threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

from smidgen.engine import TrainControl
from smidgen.records import Outcome, Trial
from smidgen.reporter import Reporter
from smidgen.trials import evaluate as evaluation
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.workers import map_unordered

Evaluate = Callable[[TrainingContext, Trial, TrainControl], Outcome]
"""Trains and scores one trial, as `evaluate.evaluate` does."""

Batches = Callable[[Callable[[float], float]], Iterator[list[Trial]]]
"""Makes batches of trials, given the most that a batch may cost (`workers.in_batches`)."""

Results = Generator[tuple[int, Sequence[Outcome]], None, None]
"""(index of the batch, its outcomes), as batches finish."""


class Stopped(Exception):
    """Raised inside a training that ends early because the run does."""


class ThreadRunner:
    """Trains trials on threads of this process, with their progress as it goes.

    A training that is left alone at the end of a stage takes over the idle cores.
    """

    def __init__(self, workers: int, reporter: Reporter, evaluate: Evaluate | None = None) -> None:
        self.workers, self.reporter = workers, reporter
        self.evaluate = evaluate or evaluation.evaluate
        self._stop = threading.Event()
        self._cores = Cores(workers)

    def results(self, context: TrainingContext, batches: Batches, threads: int) -> Results:
        """Train every batch; close the generator to end the trainings in progress."""

        def work(batch: list[Trial]) -> Sequence[Outcome]:
            return [self._trained(context, trial, threads) for trial in batch]

        workers = 1 if threads > 1 else self.workers
        return map_unordered(work, batches(lambda _: 0.0), workers, stop=self._stop)

    def _trained(self, context: TrainingContext, trial: Trial, threads: int) -> Outcome:
        with self._cores.in_use():
            progress = self._progress(context.cost(trial))
            outcome = self.evaluate(context, trial, TrainControl(threads, progress))
            progress(1, 1)
            return outcome

    def _progress(self, cost: float) -> Callable[[int, int], int]:
        """Make the callback of one training: it reports, raises Stopped after a stop, and returns the free cores."""
        reported = 0.0

        def progress(done: int, total: int) -> int:
            nonlocal reported
            if self._stop.is_set():
                raise Stopped
            now = cost * done / total
            self.reporter.advance(now - reported)
            reported = now
            return self._cores.share()

        return progress


class Cores:
    """The cores of this process, divided among the trainings that run."""

    def __init__(self, count: int) -> None:
        self._count, self._running, self._lock = count, 0, threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Count one more training while the block runs."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def share(self) -> int:
        """Return the cores of each training, at least one."""
        return max(1, self._count // max(1, self._running))
