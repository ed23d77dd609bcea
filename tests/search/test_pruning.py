"""Networks that lose channels: which channels go, what is trained after that, and where it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searches import a_search
from smidgen.data import Dataset
from smidgen.engine import Start, choose
from smidgen.model import Model
from smidgen.records import Floor, Trial
from smidgen.search import descent
from smidgen.search.descent import descend, is_pruned
from smidgen.search.effort import RUNGS, Effort
from smidgen.search.finish import _train_until_longer_does_not_help
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.pruning import (
    WIDE,
    is_prunable,
    least_harmful,
    prune,
    removals,
    training_loss,
    wide_designs,
)
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.search.shrink import shrink
from smidgen.search.state import Search
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

WIDE_NETWORK = "conv 6x3x3 relu, maxpool 2, dense 8 relu, dense 10"


@pytest.fixture
def search(digits: Dataset, own_store: Path, small_effort: Effort) -> Search:
    return a_search(digits, Store(own_store), small_effort, Goal(Target(0.85, rule="rate")))


def trained(search: Search, text: str = WIDE_NETWORK) -> Model:
    (one,) = search.train(search.trials([parse_spec(text)], "middle"), "known")
    return search.model(one)


def test_a_removal_takes_the_channel_of_each_layer_that_is_missed_least(search: Search) -> None:
    model = trained(search)
    options = removals(search, model)
    assert {str(one.spec) for one in options} == {
        "conv 5x3x3 relu, maxpool 2, dense 8 relu, dense 10",
        "conv 6x3x3 relu, maxpool 2, dense 7 relu, dense 10",
        "conv 6x3x3 nobias relu, maxpool 2, dense 8 relu, dense 10",
        "conv 6x3x3 relu, maxpool 2, dense 8 nobias relu, dense 10",
        "conv 6x3x3 relu, maxpool 2, dense 8 relu, dense 10 nobias",
    }
    harms = [(training_loss(search, one) - training_loss(search, model)) for one in options]
    harms = [harm / (model.weights.size - one.weights.size) for harm, one in zip(harms, options, strict=True)]
    assert harms == sorted(harms)
    (headless,) = [one for one in options if str(one.spec).endswith("dense 10 nobias")]
    assert np.array_equal(headless.weights, model.weights[:-10])
    dense = next(one for one in options if "dense 7" in str(one.spec))
    weight = model.weights[60:]  # after the convolution: 8 units of 54 inputs and a bias, then 10 of 8 inputs
    inputs = (weight.size - 90 - 8) // 8
    found = []
    for unit in range(8):
        rows, biases, head = (
            weight[: 8 * inputs].reshape(8, inputs),
            weight[8 * inputs :][:8],
            weight[-90:-10].reshape(10, 8),
        )
        parts = [np.delete(rows, unit, 0), np.delete(biases, unit), np.delete(head, unit, 1), weight[-10:]]
        found.append(np.concatenate([model.weights[:60], *map(np.ravel, parts)]))
    assert any(np.array_equal(dense.weights, one) for one in found)
    losses = [training_loss(search, replace(dense, weights=one)) for one in found]
    assert training_loss(search, dense) == min(losses)


def test_the_loss_that_decides_is_that_of_training_images(search: Search, digits: Dataset) -> None:
    model = trained(search)
    logits = choose().predict(model.spec, model.weights, digits.train.images).astype(np.float64)
    right = logits[np.arange(len(logits)), digits.train.labels]
    expected = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - right
    assert training_loss(search, model) == pytest.approx(expected[:1_000].mean(), rel=1e-6)


def test_at_least_a_twentieth_of_the_parameters_goes_at_once(search: Search) -> None:
    model = trained(search, "conv 6x3x3 relu, maxpool 2, dense 40 relu, dense 10")
    smaller = least_harmful(search, model)
    assert smaller is not None and smaller.weights.size <= 0.95 * model.weights.size
    assert least_harmful(search, trained(search, "conv 1x3x3 nobias relu, maxpool 2, dense 10 nobias")) is None


def test_what_has_no_channels_to_lose_is_not_widened_for_it(digits: Dataset) -> None:
    shape = digits.input_shape
    for text in ("dense 10", "conv 1x3x3 relu, dense 10", "conv 2x3x3 same, repeat 2 [conv 2x3x3 same relu], dense 10"):
        assert not is_prunable(parse_spec(text), shape)
    assert is_prunable(parse_spec(WIDE_NETWORK), shape)


def test_removal_ends_where_a_network_errs_clearly_too_much(search: Search) -> None:
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    steps = [one for one in search.history.candidates if one.stage == "pruning"]
    sizes = [one.outcome.parameters for one in steps]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) > 2
    assert all(one.trial.start_digest in search.history.starts for one in steps)
    errors = [search.score(one).error for one in steps]
    allowed = search.judge.requirement.allowed_error
    assert max(errors[:-1]) <= 2 * allowed and errors[-1] > 1.3 * allowed


def test_single_channels_go_until_no_smaller_network_meets_the_floor(search: Search) -> None:
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    before = min(one.outcome.parameters for one in search.history.candidates if search.is_met(one, "selection"))
    descend(search)
    smallest = next(one for one in search.by_size() if search.is_met(one, "selection"))
    assert smallest.outcome.parameters <= before < wide.outcome.parameters and is_pruned(search)
    tried = [one for one in search.history.candidates if one.outcome.parameters < smallest.outcome.parameters]
    assert tried and not any(search.is_met(one, "selection") for one in tried)


def test_networks_that_gained_a_channel_lose_others_until_they_are_the_smallest(search: Search) -> None:
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    search = replace(search, effort=replace(search.effort, descents=2, patience=2))
    before = search.smallest_selected()
    assert before is not None and before.trial.start_digest
    widths = [width_of(before, kind) for kind in ("conv", "dense")]
    descend(search)
    found = [one for one in search.history.candidates if one.stage == "single channels"]
    gained = {str(one.trial.spec) for one in found if one.outcome.parameters > before.outcome.parameters}
    assert any(width_of_text(text, "conv") == widths[0] + 1 for text in gained)
    assert any(width_of_text(text, "dense") == widths[1] + 1 for text in gained)
    lengths = {one.trial.recipe.epochs for one in found if str(one.trial.spec) in gained}
    shorter = {one.trial.recipe.epochs for one in found if one.outcome.parameters < before.outcome.parameters}
    assert max(lengths) < max(shorter)


def test_networks_that_meet_the_floor_by_luck_are_not_made_smaller(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that the selection half finds equal, the one that errs more on training images is in part lucky."""
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    lost = [one for one in search.by_size() if one.trial.start_digest and search.is_met(one, "selection")]
    assert len(lost) > 1 and lost[0].outcome.parameters < lost[1].outcome.parameters
    allowed = search.judge.requirement.allowed_error
    lucky = lost[0].trial.key
    monkeypatch.setattr(
        Search, "_training_error", lambda self, one: 1.0 if one.trial.key == lucky else self.score(one).error / 2
    )
    assert search.estimated_errors()[lucky] > allowed
    likely = search.likely()
    assert lost[0] not in likely and lost[1] in likely
    assert [one.outcome.parameters for one in likely] == sorted(one.outcome.parameters for one in likely)
    search = replace(search, effort=replace(search.effort, descents=1))
    descend(search)
    fewer = {Start(one.weights).digest for one in removals(search, search.model(lost[0]))}
    assert not fewer & {one.trial.start_digest for one in search.history.candidates if one.stage == "single channels"}


def test_the_estimated_error_is_the_mean_of_two_estimates(search: Search, digits: Dataset) -> None:
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    lost = [one for one in search.history.candidates if one.trial.start_digest]
    errors = [(search.score(one).error, training_error(search, one, digits)) for one in lost]
    difference = np.mean([selection - training for selection, training in errors])
    found = search.estimated_errors()
    assert list(found) == [one.trial.key for one in lost]
    expected = [(selection + training + difference) / 2 for selection, training in errors]
    assert list(found.values()) == pytest.approx(expected)


def training_error(search: Search, one: TrainedCandidate, data: Dataset) -> float:
    logits = choose().predict(one.trial.spec, one.outcome.weights, data.train.images[:10_000])
    return float((logits.argmax(1) != data.train.labels[:10_000]).mean())


def test_a_descent_ends_after_as_many_rounds_in_vain_as_its_patience_says(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    prune(search, [wide])
    best, rounds = search.smallest_selected(), list[int]()
    monkeypatch.setattr(descent, "best_network", lambda search: best)
    monkeypatch.setattr(Search, "train", lambda search, trials, stage: rounds.append(len(trials)) or [])
    for patience in (0, 2):
        rounds.clear()
        descend(replace(search, effort=replace(search.effort, descents=9, patience=patience)))
        assert len(rounds) == patience + 1


def test_sizes_of_the_curve_are_trained_together_and_each_longer_while_that_helps(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (parse_spec(f"dense {units} relu, dense 10") for units in (2, 4))
    better, worse = search.train(search.trials([small, large], "long"), "known")
    if search.score(better).error > search.score(worse).error:
        better, worse = worse, better
    rounds, gained = [], [{small: worse, large: worse}, {small: better, large: worse}, {small: better, large: better}]

    def train(search: Search, trials: list[Trial], stage: str) -> list[TrainedCandidate]:
        rounds.append([(trial.spec, trial.recipe.epochs) for trial in trials])
        found = gained[len(rounds) - 1]
        return [replace(found[trial.spec], trial=trial) for trial in trials]

    monkeypatch.setattr(Search, "train", train)
    once = search.trials([small], "long")[0].recipe.epochs
    _train_until_longer_does_not_help(replace(search, effort=replace(search.effort, curve_doublings=4)), [small, large])
    assert rounds == [[(large, once), (small, once)], [(large, 2 * once), (small, 2 * once)], [(small, 4 * once)]]


def width_of(candidate: TrainedCandidate, kind: str) -> int:
    return width_of_text(str(candidate.trial.spec), kind)


def width_of_text(text: str, kind: str) -> int:
    """The width of the first layer of a kind."""
    layer = next(part for part in text.split(", ") if part.startswith(kind))
    return int(layer.split()[1].split("x")[0])


def test_wide_designs_are_twice_as_large_as_the_floor_asks_for_and_each_stands_once(search: Search) -> None:
    texts = ("conv 2x3x3 relu, maxpool 2, dense 10", "conv 3x3x3 relu, maxpool 2, dense 10", "dense 3 relu, dense 10")
    search.train_rungs({"short": search.trials([parse_spec(text) for text in texts], "short")}, "known")
    wide = wide_designs(search)
    assert len(wide) == 2 and {str(spec).split()[0] for spec in wide} == {"conv", "dense"}
    sizes = sorted(run.parameters for run in search.history.runs["short"])
    assert all(spec.parameters(search.data.input_shape) > sizes[0] * WIDE / 2 for spec in wide)


def test_a_network_beyond_the_limits_is_a_step_and_no_candidate(
    digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    search = a_search(digits, Store(own_store), small_effort, Goal(Target(0.5, rule="rate"), Limits(parameters=300)))
    (wide,) = search.train(search.trials([parse_spec(WIDE_NETWORK)], "middle"), "wide designs")
    assert wide.outcome.parameters > 300 and not search.history.candidates
    prune(search, [wide])
    assert search.history.candidates and all(one.outcome.parameters <= 300 for one in search.history.candidates)


def test_the_most_accurate_network_within_a_limit_comes_from_a_larger_one(
    digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    goal = Goal(None, Limits(parameters=250))
    found = shrink(digits, goal, effort=small_effort, with_file=False, store=Store(own_store))
    assert found.outcome.parameters <= 250
    pruned = [one for one in found.candidates if one.trial.start_digest]
    assert pruned and all(one.outcome.parameters <= 250 for one in pruned)


def test_networks_of_a_search_come_from_larger_ones_and_are_found_again(
    answer: ShrinkResult, digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    assert {"wide designs", "pruning", "single channels"} <= {one.stage for one in answer.candidates}
    again = shrink(digits, Floor(0.9), effort=small_effort, with_file=False, store=Store(known_store))
    assert again.trained == 0 and again.winner == answer.winner


@pytest.mark.parametrize(("many", "expected"), [(100, ["short", "middle"]), (100_000, [])])
def test_of_many_images_all_but_the_longest_trainings_that_go_on_have_a_lower_learning_rate(
    search: Search, many: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.search.state.MANY_IMAGES", many)
    model = trained(search)
    drawn = {rung: search.trials([model.spec], rung)[0].recipe for rung in RUNGS}
    going_on = {rung: search.retraining(model, rung).recipe for rung in RUNGS}
    lower = [rung for rung in RUNGS if going_on[rung].learning_rate < drawn[rung].learning_rate]
    assert lower == expected
    assert all(replace(going_on[rung], learning_rate=1.0) == replace(drawn[rung], learning_rate=1.0) for rung in RUNGS)
