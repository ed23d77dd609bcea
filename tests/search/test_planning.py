"""Budgets of time and work: what a budget allows depends on the data and the budget alone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from searches import a_search
from smidgen.data import Dataset
from smidgen.errors import RequestError
from smidgen.reporter import SilentReporter
from smidgen.search import planning
from smidgen.search.budget import (
    ENLARGED_COUNTS,
    MOST_ENLARGEMENT,
    MOST_EXTENSION,
    TEACHER_SHARE,
    WorkEstimate,
    effort_within,
    enlarged,
    rounded,
)
from smidgen.search.effort import EFFORTS, MOST_EPOCHS, RUNGS, Effort, epochs_of
from smidgen.search.goal import Goal, Target
from smidgen.search.parameter_search import first_networks
from smidgen.search.planning import Budget, with_known_costs
from smidgen.search.progress import Progress, duration
from smidgen.search.shrink import shrink
from smidgen.search.state import space_of
from smidgen.search.teacher_stage import teacher_trial
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.speed import measured_speed
from smidgen.trials.store import Store
from smidgen.trials.study import Study


class Heard(SilentReporter):
    """Keeps what is said and the stages."""

    def __init__(self) -> None:
        self.said, self.stages = list[str](), list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def stage(self, name: str, total: float) -> None:
        self.stages.append(name)


@pytest.fixture
def expected(digits: Dataset) -> WorkEstimate:
    context, goal = TrainingContext(digits), Goal(Target(0.9))
    first = lambda effort: first_networks(space_of(digits, goal, effort), effort, 0)  # noqa: E731
    return WorkEstimate(context, first, teacher_trial(context, 0))


# --- the effort that a budget allows ------------------------------------------------------------


def test_a_larger_budget_allows_more_and_none_is_exceeded(expected: WorkEstimate) -> None:
    budgets = [expected(EFFORTS["glance"]) * factor for factor in (0.3, 0.9, 1, 3, 30, 300, 3_000)]
    efforts = [effort_within(work, expected) for work in budgets]
    works = [expected(effort) for effort in efforts]
    assert all(found <= work for found, work in zip(works, budgets, strict=True))
    assert works == sorted(works)
    assert efforts[-1].generations == MOST_EXTENSION * EFFORTS["thorough"].generations
    assert efforts[0].long_steps < EFFORTS["glance"].long_steps


def test_where_trainings_are_cheap_an_effort_tries_more(expected: WorkEstimate) -> None:
    quick = EFFORTS["quick"]
    for least_work in (0.0, 0.9 * expected(quick), expected(quick), 3 * expected(quick), 1e16):
        effort = enlarged(replace(quick, least_work=least_work), expected)
        factors = {getattr(effort, name) / getattr(quick, name) for name in ENLARGED_COUNTS}
        assert len(factors) == 1 and factors <= {1, 2, 3, MOST_ENLARGEMENT}
        assert factors == {1} or expected(effort) <= least_work
        assert (least_work < 1e16) or factors == {MOST_ENLARGEMENT}
    assert enlarged(EFFORTS["glance"], expected) is EFFORTS["glance"]


def test_a_teacher_takes_at_most_its_share(expected: WorkEstimate) -> None:
    usual = expected.teacher_work(EFFORTS["normal"])
    for work in (usual, 2 * usual, 8 * usual, 1e6 * usual):
        effort = effort_within(work, expected)
        assert expected.teacher_work(effort) <= TEACHER_SHARE * work
    assert effort_within(1e3 * usual, expected).compares_recipes


def test_a_teacher_that_a_distance_is_measured_from_is_in_every_budget(expected: WorkEstimate) -> None:
    needed = replace(expected, needs_teacher=True)
    glance = EFFORTS["glance"]
    assert expected.teacher_work(glance) == 0 < needed.teacher_work(glance)
    assert needed(glance) == pytest.approx(expected(glance) + needed.teacher_work(glance))
    with pytest.raises(RequestError, match="too little for these data"):
        effort_within(0.5 * needed.teacher_work(glance), needed)


def test_thorough_trains_its_teacher_longer(digits: Dataset, expected: WorkEstimate) -> None:
    thorough, normal = EFFORTS["thorough"], EFFORTS["normal"]
    longer, usual = (teacher_trial(TrainingContext(digits), 0, each.teacher_length) for each in (thorough, normal))
    assert longer.recipe.epochs == 4 * usual.recipe.epochs and longer.spec == usual.spec
    assert expected.teacher_work(thorough) == 4 * expected.teacher_work(normal)


def test_a_budget_for_nothing_is_refused_with_the_least(expected: WorkEstimate) -> None:
    with pytest.raises(
        RequestError, match=r"work=1e\+03 is too little for these data; the shortest search takes"
    ) as told:
        effort_within(1_000, expected)
    effort_within(float(str(told.value).split()[-1]), expected)


@pytest.mark.parametrize(
    ("minutes", "work", "message"),
    [
        (5, 1e12, "two budgets; give one"),
        (0, None, "minutes=0 must be above 0"),
        (None, -1e9, r"work=-1e\+09 must be above 0"),
    ],
)
def test_budgets_that_cannot_be(minutes: float | None, work: float | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Budget(minutes, work)


def test_few_images_are_not_passed_without_end() -> None:
    quick = EFFORTS["quick"]
    for rung, on_mnist in zip(RUNGS, (2, 6, 15), strict=True):
        epochs = [epochs_of(quick, rung, images) for images in (50_000, 1_000, 100)]
        assert epochs == [on_mnist, MOST_EPOCHS[rung], MOST_EPOCHS[rung]]


# --- a search within a budget ---------------------------------------------------------------------


@pytest.fixture
def small_efforts(monkeypatch: pytest.MonkeyPatch, small_effort: Effort) -> None:
    """A glance that takes a moment, and nothing above it."""
    tiny = replace(
        EFFORTS["glance"], first=6, children=3, short_steps=60, long_steps=200, byte_search=small_effort.byte_search
    )
    for name in EFFORTS:
        monkeypatch.setitem(EFFORTS, name, tiny)


def test_minutes_become_work_and_that_work_gives_the_same_networks(
    digits: Dataset, tmp_path: Path, small_efforts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measured_speed", lambda *_: 1e9)
    heard = Heard()
    goal = Goal(Target(0.5, rule="rate"))
    first = shrink(
        digits, goal, budget=Budget(minutes=0.02), reporter=heard, store=Store(tmp_path / "a.sqlite"), with_file=False
    )
    assert first.work is not None and first.work == rounded(first.work)
    (note,) = [note for note in first.notes if "budget" in note]
    assert note in heard.said and f"--work {first.work:.3g} gives the same networks on any machine" in note
    again = shrink(
        digits,
        goal,
        budget=Budget(work=float(f"{first.work:.3g}")),
        workers=1,
        store=Store(tmp_path / "b.sqlite"),
        with_file=False,
    )
    assert [c.trial for c in again.candidates] == [c.trial for c in first.candidates]
    assert again.outcome.weights.tobytes() == first.outcome.weights.tobytes()
    context = TrainingContext(digits)
    assert sum(context.cost(candidate.trial) for candidate in again.candidates) <= first.work


def test_a_search_says_how_long_it_will_take_and_what_is_best_so_far(
    digits: Dataset, own_store: Path, small_effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "STATED_SECONDS", 0.0)
    heard = Heard()
    shrink(digits, 0.5, effort=small_effort, reporter=heard, store=Store(own_store), with_file=False)
    assert heard.said[0].startswith("expected: about ") and "measured" in heard.said[0]
    assert any("best so far" in stage and "parameters" in stage for stage in heard.stages)
    assert any(stage.endswith(" left") for stage in heard.stages)


def test_the_speed_is_measured_on_small_and_large_networks(digits: Dataset) -> None:
    specs = [parse_spec("dense 10"), parse_spec("conv 8x3x3 relu, maxpool 2, dense 10")]
    assert 1e6 < measured_speed(TrainingContext(digits), specs) < 1e13
    assert measured_speed(TrainingContext(digits), specs[:1]) > 0


def test_times_as_one_says_them() -> None:
    assert [duration(s) for s in (0.2, 1, 20, 170, 7_200)] == [
        "1 second",
        "1 second",
        "20 seconds",
        "3 minutes",
        "2.0 hours",
    ]


def test_remembered_trainings_take_no_time() -> None:
    began = replace(Progress.begin(100.0, trained_before=5.0), started=time.perf_counter() - 60)
    assert began.left(0, 5.0) == began.left(101, 106.0) == began.left(50, 5.0) == ""
    assert began.left(50, 15.0) == "about 5 minutes left"
    assert began.left(50, 55.0) == "about 60 seconds left"


def test_a_floor_that_takes_larger_networks_is_said(
    digits: Dataset, own_store: Path, small_effort: Effort, expected: WorkEstimate
) -> None:
    heard = Heard()
    search = replace(a_search(digits, Store(own_store), small_effort, Goal(Target(0.9))), progress=Progress.begin(1.0))
    search = replace(search, study=Study(search.study.store, 1, heard))
    search.train(search.trials([parse_spec("dense 10")], "short"), "first")
    large = [parse_spec("conv 64x3x3 relu, maxpool 2, dense 10")]
    known = with_known_costs(search, expected, large)
    assert heard.said[0].startswith("the floor takes larger networks than were expected: about ")
    assert known.progress is not None
    assert known.progress.expected_work > expected.later(small_effort, 2 * 10 * 64, 0)
    assert with_known_costs(replace(search, most_work=1e9), expected, large).progress is search.progress
