"""Run trials and remember them: what was trained once, by any command, is never trained again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from smidgen.candidate import Lessons, evaluate
from smidgen.engine import Watch
from smidgen.records import Outcome, Trial
from smidgen.store import Store
from smidgen.workers import default_workers, map_unordered


class Progress(Protocol):
    """Who is told how far a run is; every method may be called from any thread."""

    def stage(self, name: str, total: float) -> None:
        """A new stage begins, of `total` units of work."""

    def advance(self, amount: float) -> None:
        """So much of the stage's work is done."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...


class Stopped(Exception):
    """Raised inside a training that is to end early because the run does."""


class Study:
    """Trials on one store with so many workers.

    `trained` and `remembered` count this process's trials. An outcome is stored before the next one is
    looked at, so a run that is stopped or killed loses only what it was training.
    """

    def __init__(self, store: Store, workers: int | None = None, progress: Progress | None = None) -> None:
        self.store = store
        self.workers = default_workers() if workers is None else workers
        self.progress: Progress = progress or Silent()
        self.trained = 0
        self.remembered = 0
        self._stop = threading.Event()

    def run(self, lessons: Lessons, trials: Sequence[Trial], stage: str, threads: int = 1) -> list[Outcome]:
        """The outcomes in the order of the trials, each trained once or remembered.

        threads: of each training; for one large network alone.
        """
        known = self.store.get_many(trials)
        missing = list({trial.key: trial for trial in trials if trial.key not in known}.values())
        self.remembered += len(known)
        self.progress.stage(stage, sum(map(lessons.cost, missing)))

        def work(trial: Trial) -> Outcome:
            watch = self._watch(lessons.cost(trial))
            outcome = evaluate(lessons, trial, watch, threads)
            watch(1, 1)
            return outcome

        workers = 1 if threads > 1 else self.workers
        with closing(map_unordered(work, missing, workers, lessons.cost, stop=self._stop)) as results:
            for index, outcome in results:
                self.store.put(missing[index], outcome)
                known[missing[index].key] = outcome
                self.trained += 1
        return [known[trial.key] for trial in trials]

    def _watch(self, cost: float) -> Watch:
        """Tells the progress how far one training is, and ends it when the run is being stopped."""
        told = 0.0

        def watch(done: int, total: int) -> None:
            nonlocal told
            if self._stop.is_set():
                raise Stopped
            now = cost * done / total
            self.progress.advance(now - told)
            told = now

        return watch
