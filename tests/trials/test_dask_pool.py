"""Trials on other processes: the same answer as on threads, each thing sent once, and what is refused."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from commands import Said
from services import PASSWORD, Cluster, Server, dask_cluster, free_port
from smidgen.cli.options import command_line
from smidgen.errors import EngineError, RequestError, RunError
from smidgen.records import Recipe, Trial
from smidgen.trials import content
from smidgen.trials.dask_pool import connect
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.identity import identity
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.workers import map_unordered
from store_samples import rows

# Dask's own: a socket that is closed a moment after the loop it belonged to, and a test that takes its time.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_cache"),
]

PATIENCE_SECONDS = 60


# --- the same answer -------------------------------------------------------------------------


def test_the_same_winner_on_threads_on_processes_and_on_a_scheduler(
    command: Callable[..., Said],
    tiny: None,
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
        line = ("shrink", "digits", "--floor", "0.8", "--effort", "quick", "--out", str(out), "--store", store)
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
        ("postgresql://me:se:cret@host:5/db", "'postgresql://me:***@host:5/db'"),
        ("postgresql://me:se:c@ret@host:5/db", "'postgresql://***'"),
        ("--store=postgresql+psycopg://me:secret@host/db", "'--store=postgresql+psycopg://me:***@host/db'"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:p@ss/word@host/db", "'postgresql://***'"),
        ("--store=postgresql://me:p@ss@w@host/db?x=1", "'--store=postgresql://***'"),
        ("--store=nonsense://me:secret@[::1", "'--store=nonsense://***'"),
        ("a file: with@signs", "'a file: with@signs'"),
        ("tcp://host:8786", "tcp://host:8786"),
    ],
)
def test_a_line_is_shown_without_its_secrets(typed: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smidgen", "shrink", typed])
    assert command_line() == f"smidgen shrink {shown}"


def test_each_worker_of_a_cluster_is_sent_the_data_once(
    context: TrainingContext, trials: list[Trial], cluster: Cluster, own_store: Path
) -> None:
    seeds = [trial.with_seed(seed) for seed in range(100) for trial in trials[:2]]
    with connect(cluster.address) as pool, Store(own_store) as store:
        study = Study(store, pool=pool)
        study.run(context, seeds, "all")
    assert sum(study.trained_by_worker.values()) == 200
    assert all(identity("auto") in worker for worker in study.trained_by_worker)
    name = hashlib.sha256(content.pack_dataset(context.dataset)).hexdigest()
    assert len(study.trained_by_worker) <= len(list(cluster.folder.glob(f"cache-*/content/{name}.safetensors"))) <= 3


# --- clusters that are not there, or go away --------------------------------------------------


@pytest.mark.parametrize("address", ["local:0", "local:", "local:x", "host:8786", "tcp:host", "http://host:1"])
def test_an_address_that_cannot_be_read_is_refused(address: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(RequestError, match="cannot be read; give tls://host:8786"), connect(address):
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
    monkeypatch.setattr("smidgen.trials.dask_workers.WORKERLESS_SECONDS", 2)
    with dask_cluster(tmp_path, workers=1) as cluster, connect(cluster.address) as pool:
        assert list(map_unordered(abs, [-1], pool.capacity, pool.executor)) == [(0, 1)]
        cluster.processes[1].kill()
        with pytest.raises(RunError, match=f"no worker for 2 s; start one .dask worker {cluster.address}."):
            list(map_unordered(abs, range(3), pool.capacity, pool.executor))
        cluster.worker()
        pool.executor.client.wait_for_workers(1, timeout=30)  # type: ignore[attr-defined]
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
            pytest.raises(RunError, match="has gone away; start the scheduler and its workers again"),
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


STOPPED = """
import sys
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.dask_pool import connect
from smidgen.data import load
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.trials.identity import identity
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
