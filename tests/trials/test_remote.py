"""What a coordinator sends, and what a worker does with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset
from smidgen.engine import Projection, Start
from smidgen.errors import EngineError
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials import content, remote
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.identity import described, identity
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool

# Dask's own: a socket that is closed a moment after the loop it belonged to, and a test that takes its time.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_cache"),
]

PATIENCE_SECONDS = 60


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


def test_other_code_is_refused(context: TrainingContext, trials: list[Trial]) -> None:
    task = remote.TaskSender(Pool(ThreadPoolExecutor(1), lambda: 1), context, 1, {}).task(trials[:1])
    refused = remote.run(replace(task, code="9" * 64)).refused
    mine, wanted = identity("auto"), described("9" * 64, trials[0].engine_name)
    assert f"{mine}, may give other bits: this run needs {wanted}; install the same Smidgen" in refused


def test_another_engine_is_refused(context: TrainingContext, trials: list[Trial]) -> None:
    task = remote.TaskSender(Pool(ThreadPoolExecutor(1), lambda: 1), context, 1, {}).task(trials[:1])
    other = replace(task, trials=(replace(trials[0], engine_name="native-0-other"),))
    assert "native-0-other; install the same Smidgen" in remote.run(other).refused


class SomeStale(ThreadPoolExecutor):
    """Threads, of which the first so many tasks meet a worker with other code."""

    def __init__(self, refuse: int) -> None:
        super().__init__(1)
        self.refuse = refuse

    def submit(self, work, task):  # type: ignore[no-untyped-def, override]
        self.refuse -= 1
        return super().submit(work, replace(task, code="9" * 64) if self.refuse >= 0 else task)


def test_what_one_worker_refuses_another_trains(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    with SomeStale(2) as executor, Store(own_store) as store:
        study = Study(store, pool=Pool(executor, lambda: 1))
        assert len(study.run(context, trials, "all")) == len(trials)
        assert study.trained == len(trials)


def test_what_every_worker_refuses_is_said(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    with SomeStale(1000) as executor, Store(own_store) as store:
        study = Study(store, pool=Pool(executor, lambda: 1))
        with pytest.raises(EngineError, match="may give other bits: this run needs"):
            study.run(context, trials, "all")
        assert store.rows() == []
