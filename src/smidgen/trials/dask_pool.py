"""A Dask cluster as a `workers.Pool`: one that runs already, or processes of this machine.

    with connect("tls://host:8786") as pool: ...
    with connect("local:4") as pool: ...

Whoever reaches a scheduler's port can run code on its workers, because Dask sends pickles. So the processes of this
machine take connections only with a certificate that is made for the run and never written down, and a scheduler at
`tls://` is reached with the certificates of Dask's configuration (`dask_certificates`).

Dask runs a task again if the worker with its result dies. A trial gives the same bits each time, so this costs only
time. A worker asks the scheduler once for each piece of content that it does not have.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from smidgen.errors import EngineError, RequestError, RunError
from smidgen.trials.dask_certificates import check_certificates
from smidgen.trials.dask_workers import DaskWorkers
from smidgen.trials.workers import Pool

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

CONNECT_SECONDS = 10
WORKER_SECONDS = 60
"""How long (s) to wait for a scheduler, and for the first of its workers."""

TALKERS = ("distributed", "distributed.client", "distributed.comm.tcp", "tornado.application", "asyncio")
"""Loggers of Dask that print tracebacks where this module raises an error of one line, and of refused connections."""

LOCAL_SETTINGS = {
    "distributed.scheduler.allowed-failures": 20,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Dask's settings for processes of this machine: 20 workers may die under one task before Dask blames the task, and
its web servers, which ask for no certificate, show nothing."""


@contextmanager
def connect(address: str) -> Iterator[Pool]:
    """Connect to the workers of a cluster, for as long as the block runs.

    Args:
        address: a scheduler (`tls://host:8786`; `tcp://host:8786` on a network where everyone is trusted), or
            `local:N` for N processes of this machine.

    Yields:
        The workers as a pool.

    Raises:
        RequestError: the address cannot be read.
        EngineError: Dask is not installed, a certificate is missing or refused, or no scheduler or no worker answers.
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
            workers = DaskWorkers(client, address)
            yield Pool(workers, workers.capacity, lambda key, data: _offer(client, key, data), workers.require)
        except distributed.scheduler.KilledWorker as error:
            raise RunError(
                f"a task of the cluster {address} has lost its worker {error.allowed_failures + 1} times, at last "
                f"{error.last_worker.address}; see that worker's log (memory?); the same line goes on from here"
            ) from error
        except lost as error:
            if client.status == "running" and not isinstance(error, lost[:2]):
                raise  # a timeout or a file error of the block's own
            raise RunError(
                f"the cluster {address} has gone away; start the scheduler and its workers again (workers end with "
                "their scheduler), and the same line goes on from here: what had come back is kept"
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
    if kind in ("tls", "wss") and rest.startswith("//"):
        check_certificates(address, CONNECT_SECONDS)
        return address
    if kind in ("tcp", "ws") and rest.startswith("//"):
        return address
    if kind != "local" or not rest.isdecimal() or int(rest) < 1:
        raise RequestError(f"--cluster {address} cannot be read; give tls://host:8786, or local:4 for four processes")
    return _local_cluster(opened, int(rest))


def _local_cluster(opened: ExitStack, workers: int) -> LocalCluster:
    """Start processes of this machine that no other user can connect to: they take a new certificate only."""
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    try:
        security = Security.temporary()
    except ImportError as error:
        raise EngineError(
            "--cluster local:N needs the package cryptography, for the certificates that keep other users out; "
            "pip install 'smidgen[cluster]'"
        ) from error
    opened.enter_context(dask.config.set(LOCAL_SETTINGS))
    # Any free port for the web servers, which cannot be left out: another cluster may use the default one.
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "protocol": "tls://",
        "security": security,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "scheduler_kwargs": {"dashboard": False},
    }
    with _without_ctrl_c():
        return opened.enter_context(LocalCluster(n_workers=workers, **options))


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
            f"no scheduler answers at {address}; start one (dask scheduler), or leave out --cluster; "
            "one that has certificates answers at tls:// only"
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
