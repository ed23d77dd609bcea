"""PReLU and repeated layers: gradients against torch, and repeats against the same layers written out."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import (
    MNIST,
    assert_every_recipe_is_torchs,
    assert_is_torchs,
    assert_random_is_torchs,
    correct_rate,
    patterns,
    random_examples,
    random_weights,
)

from smidgen.engine import Examples, TrainControl, native
from smidgen.records import Recipe
from smidgen.spec import parse_spec

NETWORKS = {
    "prelu, dense 4": (3, 9, 7),
    "prelu, prelu, dense 4": (5, 1, 1),
    "conv 5x3x3, prelu, maxpool 2, prelu, conv 6x3x3 same, prelu, avgpool 2, dense 4": (3, 14, 13),
    "maxpool 2, prelu, depthwise 3x3 same relu, prelu, pointwise 5, prelu, globalavgpool": (3, 15, 11),
    "conv 4x2x2 leaky_relu(0.2), dropout 0, prelu, dropout 0, dense 30, prelu, dense 4, prelu": (2, 8, 9),
    "conv 17x3x3, prelu, conv 18x3x3 same, prelu, maxpool 2, conv 16x3x3 same relu, dense 5": (1, 11, 12),
    "dense 300, prelu, dense 300 relu, prelu, dense 10": MNIST,
    "conv 5x3x3 same, batchnorm, prelu, maxpool 2, prelu, batchnorm relu, dense 4": (3, 9, 9),
    "repeat 3 [conv 3x3x3 same relu], dense 4": (3, 9, 7),
    "repeat 4 [depthwise 3x3 same, prelu], globalavgpool, dense 4": (3, 8, 9),
    "repeat 3 [depthwise 3x2 relu], dense 4": (2, 11, 9),
    "repeat 2 [conv 2x3x3 relu, maxpool 2], dense 4": (2, 17, 16),
    "conv 6x3x3, repeat 3 [depthwise 3x3 same, pointwise 6 relu, batchnorm], maxpool 2, dense 4": (1, 13, 12),
    "repeat 3 [pointwise 4 nobias relu, pointwise 2], dense 4": (2, 5, 7),
    "repeat 3 [prelu, dropout 0], dense 4": (5, 3, 3),
    "repeat 2 [dense 20 leaky_relu(0.1)], repeat 3 [dense 20 relu, batchnorm, prelu], dense 4": (20, 1, 1),
    "conv 17x3x3 relu, repeat 3 [conv 17x3x3 same relu], dense 4": (1, 10, 11),
    "conv 17x3x3 relu, repeat 2 [conv 17x3x3 relu], conv 18x3x3, dense 4": (1, 12, 11),
    "dense 150 relu, repeat 3 [dense 150 relu], dense 10": MNIST,
    "repeat 1 [conv 2x3x3 relu], repeat 2 [maxpool 2], repeat 2 [avgpool 1], dense 3": (1, 12, 12),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    assert_every_recipe_is_torchs(text, NETWORKS[text], 40, pixels)


@pytest.mark.parametrize("images", range(1, 41))
def test_batches_of_any_size_are_torchs(images, instruction_set):
    assert_random_is_torchs(
        "conv 3x3x3, prelu, repeat 2 [conv 3x2x3 same relu, prelu], maxpool 2, dense 3", (2, 9, 8), images=images
    )


@pytest.mark.parametrize("channels", range(1, 20))
def test_any_number_of_channels_is_torchs(channels, instruction_set):
    for width in (1, 5, 16, 17):
        text = f"pointwise {channels}, prelu, repeat 2 [depthwise 1x3 same, prelu], conv 2x1x1, dense 2"
        assert_random_is_torchs(text, (1, 3, width), images=20)


@pytest.mark.parametrize("slope", [-0.7, 0.0, 1.0, 1.8])
def test_any_slope_is_torchs(slope, instruction_set):
    """Slopes below zero and above one, too: the sign of the input decides, not that of the output."""
    spec, shape = parse_spec("conv 3x3x3, prelu, maxpool 2, prelu, dense 3"), (1, 9, 9)
    data, weights = random_examples(shape, 3, 37, 1, "floats"), random_weights(spec, shape, 1)
    weights[30:33], weights[33:36] = slope, (slope, 0.3, -slope)
    assert_is_torchs(spec, Recipe(), data, weights)


def test_a_prelu_of_one_slope_is_a_leaky_relu(instruction_set):
    trained, fixed = parse_spec("dense 30, prelu, dense 4"), parse_spec("dense 30 leaky_relu(0.2), dense 4")
    shape, data = (20, 1, 1), random_examples((20, 1, 1), 4, 37, 1, "floats")
    weights = random_weights(fixed, shape, 1)
    with_slopes = np.concatenate([weights[:630], np.full(30, 0.2, np.float32), weights[630:]])
    logits = native.predict(trained, with_slopes, data.images)
    np.testing.assert_allclose(logits, native.predict(fixed, weights, data.images), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("repeated", "written", "shape"),
    [
        ("repeat 3 [conv 3x3x3 same relu], dense 4", "conv 3x3x3 same relu", (3, 9, 7)),
        ("repeat 3 [dense 40 relu], dense 4", "dense 40 relu", (40, 1, 1)),
        ("repeat 3 [depthwise 3x3], dense 4", "depthwise 3x3", (3, 9, 8)),
        ("repeat 3 [prelu], dense 4", "prelu", (3, 9, 8)),
    ],
)
def test_a_repeat_is_its_rounds_with_one_set_of_weights(repeated, written, shape, instruction_set):
    """The logits are the same, bit for bit, and the gradient is the sum over the rounds."""
    shared, apart = parse_spec(repeated), parse_spec(", ".join([written] * 3 + ["dense 4"]))
    data, weights = random_examples(shape, 4, 37, 1), random_weights(shared, shape, 1)
    size = shared.plan(shape)[0].parameters
    copied = np.concatenate([weights[:size]] * 3 + [weights[size:]])
    np.testing.assert_array_equal(
        native.predict(shared, weights, data.images), native.predict(apart, copied, data.images)
    )
    _, summed = native.gradient(shared, Recipe(), data, weights)
    _, parts = native.gradient(apart, Recipe(), data, copied)
    wanted = np.concatenate([parts[: 3 * size].reshape(3, size).sum(axis=0), parts[3 * size :]])
    np.testing.assert_allclose(summed, wanted, atol=1e-6 * np.abs(wanted).max())


def test_every_round_has_a_batch_norm_and_a_dropout_of_its_own():
    spec, shape = parse_spec("repeat 3 [batchnorm, dropout 0.5], dense 2"), (4, 1, 1)
    assert random_weights(spec, shape, 0).size == 3 * 4 * 4 + 10
    images = np.ones((16, *shape), np.float32)
    data = Examples(images, np.zeros(16, np.int32))
    trained = native.train(spec, Recipe(epochs=5, batch_size=16), data, seed=1).weights
    means = trained[:48].reshape(3, 4, 4)[:, 2]
    assert len({row.tobytes() for row in means}) == 3


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        (
            "conv 6x3x3 same, prelu, maxpool 2, repeat 3 [depthwise 3x3 same, pointwise 6, prelu], "
            "globalavgpool, dense 4",
            15,
        ),
        ("dense 45, prelu, dropout 0.2, repeat 2 [dense 45 relu], dense 4", 6),
    ],
)
def test_it_learns_and_threads_do_not_change_a_bit(text, epochs, instruction_set):
    spec, data = parse_spec(text), patterns()
    recipe = Recipe(epochs=epochs, batch_size=32)
    one, other = (native.train(spec, recipe, data, seed=1, control=TrainControl(threads=threads)) for threads in (1, 3))
    assert one.weights.tobytes() == other.weights.tobytes() and one.losses == other.losses
    assert one.diverged_at == 0 and correct_rate(spec, one.weights, data) > 0.9
