"""Many trainings at once: a bounded window of work on threads, or on any executor.

Threads are enough: the native core lets go of Python's lock while it trains. For other machines
pass any `concurrent.futures.Executor`, for example Dask's `Client.get_executor(pure=False)`.

    stop = threading.Event()
    with closing(map_unordered(train_one, trials, workers=2, cost=macs, stop=stop)) as results:
        for index, outcome in results:
            store.put(trials[index], outcome)

`closing` matters: without it, an exception in the loop's body reaches `map_unordered` only when Python
collects it. `train_one` must look at `stop` a few times a second (in its watch callback) and raise.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import TypeVar

from smidgen.errors import RequestError

T = TypeVar("T")
R = TypeVar("R")

# A wait without a limit cannot be interrupted by Ctrl-C on every platform.
POLL_SECONDS = 0.1

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def map_unordered(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    cost: Callable[[T], float] | None = None,
    executor: Executor | None = None,
    stop: Event | None = None,
) -> Generator[tuple[int, R], None, None]:
    """Yield (index of the item, work(item)) as they finish, the costliest started first.

    workers: how many run at once; as many more wait their turn in the executor, so that no worker
        idles while the caller looks at a result. The rest are not handed out yet.
    executor: where they run; None is threads of this process. One that is passed in is not shut down.

    When an item raises, the caller closes the generator, or Ctrl-C comes: `stop` is set, what has not
    started never starts, what runs is waited for, then the exception goes on.

    Raises:
        RequestError: `workers` is below 1.
    """
    if workers < 1:
        raise RequestError(f"workers={workers} must be at least 1; leave it out to use every CPU")
    order = range(len(items)) if cost is None else _costliest_first(items, cost)
    waiting = deque(order)
    pool = executor or ThreadPoolExecutor(workers, thread_name_prefix="smidgen")
    running: dict[Future[R], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                index = waiting.popleft()
                running[pool.submit(work, items[index])] = index
            future = _first_finished(running)
            yield running.pop(future), future.result()
    except BaseException:
        if stop is not None:
            stop.set()
        raise
    finally:
        _cancel_and_join(running)
        if executor is None:
            pool.shutdown()


def default_workers() -> int:
    """How many CPUs this process may use: its affinity, and the quota of its control group (Linux)."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota_cpus(CGROUP_QUOTA) or affinity)


def _costliest_first(items: Sequence[T], cost: Callable[[T], float]) -> list[int]:
    """A long item that starts last would keep one worker busy while the others have nothing to do."""
    costs = [cost(item) for item in items]
    return sorted(range(len(items)), key=costs.__getitem__, reverse=True)


def _first_finished(running: Iterable[Future[R]]) -> Future[R]:
    """The one handed out first among those that are done; waits until there is one."""
    futures = list(running)
    while True:
        done = wait(futures, POLL_SECONDS, FIRST_COMPLETED).done
        if done:
            return next(future for future in futures if future in done)


def _cancel_and_join(running: Iterable[Future[R]]) -> None:
    futures = list(running)
    for future in futures:
        future.cancel()
    while wait(futures, POLL_SECONDS).not_done:
        pass


def _quota_cpus(path: Path) -> int:
    """What a cgroup v2 `cpu.max` allows ("200000 100000": microseconds a period), rounded up; 0 for no limit."""
    try:
        quota, period = path.read_text().split()
        return 0 if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return 0
