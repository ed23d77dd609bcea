"""A Dask cluster as a `workers.Pool`: one that runs already, or processes of this machine.

    with connect("tcp://host:8786") as pool: ...
    with connect("local:4") as pool: ...

Dask may run a task twice, when the worker that held its result died; a trial gives the same bits each time, so
nothing is lost by that but seconds. Workers ask the scheduler for content that they do not have, once each.
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
"""How long a scheduler, and the first of its workers, is waited for."""

WORKERLESS_SECONDS = 300
"""A cluster that grows may have no worker for a while; after so long nobody brings one."""

CAPACITY_SECONDS = 1.0
"""A cluster grows and shrinks slowly."""

TALKERS = ("distributed", "distributed.client", "tornado.application", "asyncio")

FAILURES_OF_A_TASK = 20
"""So many workers may die under one task in a cluster of ours before Dask takes the task for the cause."""


@contextmanager
def connect(address: str) -> Iterator[Pool]:
    """The workers of a scheduler (`tcp://host:8786`, `tls://host:8786`), or `local:N` for N processes here.

    Raises:
        RequestError: the address cannot be read. EngineError: Dask is not installed, or no scheduler or no
            worker answers. RunError: the cluster, or its last worker, went away in the middle of the run, or a task
            ends its workers.
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
                raise  # a timeout or a file of somebody else's
            raise RunError(
                f"the cluster {address} has gone away; start it again, and the same line goes on from here: "
                "what had come back is kept"
            ) from error


def content_of_scheduler(digest: str) -> bytes | None:
    """On a worker of Dask: what a coordinator offered under `digest`; None where there is nothing, or no Dask."""
    if not _in_task():
        return None
    from distributed import Variable, get_client

    try:
        found = Variable(_name(digest), client=get_client()).get(timeout=1)
    except TimeoutError:
        return None
    return bytes(found)


def is_wanted() -> bool:
    """On a worker of Dask: whether anybody still waits for the task that this thread runs. Elsewhere True."""
    if not _in_task():
        return True
    from distributed import get_worker
    from distributed.worker import thread_state

    task = get_worker().state.tasks.get(thread_state.key)
    return task is not None and task.state != "cancelled"


class _Capacity:
    """How many tasks the cluster runs at once: every thread of every worker, asked once in a while."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address
        self.threads, self.asked, self.seen = 0, -math.inf, time.monotonic()

    def __call__(self) -> int:
        """Raises RunError when there has been no worker for long."""
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
    """What is started here is deaf to Ctrl-C, which a terminal sends to all processes: we end them in good order.

    A thread hands on what it blocks: to Dask's own thread, and from there to every worker. Ours waits meanwhile.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It would be started with the first worker, and lift the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask and what it stands on log tracebacks where we say in a line what happened."""
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
    # Any free port: the usual one may be taken by another cluster.
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
    """Content stays with the scheduler, which outlives its workers; another coordinator's is the same."""
    from distributed import Variable

    Variable(_name(digest), client=client).set(content)


def _name(digest: str) -> str:
    return f"smidgen-{digest}"


def _in_task() -> bool:
    if "distributed" not in sys.modules:
        return False
    from distributed.worker import thread_state

    return hasattr(thread_state, "key")
