"""Faults of a cluster at random moments: the same command finishes with the same bits (see test_faults.py)."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults import (
    PATIENCE_SECONDS,
    Reference,
    check_the_end,
    check_what_is_left,
    new_run,
    report,
    times,
    wait_for_rows,
)
from services import Cluster, Host, dask_cluster, hosts

pytest_plugins = ("faults",)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")

CUT_SECONDS = 30


class Killer:
    """Kills a worker of a cluster at random moments, so many times, and starts another in its place."""

    def __init__(self, cluster: Cluster, workers: int, most: int, seed: int) -> None:
        self.cluster, self.draw, self.kills, self.most = cluster, random.Random(seed), 0, most
        self.alive = [cluster.worker() for _ in range(workers)]
        self.end = threading.Event()

    def __call__(self) -> None:
        while self.kills < self.most and not self.end.wait(self.draw.uniform(0.2, 2.0)):
            victim = self.draw.randrange(len(self.alive))
            self.alive[victim].kill()
            self.alive[victim].wait()
            self.kills += 1
            self.alive[victim] = self.cluster.worker()


@contextmanager
def killing(cluster: Cluster, workers: int, most: int, seed: int) -> Iterator[Killer]:
    killer = Killer(cluster, workers, most, seed)
    thread = threading.Thread(target=killer)
    thread.start()
    try:
        yield killer
    finally:
        killer.end.set()
        thread.join()


@pytest.mark.parametrize("kills", times(2))
def test_workers_that_are_killed_are_done_without(
    kills: int, tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "100")
    with dask_cluster(tmp_path) as cluster:
        cluster.scheduler()
        with killing(cluster, 3, kills, seed=2) as killer:
            rounds = 0
            while killer.kills < kills:
                run = new_run(tmp_path, rounds, "--cluster", cluster.address)
                run.finish()
                check_the_end(run, reference)
                rounds += 1
    report("SIGKILL of a worker", killer.kills, rounds=rounds, wrong=0, **{"lines that had to be run again": 0})


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_one_line(tmp_path: Path, reference: Reference) -> None:
    draw, kills, ended = random.Random(3), int(os.environ.get("SMIDGEN_FAULTS", "100")) // 10, 0
    for n in range(kills):
        folder = tmp_path / f"cluster-{n}"
        folder.mkdir()
        with dask_cluster(folder) as cluster:
            scheduler = cluster.scheduler()
            for _ in range(2):
                cluster.worker()
            run = new_run(tmp_path, n, "--cluster", cluster.address)
            with run.start() as process:
                wait_for_rows(run, process)
                time.sleep(draw.uniform(0, 1.5))
                scheduler.kill()
                _, err = process.communicate(timeout=PATIENCE_SECONDS)
            if process.returncode != 0:
                assert err.count("\n") <= 4, err  # a line, which may be wrapped
                assert "has gone away; start the scheduler and its workers again" in " ".join(err.split()), err
                assert process.returncode == 1
                ended += 1
            check_what_is_left(run, reference, {})
            for old in cluster.processes[1:]:
                old.kill()
            cluster.scheduler()
            cluster.worker()
            run.finish()
            check_the_end(run, reference)
    report("SIGKILL of the scheduler", kills, **{"one clear line": ended, "wrong": 0})


@dataclass
class Workers:
    """A worker on each host, begun again where it has ended, as the machine's own service manager would."""

    cluster: Cluster
    places: list[Host]
    begun: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    again: int = 0

    def begin(self) -> None:
        for host in self.places:
            old = self.begun.get(host.address)
            if old is None or old.poll() is not None:
                self.again += old is not None
                self.begun[host.address] = self.cluster.worker(*host.inside, host=host.address)


@pytest.mark.slow
def test_workers_on_three_hosts_one_of_which_is_cut_off_again_and_again(tmp_path: Path, reference: Reference) -> None:
    """The scheduler and each worker have a network namespace and an address of their own."""
    draw, cuts = random.Random(5), max(1, int(os.environ.get("SMIDGEN_FAULTS", "100")) // 10)
    with hosts(4) as places, dask_cluster(tmp_path, host=places[0].address) as cluster:
        cluster.scheduler(*places[0].inside)
        workers = Workers(cluster, places[1:])
        workers.begin()
        undisturbed = new_run(tmp_path, 0, "--cluster", cluster.address)
        undisturbed.finish()
        check_the_end(undisturbed, reference)
        assert len(list(tmp_path.glob("cache-*/content"))) == 3, "each of the hosts has trained"
        for number in range(1, cuts + 1):
            run = new_run(tmp_path, number, "--cluster", cluster.address)
            with run.start() as process:
                wait_for_rows(run, process)
                time.sleep(draw.uniform(0, 0.5) * reference[2])
                victim = draw.choice(places[1:])
                victim.cut()
                time.sleep(CUT_SECONDS)
                victim.join()
                out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, out + err
            check_the_end(run, reference)
            workers.begin()
    report(f"a worker cut off for {CUT_SECONDS} s", cuts, wrong=0, **{"workers begun again": workers.again})


@pytest.mark.slow
def test_mnist_gives_the_same_on_threads_on_processes_and_on_three_hosts(tmp_path: Path) -> None:
    """The same winner and the same file, byte for byte, and the same table of trials."""
    folders = {"threads": shrunk_mnist(tmp_path / "threads"), "local:2": shrunk_mnist(tmp_path / "local", "local:2")}
    with hosts(4) as places, dask_cluster(tmp_path, host=places[0].address) as cluster:
        cluster.scheduler(*places[0].inside)
        Workers(cluster, places[1:]).begin()
        folders["three hosts"] = shrunk_mnist(tmp_path / "hosts", cluster.address)
    for name, folder in folders.items():
        for file in ("winner.safetensors", "winner.smidgen", "winner.csv"):
            assert (folder / file).read_bytes() == (folders["threads"] / file).read_bytes(), (name, file)
        tables = [[row | {"train_seconds": ""} for row in rows_of(each / "trials.csv")] for each in
                  (folder, folders["threads"])]  # fmt: skip
        assert tables[0] == tables[1], name


def shrunk_mnist(folder: Path, cluster: str = "") -> Path:
    """What `shrink mnist --floor 0.97` writes, from a store of its own."""
    folder.mkdir()
    command = [sys.executable, "-c", "from smidgen.cli import main; main()", "shrink", "mnist", "--floor", "0.97"]
    where = ["--out", str(folder / "out"), "--store", str(folder / "store.sqlite")]
    where += ["--cluster", cluster] if cluster else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    began = time.monotonic()
    done = subprocess.run(
        [*command, *where], capture_output=True, text=True, timeout=1800, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    report("MNIST on " + (cluster or "threads"), 1, seconds=f"{time.monotonic() - began:.0f}", wrong=0)
    return folder / "out"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
