"""What is required of each half and each class, and who meets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen import from_arrays
from smidgen.data import Dataset, Split
from smidgen.records import Floor, Outcome, Recipe, Score, Trial, look_confidence
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.judge import Judge, Requirement, balanced_scores, needed_rate
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext, classify, score_in_units
from smidgen.trials.store import Store


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
    """A half that is harder for the teacher may be harder for others; a floor is the same for both."""
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


def test_classes_are_judged_on_the_network_that_a_user_gets() -> None:
    """A column that is constant in training has weights of 0 in the file, whatever it is on other rows."""
    generator = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = np.stack([1e4 + 50 * y + 10 * generator.normal(size=400), np.full(400, 3.0)], axis=1)
    data = from_arrays(X, y)
    moved = data.selection.images.copy()
    moved[:, 1] = 40 * generator.normal(size=moved[:, 1].shape)
    data = replace(data, selection=replace(data.selection, images=moved))
    context = TrainingContext(data)
    trial = context.trial(parse_spec("dense 2"), Recipe(), 0)
    weights = np.array([-1.0, 5.0, 1.0, -5.0, 0.0, 0.0], np.float32)
    score = score_in_units(context, trial.spec, weights, data.selection)
    outcome = Outcome(6, score, score, (), 0.0, weights)
    required = Requirement.of(Goal(Target(0.9, rule="rate"), balanced=True, class_floor=0.9), data)
    judge = Judge(required, context)
    assert score.rate > 0.95 > 0.7 > Judge(required, context, classify).rate(trial, outcome, "selection")
    assert judge.rate(trial, outcome, "selection") == pytest.approx(score.rate, abs=0.02)
    assert judge.is_met(trial, outcome, "selection")


def test_balanced_accuracy_counts_each_class_alike(skewed: Dataset, own_store: Path, small_effort: Effort) -> None:
    goal = Goal(Target(0.85, rule="rate"), balanced=True, class_floor=0.6)
    answer = shrink(skewed, goal, effort=small_effort, with_file=False, store=Store(own_store))
    for half in (answer.data.selection, answer.data.confirmation):
        rates = class_rates(answer, half)
        assert rates.mean() >= 0.85
        assert rates.min() >= 0.6
    assert np.bincount(answer.data.train.labels).tolist() == [np.bincount(skewed.train.labels).max()] * 3
    for name in ("selection", "confirmation", "test"):
        assert getattr(answer.data, name) is getattr(skewed, name), "nothing that is scored is repeated"


def test_a_balanced_distance_is_measured_between_balanced_accuracies(skewed: Dataset) -> None:
    """A teacher that never names the rare class is right on 95 % of the images and on two thirds of the classes."""
    scores = balanced_scores(
        skewed, lambda half: np.eye(3, dtype=np.float32)[np.minimum(skewed.splits[half].labels, 1)]
    )
    for score in scores.values():
        assert score.rate == pytest.approx(2 / 3, abs=1 / score.total)
    required = Requirement.of(Goal(Target(within=0.1, rule="rate"), balanced=True), skewed, scores)
    assert required.rate == pytest.approx(2 / 3 - 0.1, abs=2 / scores["selection"].total)


def test_a_file_is_measured_by_balanced_accuracy_where_that_is_asked_for(
    skewed: Dataset, own_store: Path, small_effort: Effort
) -> None:
    file = shrink(skewed, Goal(limits=Limits(40), balanced=True), effort=small_effort, store=Store(own_store)).file
    assert file is not None
    for one in (file.winner, *file.candidates):
        logits = classify(TrainingContext(skewed), one.filed.spec, one.outcome.weights, skewed.selection)
        right = logits.argmax(axis=1) == skewed.selection.labels
        rates = [right[skewed.selection.labels == place].mean() for place in range(3)]
        assert one.error == pytest.approx(1 - np.mean(rates))


def test_a_balanced_floor_is_as_sure_as_its_rarest_classes_allow(skewed: Dataset) -> None:
    floor = Floor(0.7)
    counts = np.bincount(np.concatenate([skewed.selection.labels, skewed.confirmation.labels]))
    alike = int(9 / (1 / counts).sum())
    assert needed_rate(skewed, floor, balanced=True) == floor.needed(alike).rate  # type: ignore[union-attr]
    assert needed_rate(skewed, floor, balanced=True) > needed_rate(skewed, floor)


# --- the rule "strict" ----------------------------------------------------------------------------


def halves_of(right: int, images: int, confirmed: int | None = None) -> Outcome:
    scores = [Score(count, images) for count in (right, right if confirmed is None else confirmed)]
    return Outcome(1, *scores, (), 0.0, np.zeros(0, np.float32))


def test_a_strict_floor_is_shown_by_the_confirmation_half_and_asks_more_at_each_turn(digits: Dataset) -> None:
    context, images = TrainingContext(digits), len(digits.confirmation)
    floor = Floor(0.9, "strict")
    judge = Judge(Requirement.of(Goal(Target(0.9, rule="strict")), digits), context)
    trial = context.trial(parse_spec("dense 10"), Recipe(), 0)
    least = round(needed_rate(digits, floor) * images)
    assert Score(least, images).lower_bound(0.975) >= 0.9 > Score(least - 1, images).lower_bound(0.975)
    outcome = halves_of(least, images)
    turns = [judge.is_met(trial, outcome, "confirmation", look) for look in range(1, 9)]
    assert turns[0] and not turns[-1] and turns == sorted(turns, reverse=True)
    assert not judge.is_met(trial, halves_of(images, images, least - 1), "confirmation"), "selection is no help"


def test_a_false_claim_is_rare_though_every_candidate_is_just_below_the_floor() -> None:
    """100 candidates that err independently; plain rates claim the floor nearly always."""
    random, half, floor = np.random.default_rng(0), 75, 0.9
    least = Floor(floor, "strict").needed(half)
    assert least is not None
    false = 0
    for _ in range(400):
        selection, confirmation = random.binomial(half, floor - 1e-9, (2, 100))
        looked_at = confirmation[selection >= least.correct]
        bounds = [Score(int(k), half).lower_bound(look_confidence(turn)) for turn, k in enumerate(looked_at, 1)]
        false += any(bound >= floor for bound in bounds)
    assert false / 400 < 0.05


def test_the_files_of_a_strict_search_take_the_turns_after_its_networks(
    digits: Dataset, own_store: Path, small_effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    ask = Judge.is_met

    def noted(judge: Judge, trial: Trial, outcome: Outcome, half: str, look: int = 1) -> bool:
        turns.extend([look] if half == "confirmation" else [])
        return ask(judge, trial, outcome, half, look)

    monkeypatch.setattr(Judge, "is_met", noted)
    found = shrink(digits, Goal(Target(0.8, rule="strict")), effort=small_effort, store=Store(own_store))
    assert found.file is not None
    networks, files = len(found.rejected) + 1, len(found.file.rejected) + 1
    assert sorted(set(turns)) == list(range(1, networks + files + 1))


def test_a_strict_search_confirms_by_turns_and_promises_no_less_than_its_floor(
    digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    found = shrink(
        digits, Goal(Target(0.8, rule="strict")), effort=small_effort, with_file=False, store=Store(own_store)
    )
    turn = len(found.rejected) + 1
    assert found.promise == pytest.approx(found.outcome.confirmation.lower_bound(look_confidence(turn)))
    assert found.promise >= 0.8
    for place, rejected in enumerate(found.rejected, start=1):
        assert rejected.outcome.confirmation.lower_bound(look_confidence(place)) < 0.8
