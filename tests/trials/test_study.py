"""Trials are trained once, come back in order, and are the same however many run beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services import Server
from smidgen.data import Dataset
from smidgen.engine import TrainControl
from smidgen.errors import RequestError, SpecError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.reporter import SilentReporter
from smidgen.spec import parse_spec
from smidgen.trials import study as study_module
from smidgen.trials.evaluate import TrainingContext, classify, evaluate
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from smidgen.trials.thread_runner import Evaluate, Stopped

PATIENCE_SECONDS = 30
RECIPE = Recipe(epochs=1)
TEXTS = ("maxpool 2, dense 10", "dense 10", "conv 2x3x3 relu, maxpool 2, dense 10", "dense 3 relu, dense 10")


@pytest.fixture
def context(digits: Dataset) -> TrainingContext:
    return TrainingContext(digits)


@pytest.fixture
def trials(context: TrainingContext) -> list[Trial]:
    """Eight: cheap and dear ones by turns."""
    return [context.trial(parse_spec(text), RECIPE, seed) for seed in (0, 1) for text in TEXTS]


def recording(keys: list[str]) -> Evaluate:
    """Make an `evaluate` that appends the key of each trial."""

    def recorded(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        keys.append(trial.key)
        return evaluate(context, trial, control)

    return recorded


def stored(path: Path, trials: Sequence[Trial]) -> list[tuple[str, Outcome, bytes]]:
    """What the store has of each trial, less the seconds, which no two runs share."""
    with Store(path) as store:
        found = store.get_many(trials)
        assert len(store.rows()) == len(found)
    untimed = {key: replace(outcome, train_seconds=0.0) for key, outcome in found.items()}
    return [(key, untimed[key], untimed[key].weights.tobytes()) for key in sorted(untimed)]


def same(left: Outcome, right: Outcome) -> bool:
    counts = [(o.parameters, o.selection, o.confirmation, o.losses, o.diverged_at) for o in (left, right)]
    return counts[0] == counts[1] and left.weights.tobytes() == right.weights.tobytes()


# --- once, and in order ----------------------------------------------------------------------


def test_outcomes_come_in_the_order_of_the_trials(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    with Store(own_store) as store:
        outcomes = Study(store, workers=2).run(context, trials, "all")
    for trial, outcome in zip(trials, outcomes, strict=True):
        assert same(outcome, evaluate(context, trial))


def test_each_outcome_is_handed_over_when_it_is_stored_and_remembered_ones_are_not(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    seen: list[tuple[str, bool]] = []
    with Store(own_store) as store:
        study = Study(store, workers=2)
        study.run(context, trials[:2], "before")
        study.run(
            context, trials, "all", on_outcome=lambda trial, _: seen.append((trial.key, store.get(trial) is not None))
        )
    assert sorted(seen) == sorted((trial.key, True) for trial in trials[2:])


def test_a_trial_is_trained_once_and_remembered_by_the_next_study(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    trained: list[str] = []
    with Store(own_store) as store:
        study = Study(store, workers=2, evaluate=recording(trained))
        first = study.run(context, [*trials, trials[0], trials[3]], "with duplicates")
        assert sorted(trained) == sorted(trial.key for trial in trials)
        assert first[-2:] == [first[0], first[3]]
        assert (study.trained, study.remembered) == (8, 0)
        again = study.run(context, trials, "again")
        assert all(same(left, right) for left, right in zip(again, first, strict=False))
        assert (study.trained, study.remembered) == (8, 8)
    with Store(own_store) as store:
        later = Study(store, workers=1, evaluate=recording(trained))
        outcomes = later.run(context, trials[::-1], "as another process would")
        assert (later.trained, later.remembered) == (0, 8)
    assert len(trained) == 8
    assert all(same(left, right) for left, right in zip(outcomes[::-1], first, strict=False))


def test_no_trials_are_no_work(context: TrainingContext, own_store: Path) -> None:
    with Store(own_store) as store:
        assert Study(store, workers=1).run(context, [], "nothing") == []


def test_one_two_and_three_workers_give_the_same_bytes(
    context: TrainingContext, trials: list[Trial], tmp_path: Path
) -> None:
    content = []
    for workers in (1, 2, 3):
        path = tmp_path / f"{workers}.sqlite"
        with Store(path) as store:
            Study(store, workers).run(context, trials, "all")
        content.append([(key, o.selection, o.confirmation, o.losses, w) for key, o, w in stored(path, trials)])
    assert len(content[0]) == 8
    assert content[0] == content[1] == content[2]


def test_one_training_on_two_threads_gives_the_same_bytes(
    context: TrainingContext, trials: list[Trial], tmp_path: Path
) -> None:
    outcomes = []
    for threads in (1, 2):
        with Store(tmp_path / f"{threads}.sqlite") as store:
            outcomes += Study(store, workers=2).run(context, trials[2:3], "one", threads=threads)
    assert same(*outcomes)


def test_no_workers_are_refused(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    with Store(own_store) as store, pytest.raises(RequestError, match="workers=0 must be at least 1"):
        Study(store, workers=0).run(context, trials, "all")


# --- errors and being stopped -----------------------------------------------------------------


def test_an_error_goes_on_and_what_had_ended_is_kept(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    seeds = [trials[0].with_seed(seed) for seed in range(6)]  # of one cost, so they start in this order

    def broken(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        if trial.seed == 3:
            raise ZeroDivisionError("seed 3")
        return evaluate(context, trial, control)

    with Store(own_store) as store:
        study = Study(store, workers=1, evaluate=broken)
        with pytest.raises(ZeroDivisionError, match="seed 3"):
            study.run(context, seeds, "one is broken")
        assert study.trained == 3
        assert {trial.seed for trial, _ in store.rows()} == {0, 1, 2}
        again = Study(store, workers=2)
        assert len(again.run(context, seeds, "mended")) == 6
        assert (again.trained, again.remembered) == (3, 3)


def test_the_error_of_one_training_stops_the_others(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    other_runs, ended = threading.Event(), []

    def work(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        if trial.seed == 0:
            assert other_runs.wait(PATIENCE_SECONDS)
            raise ZeroDivisionError
        other_runs.set()
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < deadline:  # a training that would not end by itself
                control.progress(0, 100)
            raise AssertionError("it was not stopped")
        except Stopped:
            ended.append(trial.seed)
            raise

    with Store(own_store) as store, pytest.raises(ZeroDivisionError):
        study = Study(store, workers=2, evaluate=work)
        study.run(context, [trials[0].with_seed(seed) for seed in (0, 1, 2)], "two at once")
    assert 1 in ended


def test_a_training_that_is_left_alone_is_lent_the_cores_of_the_others(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    both, lent = threading.Barrier(2), {}

    def work(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        both.wait(PATIENCE_SECONDS)
        lent["while two run"] = control.progress(0, 100)
        both.wait(PATIENCE_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while trial.seed == 0 and control.progress(50, 100) == 2 and time.monotonic() < deadline:
            pass
        lent[f"seed {trial.seed}, at its end"] = control.progress(99, 100)
        return evaluate(context, trial, replace(control, progress=None))

    with Store(own_store) as store:
        study = Study(store, workers=5, evaluate=work)
        study.run(context, [trials[0].with_seed(seed) for seed in (0, 1)], "two on five cores")
    assert lent["while two run"] == 2 and lent["seed 0, at its end"] == 5


def test_a_store_that_cannot_take_an_outcome_ends_the_run(
    context: TrainingContext, trials: list[Trial], own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, pairs: Sequence[tuple[Trial, Outcome]]) -> None:
        raise OSError("no space")

    with Store(own_store) as store:
        monkeypatch.setattr(Store, "put_many", full)
        study = Study(store, workers=2)
        with pytest.raises(OSError, match="no space"):
            study.run(context, trials, "all")
        assert study.trained == 0


# --- others on the same store ------------------------------------------------------------------


def test_two_studies_on_one_server_train_each_trial_once(
    context: TrainingContext, trials: list[Trial], server: Server
) -> None:
    url, trained = server.create("two_studies"), list[str]()
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def work(_: int) -> tuple[int, int, list[bytes]]:
        with Store(url) as store:
            study = Study(store, workers=2, evaluate=recording(trained))
            together.wait()
            outcomes = study.run(context, trials, "all")
            return study.trained, study.remembered, [outcome.weights.tobytes() for outcome in outcomes]

    with ThreadPoolExecutor(2) as pool:
        (mine, found, weights), (theirs, found_there, weights_there) = pool.map(work, range(2))
    assert sorted(trained) == sorted(trial.key for trial in trials)
    assert (mine + theirs, found, found_there) == (len(trials), theirs, mine)
    assert weights == weights_there


def test_what_somebody_else_trains_is_waited_for(
    context: TrainingContext, trials: list[Trial], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is stored by the other at last; one is let go, and trained here."""
    monkeypatch.setattr(study_module, "OTHERS_SECONDS", 0.01)
    url = server.create("waiting")
    told, trained = Told(), list[str]()
    with Store(url) as store, Store(url) as other, ThreadPoolExecutor(1) as pool:
        assert other.claim(trials[:2]) == trials[:2]
        study = Study(store, workers=2, reporter=told, evaluate=recording(trained))
        running = pool.submit(study.run, context, trials, "all")
        while len(trained) < len(trials) - 2:
            time.sleep(0.01)
        assert not running.done()
        other.put(trials[0], evaluate(context, trials[0]))
        other.release(trials[1:2])
        assert len(running.result(PATIENCE_SECONDS)) == len(trials)
    assert sorted(trained) == sorted(trial.key for trial in trials[1:])
    assert (study.trained, study.remembered) == (len(trials) - 1, 1)
    assert sum(told.amounts) == pytest.approx(sum(map(context.cost, trials)))


def test_a_run_that_ends_early_lets_go_of_what_it_claimed(
    context: TrainingContext, trials: list[Trial], server: Server
) -> None:
    def broken(*_: object) -> Outcome:
        raise ZeroDivisionError

    url = server.create("early")
    with Store(url) as store, Store(url) as other:
        with pytest.raises(ZeroDivisionError):
            Study(store, workers=2, evaluate=broken).run(context, trials, "all")
        assert other.claim(trials) == trials


# --- progress --------------------------------------------------------------------------------


class Told(SilentReporter):
    """Keeps what it is told; any thread may tell."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, float]] = []
        self.amounts: list[float] = []

    def stage(self, name: str, total: float) -> None:
        self.stages.append((name, total))

    def advance(self, amount: float) -> None:
        self.amounts.append(amount)


def test_the_progress_adds_up_to_the_work_that_is_left(
    context: TrainingContext, trials: list[Trial], own_store: Path
) -> None:
    told = Told()
    with Store(own_store) as store:
        study = Study(store, workers=2, reporter=told)
        study.run(context, trials[:3], "some")
        study.run(context, trials, "the rest")
        study.run(context, trials, "nothing")
    costs = [context.cost(trial) for trial in trials]
    assert told.stages == [("some", sum(costs[:3])), ("the rest", pytest.approx(sum(costs[3:]))), ("nothing", 0)]
    assert sum(told.amounts) == pytest.approx(sum(costs))
    assert min(told.amounts) >= 0


def test_a_training_advances_by_what_is_new(context: TrainingContext, trials: list[Trial], own_store: Path) -> None:
    def in_quarters(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        for done in (1, 2, 3):
            control.progress(done, 4)
        return evaluate(context, trial)

    told = Told()
    with Store(own_store) as store:
        Study(store, workers=1, reporter=told, evaluate=in_quarters).run(context, trials[:1], "one")
    assert told.amounts == pytest.approx([context.cost(trials[0]) / 4] * 4)


def test_the_cost_is_three_forward_passes_over_all_epochs(context: TrainingContext) -> None:
    trial = context.trial(parse_spec("dense 10"), Recipe(epochs=5), 0)
    assert context.cost(trial) == 3 * 5 * len(context.dataset.train) * 640


# --- what is trained, and on what -------------------------------------------------------------


def test_an_outcome_counts_what_its_weights_get_right(context: TrainingContext) -> None:
    trial = context.trial(parse_spec("conv 4x3x3 relu, maxpool 2, dense 10"), Recipe(epochs=4), 1)
    outcome = evaluate(context, trial)
    data = context.dataset
    for split, score in ((data.selection, outcome.selection), (data.confirmation, outcome.confirmation)):
        right = classify(context, trial.spec, outcome.weights, split).argmax(axis=1) == split.labels
        assert score == Score(int(np.count_nonzero(right)), len(split))
    assert outcome.parameters == len(outcome.weights) == 4 * 9 + 4 + 36 * 10 + 10
    assert outcome.validation.rate > 0.5, "it learned nothing"


def test_a_trial_on_a_loss_of_labels_does_not_depend_on_the_teacher(digits: Dataset) -> None:
    taught = TrainingContext(
        digits, teacher_key="teacher", teacher_logits=np.zeros((len(digits.train), 10), np.float32)
    )
    spec = parse_spec("dense 10")
    assert taught.trial(spec, RECIPE, 0) == TrainingContext(digits).trial(spec, RECIPE, 0)
    assert taught.trial(spec, replace(RECIPE, loss="kl"), 0).teacher_key == "teacher"


def test_a_network_that_does_not_fit_the_data_is_refused_before_anything_runs(context: TrainingContext) -> None:
    with pytest.raises(SpecError, match="the data has 10 classes"):
        context.trial(parse_spec("dense 9"), RECIPE, 0)
    with pytest.raises(SpecError):
        context.trial(parse_spec("maxpool 9, dense 10"), RECIPE, 0)
