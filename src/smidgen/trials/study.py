"""Run trials and remember them: what was trained once, by any command, is never trained again."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager

from smidgen.engine import TrainControl
from smidgen.errors import EngineError
from smidgen.records import Outcome, Trial
from smidgen.reporter import Reporter, SilentReporter
from smidgen.trials import remote
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.store import Store
from smidgen.trials.workers import Pool, default_workers, in_batches, map_unordered

TASK_SECONDS = 1.0
"""Of a task in another process, about: long beside what a scheduler spends on it, short beside a stage."""
TASKS_A_SECOND = 100
"""That one scheduler and one coordinator take with ease: on more workers than these, tasks are longer."""
COST_A_SECOND = 1e9
"""Multiply-accumulates, of a slow worker: the first tasks are short, and what comes back says how fast it is."""
OTHERS_SECONDS = 0.5
"""Between two looks for what somebody else trains."""

Batches = Callable[[Callable[[float], float]], Iterator[list[Trial]]]
"""Batches of trials that this study may train, by what one may cost (`workers.in_batches`)."""
Results = Generator[tuple[int, Sequence[Outcome]], None, None]


class Stopped(Exception):
    """Raised inside a training that is to end early because the run does."""


class Study:
    """Trials on one store, on threads of this process or on a pool of other processes.

    `trained` and `remembered` count this process's trials; `places` counts by worker what a pool trained. An
    outcome is stored before the next one is looked at, so a run that is stopped or killed loses only what it was
    training. Several studies, here or on other machines, may share a store: what one trains at the moment is
    left to it by the others, as far as `Store.claim` says who does.
    """

    def __init__(
        self, store: Store, workers: int | None = None, reporter: Reporter | None = None, pool: Pool | None = None
    ) -> None:
        """workers: threads of this process, for what it does itself; pool: where trials are trained instead."""
        self.store = store
        self.workers = default_workers() if workers is None else workers
        self.reporter: Reporter = reporter or SilentReporter()
        self.pool = pool
        self.trained = 0
        self.remembered = 0
        self.places: Counter[str] = Counter()
        self._stop = threading.Event()
        self._cores = _Cores(self.workers)
        self._pace = _Pace()
        self._sent: dict[str, str] = {}
        self._sent_again: set[str] = set()

    def run(self, context: TrainingContext, trials: Sequence[Trial], stage: str, threads: int = 1) -> list[Outcome]:
        """The outcomes in the order of the trials, each trained once or remembered.

        threads: of each training, for one large network alone, by an engine that takes no cores that are idle.
        """
        known = self.store.get_many(trials)
        missing = list({trial.key: trial for trial in trials if trial.key not in known}.values())
        self.remembered += len(known)
        self.reporter.stage(stage, sum(map(context.cost, missing)))
        while missing:
            known.update(self._train(context, missing, threads))
            others = [trial for trial in missing if trial.key not in known]
            known.update(self._found(context, others))
            missing = [trial for trial in others if trial.key not in known]
            if missing and len(missing) == len(others):
                time.sleep(OTHERS_SECONDS)
        return [known[trial.key] for trial in trials]

    def _found(self, context: TrainingContext, trials: Sequence[Trial]) -> dict[str, Outcome]:
        """What somebody else has trained meanwhile."""
        found = self.store.get_many(trials)
        self.remembered += len(found)
        for trial in trials:
            if trial.key in found:
                self.reporter.advance(context.cost(trial))
        return found

    def _train(self, context: TrainingContext, trials: Sequence[Trial], threads: int) -> dict[str, Outcome]:
        """Train and store all that nobody else trains; the outcomes by key."""
        done: dict[str, Outcome] = {}
        claimed: list[list[Trial]] = []

        def batches(most: Callable[[float], float]) -> Iterator[list[Trial]]:
            for batch in in_batches(self._in_own_order(trials), context.cost, most):
                if mine := self.store.claim(batch):
                    claimed.append(mine)
                    yield mine

        try:
            with closing(self._results(context, batches, threads)) as results:
                for index, outcomes in results:
                    pairs = list(zip(claimed[index], outcomes, strict=True))
                    self.store.put_many(pairs)
                    done.update((trial.key, outcome) for trial, outcome in pairs)
                    self.trained += len(pairs)
        finally:
            self.store.release(trial for batch in claimed for trial in batch if trial.key not in done)
        return done

    def _in_own_order(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Two studies that went through the same trials in the same order would meet at each of them."""
        return random.sample(trials, len(trials)) if self.store.is_shared else trials

    def _results(self, context: TrainingContext, batches: Batches, threads: int) -> Results:
        """(place of the batch, its outcomes) as they finish."""
        if self.pool is not None:
            return self._of_pool(self.pool, context, batches, threads)

        def work(batch: list[Trial]) -> Sequence[Outcome]:
            return [self._trained(context, trial, threads) for trial in batch]

        workers = 1 if threads > 1 else self.workers
        return map_unordered(work, batches(lambda _: 0.0), workers, stop=self._stop)

    def _trained(self, context: TrainingContext, trial: Trial, threads: int) -> Outcome:
        """On a thread of this process, with its progress as it goes."""
        with self._cores.one():
            progress = self._progress(context.cost(trial))
            outcome = evaluate(context, trial, TrainControl(threads, progress))
            progress(1, 1)
            return outcome

    def _of_pool(self, pool: Pool, context: TrainingContext, batches: Batches, threads: int) -> Results:
        """In tasks of about a second. What lacks its content is left out, for the next round."""
        courier = remote.TaskSender(pool, context, 0 if threads > 1 else 1, self._sent)
        tasks: list[remote.Task] = []

        def made() -> Iterator[remote.Task]:
            for batch in batches(lambda left: self._batch_cost(left, pool.capacity())):
                tasks.append(courier.task(batch))
                yield tasks[-1]

        trained, lacking = 0, None
        with closing(map_unordered(remote.run, made(), pool.capacity, pool.executor)) as results:
            for index, done in results:
                if done.missing:
                    lacking = done
                    continue
                cost = sum(map(context.cost, tasks[index].trials))
                if threads == 1:
                    self._pace.learn(cost, sum(outcome.train_seconds for outcome in done.outcomes))
                self.places[done.place] += len(done.outcomes)
                trained += len(done.outcomes)
                yield index, done.outcomes
                self.reporter.advance(cost)
        if lacking:
            self._send_again(lacking, trained)

    def _send_again(self, lacking: remote.TaskResult, trained: int) -> None:
        """A scheduler may lose what it was given; where all workers lack it a second time, they never will find it."""
        if lacking.missing in self._sent_again and not trained:
            raise EngineError(
                f"worker {lacking.place} does not find {lacking.missing[:12]}, which this run has sent twice; "
                "let all workers see one folder (SMIDGEN_CACHE)"
            )
        self._sent_again.add(lacking.missing)
        self._sent = {name: digest for name, digest in self._sent.items() if digest != lacking.missing}

    def _batch_cost(self, left: float, workers: int) -> float:
        """The tasks become shorter as a stage comes to its end, so that all workers end together."""
        seconds = TASK_SECONDS * max(1.0, workers / TASKS_A_SECOND)
        return min(self._pace.cost(seconds), left / (2 * max(1, workers)))

    def _progress(self, cost: float) -> Callable[[int, int], int]:
        """Tells the progress how far one training is, ends it when the run is stopped, and lends it idle cores."""
        told = 0.0

        def progress(done: int, total: int) -> int:
            nonlocal told
            if self._stop.is_set():
                raise Stopped
            now = cost * done / total
            self.reporter.advance(now - told)
            told = now
            return self._cores.share()

        return progress


class _Cores:
    """Those of this process, shared by the trainings that run: at the end of a stage a long one has all of them."""

    def __init__(self, count: int) -> None:
        self._count, self._running, self._lock = count, 0, threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Somebody runs."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def share(self) -> int:
        """For each of them, at least one."""
        return max(1, self._count // max(1, self._running))


class _Pace:
    """What a worker does in a second, from the tasks that came back; a guess until then."""

    def __init__(self) -> None:
        self._cost, self._seconds = COST_A_SECOND, 1.0

    def learn(self, cost: float, seconds: float) -> None:
        self._cost, self._seconds = self._cost + cost, self._seconds + seconds

    def cost(self, seconds: float) -> float:
        return seconds * self._cost / self._seconds
