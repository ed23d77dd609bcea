"""The last trainings of a search, on moved copies of the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searches import a_search
from smidgen.data import Dataset, from_arrays, load, with_copies
from smidgen.search.effort import EFFORTS, TEACHER, Effort
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.judge import Judge, Requirement
from smidgen.search.moved import (
    COPIES,
    LEARNING_RATE,
    near_misses,
    retraining,
    train_on_moved_copies,
    with_moved_copies,
)
from smidgen.search.pruning import prune
from smidgen.search.state import Search
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import evaluate, score
from smidgen.trials.store import Store

WIDE = parse_spec("conv 8x3x3 stride 2 relu, avgpool 2, conv 10x3x3 relu, dense 10")
GOAL = Goal(Target(0.9, rule="rate"))
LABELS_ALONE = replace(EFFORTS["thorough"], compares_recipes=False)


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    """The digits at twice their size: 16 x 16 pixels can be moved."""
    digits = load("digits").train
    return from_arrays(np.kron(digits.images[:, 0], np.ones((1, 2, 2), np.uint8)), digits.labels, name="large digits")


@pytest.fixture(autouse=True)
def farther_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so few networks none may be near."""
    monkeypatch.setattr("smidgen.search.moved.NEAR", 1.5)


@pytest.fixture
def search(pictures: Dataset, own_store: Path, small_effort: Effort) -> Search:
    return a_search(pictures, Store(own_store), replace(small_effort, moved_rounds=1), GOAL)


def pruned(search: Search) -> Search:
    """The search after channels were removed; it can train on moved copies, and most networks miss its floor."""
    prune(search, search.train(search.trials([WIDE], "middle"), "wide designs"))
    goal = Goal(Target(0.92, rule="rate"))
    judge = Judge(Requirement.of(goal, search.data), search.context)
    return with_moved_copies(replace(search, goal=goal, judge=judge), None)


def test_near_misses_are_trained_on_on_moved_copies(search: Search) -> None:
    moved = pruned(search)
    near = near_misses(moved)
    assert near
    train_on_moved_copies(moved)
    trained = [one for one in moved.history.candidates if one.stage == "moved copies"]
    assert [one.trial.spec for one in trained] == [one.trial.spec for one in near[:4]]
    assert {one.trial.recipe.learning_rate for one in trained} == {LEARNING_RATE}
    assert {one.trial.data_digest for one in trained} == {with_copies(search.data, COPIES).digest}
    images = COPIES * len(search.data.train)
    steps = {one.trial.recipe.epochs * one.trial.recipe.steps(images) for one in trained}
    assert [*steps] == [pytest.approx(search.effort.long_steps, rel=0.05)]
    assert not {one.trial.spec for one in near_misses(moved)} & {one.trial.spec for one in trained}


def test_fresh_seeds_of_such_a_network_learn_from_moved_copies_too(search: Search) -> None:
    moved = pruned(search)
    train_on_moved_copies(moved)
    one = next(one for one in moved.history.candidates if one.stage == "moved copies")
    fresh = one.trial.with_seed(7)
    (trained,) = moved.train([fresh], "fresh seeds")
    assert moved.moved is not None
    starts = {fresh.start_digest: moved.history.starts[fresh.start_digest]}
    assert np.array_equal(trained.outcome.weights, evaluate(replace(moved.moved, starts=starts), fresh).weights)
    work = moved.cost(fresh) / search.context.cost(fresh)
    assert work == pytest.approx(COPIES)


def test_where_moved_copies_give_the_smallest_network_rounds_make_it_smaller(search: Search) -> None:
    moved = pruned(replace(search, effort=replace(search.effort, descents=1)))
    lost_channels = (one for one in moved.history.candidates if one.trial.start_digest)
    missing = next(one for one in lost_channels if not moved.is_met(one, "selection"))
    moved.history.candidates[:] = [missing]
    train_on_moved_copies(moved)
    _, first, *last = moved.history.candidates
    assert (first.trial.spec, first.stage) == (missing.trial.spec, "moved copies")
    assert last and all(moved.context_of(one.trial) is moved.moved for one in (first, *last))
    assert min(one.outcome.parameters for one in last) < first.outcome.parameters


def test_training_errors_are_those_of_the_pictures_as_they_are(search: Search) -> None:
    moved = pruned(search)
    assert moved.moved is not None
    on_copies = replace(moved, context=moved.moved)
    (one,) = on_copies.train([retraining(moved, near_misses(moved)[0])], "moved copies")
    on_copies.estimated_errors()
    found = score(moved.context, one.trial.spec, one.outcome.weights, moved.data.train)
    assert len(on_copies.data.train) == COPIES * found.total
    assert moved.history.training_errors[one.trial.key] == pytest.approx(1 - found.rate)


def test_what_cannot_be_moved_is_not(pictures: Dataset, digits: Dataset, own_store: Path) -> None:
    with Store(own_store) as store:
        search = a_search(pictures, store, LABELS_ALONE, GOAL)
        others = {
            "8 x 8 pixels": a_search(digits, store, LABELS_ALONE, GOAL),
            "effort normal": a_search(pictures, store, EFFORTS["normal"], GOAL),
            "no accuracy is required": a_search(pictures, store, LABELS_ALONE, Goal(None, Limits(parameters=300))),
            "the user's copies": a_search(with_copies(pictures, 2), store, LABELS_ALONE, GOAL),
            "a teacher that cannot be asked": replace(search, recipe_name=TEACHER),
        }
    assert with_moved_copies(search, None).moved is not None
    for why, other in others.items():
        assert with_moved_copies(other, None).moved is None, why


def test_logits_of_the_pictures_as_they_are_do_not_stand_beside_their_copies(search: Search) -> None:
    logits = np.zeros((len(search.data.train), search.data.classes), np.float32)
    asked = replace(search, context=replace(search.context, teacher_key="the user's", teacher_logits=logits))
    moved = with_moved_copies(asked, None).moved
    assert moved is not None
    assert (moved.teacher_key, moved.teacher_logits) == ("", None)


def test_rounds_end_where_moved_copies_do_not_help(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.search.moved.NEAR", 3.0)
    monkeypatch.setattr("smidgen.search.moved.MOVED_AT_ONCE", 1)
    monkeypatch.setattr("smidgen.search.moved.LEARNING_RATE", 30.0)
    moved = pruned(replace(search, effort=replace(search.effort, moved_rounds=2)))
    assert len(near_misses(moved)) > 1
    train_on_moved_copies(moved)
    assert [one.stage for one in moved.history.candidates].count("moved copies") == 1
