"""Scores against scipy, floors, schedules, and keys that must never change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import RequestError
from smidgen.records import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Augmentation,
    Floor,
    Outcome,
    Recipe,
    Score,
    Trial,
    look_confidence,
)
from smidgen.spec import parse_spec

TRIAL = Trial(
    spec=parse_spec("conv 2x3x3 relu, maxpool 2, dense 10"),
    recipe=Recipe(),
    seed=1,
    data_digest="mnist-0123",
    engine_name="native-1-fma",
)


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("total", [1, 2, 17, 300, 10_000])
def test_interval_is_wilsons(total, confidence):
    from scipy.stats import binomtest

    for correct in sorted({0, 1, total // 2, total - 1, total}):
        wanted = binomtest(correct, total).proportion_ci(confidence, method="wilson")
        low, high = Score(correct, total).interval(confidence)
        assert low == pytest.approx(wanted.low, abs=1e-12)
        assert high == pytest.approx(wanted.high, abs=1e-12)


def test_a_score_of_no_images():
    assert Score(0, 0).rate == 0
    assert Score(0, 0).interval() == (0, 1)


def test_scores_add_up_and_print_their_counts():
    total = Score(9, 10) + Score(90, 100)
    assert total == Score(99, 110)
    assert total.rate == 0.9
    assert str(Score(9903, 10_000)) == "99.03 % (9903/10000)"


def test_validation_is_the_sum_of_both_halves():
    outcome = Outcome(932, Score(8, 10), Score(9, 10), (0.5,), 1.0, np.zeros(932, np.float32))
    assert outcome.validation == Score(17, 20)


@pytest.mark.parametrize(("rule", "least"), [("rate", 90), ("wilson", 96)])
def test_a_floor_is_met_from_the_least_score_that_it_needs(rule, least):
    floor = Floor(0.9, rule)
    needed = floor.needed(100)
    assert needed is not None and floor.is_met_by(needed)
    assert not floor.is_met_by(Score(needed.correct - 1, 100))
    assert needed.correct == least
    assert Floor(0.99, "wilson").needed(100) is None


# --- recipes ----------------------------------------------------------------------------------


def test_one_cycle_rises_for_a_fifth_and_falls_to_zero():
    rates = Recipe(learning_rate=0.5, epochs=10, batch_size=10).learning_rates(100)
    assert rates.dtype == np.float32 and rates.shape == (100,)
    assert rates[0] == np.float32(0.05)
    assert rates.argmax() == 20 and rates[20] == np.float32(0.5)
    np.testing.assert_allclose(np.diff(rates[:21]), 0.9 * 0.5 / 20, rtol=1e-4)
    assert (np.diff(rates[20:]) < 0).all()
    assert rates[60] == pytest.approx(0.25)
    assert 0 < rates[-1] < 0.001


def test_a_constant_schedule():
    rates = Recipe(learning_rate=0.5, schedule="constant", epochs=3, batch_size=32).learning_rates(70)
    np.testing.assert_array_equal(rates, np.full(9, 0.5, np.float32))


@pytest.mark.parametrize("images", [1, 5, 128, 129])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_step_has_a_rate(schedule, images):
    recipe = Recipe(schedule=schedule, epochs=1)
    assert recipe.steps(images) == (2 if images == 129 else 1)
    rates = recipe.learning_rates(images)
    assert rates.size == recipe.steps(images) and (rates > 0).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "l2"}, "loss='l2' is not known; use one of labels, kl, logits"),
        ({"optimizer": "lion"}, "optimizer='lion' is not known; use one of adam, adam-keras"),
        ({"schedule": "step"}, "schedule='step' is not known; use one of one-cycle, constant"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"temperature": 0.0}, "temperature=0.0 and learning_rate=0.02 must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be above 0"),
        ({"label_weight": 1.5}, "label_weight=1.5 from 0 to 1"),
        ({"patience": -1}, "patience=-1 must be at least 0"),
        ({"average": 1}, "average=1 must be at least 0 and below 1; 0.99 is common"),
        ({"average": -0.1}, "average=-0.1 must be at least 0"),
        ({"average": float("nan")}, "average=nan must be at least 0"),
    ],
)
def test_a_wrong_recipe_is_refused(fields, message):
    with pytest.raises(RequestError, match=message):
        Recipe(**fields)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"shift": -1}, "shift=-1 must be from 0 to 64; leave it out for none"),
        ({"rotation": 181}, "rotation=181 must be from 0 to 180"),
        ({"scale": 1}, "scale=1 must be from 0 to 0.9"),
        ({"shear": float("nan")}, "shear=nan must be from 0 to 0.9"),
    ],
)
def test_a_wrong_augmentation_is_refused(ranges, message):
    with pytest.raises(RequestError, match=message):
        Augmentation(**ranges)


def test_integers_and_floats_give_one_key():
    whole = Recipe(learning_rate=1, temperature=2, label_weight=1, average=0, augment=Augmentation(shift=2))
    fractions = Recipe(learning_rate=1.0, temperature=2.0, label_weight=1.0, average=0.0, augment=Augmentation(2.0))
    assert replace(TRIAL, recipe=whole).key == replace(TRIAL, recipe=fractions).key


def test_an_augmentation_is_false_only_without_any_range():
    assert not Augmentation() and not Recipe().augment
    assert all((Augmentation(shift=1), Augmentation(rotation=1), Augmentation(scale=0.1), Augmentation(shear=0.1)))


def test_only_labels_need_no_teacher():
    assert [loss for loss in LOSSES if not Recipe(loss=loss).needs_teacher] == ["labels"]


def test_the_optimizers_settings_never_change():
    """A recipe names its optimizer, so other settings need a new name."""
    settings = {name: (o.kind, o.momentum, o.beta2, o.epsilon) for name, o in OPTIMIZERS.items()}
    assert settings == {
        "adam": ("adam", 0.9, 0.999, 1e-8),
        "adam-keras": ("adam", 0.9, 0.999, 1e-7),
        "sgd": ("sgd", 0.9, 0.0, 0.0),
        "nesterov": ("nesterov", 0.9, 0.0, 0.0),
        "rmsprop": ("rmsprop", 0.0, 0.9, 1e-7),
        "adadelta": ("adadelta", 0.0, 0.95, 1e-7),
    }


# --- keys -------------------------------------------------------------------------------------


def test_a_key_never_changes():
    """Stores find trials by their keys; if this fails, every stored trial is lost."""
    assert TRIAL.key == "aca0292a00534ebc1d1d792811959f64fc89d958c47ed23636ec264525f322d6"


def test_a_key_does_not_depend_on_the_form_of_the_network_text():
    spec = parse_spec(" conv 2x3x3  valid relu,maxpool 2, flatten, dense 10 linear")
    assert replace(TRIAL, spec=spec).key == TRIAL.key


def test_everything_that_the_outcome_depends_on_changes_the_key():
    recipe_changes = [
        {"loss": "kl"},
        {"temperature": 2.0},
        {"label_weight": 0.5},
        {"optimizer": "sgd"},
        {"learning_rate": 0.020000001},
        {"schedule": "constant"},
        {"epochs": 3},
        {"batch_size": 64},
        {"patience": 3},
        {"average": 0.5},
        {"augment": Augmentation(shift=1)},
        {"augment": Augmentation(rotation=1)},
        {"augment": Augmentation(scale=0.5)},
        {"augment": Augmentation(shear=0.5)},
    ]
    others = [replace(TRIAL, recipe=replace(TRIAL.recipe, **change)) for change in recipe_changes]
    others += [replace(TRIAL, spec=parse_spec("dropout 0.1234567, dense 10"))]
    others += [replace(TRIAL, spec=parse_spec("dropout 0.1234568, dense 10"))]
    others += [
        replace(TRIAL, data_digest="x"),
        replace(TRIAL, engine_name="x"),
        replace(TRIAL, teacher_key="x"),
        TRIAL.with_seed(2),
    ]
    others += [replace(TRIAL, start_digest="x")]
    assert len({trial.key for trial in [TRIAL, *others]}) == len(others) + 1


@pytest.mark.parametrize(("correct", "total"), [(0, 5), (1, 5), (5, 5), (73, 75), (4_874, 5_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.975, 0.9996])
def test_the_lower_bound_is_clopper_and_pearsons(correct, total, confidence):
    beta = pytest.importorskip("scipy.stats").beta
    expected = beta.ppf(1 - confidence, correct, total - correct + 1) if correct else 0.0
    assert Score(correct, total).lower_bound(confidence) == pytest.approx(expected, abs=1e-9)


def test_the_errors_of_all_turns_add_up_to_a_twentieth():
    assert sum(1 - look_confidence(turn) for turn in range(1, 60)) == pytest.approx(0.05)
    assert look_confidence(1) == 0.975


@given(st.integers(1, 999), st.integers(1, 3_000))
def test_a_plain_rate_needs_no_image_more_than_its_share(thousandths, total):
    needed = Floor(thousandths / 1000, "rate").needed(total)
    assert needed is not None
    assert needed.correct == -(-thousandths * total // 1000)
