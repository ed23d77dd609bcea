"""The smallest network on small data: it meets the floor, and the same call finds it again."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searches import TINY, before_confirmation
from smidgen import from_arrays
from smidgen.data import Dataset
from smidgen.errors import RequestError
from smidgen.records import Floor, Score
from smidgen.search.byte_search import NOT_TRAINED
from smidgen.search.effort import DISTILLATION_RECIPES, LABELS, TEACHER, Effort
from smidgen.search.judge import needed_rate
from smidgen.search.parameter_search import better_recipe
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.spec import Dense
from smidgen.trials.evaluate import classify
from smidgen.trials.store import Store

FLOOR = 0.9


def vectors(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """float64 [n, 6] around three centres, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    return 3 * np.eye(3, 6)[labels] + generator.normal(0, 0.4, (count, 6)), labels


def test_the_winner_holds_the_floor_on_both_halves(answer: ShrinkResult, digits: Dataset) -> None:
    outcome, needed = answer.outcome, needed_rate(digits, Floor(FLOOR))
    assert needed > FLOOR
    assert outcome.selection.rate >= needed
    assert outcome.confirmation.rate >= needed
    assert answer.floor.is_met_by(outcome.validation)
    assert outcome.parameters == answer.winner.spec.parameters(digits.input_shape) == len(outcome.weights)
    assert outcome.parameters < answer.teacher.outcome.parameters / 10


def test_no_smaller_network_that_was_tried_holds_it_on_both_halves(answer: ShrinkResult, digits: Dataset) -> None:
    needed = needed_rate(digits, answer.floor)
    holding = [t for t in before_confirmation(answer) if t.outcome.selection.rate >= needed]
    smaller = [t for t in holding if t.outcome.parameters < answer.outcome.parameters]
    assert all(t.outcome.confirmation.rate < needed for t in smaller)
    assert {t.trial.key for t in smaller} <= {t.trial.key for t in answer.rejected}
    assert answer.winner.key in {t.trial.key for t in holding}


def test_the_test_score_is_that_of_the_weights(answer: ShrinkResult, digits: Dataset) -> None:
    teacher = answer.teacher
    winner_and_teacher = (
        (answer.winner, answer.outcome, answer.test),
        (teacher.trial, teacher.outcome, answer.teacher_test),
    )
    for trial, outcome, expected in winner_and_teacher:
        logits = classify(answer.context, trial.spec, outcome.weights, digits.test)
        assert expected == Score(int((logits.argmax(axis=1) == digits.test.labels).sum()), len(digits.test))
    assert answer.teacher_test.rate > 0.9


def test_fresh_seeds_took_no_part_in_the_run(answer: ShrinkResult, small_effort: Effort) -> None:
    used = {candidate.trial.seed for candidate in before_confirmation(answer)}
    fresh = [candidate.trial.seed for candidate in answer.fresh_seeds]
    assert len(set(fresh)) == len(fresh) == small_effort.fresh_seeds
    assert not used & set(fresh)
    assert {candidate.trial.with_seed(0) for candidate in answer.fresh_seeds} == {answer.winner.with_seed(0)}
    met = [answer.floor.is_met_by(candidate.outcome.validation) for candidate in answer.fresh_seeds]
    assert answer.fresh_seeds_met == sum(met)


def test_labels_are_compared_with_the_teacher_on_the_same_networks(answer: ShrinkResult, small_effort: Effort) -> None:
    assert set(answer.recipes) == set(DISTILLATION_RECIPES)
    networks = {name: [(str(one.trial.spec), one.trial.seed) for one in some] for name, some in answer.recipes.items()}
    assert networks[LABELS] == networks[TEACHER] and len(set(networks[LABELS])) == 2 * small_effort.pruned
    for name, some in answer.recipes.items():
        assert {candidate.trial.recipe.loss for candidate in some} == {DISTILLATION_RECIPES[name].loss}
        teacher_keys = {candidate.trial.teacher_key for candidate in some}
        assert teacher_keys == ({answer.teacher.trial.key} if DISTILLATION_RECIPES[name].needs_teacher else {""})


def test_networks_learn_from_the_teacher_unless_labels_are_shown_to_be_better() -> None:
    assert better_recipe([0.03, 0.04, 0.05], [0.03, 0.04, 0.05]) == TEACHER
    assert better_recipe([0.03, 0.04, 0.05], [0.02, 0.03, 0.04]) == LABELS
    assert better_recipe([0.03, 0.04, 0.05], [0.04, 0.05, 0.06]) == TEACHER
    assert better_recipe([0.03, 0.05, 0.03], [0.04, 0.02, 0.03]) == TEACHER, "the difference is within its noise"
    assert better_recipe([0.03], [0.02]) == LABELS


def test_every_training_is_in_the_store_and_no_other(answer: ShrinkResult, answer_store: Path) -> None:
    with Store(answer_store) as store:
        stored = {trial.key for trial, _ in store.rows()}
    filed = {candidate.trial.key for candidate in answer.file.candidates if candidate.stage != NOT_TRAINED}
    asked = {answer.teacher.trial.key, *(candidate.trial.key for candidate in answer.candidates), *filed}
    assert stored == asked
    assert answer.trained == len(asked)


def test_the_same_call_again_trains_nothing_and_gives_the_same(
    answer: ShrinkResult, digits: Dataset, answer_store: Path, small_effort: Effort
) -> None:
    again = shrink(digits, FLOOR, effort=small_effort, store=Store(answer_store), workers=3)
    assert again.trained == 0
    assert again.winner == answer.winner
    assert again.outcome.weights.tobytes() == answer.outcome.weights.tobytes()
    assert (again.test, again.teacher_test, again.fresh_seeds_met) == (
        answer.test,
        answer.teacher_test,
        answer.fresh_seeds_met,
    )
    assert again.turning_point == answer.turning_point
    assert [candidate.trial for candidate in again.candidates] == [candidate.trial for candidate in answer.candidates]


def test_the_number_of_workers_changes_nothing(
    answer: ShrinkResult, digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    alone = shrink(digits, FLOOR, effort=small_effort, with_file=False, store=Store(own_store), workers=1)
    assert [candidate.trial.key for candidate in alone.candidates] == [
        candidate.trial.key for candidate in answer.candidates
    ]
    for left, right in zip(alone.candidates, answer.candidates, strict=True):
        assert left.outcome.weights.tobytes() == right.outcome.weights.tobytes()


def test_another_seed_searches_elsewhere(
    answer: ShrinkResult, digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    other = shrink(digits, FLOOR, effort=small_effort, with_file=False, seed=1, store=Store(own_store))
    tried_before = {str(candidate.trial.spec) for candidate in answer.candidates}
    assert {str(candidate.trial.spec) for candidate in other.candidates} - tried_before


def test_the_plain_rate_is_an_easier_rule(
    answer: ShrinkResult, digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    plain = shrink(digits, Floor(FLOOR, "rate"), effort=small_effort, with_file=False, store=Store(known_store))
    total = len(digits.selection) + len(digits.confirmation)
    assert FLOOR <= needed_rate(digits, plain.floor) < FLOOR + 1 / total
    assert needed_rate(digits, plain.floor) < needed_rate(digits, answer.floor)
    assert min(plain.outcome.selection.rate, plain.outcome.confirmation.rate) >= FLOOR


def test_where_trainings_are_cheap_smaller_designs_are_drawn(digits: Dataset, known_store: Path) -> None:
    cheap = replace(TINY, least_work=1e16, finalists=1, seeds=1, curve_sizes=0)
    answer = shrink(digits, FLOOR, effort=cheap, with_file=False, store=Store(known_store))
    needed, smallest, rounds = needed_rate(digits, answer.floor), math.inf, 0
    for stage, group in groupby(before_confirmation(answer), lambda one: one.stage):
        outcomes = [one.outcome for one in group]
        rounds += stage == "smaller designs"
        assert stage != "smaller designs" or max(each.parameters for each in outcomes) < smallest < math.inf
        smallest = min(smallest, *(each.parameters for each in outcomes if each.selection.rate >= needed), math.inf)
    assert rounds >= 1


def test_vectors_get_a_small_perceptron(own_store: Path, small_effort: Effort) -> None:
    data = from_arrays(*vectors(900, seed=0), name="vectors")
    answer = shrink(data, 0.9, effort=small_effort, with_file=False, store=Store(own_store))
    assert answer.test.rate > 0.9
    assert answer.outcome.parameters < 100, "one layer has 21"
    assert isinstance(answer.winner.spec.layers[-1], Dense)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"goal": 97}, "floor=97 must lie between 0 and 1"),
        ({"goal": 0.9, "effort": "quik"}, "effort='quik' is not known; use one of glance, quick"),
        ({"goal": 0.9, "engine": "jax"}, "no engine 'jax'"),
        ({"goal": 0.9, "workers": 0}, "workers=0 must be at least 1"),
    ],
)
def test_a_wrong_request_is_refused(digits: Dataset, own_store: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        shrink(digits, store=Store(own_store), **arguments)
    assert Store(own_store).rows() == []
