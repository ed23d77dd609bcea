"""One output z for two classes: its gradient is that of the second of the logits (0, z), in both engines."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from core_calls import NETWORK, gradient, layers, network_of, plain
from oracle import (
    EVERY_LAYER,
    FUSED,
    LAYERED,
    MNIST,
    RECIPES,
    RESIDUAL,
    SEPARABLE,
    assert_every_recipe_is_torchs,
    correct_rate,
    patterns,
    random_examples,
    random_weights,
)

from smidgen.engine import Examples, TrainControl, native, torch_engine
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights


def with_one_output(spec):
    return parse_spec(str(spec).removesuffix("dense 4") + "dense 1")


NETWORKS = {
    "dense 1": (5, 1, 1),
    "dense 7 relu, dense 1 nobias": (1, 4, 4),
    "conv 3x3x3 relu, maxpool 2, pointwise 1, globalavgpool": (2, 9, 8),
    "conv 4x3x3 same relu, conv 1x6x5": (1, 6, 5),
    "dense 3 relu, dense 1, batchnorm": (1, 5, 5),
    "dense 1, residual [dense 4 relu, dense 1]": (1, 5, 5),
    "dense 300 relu, dense 300 relu, dense 1": MNIST,
    str(with_one_output(SEPARABLE)): (1, 17, 16),
    "pointwise 2, dense 1, dropout 0": (3, 1, 40),
}
RECIPES_OF_TWO = [*RECIPES, Recipe(loss="logits", label_weight=0.4), Recipe(loss="kl", temperature=2)]


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    assert_every_recipe_is_torchs(text, NETWORKS[text], 37, pixels)


@pytest.mark.parametrize("recipe", RECIPES_OF_TWO, ids=lambda recipe: f"{recipe.loss} {recipe.label_weight}")
def test_the_gradient_is_that_of_the_second_of_two_outputs(recipe, instruction_set):
    """The first output is always zero; a teacher's logits are moved so that its first is zero, too."""
    shape, one, two = (1, 6, 6), parse_spec("conv 3x3x3 relu, dense 1"), parse_spec("conv 3x3x3 relu, dense 2")
    data, weights = random_examples(shape, 2, 37, 3), random_weights(one, shape, 3)
    head, rest = weights[-49:], weights[:-49]
    both = np.concatenate([rest, np.zeros(48), head[:-1], np.zeros(1), head[-1:]]).astype(np.float32)
    moved = data.teacher_logits.astype(np.float64)
    centred = Examples(data.images, data.labels, (moved - moved[:, :1]).astype(np.float32))
    loss, slopes = native.gradient(one, recipe, data, weights)
    wanted_loss, wanted = native.gradient(two, recipe, centred, both)
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    second = np.concatenate([wanted[: len(rest)], wanted[-50:-2], wanted[-1:]])
    np.testing.assert_allclose(slopes, second, rtol=1e-5, atol=1e-6 * np.abs(second).max())


@pytest.mark.parametrize("recipe", RECIPES_OF_TWO, ids=lambda recipe: f"{recipe.loss} {recipe.label_weight}")
def test_training_starts_as_torchs_does(recipe, instruction_set):
    spec, data = parse_spec("conv 3x3x3 relu, maxpool 2, dense 1"), patterns(90, classes=2)
    recipe = replace(recipe, learning_rate=0.002, epochs=5, batch_size=90)
    ours, theirs = (engine.train(spec, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    moved = np.abs(theirs.weights - initial_weights(spec, MNIST, 4)).max()
    assert np.abs(ours.weights - theirs.weights).max() < 1e-3 * moved


@pytest.mark.parametrize("recipe", RECIPES_OF_TWO, ids=lambda recipe: f"{recipe.loss} {recipe.label_weight}")
def test_it_learns_and_predicts_two_logits(recipe, instruction_set):
    spec, data = parse_spec("maxpool 2, dense 1"), patterns(300, classes=2)
    trained = native.train(spec, replace(recipe, epochs=10, learning_rate=0.01), data, seed=0)
    assert correct_rate(spec, trained.weights, data) > 0.95
    for engine in (native, torch_engine):
        logits = engine.predict(spec, trained.weights, data.images)
        assert logits.shape == (300, 2) and logits.dtype == np.float32
        assert not logits[:, 0].any() and logits[:, 1].any()
    np.testing.assert_allclose(logits, native.predict(spec, trained.weights, data.images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_threads_and_instruction_sets_that_fuse_do_not_change_a_bit(recipe, monkeypatch):
    recipe, bits = replace(recipe, epochs=1, batch_size=50), set()
    for name in FUSED:
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        for threads in (1, 3):
            trainings = [
                native.train(
                    with_one_output(spec), recipe, patterns(170, classes=2), 5, control=TrainControl(threads=threads)
                )
                for spec in (EVERY_LAYER, LAYERED, RESIDUAL, SEPARABLE)
            ]
            bits.add(b"".join(training.weights.tobytes() for training in trainings))
    assert len(bits) == 1


TWO_OUTPUTS = {
    "conv 3x3x3 relu, maxpool 4, dense 2": "695bd8b8a5dfaf1d",
    "maxpool 4, dense 120 relu, dense 2": "8515bb9e89592169",
}
"""Digests of the weights that trainings of two outputs had before there was one."""


@pytest.mark.skipif(native.name() != "native-3-fused", reason="the digests are those of this arithmetic")
@pytest.mark.parametrize("text", TWO_OUTPUTS)
def test_two_outputs_keep_their_bits(text):
    digest, data = hashlib.sha256(), patterns(170, classes=2)
    for recipe in RECIPES:
        trained = native.train(parse_spec(text), replace(recipe, epochs=2, batch_size=50), data, 5)
        digest.update(trained.weights.tobytes())
    assert digest.hexdigest()[:16] == TWO_OUTPUTS[text]


ONE_OUTPUT = layers(*NETWORK["layers"][:2], plain("DENSE", 1, bias=True), weights=29)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": np.array([0, 1, 2, 0, 0], np.int32)}, "a label is not a class of the network"),
        ({"targets": np.zeros((5, 1), np.float32)}, "targets must be"),
        ({"inverse_std": np.ones(1, np.float32)}, "inverse_std must be"),
    ],
)
def test_one_output_has_two_classes(wrong, message):
    fitting = {"targets": np.zeros((5, 2), np.float32), "inverse_std": np.ones(2, np.float32)}
    fitting["out"] = np.zeros(29, np.float32)
    gradient(network_of(**ONE_OUTPUT), **fitting)
    with pytest.raises(ValueError, match=message):
        gradient(network_of(**ONE_OUTPUT), **(fitting | wrong))
