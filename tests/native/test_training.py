"""Whole trainings: against torch, for every loss and optimizer, divergence, and progress reports."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from oracle import (
    CNN,
    EVERY_LAYER,
    LAYERED,
    MNIST,
    RATES,
    RECIPES,
    correct_rate,
    patterns,
    random_examples,
    random_weights,
)

from smidgen.engine import Examples, TrainControl, native, torch_engine
from smidgen.records import OPTIMIZERS, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

# --- against torch ----------------------------------------------------------------------------


NETWORKS = {
    "plain": CNN,
    # No biases before a batch norm: their gradient is zero but for rounding, and Adam divides by it.
    "batch norm": parse_spec(
        "conv 4x3x3 nobias, batchnorm relu, maxpool 2, conv 6x3x3 nobias, batchnorm leaky_relu(0.1), maxpool 2, dense 4"
    ),
    "prelu": parse_spec("conv 3x3x3, prelu, maxpool 2, conv 5x3x3 same, maxpool 2, prelu, dense 4"),
    "repeat": parse_spec(
        "conv 5x3x3 relu, maxpool 2, repeat 3 [depthwise 3x3 same, pointwise 5 relu], maxpool 2, dense 4"
    ),
}


@cache
def torchs(name, recipe, images):
    """The training by torch, which every instruction set is compared with."""
    return torch_engine.train(NETWORKS[name], recipe, patterns(images), seed=4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_starts_as_torchs_does(name, optimizer, instruction_set):
    """Five steps, each an epoch of one batch, so that the weights after them are compared as well."""
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer] / 10, epochs=5, batch_size=90)
    ours, theirs = native.train(NETWORKS[name], recipe, patterns(90), seed=4), torchs(name, recipe, 90)
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    moved = np.abs(theirs.weights - initial_weights(NETWORKS[name], MNIST, 4)).max()
    assert np.abs(ours.weights - theirs.weights).max() < 1e-3 * moved


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [*(("plain", optimizer) for optimizer in OPTIMIZERS), *((name, "adam") for name in list(NETWORKS)[1:])],
)
def test_a_hundred_steps_lead_where_torchs_lead(name, optimizer, instruction_set):
    data, recipe = patterns(), Recipe(optimizer=optimizer, learning_rate=RATES[optimizer], epochs=10, batch_size=64)
    ours, theirs = native.train(NETWORKS[name], recipe, data, seed=4), torchs(name, recipe, len(data.images))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=0.05, atol=0.005)
    rates = [correct_rate(NETWORKS[name], training.weights, data) for training in (ours, theirs)]
    assert min(rates) > 0.9 and abs(rates[0] - rates[1]) < 0.01


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_it_learns_from_every_loss(recipe):
    data = patterns()
    training = native.train(LAYERED, Recipe(loss=recipe.loss, epochs=6, batch_size=32, learning_rate=0.01), data, 1)
    assert training.diverged_at == 0 and len(training.losses) == 6
    assert training.losses[-1] < training.losses[0]
    assert correct_rate(LAYERED, training.weights, data) > 0.9


def test_every_layer_learns():
    data = patterns()
    training = native.train(EVERY_LAYER, Recipe(epochs=15, batch_size=32), data, seed=1)
    assert correct_rate(EVERY_LAYER, training.weights, data) > 0.9


def test_a_batch_larger_than_the_data_is_all_of_it():
    data = patterns(images=50)
    whole, larger = (native.train(LAYERED, Recipe(batch_size=size), data, 1) for size in (50, 10**12))
    np.testing.assert_array_equal(whole.weights, larger.weights)


def test_labels_and_images_may_lie_anyhow_in_memory():
    data = patterns(images=80)
    odd = Examples(data.images.transpose(0, 1, 3, 2)[::2], data.labels.astype(np.int64)[::2])
    plain = Examples(np.ascontiguousarray(odd.images), np.ascontiguousarray(odd.labels, np.int32))
    trained = [native.train(CNN, Recipe(batch_size=16), examples, 1).weights for examples in (odd, plain)]
    np.testing.assert_array_equal(*trained)
    np.testing.assert_array_equal(*(native.predict(CNN, trained[0], e.images) for e in (odd, plain)))


# --- divergence -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [EVERY_LAYER, LAYERED], ids=["by chunk", "by layer"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_divergence_is_an_outcome(optimizer, spec, instruction_set):
    recipe = Recipe("logits", optimizer=optimizer, learning_rate=1e30, schedule="constant", epochs=5, batch_size=60)
    training = native.train(spec, recipe, patterns(images=60), seed=1)
    assert 1 <= training.diverged_at <= 5
    assert len(training.losses) == training.diverged_at - 1
    assert np.isfinite(training.losses).all()
    np.testing.assert_array_equal(training.weights, initial_weights(spec, MNIST, 1))


def test_a_last_step_that_overshoots_has_diverged(instruction_set):
    """No loss is computed after the last step, so that the weights themselves are checked."""
    recipe = Recipe("logits", optimizer="sgd", learning_rate=1e38, schedule="constant", epochs=1, batch_size=60)
    data = patterns(images=60)
    data = Examples(data.images, data.labels, 1e6 * data.teacher_logits)
    training = native.train(CNN, recipe, data, seed=1)
    assert training.diverged_at == 1 and training.losses == ()
    assert np.isfinite(training.weights).all()


@pytest.mark.parametrize("text", ["dense 3", "conv 3x3x3 relu, dense 3", "maxpool 2, dense 3", "avgpool 2, dense 3"])
def test_a_pixel_that_is_not_a_number_diverges_at_once(text, instruction_set):
    images = random_examples((1, 6, 6), 3, 20, 0, "floats").images
    images[13, 0, 1, 1] = np.nan
    training = native.train(parse_spec(text), Recipe(), Examples(images, np.zeros(20, np.int32)), seed=1)
    assert training.diverged_at == 1 and training.losses == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_a_logit_that_is_not_finite_is_not_hidden(recipe, value, instruction_set):
    """The logit is that of a class without images, after finite ones."""
    spec, data = parse_spec("dense 3"), random_examples((4, 1, 1), 3, 20, 0, "floats")
    data = Examples(data.images, np.zeros(20, np.int32), data.teacher_logits)
    weights = random_weights(spec, (4, 1, 1), 0)
    weights[-1] = value
    loss, _ = native.gradient(spec, recipe, data, weights)
    hidden = recipe.loss in ("labels", "probabilities") and value == -np.inf  # the softmax is 0, as in torch
    assert np.isfinite(loss) == hidden
    assert not np.isfinite(native.predict(spec, weights, data.images)[:, 2]).any()


# --- watching ---------------------------------------------------------------------------------


def test_watch_is_told_the_steps(monkeypatch):
    monkeypatch.setattr(native, "_IMAGES_BETWEEN_REPORTS", 50)
    seen = []
    recipe = Recipe(epochs=2, batch_size=1)
    native.train(CNN, recipe, patterns(images=120), 1, control=TrainControl(progress=lambda *steps: seen.append(steps)))
    assert seen == [(0, 240), (50, 240), (100, 240), (120, 240), (170, 240), (220, 240)]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_watch_raises_stops_the_training(threads):
    seen = []

    def stop(*steps):
        seen.append(steps)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        native.train(
            LAYERED,
            Recipe(epochs=9, batch_size=1),
            patterns(images=60),
            1,
            control=TrainControl(threads=threads, progress=stop),
        )
    assert len(seen) == 3
