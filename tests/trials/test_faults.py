"""Faults at random moments: after a kill, a cut or a full disk, the same command finishes with the same bits.

Each fault has a short form in the default run and a long one marked slow, whose counts can be raised:
SMIDGEN_FAULTS=100 python -m pytest -m slow tests/trials/test_faults.py -s (clusters: test_cluster_faults.py).
The moments are drawn from a seed; where they fall still depends on the machine. After each fault, everything that was
stored is there, as in an undisturbed run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
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
from services import Server, postgresql
from small_disk import on_a_small_disk
from smidgen.trials.store import Store

pytest_plugins = ("faults",)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")


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
            assert (
                err.splitlines()[-1]
                == "smidgen: stopped; every finished training is kept: run the same line to continue"
            )
            stopped += 1
        else:  # it was at its end, or had not begun
            assert process.returncode in (0, -signal.SIGINT), out + err
        done += 1
        check_what_is_left(run, reference, {})
        run.finish()
        check_the_end(run, reference)
    report("SIGINT twice", done, stopped=stopped, wrong=0)


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


TWICE = """
OMP_NUM_THREADS=1 "$@"
echo "first $?"
mount -o remount,size=100m "$disk" || exit 77
OMP_NUM_THREADS=1 "$@"
echo "second $?"
cp "$disk/store.sqlite" kept.sqlite
"""
"""The command on a small disk, then with more room again."""
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
        size = f"{draw.randint(*DISK_KIB)}k"
        done = on_a_small_disk(run.folder / "disk", size, TWICE, *run.command(), seconds=PATIENCE_SECONDS)
        out, err = done.stdout, done.stderr
        assert "second 0" in out, out + err
        if "first 0" not in out:
            assert "first 2" in out, out + err
            assert "Traceback" not in err
            assert "disk is full; free some space" in " ".join(err.split())
            full += 1
        check_the_end(replace(run, store=str(run.folder / "kept.sqlite")), reference)
    assert full
    report("a disk of a random size", disks, **{"one clear line": full, "wrong": 0})


# --- two coordinators --------------------------------------------------------------------------

STUBS = """
import sys, time
import numpy as np
from smidgen.trials.evaluate import TrainingContext
from smidgen.data import load
from smidgen.records import Outcome, Recipe, Score
from smidgen.spec import parse_spec
from small_disk import on_a_small_disk
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


@pytest.mark.parametrize(("trials", "killed"), [(400, False), (300, True)], ids=["both to the end", "one is killed"])
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
