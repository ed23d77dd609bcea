"""The question, asked of small data: the answer holds, is chosen without what must not choose, and is found again."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smidgen import from_arrays
from smidgen.data import Dataset, Split
from smidgen.engine import TrainControl
from smidgen.errors import FloorNotMet, RequestError
from smidgen.model import load_safetensors
from smidgen.records import Floor, Outcome, Recipe, Score, Trial
from smidgen.search.byte_search import NOT_TRAINED
from smidgen.search.effort import DISTILLATION_RECIPES, Effort
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.judge import Judge, Requirement, needed_rate
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.search.shrink import shrink
from smidgen.spec import Dense, NetSpec, parse_spec
from smidgen.trials import evaluate as candidate
from smidgen.trials import study as study_module
from smidgen.trials.evaluate import TrainingContext, classify, evaluate
from smidgen.trials.store import Store

run_module = import_module("smidgen.search.parameter_search")

FLOOR = 0.9


def before_confirmation(answer: ShrinkResult) -> list[TrainedCandidate]:
    """What was there to choose from: a winner's fresh seeds come after the choice, and so does the curve."""
    stages = [tried.stage for tried in answer.candidates]
    return list(answer.candidates[: stages.index("fresh seeds")])


def rgb_blobs(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour images uint8 [n, 12, 12, 3] of three classes with names, each with its own colour and place."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, images)
    pixels = generator.integers(0, 60, (images, 12, 12, 3), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        top, left = generator.integers(0, 4, 2)
        image[top + 2 * label : top + 2 * label + 4, left : left + 6, label] += 150
    return pixels, np.array(["apple", "fig", "pear"])[labels]


def vectors(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """float64 [n, 6] around three centres, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    return 3 * np.eye(3, 6)[labels] + generator.normal(0, 0.4, (count, 6)), labels


# --- the answer -------------------------------------------------------------------------------


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


def test_the_refused_held_on_the_half_that_chose_and_not_on_the_other(answer: ShrinkResult, digits: Dataset) -> None:
    needed = needed_rate(digits, answer.floor)
    sizes = [tried.outcome.parameters for tried in answer.rejected]
    assert sizes == sorted(sizes)
    for tried in answer.rejected:
        assert tried.outcome.parameters <= answer.outcome.parameters
        assert tried.outcome.selection.rate >= needed > tried.outcome.confirmation.rate


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
    used = {tried.trial.seed for tried in before_confirmation(answer)}
    fresh = [tried.trial.seed for tried in answer.fresh_seeds]
    assert len(set(fresh)) == len(fresh) == small_effort.fresh_seeds
    assert not used & set(fresh)
    assert {tried.trial.with_seed(0) for tried in answer.fresh_seeds} == {answer.winner.with_seed(0)}
    held = [answer.floor.is_met_by(tried.outcome.validation) for tried in answer.fresh_seeds]
    assert answer.fresh_seeds_met == sum(held)


def test_labels_are_compared_with_the_teacher_on_one_network(answer: ShrinkResult) -> None:
    assert set(answer.recipes) == set(DISTILLATION_RECIPES)
    assert {str(tried.trial.spec) for some in answer.recipes.values() for tried in some} == {
        str(answer.recipes["labels"][0].trial.spec)
    }
    for name, some in answer.recipes.items():
        assert len({tried.trial.seed for tried in some}) == len(some) > 1
        assert {tried.trial.recipe.loss for tried in some} == {DISTILLATION_RECIPES[name].loss}
        taught = {tried.trial.teacher_key for tried in some}
        assert taught == ({answer.teacher.trial.key} if DISTILLATION_RECIPES[name].needs_teacher else {""})


def test_every_training_is_in_the_store_and_no_other(answer: ShrinkResult, answer_store: Path) -> None:
    with Store(answer_store) as store:
        stored = {trial.key for trial, _ in store.rows()}
    filed = {tried.trial.key for tried in answer.file.tried if tried.stage != NOT_TRAINED}
    asked = {answer.teacher.trial.key, *(tried.trial.key for tried in answer.candidates), *filed}
    assert stored == asked
    assert answer.trained == len(asked)


def test_the_same_call_again_trains_nothing_and_gives_the_same(
    answer: ShrinkResult, digits: Dataset, answer_store: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(study_module, "evaluate")  # what is trained now is an error
    again = shrink(digits, FLOOR, effort="quick", store=Store(answer_store), workers=3)
    assert again.trained == 0
    assert again.winner == answer.winner
    assert again.outcome.weights.tobytes() == answer.outcome.weights.tobytes()
    assert (again.test, again.teacher_test, again.fresh_seeds_met) == (
        answer.test,
        answer.teacher_test,
        answer.fresh_seeds_met,
    )
    assert again.turning_point == answer.turning_point
    assert [tried.trial for tried in again.candidates] == [tried.trial for tried in answer.candidates]


def test_the_number_of_workers_changes_nothing(
    answer: ShrinkResult, digits: Dataset, own_store: Path, small: None
) -> None:
    alone = shrink(digits, FLOOR, effort="quick", store=Store(own_store), workers=1)
    assert [tried.trial.key for tried in alone.candidates] == [tried.trial.key for tried in answer.candidates]
    for left, right in zip(alone.candidates, answer.candidates, strict=True):
        assert left.outcome.weights.tobytes() == right.outcome.weights.tobytes()


def test_another_seed_searches_elsewhere(answer: ShrinkResult, digits: Dataset, own_store: Path, small: None) -> None:
    other = shrink(digits, FLOOR, effort="quick", seed=1, store=Store(own_store))
    tried_before = {str(tried.trial.spec) for tried in answer.candidates}
    assert {str(tried.trial.spec) for tried in other.candidates} - tried_before


def test_the_plain_rate_is_an_easier_rule(
    answer: ShrinkResult, digits: Dataset, known_store: Path, small: None
) -> None:
    plain = shrink(digits, Floor(FLOOR, "rate"), effort="quick", store=Store(known_store))
    total = len(digits.selection) + len(digits.confirmation)
    assert FLOOR <= needed_rate(digits, plain.floor) < FLOOR + 1 / total
    assert needed_rate(digits, plain.floor) < needed_rate(digits, answer.floor)
    assert min(plain.outcome.selection.rate, plain.outcome.confirmation.rate) >= FLOOR


# --- what must not choose -----------------------------------------------------------------------


def test_the_confirmation_half_takes_no_part_in_choosing(
    answer: ShrinkResult, digits: Dataset, own_store: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its labels turned wrong nothing can be confirmed, and up to there the same is trained in the same order."""
    wrong = (digits.confirmation.labels + 1) % 10
    blind = replace(digits, confirmation=Split(digits.confirmation.images, wrong.astype(np.int32)))
    keys: list[str] = []

    def counted(context: TrainingContext, trial: Trial, control: TrainControl) -> Outcome:
        keys.append(trial.key)
        return evaluate(context, trial, control)

    monkeypatch.setattr(study_module, "evaluate", counted)
    with pytest.raises(FloorNotMet):
        shrink(blind, FLOOR, effort="quick", store=Store(own_store), workers=1)
    chosen_from = {answer.teacher.trial.key, *(tried.trial.key for tried in before_confirmation(answer))}
    assert set(keys) == chosen_from
    assert len(keys) == len(chosen_from)


def test_the_order_of_confirmation_is_by_size_and_by_the_half_that_chose(
    digits: Dataset, known_store: Path, small: None
) -> None:
    """With every fifth label wrong on the other half, many are refused before one is confirmed."""
    labels = digits.confirmation.labels.copy()
    labels[::5] = (labels[::5] + 1) % 10
    bent = replace(digits, confirmation=Split(digits.confirmation.images, labels))
    answer = shrink(bent, Floor(0.7, "rate"), effort="quick", store=Store(known_store))
    held = [t for t in before_confirmation(answer) if t.outcome.selection.rate >= needed_rate(bent, answer.floor)]
    held.sort(key=lambda t: (t.outcome.parameters, -t.outcome.selection.correct))
    assert len(answer.rejected) > 0
    refused_then_winner = [*(t.trial.key for t in answer.rejected), answer.winner.key]
    assert [t.trial.key for t in held[: len(refused_then_winner)]] == refused_then_winner


def test_the_test_split_is_seen_once_by_the_winner_its_teacher_and_its_file(
    digits: Dataset, known_store: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_test: list[str] = []

    def counted(context: TrainingContext, spec: object, weights: object, split: Split, threads: int = 1) -> np.ndarray:
        if split is digits.test:
            on_test.append(str(spec))
        return classify(context, spec, weights, split, threads)  # type: ignore[arg-type]

    monkeypatch.setattr(candidate, "classify", counted)
    found = shrink(digits, FLOOR, effort="quick", store=Store(known_store))
    filed = str(found.file.winner.quantized.spec)
    assert sorted(on_test) == sorted([str(found.winner.spec), str(found.teacher.trial.spec), filed])


# --- floors that cannot be ------------------------------------------------------------------


def test_a_floor_that_nothing_holds_names_the_best(digits: Dataset, own_store: Path, small: None) -> None:
    store = Store(own_store)
    with pytest.raises(FloorNotMet) as told:
        shrink(digits, 0.985, effort="quick", store=store)
    message = str(told.value)
    teacher = max(store.rows(), key=lambda row: row[1].parameters)[0].key
    candidates = [outcome for trial, outcome in store.rows() if trial.key != teacher]
    best = max(outcome.validation.rate for outcome in candidates)
    assert f"{100 * best:.2f} %" in message
    assert "0.985 on digits" in message
    assert "lower the floor, raise --effort, or give more data" in message
    assert told.value.exit_code == 3


def test_where_nothing_holds_the_best_designs_grow(
    digits: Dataset, known_store: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that knows one network, too small for the floor, widens it until it holds."""
    tiny = parse_spec("conv 1x3x3 relu, maxpool 2, dense 10")
    monkeypatch.setattr(run_module, "FAMILIES", {})
    monkeypatch.setattr(run_module, "first_generation", lambda *_: (tiny,))
    monkeypatch.setattr(run_module, "next_generation", lambda *_: ())
    answer = shrink(digits, FLOOR, effort="quick", store=Store(known_store))
    grown = [tried.trial.spec for tried in answer.candidates if tried.stage == "wider designs"]
    assert [str(spec).split()[1] for spec in grown] == ["2x3x3", "3x3x3", "5x3x3", "7x3x3", "10x3x3"][: len(grown)]
    assert answer.winner.spec in grown


@pytest.mark.parametrize("rule", ["wilson", "rate"])
def test_a_floor_of_every_image_right_is_a_question_too(
    digits: Dataset, known_store: Path, small: None, rule: str
) -> None:
    """No error is allowed then, which nothing may be divided by."""
    total = len(digits.selection) + len(digits.confirmation)
    floor = Floor(0.9999 if rule == "rate" else Score(total, total).interval()[0] - 1e-9, rule)
    assert needed_rate(digits, floor) == 1.0
    with pytest.raises(FloorNotMet, match=r"takes 100\.00 % on both halves"):
        shrink(digits, floor, effort="quick", store=Store(known_store))


def test_a_floor_that_so_few_images_cannot_show_is_refused_before_anything_runs(
    digits: Dataset, own_store: Path
) -> None:
    with pytest.raises(RequestError, match="359 images for validation") as told:
        shrink(digits, 0.995, store=Store(own_store))
    assert Score(359, 359).interval()[0] == pytest.approx(0.9894, abs=1e-4)
    assert "0.9894" in str(told.value)
    assert Store(own_store).rows() == []


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


# --- other data -------------------------------------------------------------------------------


def test_vectors_get_a_small_perceptron(own_store: Path, small: None) -> None:
    data = from_arrays(*vectors(900, seed=0), name="vectors")
    answer = shrink(data, 0.9, effort="quick", store=Store(own_store))
    assert answer.test.rate > 0.9
    assert answer.outcome.parameters < 100, "one layer has 21"
    assert isinstance(answer.winner.spec.layers[-1], Dense)


def test_colour_images_with_three_named_classes_through_the_command(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    monkeypatch.chdir(tmp_path)
    images, names = rgb_blobs(900, seed=0)
    np.savez_compressed("fruit.npz", X=images, y=names)
    said = command("shrink", "fruit.npz", "--floor", "0.9", "--effort", "quick", "--out", "found")
    assert (said.code, said.err) == (0, "")
    assert "parameters hold 90 % on fruit" in " ".join(said.out.split())
    model = load_safetensors(Path("found/winner.safetensors"))
    assert model.class_names == ("apple", "fig", "pear")
    assert model.input_shape == (3, 12, 12)

    others, their_names = rgb_blobs(20, seed=1)
    right = 0
    for image, name in zip(others, their_names, strict=True):
        Image.fromarray(image).save("one.png")
        right += command("predict", "found/winner.safetensors", "one.png").out.splitlines()[0] == name
    assert right >= 17


# --- limits, and what else may be asked -------------------------------------------------------------


def fits(answer: ShrinkResult, spec: NetSpec) -> bool:
    return answer.goal.satisfies(spec, answer.data.input_shape)


@pytest.mark.parametrize(
    "limits",
    [{"parameters": 300}, {"file_bytes": 160}, {"macs": 4_000}, {"ram_bytes": 700, "parameters": 500}],
    ids=lambda limits: " ".join(limits),
)
def test_the_best_within_limits(digits: Dataset, known_store: Path, small: None, limits: dict[str, int]) -> None:
    """No other that was tried errs less on the half that chooses, and all that was tried keeps the limits."""
    answer = shrink(digits, Goal(limits=Limits(**limits)), effort="quick", store=Store(known_store))
    before = before_confirmation(answer)
    assert before and all(fits(answer, tried.trial.spec) for tried in before)
    assert answer.outcome.selection.rate == max(tried.outcome.selection.rate for tried in before)
    assert answer.rejected == ()
    spec, shape = answer.winner.spec, digits.input_shape
    costs = {
        "parameters": spec.parameters(shape),
        "file_bytes": answer.file.winner.file_bytes if answer.file else 0,
        "macs": spec.macs(shape),
        "ram_bytes": 4 * spec.activation_count(shape),
    }
    assert all(costs[name] <= limit for name, limit in limits.items())
    assert answer.floor.is_met_by(answer.outcome.validation)
    assert needed_rate(digits, answer.floor) <= min(answer.outcome.selection.rate, answer.outcome.confirmation.rate)


def test_a_larger_limit_is_no_worse_and_both_are_far_above_chance(
    digits: Dataset, known_store: Path, small: None
) -> None:
    rates = [
        shrink(
            digits, Goal(limits=Limits(parameters=limit)), effort="quick", store=Store(known_store)
        ).outcome.selection.rate
        for limit in (120, 1_200)
    ]
    assert 0.4 < rates[0] < rates[1]


def test_a_floor_and_a_limit(digits: Dataset, known_store: Path, small: None) -> None:
    target = Target(0.85, rule="rate")
    both = shrink(digits, Goal(target, Limits(ram_bytes=1_400)), effort="quick", store=Store(known_store))
    assert min(both.outcome.selection.rate, both.outcome.confirmation.rate) >= 0.85
    assert both.winner.spec.activation_count(digits.input_shape) <= 350
    with pytest.raises(FloorNotMet, match=r"nothing of at most 40 parameters that was tried holds a floor of 0\.85 on"):
        shrink(digits, Goal(target, Limits(parameters=40)), effort="quick", store=Store(known_store))


def test_a_limit_that_nothing_keeps_is_said(digits: Dataset, own_store: Path, small: None) -> None:
    with pytest.raises(FloorNotMet, match="no candidate for digits has at most 3 parameters; raise the limit"):
        shrink(digits, Goal(limits=Limits(parameters=3)), effort="quick", store=Store(own_store))


def test_within_a_share_of_the_teacher_that_is_trained_here(digits: Dataset, known_store: Path, small: None) -> None:
    answer = shrink(digits, Goal(Target(within=0.04, rule="rate")), effort="quick", store=Store(known_store))
    assert answer.teacher is not None and answer.teacher.trial is not None
    asked = answer.teacher.validation.rate - 0.04
    assert min(answer.outcome.selection.rate, answer.outcome.confirmation.rate) >= asked - 1e-6
    assert answer.floor.rule == "rate"


def test_to_be_sure_of_a_difference_asks_for_more_and_never_for_more_than_the_teacher() -> None:
    """Of networks that are just as far below the teacher as they may be, and err independently, 1 in 20 passes."""
    random = np.random.default_rng(0)
    images, within, wrong, draws = 10_000, 0.005, 0.013, 4_000
    half = Split(np.zeros((images // 2, 1, 1, 4), np.uint8), np.zeros(images // 2, np.int32))
    data = from_arrays(np.zeros((20, 4), np.uint8), np.arange(20) % 2, name="any")
    data = replace(data, selection=half, confirmation=half)
    teachers = images - random.binomial(images, wrong, draws)
    students = 1 - random.binomial(images, wrong + within, draws) / images

    def floor(teacher: Score) -> float:
        needed = Requirement.of(Goal(Target(within=within)), data, {"selection": teacher, "confirmation": Score(0, 0)})
        return needed.floor.accuracy

    floors = {right: floor(Score(right, images)) for right in set(teachers)}
    passed = np.mean([student >= floors[right] for student, right in zip(students, teachers, strict=True)])
    assert 0.02 < passed < 0.07
    assert all(right / images - within < floor < right / images for right, floor in floors.items())
    few = Score(98, 100)
    assert floor(few) == pytest.approx(few.rate, abs=1e-6)


def test_what_each_half_must_reach(digits: Dataset) -> None:
    """A half that is harder for the teacher may be harder for others; an accuracy is asked of both alike."""
    sizes = {"selection": len(digits.selection), "confirmation": len(digits.confirmation)}
    halves = {"selection": Score(sizes["selection"] - 9, sizes["selection"])}
    halves["confirmation"] = Score(sizes["confirmation"] - 1, sizes["confirmation"])
    whole = halves["selection"] + halves["confirmation"]

    def requirement(floor: float | None = None) -> Requirement:
        return Requirement.of(Goal(Target(floor, within=0.01, rule="rate")), digits, halves)

    near = requirement()
    lost = whole.rate - near.rate
    assert 0.01 - 1 / whole.total < lost < 0.01 + 1e-8
    assert near.half_rates["selection"] == pytest.approx(halves["selection"].rate - lost)
    assert near.half_rates["confirmation"] == near.rate
    high = Floor(whole.rate, "rate")
    alike = requirement(high.accuracy)
    assert set(alike.half_rates.values()) == {alike.rate} == {needed_rate(digits, high)}
    between = Floor(whole.rate - 0.015, "rate")
    assert requirement(between.accuracy).half_rates["selection"] == needed_rate(digits, between)


def test_both_halves_together_reach_what_is_needed(digits: Dataset) -> None:
    required = Requirement(Floor(0.9, "rate"), 0.9, {"selection": 0.85, "confirmation": 0.9})
    judge = Judge(required, TrainingContext(digits))
    trial = TrainingContext(digits).trial(parse_spec("dense 10"), Recipe(), 0)

    def outcome(selection: int, confirmation: int) -> Outcome:
        return Outcome(650, Score(selection, 100), Score(confirmation, 100), (), 0.0, np.zeros(0, np.float32))

    assert judge.is_met(trial, outcome(86, 90), "selection")
    assert not judge.is_met(trial, outcome(86, 90), "confirmation")
    assert judge.is_met(trial, outcome(86, 94), "confirmation")
    assert not judge.is_met(trial, outcome(95, 89), "confirmation")


def test_a_glance_trains_no_teacher_and_draws_no_curve(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--floor", "0.85", "--rule", "rate", "--effort", "glance", "--out", "out")
    assert (said.code, said.err) == (0, "")
    assert "teacher" not in said.out
    names = {path.name for path in Path("out").iterdir()}
    assert "teacher.safetensors" not in names and {"report.html", "winner.safetensors", "trials.csv"} <= names


@pytest.fixture(scope="module")
def skewed() -> Dataset:
    """Three classes of which one has a twentieth of the images and lies near another."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [760, 760, 80])
    centres = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [4, 1.6, 0, 0]])
    return from_arrays(centres[labels] + generator.normal(0, 0.7, (1_600, 4)), labels, "skewed")


def class_rates(answer: ShrinkResult, half: Split) -> np.ndarray:
    right = classify(answer.context, answer.winner.spec, answer.outcome.weights, half).argmax(axis=1) == half.labels
    return np.array([right[half.labels == place].mean() for place in range(answer.data.classes)])


def test_balanced_accuracy_counts_each_class_alike(skewed: Dataset, own_store: Path, small: None) -> None:
    goal = Goal(Target(0.85, rule="rate"), balanced=True, class_floor=0.6)
    answer = shrink(skewed, goal, effort="quick", store=Store(own_store))
    for half in (answer.data.selection, answer.data.confirmation):
        rates = class_rates(answer, half)
        assert rates.mean() >= 0.85
        assert rates.min() >= 0.6
    assert np.bincount(answer.data.train.labels).tolist() == [np.bincount(skewed.train.labels).max()] * 3
    for name in ("selection", "confirmation", "test"):
        assert getattr(answer.data, name) is getattr(skewed, name), "nothing that is scored is repeated"


def test_a_balanced_floor_is_as_sure_as_its_rarest_classes_allow(skewed: Dataset) -> None:
    floor = Floor(0.7)
    counts = np.bincount(np.concatenate([skewed.selection.labels, skewed.confirmation.labels]))
    alike = int(9 / (1 / counts).sum())
    assert needed_rate(skewed, floor, balanced=True) == floor.needed(alike).rate  # type: ignore[union-attr]
    assert needed_rate(skewed, floor, balanced=True) > needed_rate(skewed, floor)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal, "nothing is asked for"),
        (lambda: Goal(limits=Limits(parameters=0)), "parameters=0 must be at least 1"),
        (lambda: Goal(Target(within=0.5)), "within=0.5 must be at least 0 and below 0.5"),
        (lambda: Goal(limits=Limits(parameters=9), class_floor=1.0), "class_floor=1 must be at least 0 and below 1"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goal: Callable[[], Goal], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        goal()


@pytest.mark.parametrize(
    ("line", "folder"),
    [("--params 200 --ram 900", "digits-200-parameters-900-ram-bytes"), ("--bytes 900", "digits-900-size-bytes")],
)
def test_limits_through_the_command(
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known_store: Path,
    small: None,
    line: str,
    folder: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--effort", "quick", *line.split())
    assert (said.code, said.err) == (0, "")
    page = (tmp_path / "runs" / folder / "report.html").read_text()
    assert "The best network of at most" in page
    written = tmp_path / "runs" / folder
    if "bytes" in folder.split("-") and "ram" not in folder:
        assert (written / "winner.smidgen").stat().st_size <= 900
    else:
        assert len(load_safetensors(written / "winner.safetensors").weights) <= 200


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "give it, or --within, or a limit"),
        ("--within 0.5", "--within 0.5 would be 50 points; write 0.5% for 0.5 points"),
        ("--within x%", "--within x is not a number"),
        ("--params=-3", "parameters=-3 must be at least 1"),
        ("--floor 0.9 --resize 8", "--resize 8 cannot be read; give whole numbers of at least 1, for example 28x28"),
        ("--floor 0.9 --resize 8x8", "digits comes as it is; sizes and groups are for files and folders"),
        ("--floor 0.9 --group-column who", "digits comes as it is"),
    ],
)
def test_a_wrong_line_about_a_goal(command: Callable[..., Any], line: str, message: str) -> None:
    said = command("shrink", "digits", *line.split())
    assert (said.code, said.out) == (2, "")
    assert message in " ".join(said.err.replace("│", " ").split())


# --- killed, and run again --------------------------------------------------------------------

# Once `after` trainings are kept, and a little later, the process is gone; after 0 trainings: the teacher is at work.
RUNS_AND_IS_KILLED = """
import json, os, signal, sys, threading
from importlib import import_module
from smidgen.trials.store import Store
effort, after, delay_seconds = json.loads(sys.argv.pop(1))
table = import_module("smidgen.search.effort")
effort["byte_search"] = import_module("smidgen.search.byte_search").ByteSearchEffort(**effort["byte_search"])
table.EFFORTS["quick"] = table.Effort(**effort)

def kill():
    threading.Timer(delay_seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

kept, put_many = 0, Store.put_many
def put_and_count(store, pairs):
    global kept
    put_many(store, pairs)
    before, kept = kept, kept + len(pairs)
    if before < after <= kept:
        kill()
Store.put_many = put_and_count
if after == 0:
    kill()
from smidgen.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_random_moments_and_run_again_it_finds_the_same_bytes(
    answer: ShrinkResult, tmp_path: Path, child: Callable[..., subprocess.Popen[str]], small_effort: Effort
) -> None:
    """Also: what had ended before a kill is in the store after it, to the byte."""
    chance, store = random.Random(2), tmp_path / "killed.sqlite"

    def run(after: int, delay_seconds: float, store: Path, out: str) -> int:
        settings = json.dumps([asdict(small_effort), after, delay_seconds])
        line = ["shrink", "digits", "--floor", str(FLOOR), "--effort", "quick", "--store", str(store)]
        process = child(RUNS_AND_IS_KILLED, settings, *line, "--workers", "2", "--out", str(tmp_path / out))
        _, err = process.communicate(timeout=120)
        assert err == ""
        return process.returncode

    ended: dict[str, bytes] = {}
    for after in (0, *(chance.randint(1, 6) for _ in range(5))):
        assert run(after, chance.uniform(0, 0.02), store, "killed") == -signal.SIGKILL
        now = rows_of(store)
        assert ended.items() <= now.items()
        assert len(now) >= len(ended) + after
        ended = now
    assert len(ended) < answer.trained, "the kills came too late to mean anything"
    assert run(-1, 0, store, "killed") == 0
    assert run(-1, 0, tmp_path / "whole.sqlite", "whole") == 0
    assert ended.items() <= rows_of(store).items()
    for name in ("winner.safetensors", "teacher.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found = load_safetensors(tmp_path / "killed" / "winner.safetensors")
    assert found.weights.tobytes() == answer.outcome.weights.tobytes()


def rows_of(path: Path) -> dict[str, bytes]:
    """Every row of the store, weights and all, by key."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        rows = database.execute("select * from trials order by key").fetchall() if "trials" in tables else []
    return {row[0]: repr(row).encode() for row in rows}
