"""Run trials and remember them: what was trained once, by any command, is never trained again."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from smidgen.data import Split
from smidgen.records import Outcome, Score, Trial, Weights
from smidgen.reporter import Reporter, SilentReporter
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.pool_runner import PoolRunner
from smidgen.trials.store import Store
from smidgen.trials.thread_runner import Evaluate, ThreadRunner
from smidgen.trials.workers import Pool, default_workers, in_batches

_log = logging.getLogger(__name__)

Network = tuple[NetSpec, Weights]

OnOutcome = Callable[[Trial, Outcome], object]

OTHERS_SECONDS = 0.5
"""Poll interval (s) for trials claimed by another coordinator."""


def ignored(trial: Trial, outcome: Outcome) -> None:
    """Do nothing with an outcome."""


class Study:
    """Trials on one store, trained on threads of this process or on a pool of other processes.

    An outcome is stored before the next one is looked at, so a run that is stopped or killed loses only the trainings
    in progress. Several studies, here or on other machines, may share a store: each leaves to the others what they
    are training at the moment, as far as `Store.claim` knows.

    Attributes:
        store: where outcomes are remembered.
        workers: threads of this process.
        reporter: told the progress.
        trained: trials that this study trained.
        work: multiply-accumulates of those trials, estimated.
        remembered: trials that it found in the store.
        trained_by_worker: trials by the worker of the pool that trained them.
        is_followed: whether somebody listens to the reporter.
    """

    def __init__(
        self,
        store: Store,
        workers: int | None = None,
        reporter: Reporter | None = None,
        pool: Pool | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Prepare a study; nothing is trained yet.

        Args:
            store: where outcomes are looked up and kept.
            workers: threads of this process; None for every CPU.
            reporter: receives the progress.
            pool: trains instead of this process's threads, if given.
            evaluate: trains one trial on a thread of this process; None for `evaluate.evaluate`. Pools ignore it.
        """
        self.store = store
        self.workers = default_workers() if workers is None else workers
        self.reporter: Reporter = reporter or SilentReporter()
        self.is_followed = reporter is not None
        self._pool = pool
        self.trained = 0
        self.work = 0.0
        self.remembered = 0
        self.trained_by_worker: Counter[str] = Counter()
        self._runner: PoolRunner | ThreadRunner
        if pool is None:
            self._runner = ThreadRunner(self.workers, self.reporter, evaluate)
        else:
            self._runner = PoolRunner(pool, self.reporter, self.trained_by_worker)

    @property
    def threads(self) -> int:
        """How many trainings run at once: threads of this process, or tasks of the pool."""
        return self.workers if self._pool is None else max(1, self._pool.capacity())

    def run(
        self,
        context: TrainingContext,
        trials: Sequence[Trial],
        stage: str,
        threads: int = 1,
        on_outcome: OnOutcome = ignored,
    ) -> list[Outcome]:
        """Train trials, or find them in the store.

        Args:
            context: what the trials learn from.
            trials: what to train; the same trial may occur twice.
            stage: name of this stage, for the reporter.
            threads: threads of each training, one training at a time: for a single large network and an engine that
                cannot take over idle cores by itself.
            on_outcome: is called in this thread with each trial that this study trains and its outcome, while others
                are trained.

        Returns:
            The outcomes in the order of the trials.
        """
        known = self.store.get_many(trials)
        missing = list({trial.key: trial for trial in trials if trial.key not in known}.values())
        self.remembered += len(known)
        _log.debug("%s: %d of %d trials are in the store %s", stage, len(known), len(trials), self.store.location)
        self.reporter.stage(stage, sum(map(context.cost, missing)))
        while missing:
            known.update(self._train(context, missing, threads, on_outcome))
            others = [trial for trial in missing if trial.key not in known]
            known.update(self._trained_by_others(context, others))
            missing = [trial for trial in others if trial.key not in known]
            if missing and len(missing) == len(others):
                time.sleep(OTHERS_SECONDS)
        return [known[trial.key] for trial in trials]

    def score(
        self,
        context: TrainingContext,
        trial: Trial,
        network: tuple[NetSpec, Weights],
        split: Split,
        *,
        name: str,
        of: str,
    ) -> Score:
        """Score a network on a split once, and remember it in the store: with a large network it takes seconds.

        Args:
            context: the data and the engine.
            trial: the training that the network comes from.
            network: its layers and weights.
            split: the images.
            name: what the store calls the split.
            of: what was scored of the trial, such as "decoded file".
        """
        found = self.store.get_score(trial.key, split=name, of=of)
        if found is None:
            found = score(context, *network, split, self.workers)
            self.store.put_score(trial.key, split=name, of=of, score=found)
        return found

    def _trained_by_others(self, context: TrainingContext, trials: Sequence[Trial]) -> dict[str, Outcome]:
        found = self.store.get_many(trials)
        self.remembered += len(found)
        for trial in trials:
            if trial.key in found:
                self.reporter.advance(context.cost(trial))
        return found

    def _train(
        self, context: TrainingContext, trials: Sequence[Trial], threads: int, on_outcome: OnOutcome
    ) -> dict[str, Outcome]:
        """Train and store the trials that nobody else is training; return the outcomes by key."""
        done: dict[str, Outcome] = {}
        claimed: list[list[Trial]] = []

        def batches(most_cost: Callable[[float], float]) -> Iterator[list[Trial]]:
            for batch in in_batches(self._in_own_order(trials), context.cost, most_cost):
                if mine := self.store.claim(batch):
                    claimed.append(mine)
                    yield mine

        try:
            with closing(self._runner.results(context, batches, threads)) as results:
                for index, outcomes in results:
                    pairs = list(zip(claimed[index], outcomes, strict=True))
                    self.store.put_many(pairs)
                    for trial, outcome in pairs:
                        _log.debug(
                            "%s, seed %d: %s on validation, %d parameters, %.2f s",
                            *(trial.spec, trial.seed, outcome.validation, outcome.parameters, outcome.train_seconds),
                        )
                    done.update((trial.key, outcome) for trial, outcome in pairs)
                    self.trained += len(pairs)
                    self.work += sum(context.cost(trial) for trial, _ in pairs)
                    for trial, outcome in pairs:
                        on_outcome(trial, outcome)
        finally:
            self.store.release(trial for batch in claimed for trial in batch if trial.key not in done)
        return done

    def _in_own_order(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Shuffle on a shared store: two studies in the same order would compete for every single trial."""
        return random.sample(trials, len(trials)) if self.store.is_shared else trials
