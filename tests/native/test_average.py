"""The average of the weights, and the weights that a callback sees after each epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import CNN, LAYERED, MNIST, RATES, correct_rate, patterns

from smidgen.engine import TrainControl, native, torch_engine
from smidgen.records import OPTIMIZERS, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

NORMED = parse_spec("conv 4x3x3, batchnorm relu, maxpool 2, prelu, dense 30, batchnorm relu, dense 4")


def every_step(spec, recipe, data, seed):
    """The weights after each step: float32 [steps, weights]. A batch has all images, so that a step is an epoch."""
    seen = []
    native.train(
        spec, recipe, data, seed, control=TrainControl(after_epoch=lambda _, weights: seen.append(weights.copy()))
    )
    return np.array(seen)


@pytest.mark.parametrize("average", [0.2, 0.9, 0.999])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_average_is_the_exponential_mean_of_the_steps(optimizer, average, instruction_set):
    data = patterns(images=40)
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer], epochs=25, batch_size=40)
    wanted = initial_weights(CNN, MNIST, 2).astype(np.float64)
    for step, weights in enumerate(every_step(CNN, recipe, data, 2), 1):
        decay = min(average, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * weights
    found = native.train(CNN, replace(recipe, average=average), data, 2)
    assert found.losses == native.train(CNN, recipe, data, 2).losses  # averaging does not change the training
    np.testing.assert_allclose(found.weights, wanted, atol=1e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("spec", [CNN, NORMED], ids=["plain", "normed"])
def test_the_average_is_torchs(spec, instruction_set):
    # Not Adam: a bias before a batch norm has a gradient that is zero but for rounding, and Adam divides by it.
    data = patterns(images=90)
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=6, batch_size=30, average=0.95)
    ours, theirs = (engine.train(spec, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-4)


def test_an_average_is_better_than_noisy_last_weights():
    """At a constant high learning rate the average of many steps is the better network."""
    data = patterns()
    recipe = Recipe(schedule="constant", learning_rate=0.02, epochs=10, batch_size=8)
    last, mean = (native.train(CNN, replace(recipe, average=average), data, seed=1).weights for average in (0.0, 0.99))
    assert correct_rate(CNN, mean, data) >= correct_rate(CNN, last, data)


# --- after each epoch -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [native, torch_engine], ids=["native", "torch"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_callback_sees_the_weights_that_would_be_kept(average, engine):
    seen = []
    recipe = Recipe(epochs=4, batch_size=30, average=average)
    training = engine.train(
        CNN, recipe, patterns(images=90), 1, control=TrainControl(after_epoch=lambda *what: seen.append(what))
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    np.testing.assert_array_equal(seen[-1][1], training.weights)
    constant = replace(recipe, schedule="constant")
    one, two = (
        engine.train(CNN, replace(constant, epochs=epochs), patterns(images=90), 1).weights for epochs in (1, 2)
    )
    seen.clear()
    engine.train(
        CNN,
        constant,
        patterns(images=90),
        1,
        control=TrainControl(after_epoch=lambda *what: seen.append((what[0], what[1].copy()))),
    )
    np.testing.assert_array_equal(seen[0][1], one)
    np.testing.assert_array_equal(seen[1][1], two)


@pytest.mark.parametrize("engine", [native, torch_engine], ids=["native", "torch"])
@pytest.mark.parametrize("spec", [CNN, NORMED, LAYERED], ids=["by chunk", "normed", "by layer"])
def test_a_callback_that_returns_true_ends_the_training_and_changes_nothing_else(spec, engine):
    data, recipe = patterns(images=90), Recipe(epochs=5, batch_size=30, learning_rate=0.005)
    whole = engine.train(spec, recipe, data, 1)
    watched = engine.train(spec, recipe, data, 1, control=TrainControl(after_epoch=lambda epoch, weights: False))
    assert watched.weights.tobytes() == whole.weights.tobytes() and watched.losses == whole.losses
    seen = []

    def stop(epoch, weights):
        seen.append(weights.copy())
        return epoch == 2

    ended = engine.train(spec, recipe, data, 1, control=TrainControl(after_epoch=stop))
    assert len(seen) == 3 and ended.losses == whole.losses[:3] and ended.diverged_at == 0
    np.testing.assert_array_equal(ended.weights, seen[-1])


def test_a_callback_gets_a_copy_of_the_weights():
    def spoil(epoch, weights):
        weights[:] = 0
        return False

    data, recipe = patterns(images=90), Recipe(epochs=3, batch_size=30)
    spoilt, whole = (
        native.train(CNN, recipe, data, 1, control=TrainControl(after_epoch=spoil)),
        native.train(CNN, recipe, data, 1),
    )
    assert spoilt.losses == whole.losses and spoilt.weights.tobytes() == whole.weights.tobytes()


def test_a_callback_does_not_see_an_epoch_that_diverges():
    seen = []
    recipe = Recipe("logits", optimizer="sgd", learning_rate=1e30, schedule="constant", epochs=5, batch_size=20)
    training = native.train(
        CNN, recipe, patterns(images=60), 1, control=TrainControl(after_epoch=lambda *what: seen.append(what))
    )
    assert training.diverged_at == 1 and seen == []
