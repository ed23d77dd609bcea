"""Many trainings at once: a bounded window of work on threads, or on any executor.

Threads are enough on one machine: the native core lets go of Python's lock while it trains. For other
processes and machines there is `Pool`: any `concurrent.futures.Executor` (`smidgen.trials.dask_pool` makes Dask's).

    stop = threading.Event()
    with closing(map_unordered(train_one, trials, workers=2, stop=stop)) as results:
        for index, outcome in results:
            store.put(trials[index], outcome)

`closing` matters: without it, an exception in the loop's body reaches `map_unordered` only when Python
collects it. `train_one` must look at `stop` a few times a second (in its watch callback) and raise.
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

# A wait without a limit cannot be interrupted by Ctrl-C on every platform.
POLL_SECONDS = 0.1

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, eq=False)
class Pool:
    """Workers in other processes, here or on other machines.

    executor: what runs a picklable function there; whoever made it shuts it down
    capacity: how many it runs at once; asked before each task is handed out, for a cluster may grow and shrink
    offer: called as offer(SHA-256 in hex, content) to put what tasks need where workers find it; None where they
        see the folder of this process's cache (`smidgen.trials.remote`)
    """

    executor: Executor
    capacity: Callable[[], int]
    offer: Callable[[str, bytes], None] | None = None


def map_unordered(
    work: Callable[[T], R],
    items: Iterable[T],
    workers: int | Callable[[], int],
    executor: Executor | None = None,
    stop: Event | None = None,
) -> Generator[tuple[int, R], None, None]:
    """Yield (place of the item, work(item)) as they finish, started in their order.

    items: each is asked for when there is room for it, in the caller's thread.
    workers: how many run at once; as many more wait their turn in the executor, so that no worker
        idles while the caller looks at a result. The rest are not handed out yet.
    executor: where they run; None is threads of this process. One that is passed in is not shut down.

    When an item raises, the caller closes the generator, or Ctrl-C comes: `stop` is set, what has not
    started never starts, what runs is waited for, then the exception goes on.

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
    """All items, the costliest first, in batches that are each cut when it is asked for.

    A long item that starts last would keep one worker busy while the others have nothing to do. Costs within a
    power of two are as one: such items stay in the order in which they came.
    most: called as most(cost of all that is left): what a batch may cost. One item always fits.
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
    """How many CPUs this process may use: its affinity, and the quota of its control group (Linux)."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota_cpus(CGROUP_QUOTA) or affinity)


def _count(workers: int | Callable[[], int]) -> int:
    """A cluster may have no worker for a while; a task that waits there makes it grow."""
    return workers if isinstance(workers, int) else max(1, workers())


def _upto(items: Iterator[T], room: Callable[[], int]) -> Iterator[T]:
    """The next items, as long as there is room."""
    while room() > 0:
        try:
            item = next(items)
        except StopIteration:
            return
        yield item


def _first_finished(running: Iterable[Future[R]], ask: Callable[[], object]) -> Future[R]:
    """The one handed out first among those that are done; waits until there is one.

    Meanwhile the workers are asked after: a cluster that has gone away raises, and its futures may never be done.
    """
    futures = list(running)
    while True:
        ask()
        done = wait(futures, POLL_SECONDS, FIRST_COMPLETED).done
        if done:
            return next(future for future in futures if future in done)


def _cancel_and_join(running: Iterable[Future[R]]) -> None:
    """A future that was cancelled in time is done with, whether or not its executor says so."""
    begun = [future for future in running if not future.cancel()]
    while wait(begun, POLL_SECONDS).not_done:
        pass


def _quota_cpus(path: Path) -> int:
    """What a cgroup v2 `cpu.max` allows ("200000 100000": microseconds a period), rounded up; 0 for no limit."""
    try:
        quota, period = path.read_text().split()
        return 0 if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return 0
