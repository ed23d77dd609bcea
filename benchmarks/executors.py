"""What it costs to run a trial: on threads, on processes of the standard library, on Dask's.

    python benchmarks/executors.py                      about ten minutes; the machine should be quiet
    python benchmarks/executors.py --json executors.json --rounds 5

First, trials that only wait: of so many seconds, on one and two workers. The overhead of a trial is what the run took
beyond the waiting, times the workers, by the trials. Then trainings: `--trainings` of one small network on MNIST,
from a fresh store each time. All executors take turns, in an order that turns round every round; medians are printed.
An executor's start is not timed, and a run before the first round sends the data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import stubs
from smidgen.data import load
from smidgen.records import Outcome, Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials.dask_pool import connect
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool

NETWORK = "conv 2x3x3 relu, conv 2x3x3 relu, maxpool 2, conv 4x3x3 relu, conv 4x3x3 relu, maxpool 2, dense 10"
WORKERS = (1, 2)
STUBS = {0.0: 2_000, 0.02: 500, 0.1: 100, 1.0: 10}
"""Seconds of a trial -> trials for each worker."""


@dataclass(frozen=True)
class Turn:
    """One run: `count` trials of `trial_seconds` each (0 for trainings: not known before), on so many workers."""

    executor: str
    workers: int
    kind: str
    trial_seconds: float
    count: int
    wall_seconds: float
    tasks: int

    @property
    def trials_a_second(self) -> float:
        return self.count / self.wall_seconds

    @property
    def overhead_ms(self) -> float:
        """Of each trial, on the worker that has it."""
        return 1_000 * (self.workers * self.wall_seconds / self.count - self.trial_seconds)


def main() -> None:
    """Take turns, print medians, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the workers' processes import the stubs
    turns: list[Turn] = []
    for workers in WORKERS:
        with started(workers) as executors:
            for kind, jobs in (("stub", stub_jobs(workers)), ("training", training_jobs(options.trainings))):
                turns += in_turns(executors, workers, kind, jobs, options.rounds)
    print_table(turns)
    if options.json:
        rows = [{**asdict(turn), "overhead_ms": turn.overhead_ms} for turn in turns]
        options.json.write_text(json.dumps({"load_before": os.getloadavg()[0], "turns": rows}, indent=1) + "\n")


Job = tuple[float, TrainingContext, Callable[[int], list[Trial]]]
"""Seconds of a trial (0: not known), what it learns from, and trials that no earlier number has had."""


def stub_jobs(workers: int) -> list[Job]:
    known = stubs.context()

    def made(seconds: float) -> Callable[[int], list[Trial]]:
        count = STUBS[seconds] * workers + 1  # the first is not timed
        return lambda number: stubs.trials(known, count, seconds, number * count)

    return [(seconds, known, made(seconds)) for seconds in STUBS]


def training_jobs(count: int) -> list[Job]:
    known = TrainingContext(load("mnist"))
    spec, recipe = parse_spec(NETWORK), Recipe(epochs=1)
    return [(0.0, known, lambda number: [known.trial(spec, recipe, number * count + n) for n in range(count + 1)])]


@contextmanager
def started(workers: int) -> Iterator[dict[str, Pool | None]]:
    """Every executor with so many workers; None is threads."""
    with ExitStack() as opened:
        processes = opened.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        dask = opened.enter_context(connect(f"local:{workers}"))
        yield {"threads": None, "processes": Pool(processes, lambda: workers), "dask": dask}


def in_turns(
    executors: dict[str, Pool | None], workers: int, kind: str, jobs: Sequence[Job], rounds: int
) -> list[Turn]:
    turns = []
    for seconds, known, made in jobs:
        for number in range(rounds + 1):
            order = list(executors) if number % 2 else list(executors)[::-1]
            for name in order:
                turn = one(name, executors[name], workers, kind, seconds, known, made(number))
                turns += [turn] if number else []
    return turns


def one(
    name: str, pool: Pool | None, workers: int, kind: str, seconds: float, known: TrainingContext, trials: list[Trial]
) -> Turn:
    """One run of a study on a store of its own."""
    used = stubs.stubbed(pool) if pool and kind == "stub" else pool
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        study = Study(store, workers, pool=used, evaluate=stubs.evaluate if kind == "stub" else None)
        study.run(known, trials[:1], "first")
        began = time.perf_counter()
        outcomes: list[Outcome] = study.run(known, trials, kind)
        wall = time.perf_counter() - began
    if kind == "stub":
        stubs.check(outcomes, trials)
    tasks = used.executor.tasks if used and isinstance(used.executor, stubs.Stubbed) else 0
    return Turn(name, workers, kind, seconds, len(trials) - 1, wall, tasks)


def print_table(turns: Sequence[Turn]) -> None:
    print(f"{'':10} {'workers':>7} {'trial':>10} {'trials/s':>9} {'overhead ms':>12} {'share':>7} {'tasks':>6}")
    for key in dict.fromkeys((turn.kind, turn.trial_seconds, turn.workers, turn.executor) for turn in turns):
        kind, seconds, workers, name = key
        mine = [turn for turn in turns if (turn.kind, turn.trial_seconds, turn.workers, turn.executor) == key]
        rate, overhead = median(t.trials_a_second for t in mine), median(t.overhead_ms for t in mine)
        share = f"{overhead / 10 / seconds:.1f} %" if seconds else ""
        trial = f"{seconds:g} s" if kind == "stub" else "training"
        cost = f"{overhead:12.2f}" if kind == "stub" else " " * 12
        tasks = str(round(median(t.tasks for t in mine))) if mine[0].tasks else ""
        print(f"{name:10} {workers:7} {trial:>10} {rate:9.1f} {cost} {share:>7} {tasks:>6}")


if __name__ == "__main__":
    main()
