"""Many trainings at once: a bounded window of work on threads, or on any executor.

Threads are enough on one machine, because the native core releases Python's lock while it trains. Other processes
and machines are a `Pool`: any `concurrent.futures.Executor`, such as Dask's (`smidgen.trials.dask_pool`).

    stop = threading.Event()
    with closing(map_unordered(train_one, trials, workers=2, stop=stop)) as results:
        for index, outcome in results:
            store.put(trials[index], outcome)

`closing` matters: without it, an exception in the loop's body reaches `map_unordered` only when Python
collects the generator. `train_one` must check `stop` a few times a second, in its progress callback, and raise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeVar

from smidgen.errors import RequestError

T = TypeVar("T")
R = TypeVar("R")

POLL_SECONDS = 0.1
"""Limit of one wait: on some platforms, Ctrl-C cannot interrupt a wait without a limit."""

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, eq=False)
class Pool:
    """Workers in other processes, here or on other machines.

    Attributes:
        executor: runs a picklable function there. Its maker shuts it down.
        capacity: returns how many tasks run at once; called before each task, because a cluster grows and shrinks.
        offer: called as `offer(sha256_in_hex, content)` to put what tasks need where workers find it; None if the
            workers see the folder of this process's cache (`smidgen.trials.content`).
        require: called as `require(question, answer, say)` to give tasks only to workers on which `question()` returns
            `answer`, and to `say` which do not; None if workers cannot be told apart.
    """

    executor: Executor
    capacity: Callable[[], int]
    offer: Callable[[str, bytes], None] | None = None
    require: Callable[[Callable[[], str], str, Callable[[str], None]], None] | None = None


def map_unordered(
    work: Callable[[T], R],
    items: Iterable[T],
    workers: int | Callable[[], int],
    executor: Executor | None = None,
    stop: Event | None = None,
) -> Generator[tuple[int, R], None, None]:
    """Call `work` on every item at once, in a bounded window, and yield results as they finish.

    If an item raises, the caller closes the generator, or Ctrl-C is pressed, then `stop` is set, items that wait are
    cancelled, running ones are waited for, and the exception is raised.

    Args:
        work: the function; picklable if the executor needs it.
        items: read one by one in the caller's thread, when the window has room.
        workers: how many run at once. As many more wait in the executor, so that no worker idles while the caller
            handles a result.
        executor: where they run, left open at the end; None for threads of this process.
        stop: set when the work is to end early.

    Yields:
        (index of the item, result), started in the order of the items.

    Raises:
        RequestError: `workers` is a number below 1.
    """
    if isinstance(workers, int) and workers < 1:
        raise RequestError(f"workers={workers} must be at least 1; leave it out to use every CPU")
    waiting = enumerate(items)
    pool = executor or ThreadPoolExecutor(_count(workers), thread_name_prefix="smidgen")
    running: dict[Future[R], int] = {}
    try:
        while True:
            for index, item in _upto(waiting, lambda: 2 * _count(workers) - len(running)):
                running[pool.submit(work, item)] = index
            if not running:
                break
            future = _first_finished(running, lambda: _count(workers))
            yield running.pop(future), future.result()
    except BaseException:
        if stop is not None:
            stop.set()
        raise
    finally:
        _cancel_and_join(running)
        if executor is None:
            pool.shutdown()


def in_batches(items: Sequence[T], cost: Callable[[T], float], most: Callable[[float], float]) -> Iterator[list[T]]:
    """Cut the items into batches, the most expensive items first.

    A long item that starts last would keep one worker busy while the others idle. Costs within a factor of two count
    as equal, and such items keep their order.

    Args:
        items: what to cut into batches.
        cost: the cost of an item.
        most: called as `most(cost of all remaining items)` for each batch; returns the most that the batch may cost. A
            batch has at least one item.

    Yields:
        One batch after the other.
    """
    costs = [cost(item) for item in items]
    order = sorted(range(len(items)), key=lambda index: math.frexp(costs[index])[1], reverse=True)
    left, place = sum(costs), 0
    while place < len(order):
        limit, end, total = most(left), place, 0.0
        while end < len(order) and (end == place or total + costs[order[end]] <= limit):
            total += costs[order[end]]
            end += 1
        yield [items[index] for index in order[place:end]]
        left, place = left - total, end


def default_workers() -> int:
    """Return the number of CPUs this process may use, by its affinity and its control group's quota (Linux)."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota_cpus(CGROUP_QUOTA) or affinity)


def _count(workers: int | Callable[[], int]) -> int:
    """Return at least 1: a cluster may have no worker for a while, and a task that waits there makes it grow."""
    return workers if isinstance(workers, int) else max(1, workers())


def _upto(items: Iterator[T], room: Callable[[], int]) -> Iterator[T]:
    """Yield items as long as there is room."""
    while room() > 0:
        try:
            item = next(items)
        except StopIteration:
            return
        yield item


def _first_finished(running: Iterable[Future[R]], ask: Callable[[], object]) -> Future[R]:
    """Wait for a finished future and return the oldest.

    Meanwhile, `ask` is called: it raises if the cluster is gone, whose futures may never finish.
    """
    futures = list(running)
    while True:
        ask()
        done = wait(futures, POLL_SECONDS, FIRST_COMPLETED).done
        if done:
            return next(future for future in futures if future in done)


def _cancel_and_join(running: Iterable[Future[R]]) -> None:
    """Cancel what has not begun and wait for the rest; some executors never report a cancelled future as done."""
    begun = [future for future in running if not future.cancel()]
    while wait(begun, POLL_SECONDS).not_done:
        pass


def _quota_cpus(path: Path) -> int:
    """Read a cgroup v2 `cpu.max` ("200000 100000": quota and period in us) as CPUs, rounded up; 0 if unlimited."""
    try:
        quota, period = path.read_text().split()
        return 0 if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return 0
