"""Which workers of a cluster get tasks, and what is said of the others."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import smidgen
from services import dask_cluster
from smidgen.data import Dataset
from smidgen.errors import EngineError, RunError
from smidgen.records import Recipe
from smidgen.reporter import SilentReporter
from smidgen.spec import parse_spec
from smidgen.trials.dask_pool import connect
from smidgen.trials.dask_workers import DaskWorkers
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

# Dask's own: a socket that is closed a moment after the loop it belonged to.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


class Said(SilentReporter):
    """Keeps the lines that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


# --- a cluster of answers ----------------------------------------------------------------------


class Answers(Executor):
    """Stands for Dask's client and its executor: workers by address, each with its answer."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.bound: list[list[str] | None] = []

    def get_executor(self, pure: bool) -> Answers:
        assert not pure
        return self

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.answers, 2)

    def run(self, _question: Callable[[], str], workers: list[str], on_error: str) -> dict[str, object]:
        assert on_error == "return"
        self.asked += workers
        return {worker: self.answers[worker] for worker in workers}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.bound.append(kwargs.get("workers"))
        return Future()


@pytest.fixture(autouse=True)
def at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.dask_workers.CAPACITY_SECONDS", -1.0)


def test_tasks_are_bound_to_nobody_as_long_as_all_may_have_them() -> None:
    client = Answers(a="new", b="new")
    workers = DaskWorkers(client, "tls://head:1")  # type: ignore[arg-type]
    said = Said()
    assert workers.capacity() == 4
    workers.require(str, "new", said.say)
    workers.submit(abs, 1)
    assert (workers.capacity(), client.bound, said.lines) == (4, [None], [])


def test_a_worker_with_another_answer_gets_no_tasks_and_is_named_once() -> None:
    client = Answers(a="new", b="old", c=AttributeError("no identity"))
    workers = DaskWorkers(client, "tls://head:1")  # type: ignore[arg-type]
    said = Said()
    workers.require(str, "new", said.say)
    workers.submit(abs, 1)
    client.answers["d"] = "new"
    assert workers.capacity() == 4
    workers.submit(abs, 1)
    workers.require(str, "new", said.say)
    assert client.bound == [["a"], ["a", "d"]]
    assert client.asked == ["a", "b", "c", "d"], "each once"
    old, broken = said.lines
    assert "b runs old and this run needs new; install the same Smidgen everywhere" in old
    assert "c runs another Smidgen (AttributeError: no identity) and this run needs new" in broken


def test_workers_of_which_none_gives_the_answer_end_the_run() -> None:
    client = Answers(a="old")
    workers = DaskWorkers(client, "tls://head:1")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no worker of tls://head:1 gives the same bits: a runs old and this run"):
        workers.require(str, "new", Said().say)
    client.answers.update(b="new")
    workers.require(str, "new", Said().say)
    del client.answers["b"]
    with pytest.raises(EngineError, match="no worker of tls://head:1 gives the same bits"):
        workers.capacity()


def test_a_task_whose_workers_are_all_gone_ends_the_run() -> None:
    """Dask would keep it for workers of these names for ever."""
    client = Answers(a="new", b="old")
    workers = DaskWorkers(client, "tls://head:1")  # type: ignore[arg-type]
    workers.require(str, "new", Said().say)
    workers.submit(abs, 1)
    del client.answers["a"]
    client.answers["c"] = "new"
    with pytest.raises(RunError, match="the workers of tls://head:1 that a task was given to have gone; the same line"):
        workers.capacity()


# --- a cluster of Dask -------------------------------------------------------------------------


@pytest.mark.skipif(platform.machine() != "x86_64", reason="v2 is x86-64's")
def test_workers_of_other_code_or_arithmetic_are_left_out(tmp_path: Path, digits: Dataset, own_store: Path) -> None:
    stale = tmp_path / "stale" / "smidgen"
    shutil.copytree(Path(smidgen.__file__).parent, stale, ignore=shutil.ignore_patterns("__pycache__"))
    with (stale / "streams.py").open("a") as file:
        file.write("# an older version\n")
    (tmp_path / "older" / "smidgen" / "trials").mkdir(parents=True)
    for name in ("", "trials/"):
        (tmp_path / "older" / "smidgen" / name / "__init__.py").write_text("")
    context = TrainingContext(digits)
    trials = [context.trial(parse_spec("dense 10"), Recipe(epochs=1), seed) for seed in range(4)]
    said = Said()
    with dask_cluster(tmp_path) as cluster, Store(own_store) as store:
        cluster.scheduler()
        cluster.worker(SMIDGEN_INSTRUCTION_SET="v2")
        with (
            pytest.raises(EngineError, match=r"gives the same bits: .*-unfused and this run needs .*-fused; install"),
            connect(cluster.address) as pool,
        ):
            Study(store, pool=pool).run(context, trials, "all")
        assert store.rows() == []
        cluster.worker(PYTHONPATH=str(stale.parent))
        cluster.worker(PYTHONPATH=str(tmp_path / "older"))
        cluster.worker()
        with connect(cluster.address) as pool:
            pool.executor.client.wait_for_workers(4, timeout=120)  # type: ignore[attr-defined]
            study = Study(store, pool=pool, reporter=said)
            assert len(study.run(context, trials, "all")) == 4
        assert len(study.trained_by_worker) == 1
    assert len(said.lines) == 3
    assert sum("another Smidgen (" in line for line in said.lines) == 1
