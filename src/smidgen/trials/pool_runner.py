"""Train batches of trials on a pool of other processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from smidgen.errors import EngineError
from smidgen.reporter import Reporter
from smidgen.trials import remote
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.identity import identity
from smidgen.trials.thread_runner import Batches, Results
from smidgen.trials.workers import Pool, map_unordered

TASK_SECONDS = 1.0
"""Target duration of a task: long against a scheduler's overhead for it, short against a stage."""
TASKS_PER_SECOND = 100
"""Tasks that one scheduler and one coordinator handle easily; with more workers than these, tasks are longer."""
FIRST_COST_PER_SECOND = 1e9
"""Multiply-accumulates a second of a slow worker, assumed until the first tasks come back."""


class PoolRunner:
    """Trains trials in tasks of about a second, and sends the workers what the trials need.

    Attributes:
        pool: the workers.
        reporter: told the progress, task by task.
        trained_by_worker: trials by the worker that trained them; counted up.
    """

    def __init__(self, pool: Pool, reporter: Reporter, trained_by_worker: Counter[str]) -> None:
        self.pool, self.reporter, self.trained_by_worker = pool, reporter, trained_by_worker
        self._pace = Pace()
        self._sent: dict[str, str] = {}
        self._sent_again: set[str] = set()

    def results(self, context: TrainingContext, batches: Batches, threads: int) -> Results:
        """Train every batch; one that a worker could not train is left out, for the caller's next round.

        Raises:
            EngineError: no worker gives the bits that the trials' keys stand for, or content was sent twice in vain.
        """
        if self.pool.require:
            wanted = identity(context.engine)
            self.pool.require(partial(identity, context.engine), wanted, self.reporter.say)
        sender = remote.TaskSender(self.pool, context, 0 if threads > 1 else 1, self._sent)
        tasks: list[remote.Task] = []

        def made() -> Iterator[remote.Task]:
            for batch in batches(lambda left: self._batch_cost(left, self.pool.capacity())):
                tasks.append(sender.task(batch))
                yield tasks[-1]

        trained, incomplete, refused = 0, None, ""
        with closing(map_unordered(remote.run, made(), self.pool.capacity, self.pool.executor)) as results:
            for index, result in results:
                if result.missing or result.refused:
                    incomplete = result if result.missing else incomplete
                    refused = result.refused or refused
                    continue
                cost = sum(map(context.cost, tasks[index].trials))
                if threads == 1:
                    self._pace.learn(cost, sum(outcome.train_seconds for outcome in result.outcomes))
                self.trained_by_worker[result.worker] += len(result.outcomes)
                trained += len(result.outcomes)
                yield index, result.outcomes
                self.reporter.advance(cost)
        if refused and not trained:
            raise EngineError(refused)
        if incomplete:
            self._send_again(incomplete, trained)

    def _send_again(self, incomplete: remote.TaskResult, trained: int) -> None:
        """Forget that content was sent, because a scheduler may lose it.

        Raises:
            EngineError: it was sent twice, and no worker found it.
        """
        if incomplete.missing in self._sent_again and not trained:
            raise EngineError(
                f"worker {incomplete.worker} does not find {incomplete.missing[:12]}, which this run has sent twice; "
                "let all workers see one folder (SMIDGEN_CACHE)"
            )
        self._sent_again.add(incomplete.missing)
        self._sent = {name: digest for name, digest in self._sent.items() if digest != incomplete.missing}

    def _batch_cost(self, left: float, workers: int) -> float:
        """Return what a task may cost: less towards the end of a stage, so that all workers end together."""
        seconds = TASK_SECONDS * max(1.0, workers / TASKS_PER_SECOND)
        return min(self._pace.cost(seconds), left / (2 * max(1, workers)))


class Pace:
    """What a worker computes in a second, learned from the tasks that came back."""

    def __init__(self) -> None:
        self._cost, self._seconds = FIRST_COST_PER_SECOND, 1.0

    def learn(self, cost: float, seconds: float) -> None:
        self._cost, self._seconds = self._cost + cost, self._seconds + seconds

    def cost(self, seconds: float) -> float:
        """Return the multiply-accumulates of so many seconds."""
        return seconds * self._cost / self._seconds
