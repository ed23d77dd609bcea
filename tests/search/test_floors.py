"""Floors that no network reaches, and what is tried before that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searches import a_search
from smidgen.data import Dataset, from_arrays
from smidgen.errors import FloorNotMet, RequestError, TeacherError
from smidgen.records import Floor, Score
from smidgen.search.effort import TEACHER, WIDENING_WORK, Effort
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import Judge, Requirement, needed_rate
from smidgen.search.parameter_search import is_found, train_wider_designs, without_useless_teacher
from smidgen.search.shrink import shrink
from smidgen.search.state import Search
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

FLOOR = 0.9


def test_a_floor_that_nothing_holds_names_the_best(digits: Dataset, own_store: Path, small_effort: Effort) -> None:
    store = Store(own_store)
    with pytest.raises(FloorNotMet) as told:
        shrink(digits, 0.985, effort=small_effort, with_file=False, store=store)
    message = str(told.value)
    teacher = max(store.rows(), key=lambda row: row[1].parameters)[0].key
    candidates = [outcome for trial, outcome in store.rows() if trial.key != teacher]
    best = max(outcome.validation.rate for outcome in candidates)
    assert f"{100 * best:.2f} %" in message
    assert "no network reached 98.5 % on digits (needs" in message
    assert "Lower --floor, raise --effort, or add data" in message
    assert told.value.exit_code == 3


def test_where_nothing_holds_the_best_designs_grow(digits: Dataset, own_store: Path, small_effort: Effort) -> None:
    """A search that knows one network, too small for the floor, widens it until it meets the floor."""
    goal, context = Goal(Target(0.92, rule="rate")), TrainingContext(digits)
    judge = Judge(Requirement.of(goal, digits), context)
    with Store(own_store) as store:
        search = Search(Study(store), context, goal, small_effort, 0, judge)
        tiny = search.trials([parse_spec("conv 1x3x3 relu, maxpool 2, dense 10")], "long")
        search.train_rungs({"long": tiny}, "the one that is known")
        train_wider_designs(search, is_found)
    (first, *grown) = search.history.candidates
    widths = [str(candidate.trial.spec).split()[1] for candidate in grown]
    assert widths == ["2x3x3", "3x3x3", "5x3x3", "7x3x3", "10x3x3", "14x3x3"][: len(widths)]
    assert {candidate.stage for candidate in grown} == {"wider designs"}
    assert not search.is_met(first, "selection") and search.is_met(grown[-1], "selection")


@pytest.mark.parametrize("rule", ["wilson", "rate"])
def test_a_floor_of_every_image_right_is_a_question_too(
    digits: Dataset, known_store: Path, small_effort: Effort, rule: str
) -> None:
    """No error is allowed then, which nothing may be divided by."""
    total = len(digits.selection) + len(digits.confirmation)
    floor = Floor(0.9999 if rule == "rate" else Score(total, total).interval()[0] - 1e-9, rule)
    assert needed_rate(digits, floor) == 1.0
    with pytest.raises(FloorNotMet, match=r"needs 100\.00 % on both validation halves"):
        shrink(digits, floor, effort=small_effort, with_file=False, store=Store(known_store))


def test_a_floor_that_so_few_images_cannot_show_is_refused_before_anything_runs(
    digits: Dataset, own_store: Path
) -> None:
    with pytest.raises(RequestError, match="359 examples for validation") as told:
        shrink(digits, 0.995, store=Store(own_store))
    assert Score(359, 359).interval()[0] == pytest.approx(0.9894, abs=1e-4)
    assert "0.9894" in str(told.value)
    assert Store(own_store).rows() == []


def test_growth_ends_once_a_network_is_confirmed(digits: Dataset, own_store: Path, small_effort: Effort) -> None:
    """It need not exceed the floor by a margin, which no network does on few images."""
    with Store(own_store) as store:
        easy = a_search(digits, store, small_effort, Goal(Target(0.1)))
        (known,) = easy.train(easy.trials([parse_spec("conv 3x3x3 relu, maxpool 2, dense 10")], "middle"), "known")
        worse = min(score.rate for score in known.outcome.halves.values())
        search = a_search(digits, store, small_effort, Goal(Target(worse - 0.02, rule="rate")))
        search.train_rungs({"long": [known.trial]}, "known")
        assert not search.judge.is_met_with_margin(known.trial, known.outcome)
        train_wider_designs(search, is_found)
    assert [candidate.trial for candidate in search.history.candidates] == [known.trial]


def test_growth_ends_after_a_multiple_of_the_work_before_it(
    digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    with Store(own_store) as store:
        search = a_search(digits, store, small_effort, Goal(Target(0.9999, rule="rate")))
        trials = search.trials([parse_spec("conv 1x3x3 relu, maxpool 2, dense 10")], "short")
        search.train_rungs({"long": trials}, "known")
        before = search.history.work
        train_wider_designs(search, is_found)
        last = search.context.cost(search.history.candidates[-1].trial)
    assert before < search.history.work <= (1 + WIDENING_WORK) * before + 2 * small_effort.finalists * last


def test_a_teacher_that_is_no_better_than_a_candidate_is_left_out_and_that_is_said(
    digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    with Store(own_store) as store:
        search = a_search(digits, store, small_effort, Goal(Target(0.5)))
        logits = np.zeros((len(digits.train), 10), np.float32)
        context = replace(search.context, teacher_key="a teacher", teacher_logits=logits)
        (known,) = search.train(search.trials([parse_spec("dense 10")], "short"), "known")
        right = known.outcome.selection
        for correct, is_used in ((right.correct, False), (right.correct + 1, True)):
            teacher = replace(known.outcome, parameters=9_000, selection=Score(correct, right.total))
            taught = replace(search, context=context, own_teacher=teacher, recipe_name=TEACHER)
            left = without_useless_teacher(taught)
            assert (left.recipe_name == TEACHER) == is_used != left.teacher_is_left_out
            assert left.context.teacher_logits is not None, "those who learned from it can be trained again"
        (note,) = search.history.notes
    assert "the teacher that was trained here (9,000 parameters)" in note and "candidates learn from the labels" in note


def test_a_teacher_that_learned_nothing_is_not_used(own_store: Path, small_effort: Effort) -> None:
    generator = np.random.default_rng(0)
    noise = from_arrays(generator.normal(size=(400, 3)), generator.integers(0, 2, 400))
    goal = Goal(Target(0.5, rule="rate"), fallback_to_best=True)
    found = shrink(noise, goal, effort=small_effort, with_file=False, store=Store(own_store))
    assert found.teacher is None and found.recipes == {}
    assert "hardly more than always naming the commonest class" in found.notes[0]
    with pytest.raises(TeacherError, match="--within measures from a teacher, and the one that was trained here"):
        shrink(noise, Goal(Target(within=0.01)), effort=small_effort, with_file=False, store=Store(own_store))
