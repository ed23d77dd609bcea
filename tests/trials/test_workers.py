"""Work on threads: its order, its end, its errors, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from operator import neg
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import RequestError
from smidgen.trials import workers
from smidgen.trials.workers import default_workers, in_batches, map_unordered

PATIENCE_SECONDS = 30


def test_every_item_comes_back_once_with_its_index() -> None:
    items = [float(n) for n in range(50)]
    results = dict(map_unordered(lambda x: x * x, items, workers=4))
    assert results == {index: item * item for index, item in enumerate(items)}


def test_one_worker_takes_the_items_in_their_order() -> None:
    started: list[str] = []
    items = ["aa", "b", "dddd", "cc"]
    indices = [index for index, _ in map_unordered(started.append, items, workers=1)]
    assert started == items
    assert indices == [0, 1, 2, 3]


def test_an_item_is_asked_for_when_there_is_room_for_it() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for n in range(10):
            asked.append(n)
            yield n

    with closing(map_unordered(neg, items(), workers=2)) as results:
        assert asked == []
        next(results)
        assert len(asked) == 4


def test_workers_may_come_and_go() -> None:
    """None for a while, then three: the window follows, and is never empty."""
    done: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        results = map_unordered(done.append, range(20), lambda: 0 if len(done) < 5 else 3, executor)
        assert len(list(results)) == 20
    assert done == list(range(20))


def test_batches_hold_the_costliest_first_and_what_fits() -> None:
    items = ["aa", "b", "dddd", "cc", "e", "f"]
    assert list(in_batches(items, len, lambda _: 3)) == [["dddd"], ["aa"], ["cc", "b"], ["e", "f"]]
    assert list(in_batches(items, len, lambda _: 0)) == [["dddd"], ["aa"], ["cc"], ["b"], ["e"], ["f"]]
    assert list(in_batches(items, len, lambda _: 100)) == [["dddd", "aa", "cc", "b", "e", "f"]]
    assert list(in_batches([], len, lambda _: 1)) == []


@given(st.lists(st.integers(0, 10**12), max_size=40), st.floats(0.01, 1))
def test_batches_are_the_items_and_shrink_with_what_is_left(costs: list[int], share: float) -> None:
    told: list[float] = []

    def most(left: float) -> float:
        told.append(left)
        return share * left

    batches = list(in_batches(range(len(costs)), costs.__getitem__, most))
    assert sorted(index for batch in batches for index in batch) == list(range(len(costs)))
    flat = [costs[index] for batch in batches for index in batch]
    assert all(later < 2 * earlier or later == 0 for earlier, later in pairwise(flat))
    for batch, left in zip(batches, told, strict=True):
        assert len(batch) == 1 or sum(costs[index] for index in batch) <= share * left


def test_a_result_comes_as_soon_as_it_is_ready() -> None:
    slow = threading.Event()

    def work(item: str) -> str:
        assert item == "fast" or slow.wait(PATIENCE_SECONDS)
        return item

    with closing(map_unordered(work, ["slow", "fast"], workers=2)) as results:
        assert next(results) == (1, "fast")
        slow.set()
        assert next(results) == (0, "slow")


def test_as_many_run_at_once_as_there_are_workers_and_no_more() -> None:
    lock, now, most = threading.Lock(), 0, 0
    three = threading.Barrier(3, timeout=PATIENCE_SECONDS)

    def work(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        three.wait()  # breaks, and fails the test, unless three are here at once
        with lock:
            now -= 1

    assert len(list(map_unordered(work, range(21), workers=3))) == 21
    assert most == 3


def test_no_items_is_no_results() -> None:
    nothing: list[int] = []
    assert list(map_unordered(neg, nothing, workers=2)) == []


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(RequestError, match="workers=0 must be at least 1"):
        list(map_unordered(neg, [1], workers=0))


class Bench:
    """Work that runs until it is told to stop, and remembers what started and what was told."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.started: list[str] = []
        self.stopped: list[str] = []

    def work(self, item: str) -> str:
        self.started.append(item)
        if item == "bad":
            raise ZeroDivisionError("bad item")
        if item.startswith("long"):
            assert self.stop.wait(PATIENCE_SECONDS)
            self.stopped.append(item)
        return item


def test_an_error_stops_what_runs_and_starts_nothing_more() -> None:
    bench = Bench()
    threads_before = threading.active_count()
    items = ["long", "bad"] + [f"late {n}" for n in range(100)]
    with pytest.raises(ZeroDivisionError, match="bad item"):
        dict(map_unordered(bench.work, items, workers=2, stop=bench.stop))
    assert bench.stopped == ["long"]
    assert len(bench.started) < 10, "the rest of the items was never handed out"
    assert threading.active_count() == threads_before, "every thread was joined"


def test_closing_early_stops_what_runs() -> None:
    bench = Bench()
    items = ["fast", "long 1", "long 2"] + [f"long {n}" for n in range(3, 100)]
    with closing(map_unordered(bench.work, items, workers=2, stop=bench.stop)) as results:
        assert next(results) == (0, "fast")
    assert bench.stop.is_set()
    assert sorted(bench.stopped) == sorted(set(bench.started) - {"fast"})
    assert len(bench.started) < 6


def test_an_error_in_the_loop_of_the_caller_stops_what_runs() -> None:
    bench = Bench()

    def read_one() -> None:
        with closing(map_unordered(bench.work, ["fast", "long"], workers=2, stop=bench.stop)) as results:
            raise KeyError(next(results))

    with pytest.raises(KeyError):
        read_one()
    assert sorted(bench.stopped) == sorted(set(bench.started) - {"fast"})
    assert bench.stop.is_set()


def test_stop_stays_unset_when_all_went_well() -> None:
    bench = Bench()
    assert dict(map_unordered(bench.work, ["a", "b"], workers=2, stop=bench.stop)) == {0: "a", 1: "b"}
    assert not bench.stop.is_set()


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.parametrize("make", [threads, processes])
def test_an_executor_of_the_callers_is_used_and_left_open(
    make: Callable[[], ThreadPoolExecutor | ProcessPoolExecutor],
) -> None:
    with make() as executor:
        results = dict(map_unordered(neg, [1, 2, 3, 4, 5], workers=2, executor=executor))
        assert results == {0: -1, 1: -2, 2: -3, 3: -4, 4: -5}
        assert executor.submit(neg, 6).result() == -6


# Both ways of looping: with `closing`, and the careless one, whose error leaves the generator suspended.
INTERRUPTED = """
import threading, time
from contextlib import closing
from smidgen.trials.workers import map_unordered

stop = threading.Event()

def work(item):
    print("started\\n", end="", flush=True)
    while not stop.is_set():
        time.sleep(0.01)

with closing(map_unordered(work, range(1000), workers=2, stop=stop)) as results:
    for _ in results:
        pass
"""

INTERRUPTED_IN_THE_BODY = """
import threading, time
from contextlib import closing
from smidgen.trials.workers import map_unordered

stop = threading.Event()

def work(item):
    while item and not stop.is_set():
        time.sleep(0.01)

with closing(map_unordered(work, range(1000), workers=2, stop=stop)) as results:
    for _ in results:
        print("started\\n", end="", flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to a child is POSIX")
@pytest.mark.parametrize("script", [INTERRUPTED, INTERRUPTED_IN_THE_BODY], ids=["waiting", "in the body"])
def test_ctrl_c_ends_the_process_with_keyboard_interrupt(script: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        try:
            _, errors = child.communicate(timeout=10)
        finally:
            child.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode == -signal.SIGINT


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_default_workers_obeys_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert default_workers() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000\n", 64), ("200000 100000\n", 2), ("150000 100000\n", 2), ("5000 100000\n", 1), ("nonsense", 64)],
)
def test_default_workers_obeys_the_quota_of_the_control_group(
    text: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.setattr(workers, "CGROUP_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert default_workers() == expected


# --- executors that lose their tasks ----------------------------------------------------------


class Deaf(Executor):
    """Fails at the first task, and never says a word about the others, cancelled or not."""

    def __init__(self) -> None:
        self.tasks = 0

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future[object]:  # type: ignore[override]
        future: Future[object] = Future()
        self.tasks += 1
        if self.tasks == 1:
            future.set_exception(ZeroDivisionError())
        return future


def test_tasks_that_never_answer_hold_nobody_up() -> None:
    """As Dask's do when its scheduler was killed at the wrong moment."""
    ended: list[type[BaseException]] = []

    def work() -> None:
        try:
            list(map_unordered(abs, [1, 2, 3], 2, Deaf()))
        except ZeroDivisionError:
            ended.append(ZeroDivisionError)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert ended == [ZeroDivisionError]


def test_a_cluster_that_has_gone_is_noticed_while_its_tasks_are_waited_for() -> None:
    def gone() -> int:
        if executor.tasks > 1:
            raise OSError("gone")
        return 1

    executor = Deaf()
    executor.tasks = 1
    with pytest.raises(OSError, match="gone"):
        list(map_unordered(abs, [1, 2, 3], gone, executor))


class Lost(Executor):
    """Cancels what it is given, as Dask does when its scheduler is gone."""

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future[object]:  # type: ignore[override]
        future: Future[object] = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_a_task_that_was_cancelled_by_others_does_not_hang() -> None:
    with pytest.raises(CancelledError), closing(map_unordered(abs, [1, 2], 1, Lost())) as results:
        next(results)
