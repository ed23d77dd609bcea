"""A Dask cluster as a `workers.Pool`: one that runs already, or processes of this machine.

    with connect("tcp://host:8786") as pool: ...
    with connect("local:4") as pool: ...

Dask runs a task again if the worker with its result dies. A trial gives the same bits each time, so this costs only
time. A worker asks the scheduler once for each piece of content that it does not have.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from smidgen.errors import EngineError, RequestError, RunError
from smidgen.trials.workers import Pool

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

CONNECT_SECONDS = 10
WORKER_SECONDS = 60
"""How long (s) to wait for a scheduler, and for the first of its workers."""

WORKERLESS_SECONDS = 300
"""How long (s) a cluster may have no worker, while it grows, before the run fails."""

CAPACITY_SECONDS = 1.0
"""Poll interval (s) for the number of workers, which changes slowly."""

TALKERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
"""Loggers of Dask that print tracebacks where this module raises an error of one line."""

FAILURES_OF_A_TASK = 20
"""Workers of a local cluster that may die under one task before Dask blames the task."""


@contextmanager
def connect(address: str) -> Iterator[Pool]:
    """Connect to the workers of a cluster, for as long as the block runs.

    Args:
        address: a scheduler (`tcp://host:8786`, `tls://host:8786`), or `local:N` for N processes of this machine.

    Yields:
        The workers as a pool.

    Raises:
        RequestError: the address cannot be read.
        EngineError: Dask is not installed, or no scheduler or no worker answers.
        RunError: the cluster, or its last worker, went away during the run, or a task ends its workers.
    """
    try:
        import distributed
    except ImportError as error:
        raise EngineError("--cluster needs Dask; pip install 'smidgen[cluster]'") from error
    with ExitStack() as opened:
        opened.enter_context(_quiet())
        client = _client(opened, address, _scheduler(opened, address))
        lost = (CancelledError, distributed.comm.CommClosedError, TimeoutError, OSError)
        try:
            capacity = _Capacity(client, address)
            yield Pool(client.get_executor(pure=False), capacity, lambda key, data: _offer(client, key, data))
        except distributed.scheduler.KilledWorker as error:
            raise RunError(
                f"a task of the cluster {address} has lost its worker {error.allowed_failures + 1} times, at last "
                f"{error.last_worker.address}; see that worker's log (memory?); the same line goes on from here"
            ) from error
        except lost as error:
            if client.status == "running" and not isinstance(error, lost[:2]):
                raise  # a timeout or a file error of the block's own
            raise RunError(
                f"the cluster {address} has gone away; start it again, and the same line goes on from here: "
                "what had come back is kept"
            ) from error


def content_of_scheduler(digest: str) -> bytes | None:
    """Fetch what a coordinator offered under `digest`; None if there is nothing, or outside a task of Dask."""
    if not _in_task():
        return None
    from distributed import Variable, get_client

    try:
        found = Variable(_name(digest), client=get_client()).get(timeout=1)
    except TimeoutError:
        return None
    return bytes(found)


def is_wanted() -> bool:
    """Return whether a coordinator still waits for the task of this thread; True outside a task of Dask."""
    if not _in_task():
        return True
    from distributed import get_worker
    from distributed.worker import thread_state

    task = get_worker().state.tasks.get(thread_state.key)
    return task is not None and task.state != "cancelled"


class _Capacity:
    """How many tasks the cluster runs at once: the threads of all workers, polled every `CAPACITY_SECONDS`."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address
        self.threads, self.asked, self.seen = 0, -math.inf, time.monotonic()

    def __call__(self) -> int:
        """Return the number of threads; raise RunError if there has been no worker for `WORKERLESS_SECONDS`."""
        if time.monotonic() - self.asked > CAPACITY_SECONDS:
            self.threads, self.asked = sum(self.client.nthreads().values()), time.monotonic()
            self.seen = self.asked if self.threads else self.seen
            if self.asked - self.seen > WORKERLESS_SECONDS:
                raise RunError(
                    f"the cluster {self.address} has had no worker for {WORKERLESS_SECONDS} s; start one (dask worker "
                    f"{self.address}), and the same line goes on from here: what had come back is kept"
                )
        return self.threads


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all processes: this one ends them in order.

    Threads and processes inherit blocked signals: Dask's own thread does, and from it every worker. A Ctrl-C in the
    meantime is delivered to this process at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # Otherwise the first worker starts it, and it lifts the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the loggers that print tracebacks: this module raises an error of one line."""
    before = {name: logging.getLogger(name).level for name in TALKERS}
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _scheduler(opened: ExitStack, address: str) -> str | LocalCluster:
    kind, _, rest = address.partition(":")
    if kind in ("tcp", "tls", "ws", "wss") and rest.startswith("//"):
        return address
    if kind != "local" or not rest.isdecimal() or int(rest) < 1:
        raise RequestError(f"--cluster {address} cannot be read; give tcp://host:8786, or local:4 for four processes")
    import dask
    from distributed import LocalCluster

    opened.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": FAILURES_OF_A_TASK}))
    # Any free port for the dashboard: another cluster may use the default one.
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with _without_ctrl_c():
        return opened.enter_context(LocalCluster(n_workers=int(rest), threads_per_worker=1, **options))


def _client(opened: ExitStack, address: str, target: str | LocalCluster) -> Client:
    from distributed import Client

    try:
        client = opened.enter_context(Client(target, timeout=CONNECT_SECONDS, set_as_default=False))
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        raise EngineError(
            f"no worker has come to the scheduler {address} in {WORKER_SECONDS} s; start one: dask worker {address}"
        ) from error
    except (OSError, ValueError) as error:
        raise EngineError(
            f"no scheduler answers at {address}; start one (dask scheduler), or leave out --cluster"
        ) from error
    return client


def _offer(client: Client, digest: str, content: bytes) -> None:
    """Keep content on the scheduler, which outlives its workers; coordinators share it."""
    from distributed import Variable

    Variable(_name(digest), client=client).set(content)


def _name(digest: str) -> str:
    return f"smidgen-{digest}"


def _in_task() -> bool:
    if "distributed" not in sys.modules:
        return False
    from distributed.worker import thread_state

    return hasattr(thread_state, "key")
