"""Faults at random moments: after a kill, a cut or a full disk, the same command finishes with the same bits.

Each fault has a short form in the default run and a long one marked slow, whose counts can be raised:
SMIDGEN_FAULTS=100 python -m pytest -m slow tests/trials/test_faults.py -s. The moments are drawn from a seed; where
they fall still depends on the machine. After each fault, everything that was stored is there, as in an undisturbed run.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from services import Cluster, Host, Server, dask_cluster, hosts, postgresql
from smidgen.trials.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")

TESTS = str(Path(__file__).parents[1])
PATIENCE_SECONDS = 300
CUT_SECONDS = 30

Row = tuple[object, ...]

LINE = """
import signal
import conftest
from smidgen.search.effort import EFFORTS
from smidgen.cli import main

if __name__ == "__main__":
    # Where Python is started in the background of a shell it ignores SIGINT, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    EFFORTS["quick"] = conftest.SMALL
    main()
"""
"""The command `smidgen` with a search of a second or two."""


@dataclass(frozen=True)
class Run:
    """The command with a store and a folder of its own."""

    folder: Path
    store: str
    options: tuple[str, ...] = ()

    def start(self, *before: str) -> subprocess.Popen[str]:
        script = self.folder / "smidgen_with_a_small_search.py"
        script.write_text(LINE)
        line = ("shrink", "digits", "--floor", "0.9", "--effort", "quick", "--out", str(self.folder / "out"))
        command = [*before, sys.executable, str(script), *line, "--store", self.store, *self.options]
        # The folder of the tests first: other folders have a conftest.py too.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *sys.path]), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=self.folder)

    def finish(self) -> None:
        """Run it undisturbed."""
        with self.start() as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, out + err

    def winner(self) -> bytes:
        return (self.folder / "out" / "winner.safetensors").read_bytes()

    def rows(self) -> dict[str, Row]:
        """All that is stored, by key, less the seconds."""
        with Store(self.store) as store:
            found = store.get_many([trial for trial, _ in store.rows()])
        return {
            key: (o.parameters, o.selection, o.confirmation, o.losses, o.diverged_at, o.weights.tobytes())
            for key, o in found.items()
        }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, Row], float]:
    """An undisturbed run: the winner's file, the rows, the seconds that it took."""
    folder = tmp_path_factory.mktemp("reference")
    run = Run(folder, str(folder / "store.sqlite"))
    began = time.monotonic()
    run.finish()
    return run.winner(), run.rows(), time.monotonic() - began


Reference = tuple[bytes, dict[str, Row], float]


def check_what_is_left(run: Run, reference: Reference, before: dict[str, Row]) -> dict[str, Row]:
    """Nothing was lost, nothing altered, and nothing is there that an undisturbed run has not."""
    rows = run.rows() if run.store.startswith("postgresql") or Path(run.store).exists() else {}
    assert before.items() <= rows.items()
    assert rows.items() <= reference[1].items()
    return rows


def check_the_end(run: Run, reference: Reference) -> None:
    assert run.rows() == reference[1]
    assert run.winner() == reference[0]


def times(short: int) -> list[object]:
    """A short form for the default run and a long one."""
    long = int(os.environ.get("SMIDGEN_FAULTS", "100"))
    return [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.slow)]


def report(fault: str, count: int, **figures: object) -> None:
    """One line of figures, shown by `pytest -s`."""
    print(f"\n{fault}: {count} times, " + ", ".join(f"{name} {value}" for name, value in figures.items()))


# --- the coordinator ---------------------------------------------------------------------------


@pytest.mark.parametrize("kills", times(2))
def test_a_coordinator_that_is_killed_goes_on_where_it_was(kills: int, tmp_path: Path, reference: Reference) -> None:
    draw, done, rounds = random.Random(0), 0, 0
    while done < kills:
        run = new_run(tmp_path, rounds)
        rounds, rows, killed = rounds + 1, {}, True
        for _ in range(min(4, kills - done)):
            with run.start() as process:
                killed = killed_within(process, draw.uniform(0.2, 1.0) * reference[2])
            done += killed
            rows = check_what_is_left(run, reference, rows)
            if not killed:
                break
        run.finish()
        check_the_end(run, reference)
    report("SIGKILL of the coordinator", done, rounds=rounds, wrong=0)


def new_run(folder: Path, number: int, *options: str) -> Run:
    own = folder / f"run-{number}"
    own.mkdir()
    return Run(own, str(own / "store.sqlite"), options)


def killed_within(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill it after so many seconds; False when it had ended by itself."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("interrupts", times(1))
def test_ctrl_c_twice_is_one_line_and_the_rest_is_done_later(
    interrupts: int, tmp_path: Path, reference: Reference
) -> None:
    draw, done, stopped = random.Random(1), 0, 0
    while done < interrupts:
        run = new_run(tmp_path, done)
        with run.start() as process:
            wait_for_rows(run, process)
            time.sleep(draw.uniform(0, 0.4) * reference[2])
            process.send_signal(signal.SIGINT)
            time.sleep(draw.choice([0, 0.001, 0.01, 0.1]))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert "Traceback" not in err, err
        if process.returncode == 130:
            assert err.strip() == "smidgen: stopped; every finished training is kept: run the same line to continue"
            stopped += 1
        else:  # it was at its end, or had not begun
            assert process.returncode in (0, -signal.SIGINT), out + err
        done += 1
        check_what_is_left(run, reference, {})
        run.finish()
        check_the_end(run, reference)
    report("SIGINT twice", done, stopped=stopped, wrong=0)


def wait_for_rows(run: Run, process: subprocess.Popen[str]) -> None:
    """Until the first training is stored: the command is in the middle of its work."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if run.store.startswith("postgresql") or Path(run.store).exists():
            with Store(run.store) as store:
                if store.rows():
                    return
        time.sleep(0.02)


# --- the cluster -------------------------------------------------------------------------------


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
                assert err.count("\n") <= 3, err  # a line, which may be wrapped
                assert "has gone away; start it again, and the same line goes on from here" in err, err
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


# --- the store ---------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", times(1))
def test_postgresql_that_stops_and_starts_is_waited_for(restarts: int, tmp_path: Path, reference: Reference) -> None:
    draw, rounds, done = random.Random(4), 0, 0
    with postgresql() as server:
        while done < max(1, restarts // 5):
            run = replace(new_run(tmp_path, rounds), store=server.create(f"run_{rounds}"))
            rounds += 1
            with run.start() as process:
                wait_for_rows(run, process)
                while process.poll() is None:
                    restart(server, draw)
                    done += 1
                    time.sleep(draw.uniform(0.5, 1.5))
                out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, out + err
            check_the_end(run, reference)
    report("PostgreSQL stopped and started", done, rounds=rounds, wrong=0)


def restart(server: Server, draw: random.Random) -> None:
    server.stop(draw.choice(["immediate", "fast"]))
    time.sleep(draw.uniform(0, 2))
    server.start()


SMALL_DISK = """
mount -t tmpfs -o size="$2" tmpfs "$1" || exit 77
disk="$1"
shift 2
"$@"
echo "first $?"
mount -o remount,size=100m "$disk" || exit 77
"$@"
echo "second $?"
cp "$disk/store.sqlite" kept.sqlite
"""
"""A disk of a size, on which the command is run, then with more room again."""
DISK_KIB = 296, 960
"""The store's file has no room for a training below the first; an undisturbed run fills more than the second."""


@pytest.mark.parametrize("disks", times(1))
def test_a_full_disk_is_one_line_and_the_rest_is_done_later(disks: int, tmp_path: Path, reference: Reference) -> None:
    draw, full = random.Random(6), 0
    disks = max(1, disks // 5)
    for number in range(disks):
        run = new_run(tmp_path, number)
        (run.folder / "disk").mkdir()
        run = replace(run, store=str(run.folder / "disk" / "store.sqlite"))
        out, err = on_a_small_disk(run, draw.randint(*DISK_KIB))
        assert "second 0" in out, out + err
        if "first 0" not in out:
            assert "first 2" in out, out + err
            assert "Traceback" not in err
            assert "disk is full; free some space" in " ".join(err.split())
            full += 1
        check_the_end(replace(run, store=str(run.folder / "kept.sqlite")), reference)
    assert full
    report("a disk of a random size", disks, **{"one clear line": full, "wrong": 0})


def on_a_small_disk(run: Run, kib: int) -> tuple[str, str]:
    """What the command printed, on a disk of that size and again with room."""
    disk = f"{run.folder}/disk"
    try:
        process = run.start("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, "sh", disk, f"{kib}k")
    except FileNotFoundError:
        pytest.skip("needs unshare (Linux)")
    with process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode == 77 or "unshare" in err:
        pytest.skip(f"no small disk can be mounted here: {err.strip()}")
    return out, err


# --- two coordinators --------------------------------------------------------------------------

STUBS = """
import sys, time
import numpy as np
from smidgen.trials.evaluate import TrainingContext
from smidgen.data import load
from smidgen.records import Outcome, Recipe, Score
from smidgen.spec import parse_spec
from smidgen.trials.store import Store
from smidgen.trials.study import Study

def stub(context, trial, control):
    time.sleep(0.004)
    print(f"{trial.seed}\\n", end="", flush=True)  # in one piece, whatever other threads print
    return Outcome(trial.seed, Score(1, 2), Score(1, 2), (), 0.004, np.full(10, trial.seed, np.float32))

context = TrainingContext(load("digits"))
trials = [context.trial(parse_spec("dense 10"), Recipe(), seed) for seed in range(int(sys.argv[2]))]
with Store(sys.argv[1]) as store:
    outcomes = Study(store, workers=4, evaluate=stub).run(context, trials, "all")
assert [outcome.parameters for outcome in outcomes] == list(range(len(trials)))
"""


@pytest.mark.parametrize(("trials", "killed"), [(2000, False), (600, True)], ids=["both to the end", "one is killed"])
def test_two_coordinators_with_eight_workers_share_the_work(
    trials: int, killed: bool, server: Server, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Each trial is in the store once, and fewer than 2 % are trained twice."""
    url = server.create(f"two_{trials}")
    both = [child(STUBS, url, str(trials)) for _ in range(2)]
    if killed:
        assert both[0].stdout is not None
        for _ in range(50):
            both[0].stdout.readline()
        both[0].kill()
    said = [process.communicate(timeout=PATIENCE_SECONDS) for process in both]
    for process, (_, err) in zip(both, said, strict=True):
        assert process.returncode in ((0, -signal.SIGKILL) if killed else (0,)), err
    trained = [[int(seed) for seed in out.split()] for out, _ in said]
    with Store(url) as store:
        assert sorted(trial.seed for trial, _ in store.rows()) == list(range(trials))
    if not killed:
        twice = len(trained[0]) + len(trained[1]) - trials
        assert min(map(len, trained)) > trials // 10, "both took part"
        assert 0 <= twice < 0.02 * trials
        report("two coordinators", trials, **{"trained twice": twice})
