"""Trials on other processes: the same answer as on threads, each thing sent once, and what is refused."""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import smidgen
from commands import Said
from services import PASSWORD, Cluster, Server, dask_cluster, free_port
from smidgen.cli.options import command_line
from smidgen.data import Dataset
from smidgen.engine import Projection, Start
from smidgen.errors import EngineError, RequestError, RunError
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials import content, remote
from smidgen.trials.dask_pool import connect
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool, map_unordered

# Dask's own: a socket that is closed a moment after the loop it belonged to, and a test that takes its time.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

PATIENCE_SECONDS = 60
TEXTS = ("maxpool 2, dense 10", "conv 2x3x3 relu, maxpool 2, dense 10")


@pytest.fixture
def context(digits: Dataset) -> TrainingContext:
    return TrainingContext(digits)


@pytest.fixture
def trials(context: TrainingContext) -> list[Trial]:
    return [context.trial(parse_spec(text), Recipe(epochs=1), seed) for seed in range(6) for text in TEXTS]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and three workers, each with a cache of its own."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=3) as running:
        yield running


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> Path:
    """Of the content that is sent; the digits are loaded by now."""
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_memory", type(remote._memory)())
    return tmp_path / "cache"


def rows(path: Path | str) -> list[tuple[object, ...]]:
    """All that a store has, less the seconds."""
    with Store(path) as store:
        trials = [trial for trial, _ in store.rows()]
        found = store.get_many(trials)
    return sorted(
        (key, o.parameters, o.selection.correct, o.confirmation.correct, o.losses, o.diverged_at, o.weights.tobytes())
        for key, o in found.items()
    )


# --- the same answer -------------------------------------------------------------------------


def test_the_same_winner_on_threads_on_processes_and_on_a_scheduler(
    command: Callable[..., Said],
    small: None,
    tmp_path: Path,
    cluster: Cluster,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole command, byte for byte: the network's file and every outcome in the store."""
    monkeypatch.delenv("SMIDGEN_CACHE")  # for the digits
    places = {
        "threads": (str(tmp_path / "threads.sqlite"), ()),
        "local": (str(tmp_path / "local.sqlite"), ("--cluster", "local:2")),
        "scheduler": (server.create("cluster"), ("--cluster", cluster.address)),
    }
    winners, stores = [], []
    for name, (store, options) in places.items():
        out = tmp_path / name
        line = ("shrink", "digits", "--floor", "0.9", "--effort", "quick", "--out", str(out), "--store", store)
        said = command(*line, *options)
        assert said.code == 0, said.err
        winners.append((out / "winner.safetensors").read_bytes())
        stores.append(rows(store))
        for text in (said.out, said.err, *(file.read_bytes().decode("latin-1") for file in out.iterdir())):
            assert PASSWORD not in text
            assert "s3cret" not in text
    assert winners[0] == winners[1] == winners[2]
    assert stores[0] == stores[1] == stores[2]
    assert "--store 'postgresql://smidgen:***@" in (out / "report.html").read_text().replace("&#39;", "'")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("postgresql://me:se:c@ret@host:5/db", "'postgresql://me:***@host:5/db'"),
        ("--store=postgresql+psycopg://me:secret@host/db", "'--store=postgresql+psycopg://me:***@host/db'"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("a file: with@signs", "'a file: with@signs'"),
        ("tcp://host:8786", "tcp://host:8786"),
    ],
)
def test_a_line_is_shown_without_its_secrets(typed: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smidgen", "shrink", typed])
    assert command_line() == f"smidgen shrink {shown}"


def test_any_executor_of_processes_will_do(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor, Store(own_store) as store:
        study = Study(store, pool=Pool(executor, lambda: 2))
        outcomes = study.run(context, trials, "all")
        assert (study.trained, sum(study.trained_by_worker.values())) == (len(trials), len(trials))
    for trial, outcome in zip(trials, outcomes, strict=True):
        assert outcome.weights.tobytes() == evaluate(context, trial).weights.tobytes()


def test_teachers_and_starts_reach_the_worker(digits: Dataset, own_store: Path) -> None:
    spec = parse_spec("maxpool 2, dense 10")
    logits = np.random.default_rng(0).normal(size=(len(digits.train), 10)).astype(np.float32)
    context = TrainingContext(digits, teacher_key="t" * 64, teacher_logits=logits)
    trials = [context.trial(spec, Recipe(epochs=1, loss="kl"), 0), context.trial(spec, Recipe(epochs=1), 0)]
    with dask_like() as pool, Store(own_store) as store:
        outcomes = Study(store, pool=pool).run(context, trials, "both")
    for trial, outcome in zip(trials, outcomes, strict=True):
        assert outcome.weights.tobytes() == evaluate(context, trial).weights.tobytes()


@contextmanager
def dask_like() -> Iterator[Pool]:
    """Workers that are threads of this process, and yet know only what a task says and what was offered."""
    with ThreadPoolExecutor(2) as executor:
        yield Pool(executor, lambda: 2)


# --- what is sent ----------------------------------------------------------------------------


def arrays_of(start: Start) -> list[np.ndarray | None]:
    held = start.projection
    return [start.weights, start.fixed, start.tied, *(() if held is None else (held.codebook, *held.levels))]


FREE = np.arange(5, dtype=np.float32)
LEVELS = (np.array([-1, 0, 1], np.float32), np.array([0.5], np.float32))
COSTS = (np.array([2, 1, 2], np.float32), np.array([0], np.float32))
BOOK = np.array([0, 0, -1, 1, 1], np.int32)


@pytest.mark.parametrize(
    "start",
    [
        Start(FREE),
        Start(FREE, fixed=FREE > 2, tied=BOOK),
        Start(FREE, projection=Projection(BOOK, LEVELS)),
        Start(FREE, tied=BOOK, projection=Projection(BOOK, LEVELS, COSTS)),
        Start(FREE, projection=Projection(BOOK, (), ())),
    ],
)
def test_a_start_arrives_as_it_was_sent(start: Start) -> None:
    packed = content.pack_start(start)
    assert packed == content.pack_start(start)
    arrived = content.to_start(*content.unpack(packed))
    assert arrived.digest == start.digest
    for left, right in zip(arrays_of(arrived), arrays_of(start), strict=True):
        assert (left is None) == (right is None)
        assert left is None or right is None or (left.dtype, left.tobytes()) == (right.dtype, right.tobytes())


def test_the_data_arrives_without_its_test_split(digits: Dataset) -> None:
    packed = content.pack_dataset(digits)
    assert packed == content.pack_dataset(digits)
    arrived = content.to_dataset(*content.unpack(packed))
    assert (arrived.digest, arrived.class_names, arrived.input_shape) == (
        digits.digest,
        digits.class_names,
        digits.input_shape,
    )
    for name in ("train", "selection", "confirmation"):
        left, right = getattr(arrived, name), getattr(digits, name)
        assert left.images.dtype == right.images.dtype
        assert (left.images == right.images).all()
        assert (left.labels == right.labels).all()
    assert len(arrived.test) == 0


class Offers:
    """A pool of threads that loses the first so many contents, and keeps the others."""

    def __init__(self, lose: int) -> None:
        self.lose, self.offered = lose, 0

    def __call__(self, digest: str, sent: bytes) -> None:
        self.offered += 1
        if self.offered > self.lose:
            content.keep(digest, sent)


def test_content_that_was_lost_is_sent_again(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    with ThreadPoolExecutor(1) as executor, Store(own_store) as store:
        offers = Offers(lose=1)
        study = Study(store, pool=Pool(executor, lambda: 1, offers))
        assert len(study.run(context, trials[:6], "half")) == 6
        assert len(study.run(context, trials, "all")) == len(trials)
        assert offers.offered == 2, "once in vain, once, and not again for the next stage"


def test_content_that_never_arrives_is_said(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    offers = Offers(lose=100)
    with ThreadPoolExecutor(1) as executor, Store(own_store) as store:
        study = Study(store, pool=Pool(executor, lambda: 1, offers))
        with pytest.raises(EngineError, match=r"does not find [0-9a-f]{12}, which this run has sent twice; let all"):
            study.run(context, trials, "all")
    assert offers.offered == 2


def test_content_comes_from_the_folder_before_the_scheduler(
    context: TrainingContext, trials: list[Trial], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = remote.TaskSender(Pool(ThreadPoolExecutor(1), lambda: 1), context, 1, {}).task(trials[:1])
    (file,) = (own_cache / "content").iterdir()
    assert file.stem == task.data
    asked: list[str] = []

    def scheduler(digest: str) -> bytes | None:
        asked.append(digest)
        return whole if len(asked) > 1 else b"other bytes"

    whole = file.read_bytes()
    monkeypatch.setattr(remote, "content_of_scheduler", scheduler)
    assert not remote.run(task).missing
    assert asked == []
    file.write_bytes(whole[:-1])  # a damaged file is as none
    remote._memory.clear()
    assert remote.run(task).missing == task.data, "nor is content taken that is not what was asked for"
    assert not remote.run(task).missing
    assert file.read_bytes() == whole
    file.unlink()
    assert not remote.run(task).missing, "it is in memory"


def test_the_folder_keeps_the_newest(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "CACHE_BYTES", 30)
    for n in range(6):
        content.keep(str(n), b"ten bytes.")
        os.utime(own_cache / "content" / f"{n}.safetensors", (n, n))
    assert {file.stem for file in (own_cache / "content").iterdir()} == {"3", "4", "5"}
    content.keep("large", b"more than all together may have")
    assert {file.stem for file in (own_cache / "content").iterdir()} == {"large"}


def test_each_worker_of_a_cluster_is_sent_the_data_once(
    context: TrainingContext, trials: list[Trial], cluster: Cluster, own_store: Path
) -> None:
    seeds = [trial.with_seed(seed) for seed in range(100) for trial in trials[:2]]
    with connect(cluster.address) as pool, Store(own_store) as store:
        study = Study(store, pool=pool)
        study.run(context, seeds, "all")
    assert sum(study.trained_by_worker.values()) == 200
    version = f"Smidgen {smidgen.__version__}, {trials[0].engine_name}"
    assert all(version in worker for worker in study.trained_by_worker)
    name = hashlib.sha256(content.pack_dataset(context.dataset)).hexdigest()
    assert len(study.trained_by_worker) <= len(list(cluster.folder.glob(f"cache-*/content/{name}.safetensors"))) <= 3


def test_short_trials_travel_together(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    sizes: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, work, task):  # type: ignore[no-untyped-def, override]
            sizes.append(len(task.trials))
            return super().submit(work, task)

    seeds = [trial.with_seed(seed) for seed in range(200) for trial in trials[:2]]
    with Counting(1) as executor, Store(own_store) as store:
        Study(store, pool=Pool(executor, lambda: 1)).run(context, seeds, "all")
    assert sum(sizes) == 400
    assert len(sizes) < 100
    assert sizes[0] > 20
    assert sizes[-1] == 1, "the last are small, so that all workers end together"


# --- the same key, the same bits --------------------------------------------------------------


def test_another_version_is_refused(context: TrainingContext, trials: list[Trial]) -> None:
    task = remote.TaskSender(Pool(ThreadPoolExecutor(1), lambda: 1), context, 1, {}).task(trials[:1])
    with pytest.raises(EngineError, match=r"runs Smidgen .* and this run 9\.9, which may give other bits; install"):
        remote.run(replace(task, version="9.9"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="v2 is x86-64's")
def test_other_arithmetic_is_refused(
    context: TrainingContext, trials: list[Trial], tmp_path: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dask_cluster(tmp_path) as cluster, Store(own_store) as store:
        cluster.scheduler()
        cluster.worker(SMIDGEN_INSTRUCTION_SET="v2")
        with (
            pytest.raises(EngineError, match=r"computes with native-.*-unfused and this run with native-.*-fused"),
            connect(cluster.address) as pool,
        ):
            Study(store, pool=pool).run(context, trials, "all")
        assert store.rows() == []


# --- clusters that are not there, or go away --------------------------------------------------


@pytest.mark.parametrize("address", ["local:0", "local:", "local:x", "host:8786", "tcp:host", "http://host:1"])
def test_an_address_that_cannot_be_read_is_refused(address: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(RequestError, match="cannot be read; give tcp://host:8786"), connect(address):
        pass


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("smidgen.trials.dask_pool.CONNECT_SECONDS", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=f"no scheduler answers at {address}; start one"), connect(address):
        pass


def test_a_scheduler_without_workers_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("smidgen.trials.dask_pool.WORKER_SECONDS", 0.5)
    with dask_cluster(tmp_path) as cluster:
        cluster.scheduler()
        with pytest.raises(EngineError, match="no worker has come to the scheduler"), connect(cluster.address):
            pass


def test_a_cluster_without_workers_is_waited_for_and_then_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.dask_pool.WORKERLESS_SECONDS", 2)
    with dask_cluster(tmp_path, workers=1) as cluster, connect(cluster.address) as pool:
        assert list(map_unordered(abs, [-1], pool.capacity, pool.executor)) == [(0, 1)]
        cluster.processes[1].kill()
        with pytest.raises(RunError, match=f"no worker for 2 s; start one .dask worker {cluster.address}."):
            list(map_unordered(abs, range(3), pool.capacity, pool.executor))
        cluster.worker()
        pool.capacity.client.wait_for_workers(1, timeout=30)  # type: ignore[attr-defined]
        assert len(list(map_unordered(abs, range(3), pool.capacity, pool.executor))) == 3


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EngineError, match=r"pip install 'smidgen\[cluster\]'"), connect("local:1"):
        pass


def test_an_error_of_ours_inside_the_block_stays_what_it_is(cluster: Cluster) -> None:
    with pytest.raises(TimeoutError, match="ours"), connect(cluster.address):
        raise TimeoutError("ours")


def test_a_scheduler_that_is_killed_is_one_line_and_the_rest_is_done_later(
    context: TrainingContext, trials: list[Trial], tmp_path: Path, own_store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seeds = [replace(trial, recipe=Recipe(epochs=40)).with_seed(n) for n in range(40) for trial in trials[:2]]
    with dask_cluster(tmp_path, workers=1) as cluster, Store(own_store) as store:
        killer = threading.Thread(target=kill_when_some_are_stored, args=(store, cluster.processes[0]))
        with (
            pytest.raises(RunError, match="has gone away; start it again, and the same line goes on from here"),
            connect(cluster.address) as pool,
        ):
            killer.start()
            Study(store, pool=pool).run(context, seeds, "all")
        killer.join()
        kept = len(store.rows())
        assert 0 < kept < len(seeds)
        study = Study(store, workers=2)
        outcomes = study.run(context, seeds, "the same again")
        assert (study.remembered, study.trained) == (kept, len(seeds) - kept)
    assert capfd.readouterr().err == ""
    for trial, outcome in list(zip(seeds, outcomes, strict=True))[::10]:
        assert outcome.weights.tobytes() == evaluate(context, trial).weights.tobytes()


def kill_when_some_are_stored(store: Store, process: subprocess.Popen[bytes]) -> None:
    while not store.rows():
        time.sleep(0.01)
    process.kill()


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
    from concurrent.futures import CancelledError

    with pytest.raises(CancelledError), closing(map_unordered(abs, [1, 2], 1, Lost())) as results:
        next(results)


STOPPED = """
import sys
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.dask_pool import connect
from smidgen.data import load
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.trials.store import Store
from smidgen.trials.study import Study

context = TrainingContext(load("digits"))
trial = context.trial(parse_spec("dense 200 relu, dense 10"), Recipe(epochs=100_000), 0)
with connect(sys.argv[1]) as pool, Store(sys.argv[2]) as store:
    print("go", flush=True)
    Study(store, pool=pool).run(context, [trial], "for hours")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_worker_ends_a_training_whose_coordinator_is_gone(
    sent: signal.Signals,
    cluster: Cluster,
    own_store: Path,
    child: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from distributed import Client

    monkeypatch.delenv("SMIDGEN_CACHE")  # for the digits
    with child(STOPPED, cluster.address, str(own_store)) as coordinator:
        assert coordinator.stdout is not None
        assert coordinator.stdout.readline() == "go\n"
        with Client(cluster.address, set_as_default=False) as client:
            wait_until(lambda: any(client.run(executing).values()))
            coordinator.send_signal(sent)
            coordinator.communicate(timeout=PATIENCE_SECONDS)
            wait_until(lambda: not any(client.run(executing).values()))
    assert coordinator.returncode == -sent


def executing(dask_worker: object) -> int:
    """How many tasks a worker runs: threads at work, whoever still waits for them."""
    return len(dask_worker.active_threads)  # type: ignore[attr-defined]


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
