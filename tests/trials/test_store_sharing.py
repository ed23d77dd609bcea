"""Threads and processes that share a store, and who trains what."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store
from store_samples import OUTCOME, SEEDS, TRIAL, assert_same

pytest_plugins = ("store_samples",)

PATIENCE_SECONDS = 30


def test_eight_threads_write_and_read(store: Store) -> None:
    """Each thread puts its own trials and one that all share, and reads back at once."""

    def work(thread: int) -> int:
        for n in range(25):
            trial = TRIAL.with_seed(1000 * thread + n)
            store.put(trial, replace(OUTCOME, parameters=trial.seed))
            store.put(TRIAL.with_seed(10**6 + n), OUTCOME)
            found = store.get(trial)
            assert found is not None
            assert found.parameters == trial.seed
            assert store.get(TRIAL.with_seed(10**6 + n)) is not None
        return thread

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert len(store.rows()) == 8 * 25 + 25


def test_a_reader_does_not_wait_for_a_writer(file_store: Store, path: Path) -> None:
    file_store.put(TRIAL, OUTCOME)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert_same(file_store.get(TRIAL), OUTCOME)
        writer.execute("ROLLBACK")
    finally:
        writer.close()


def test_many_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8, timeout=60)

    def work(path: Path) -> int:
        together.wait()
        with Store(path) as store:
            store.put(TRIAL, OUTCOME)
            return len(store.rows())

    with ThreadPoolExecutor(8) as pool:
        for n in range(10):
            assert list(pool.map(work, [tmp_path / f"store {n}"] * 8)) == [1] * 8


WRITER = """
import sys
import numpy as np
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

path, first, count, size = sys.argv[1], *map(int, sys.argv[2:])
spec = parse_spec("dense 10")
with Store(path) as store:
    for seed in range(first, first + count):
        trial = Trial(spec, Recipe(), seed, "data", "engine")
        weights = np.full(size, seed, np.float32)
        store.put(trial, Outcome(seed, Score(1, 2), Score(1, 2), (), 0.0, weights))
        print(seed, flush=True)
"""


def start_writer(path: Path, first: int, count: int, size: int = 1000) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(count), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def stored_seeds(path: Path) -> set[int]:
    """The seeds that a fresh store reads, each checked to be whole."""
    with Store(path) as store:
        trials = [trial for trial, _ in store.rows()]
        outcomes = store.get_many(trials)
    for trial in trials:
        assert outcomes[trial.key].parameters == trial.seed
        assert (outcomes[trial.key].weights == trial.seed).all()
    return {trial.seed for trial in trials}


def test_processes_that_open_a_new_store_at_once_lose_nothing(path: Path) -> None:
    writers = [start_writer(path, 100 * n, 30) for n in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert stored_seeds(path) == {100 * n + seed for n in range(4) for seed in range(30)}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_what_put_returned_for_outlives_a_kill(path: Path) -> None:
    """Killed in mid-writing again and again, at other moments, the store opens and has every one."""
    printed: set[int] = set()
    for n, lines in enumerate((1, 7, 40, 90, 23)):
        with start_writer(path, 100_000 * n, 100_000, size=20_000) as writer:
            assert writer.stdout is not None
            printed |= {int(writer.stdout.readline()) for _ in range(lines)}
            writer.kill()
            # Up to the kill the writer went on; each line that came through whole was a put that returned.
            printed |= {int(line) for line in writer.stdout if line.endswith("\n")}
        assert writer.returncode == -signal.SIGKILL
        seeds = stored_seeds(path)
        assert printed <= seeds
        assert len(seeds - printed) <= n + 1, "at most one a kill was committed and not yet printed"


# --- claims ----------------------------------------------------------------------------------


def test_a_claim_is_for_those_that_are_not_stored(store: Store) -> None:
    """On SQLite nothing is claimed, and what is stored is trained again and dropped."""
    store.put(SEEDS[1], OUTCOME)
    claimed = store.claim(SEEDS)
    store.release(SEEDS)
    assert claimed == (SEEDS if store.location.endswith(".sqlite") else [SEEDS[0], *SEEDS[2:]])
    assert store.claim([]) == []


def test_of_two_one_has_a_claim_until_it_puts_or_lets_go_or_closes(database: str) -> None:
    with Store(database) as one, Store(database) as other:
        assert one.claim(SEEDS[:3]) == SEEDS[:3]
        assert one.claim(SEEDS[:3]) == [], "the same store's other thread"
        assert other.claim(SEEDS) == SEEDS[3:]
        other.release(SEEDS)  # its own only
        assert other.claim(SEEDS[:3]) == []
        one.put(SEEDS[0], OUTCOME)
        one.release(SEEDS[1:2])
        assert other.claim(SEEDS[:3]) == [SEEDS[1]], "the first is stored, the third is claimed"
        one.close()
        assert other.claim(SEEDS[2:]) == SEEDS[2:]
        assert one.get(SEEDS[0]) is not None, "a closed store opens again"


CLAIMS = """
import sys
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

store = Store(sys.argv[1])
trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
print(len(store.claim([trial])), flush=True)
input()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_process_leaves_no_claim_behind(database: str, child: Callable[..., subprocess.Popen[str]]) -> None:
    trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
    with Store(database) as store, child(CLAIMS, database) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert store.claim([trial]) == []
        other.kill()
        other.communicate()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (claimed := store.claim([trial])) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claimed == [trial]
