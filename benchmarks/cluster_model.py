"""How large a cluster can grow before its scheduler, its coordinator or its store is the limit. Simulated.

    python benchmarks/cluster_model.py                                     about five minutes; the machine quiet
    python benchmarks/cluster_model.py --workers 64,256 --json model.json
    python benchmarks/cluster_model.py --store "$SMIDGEN_STORE"            measures that server's store too

Two things are measured. The limits: how many tasks a second go through a Dask scheduler when they take no time, and how
many outcomes a second go into a store, one by one and in batches. And the whole: a study on so many simulated
workers, with trials that wait 0.1, 1 or 60 seconds. A simulated worker is a whole Dask worker, but for its
process: `--processes` processes hold all of them, since a worker that waits needs no CPU. Scheduler, coordinator and
simulated workers share this machine's CPUs, so what is measured is less than what a cluster would do.

From these limits follows the size of cluster at which each becomes the bottleneck, for trials of t seconds. Short
trials share a task: with W workers, a task lasts d = max(t, 1 s, W / 100 s) (`TASK_SECONDS` and `TASKS_PER_SECOND` of
`trials.pool_runner`). The scheduler then serves W / d tasks a second, and the store takes W / t outcomes a second in
transactions of d / t.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import stubs
from smidgen.trials.dask_pool import connect
from smidgen.trials.pool_runner import TASK_SECONDS, TASKS_PER_SECOND
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool, map_unordered

TRIAL_SECONDS = (0.1, 1.0, 60.0)
STAGE_SECONDS = 10.0
"""A simulated stage is this long at least, and two trials a worker."""

EMPTY_TASKS = 4_000
STORED_SECONDS = 2.0
TRANSACTIONS = (1, 10, 100)


@dataclass(frozen=True)
class Stage:
    """A simulated stage: what came through, and the share of what so many workers could do."""

    workers: int
    trial_seconds: float
    trials: int
    wall_seconds: float
    tasks: int

    @property
    def trials_a_second(self) -> float:
        return self.trials / self.wall_seconds

    @property
    def efficiency(self) -> float:
        return self.trials_a_second * self.trial_seconds / self.workers


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="16,64,256")
    parser.add_argument("--processes", type=int, default=4, help="that hold the simulated workers")
    parser.add_argument("--trials", default=",".join(map(str, TRIAL_SECONDS)), help="seconds of a trial")
    parser.add_argument("--store", help="a PostgreSQL database of nobody's: stub trials are put there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--simulate", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.simulate:
        asyncio.run(simulate(options.simulate[0], int(options.simulate[1])))
        return
    measured = measure(options)
    print_limits(measured)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as it goes into the JSON."""
    stages: list[Stage] = []
    tasks_a_second: dict[int, float] = {}
    for workers in map(int, options.workers.split(",")):
        with cluster(workers, options.processes) as pool:
            tasks_a_second[workers] = empty_tasks(pool)
            print(f"{workers:5} workers  {tasks_a_second[workers]:8.0f} empty tasks/s", flush=True)
            for seconds in map(float, options.trials.split(",")):
                stages.append(stage(pool, workers, seconds))
                print_stage(stages[-1])
    with tempfile.TemporaryDirectory() as folder:
        stores = {"sqlite": store_rates(str(Path(folder) / "store.sqlite"))}
    if options.store:
        stores["postgresql"] = store_rates(options.store)
    return {
        "load_before": os.getloadavg()[0],
        "cpus": os.cpu_count(),
        "tasks_a_second": tasks_a_second,
        "stages": [{**asdict(one), "efficiency": one.efficiency} for one in stages],
        "outcomes_a_second": stores,
    }


# --- the cluster -----------------------------------------------------------------------------


@contextmanager
def cluster(workers: int, processes: int) -> Iterator[Pool]:
    """A scheduler of its own process, and workers that live in a few processes."""
    # Each worker would look a hundred times a second at what its threads do.
    quiet = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
    environment = {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        python, log = [sys.executable, "-m", "distributed.cli.dask_scheduler"], (Path(folder) / "log").open("wb")
        running = [subprocess.Popen([*python, *place], env=environment, stdout=log, stderr=log)]
        try:
            address = when_written(file)
            for part in range(processes):
                mine = workers * (part + 1) // processes - workers * part // processes
                command = [sys.executable, __file__, "--simulate", address, str(mine)]
                running.append(subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log))
            with connect(address) as pool:
                while pool.capacity() < workers:
                    time.sleep(0.2)
                yield stubs.stubbed(pool)
        finally:
            for process in running:
                process.kill()
            for process in running:
                process.wait()
            log.close()


def when_written(file: Path) -> str:
    """The scheduler's address, once it is up."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return str(json.loads(file.read_text())["address"])
        except (OSError, ValueError, KeyError):
            time.sleep(0.1)
    raise RuntimeError("the scheduler did not start in 60 s")


async def simulate(address: str, count: int) -> None:
    """So many workers, as long as the process lives."""
    from distributed import Worker

    options = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "host": "127.0.0.1"}
    workers = [await Worker(address, **options) for _ in range(count)]
    await asyncio.gather(*(worker.finished() for worker in workers))


# --- what is measured ------------------------------------------------------------------------


def empty_tasks(pool: Pool) -> float:
    """Tasks a second that do nothing, each handed out alone: the scheduler's and the coordinator's limit."""
    executor = pool.executor
    list(map_unordered(abs, range(100), pool.capacity, executor))
    began = time.perf_counter()
    assert len(list(map_unordered(abs, range(EMPTY_TASKS), pool.capacity, executor))) == EMPTY_TASKS
    return EMPTY_TASKS / (time.perf_counter() - began)


def stage(pool: Pool, workers: int, seconds: float) -> Stage:
    """A study's stage, from the first task to the last row in the store; the pace is known from a stage before."""
    known = stubs.context()
    count = round(workers * max(2, STAGE_SECONDS / seconds))
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        study = Study(store, pool=pool)
        if seconds <= TASK_SECONDS:
            study.run(known, stubs.trials(known, workers, seconds, count), "before")
        handed = pool.executor.tasks  # type: ignore[attr-defined]
        asked = stubs.trials(known, count, seconds)
        began = time.perf_counter()
        outcomes = study.run(known, asked, "stub")
        wall = time.perf_counter() - began
    stubs.check(outcomes, asked)
    return Stage(workers, seconds, count, wall, pool.executor.tasks - handed)  # type: ignore[attr-defined]


def store_rates(url: str) -> dict[str, float]:
    """Outcomes a second by the size of a transaction, claimed and put as a study does it; and what it finds."""
    known, rates, first = stubs.context(), {}, time.time_ns() // 1_000_000 % 10**12
    with Store(url) as store:
        for size in TRANSACTIONS:
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < STORED_SECONDS:
                some = stubs.trials(known, size, 0.0, first)
                first += size
                outcomes = [stubs.evaluate(known, trial) for trial in some]
                store.put_many(list(zip(store.claim(some), outcomes, strict=True)))
                done += size
            rates[str(size)] = done / (time.perf_counter() - began)
        began = time.perf_counter()
        found = len(store.get_many(stubs.trials(known, 2_000, 0.0, first - 2_000)))
        rates["found"] = found / (time.perf_counter() - began)
    return rates


# --- what follows ----------------------------------------------------------------------------


def limits(measured: dict[str, Any]) -> list[tuple[float, int | None, dict[str, int]]]:
    """(seconds of a trial, workers at which the scheduler is the limit, the same for each store); None is never."""
    tasks = min(measured["tasks_a_second"].values())
    rows = []
    for seconds in TRIAL_SECONDS:
        # Up to this size tasks last as long as a trial, or a second; beyond, they grow with the cluster.
        longest = max(seconds, TASK_SECONDS)
        scheduler = round(tasks * longest) if tasks < TASKS_PER_SECOND or seconds > TASK_SECONDS else None
        size = str(max(size for size in TRANSACTIONS if size <= max(1.0, longest / seconds)))
        stores = {name: round(rates[size] * seconds) for name, rates in measured["outcomes_a_second"].items()}
        rows.append((seconds, scheduler, stores))
    return rows


def print_stage(one: Stage) -> None:
    print(
        f"{one.workers:5} workers  trials of {one.trial_seconds:5g} s  {one.trials_a_second:8.1f} trials/s  "
        f"{100 * one.efficiency:5.1f} % of what they could do  {one.tasks} tasks",
        flush=True,
    )


def print_limits(measured: dict[str, Any]) -> None:
    for name, rates in measured["outcomes_a_second"].items():
        print(f"{name}: " + ", ".join(f"{rate:,.0f} outcomes/s ({size})" for size, rate in rates.items()))
    for seconds, scheduler, stores in limits(measured):
        print(
            f"trials of {seconds:g} s: the scheduler is the limit at "
            + (f"{scheduler:,} workers, " if scheduler else "no number of workers, ")
            + ", ".join(f"{name} at {workers:,}" for name, workers in stores.items())
        )


if __name__ == "__main__":
    main()
