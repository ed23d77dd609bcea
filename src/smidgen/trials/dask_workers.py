"""The workers of a Dask cluster: how many tasks they run at once, and which of them may have tasks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from smidgen.errors import EngineError, RunError

if TYPE_CHECKING:
    from distributed import Client

WORKERLESS_SECONDS = 300
"""How long (s) a cluster may have no worker, while it grows, before the run fails."""

CAPACITY_SECONDS = 1.0
"""Poll interval (s) for the workers, which change slowly."""


class DaskWorkers(Executor):
    """Runs functions on the workers of a cluster that give the right answer to a question.

    Without a question every worker may have tasks. Each worker is asked once, when it is first seen.

    Attributes:
        client: Dask's connection to the scheduler.
        address: the cluster as messages name it.
    """

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address
        self._executor = client.get_executor(pure=False)
        self._threads: dict[str, int] = {}
        self._polled, self._seen = -math.inf, time.monotonic()
        self._question: Callable[[], str] | None = None
        self._wanted = ""
        self._say: Callable[[str], None] = _ignore
        self._answers: dict[str, str] = {}
        self._bound: dict[Future[Any], frozenset[str]] = {}

    def require(self, question: Callable[[], str], answer: str, say: Callable[[str], None]) -> None:
        """Give tasks only to workers on which `question()` returns `answer`; `say` is told of each of the others.

        Raises:
            EngineError: there are workers, and none returns it.
        """
        self._question, self._say = question, say
        if answer != self._wanted:
            self._wanted, self._answers = answer, {}
        self._poll()

    def capacity(self) -> int:
        """Return how many tasks run at once: the threads of the workers that may have tasks.

        Raises:
            EngineError: there are workers, and none may have tasks.
            RunError: there has been no worker for `WORKERLESS_SECONDS`, or all workers of a task are gone.
        """
        if time.monotonic() - self._polled > CAPACITY_SECONDS:
            self._poll()
        return sum(self._threads[worker] for worker in self._able())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call to the cluster; it is bound to the workers of this moment if some may not have it."""
        able = self._able()
        if len(able) == len(self._threads):
            unbound: Future[Any] = self._executor.submit(fn, *args, **kwargs)
            return unbound
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs, workers=sorted(able))
        self._bound[future] = able
        future.add_done_callback(lambda done: self._bound.pop(done, None))
        return future

    def _able(self) -> frozenset[str]:
        if self._question is None:
            return frozenset(self._threads)
        return frozenset(worker for worker in self._threads if self._answers.get(worker) == self._wanted)

    def _poll(self) -> None:
        self._threads, self._polled = dict(self.client.nthreads()), time.monotonic()
        self._seen = self._polled if self._threads else self._seen
        if self._polled - self._seen > WORKERLESS_SECONDS:
            raise RunError(
                f"the cluster {self.address} has had no worker for {WORKERLESS_SECONDS} s; start one (dask worker "
                f"{self.address}), and the same line goes on from here: what had come back is kept"
            )
        self._ask_new_workers()
        able = self._able()
        if any(not able & workers for workers in list(self._bound.values())):
            raise RunError(
                f"the workers of {self.address} that a task was given to have gone; the same line goes on from here "
                "with the others: what had come back is kept"
            )

    def _ask_new_workers(self) -> None:
        """Ask the workers that were not there before; forget those that are gone, whose address another may get."""
        if self._question is None:
            return
        self._answers = {worker: answer for worker, answer in self._answers.items() if worker in self._threads}
        new = sorted(set(self._threads) - set(self._answers))
        found = self.client.run(self._question, workers=new, on_error="return") if new else {}
        self._answers.update({worker: _in_words(answer) for worker, answer in found.items()})
        refused = [worker for worker in found if self._answers[worker] != self._wanted]
        if self._answers and self._wanted not in self._answers.values():
            raise EngineError(f"no worker of {self.address} gives the same bits: {self._refusal(min(self._answers))}")
        for worker in refused:
            self._say(f"no tasks go to one worker: {self._refusal(worker)}")

    def _refusal(self, worker: str) -> str:
        return (
            f"{worker} runs {self._answers[worker]} and this run needs {self._wanted}; install the same Smidgen "
            "everywhere and set the same SMIDGEN_INSTRUCTION_SET"
        )


def _in_words(answer: object) -> str:
    """Return an answer; for a worker that failed to give one, what it runs is not known."""
    return answer if isinstance(answer, str) else f"another Smidgen ({type(answer).__name__}: {answer})"


def _ignore(_text: str) -> None: ...
