"""Batch norm: gradients through the statistics of a whole batch, running statistics, and prediction with them."""

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
from smidgen.streams import initial_weights

SMALL = parse_spec(
    "conv 6x3x3 same, batchnorm relu, maxpool 2, dropout 0.1, dense 12, batchnorm leaky_relu(0.1), dense 4"
)
# Its first dense layer is so large that it takes a whole batch at once, on several threads.
LARGE = parse_spec("conv 4x3x3, batchnorm relu, maxpool 2, dense 121, batchnorm relu, dropout 0.2, dense 4, batchnorm")

# --- gradients against torch ------------------------------------------------------------------

NETWORKS = {
    "batchnorm, dense 5": (3, 9, 7),
    "batchnorm relu, batchnorm, dense 5": (7, 1, 1),
    "conv 5x3x3, batchnorm relu, maxpool 2, batchnorm, conv 6x3x3 same relu, batchnorm, avgpool 2, dense 4": (
        3,
        14,
        13,
    ),
    "maxpool 2, batchnorm relu, depthwise 3x3 same, batchnorm leaky_relu(0.2), pointwise 5, globalavgpool": (3, 15, 11),
    "conv 4x5x5 same relu, maxpool 2, batchnorm relu, maxpool 2, batchnorm, dense 3": (1, 17, 19),
    "avgpool 3, batchnorm, avgpool 2, batchnorm relu, globalavgpool, batchnorm, dense 3": (3, 21, 25),
    "conv 4x2x2 nobias, batchnorm relu, dropout 0, batchnorm, dense 30 relu, batchnorm, dropout 0, dense 4": (2, 8, 9),
    "dense 20, batchnorm relu, dense 20, batchnorm relu, dense 5, batchnorm": (20, 1, 1),
    "depthwise 3x2 same nobias, batchnorm, depthwise 2x3, batchnorm relu, depthwise 5x5 same, dense 3": (3, 7, 6),
    "conv 5x3x3 same, batchnorm, conv 5x4x4 same, batchnorm relu, conv 3x2x7 same, globalavgpool": (1, 9, 8),
    "pointwise 3, batchnorm relu, conv 5x6x4": (2, 6, 4),
    "batchnorm relu, globalavgpool, dense 3": (3, 5, 5),
    # Depthwise convolutions next to batch norms, of at least 64 values a channel.
    "conv 4x3x3, batchnorm relu, depthwise 3x3 stride 2 same, batchnorm relu6, pointwise 5, globalavgpool": (2, 19, 18),
    "depthwise 3x3 same, batchnorm relu, depthwise 5x4, depthwise 3x3 same nobias relu, batchnorm, dense 3": (
        3,
        14,
        13,
    ),
    "conv 3x3x3 same, residual [batchnorm relu, depthwise 3x3 same, batchnorm | depthwise 1x1, batchnorm], dense 3": (
        2,
        9,
        10,
    ),
    # Winograd's algorithm, and dense layers that take a whole batch at once.
    "conv 17x3x3, batchnorm relu, conv 18x3x3 same, batchnorm relu, maxpool 2, conv 16x3x3 same, dense 5": (1, 11, 12),
    "conv 16x3x3 same relu, batchnorm, conv 16x3x3, batchnorm leaky_relu(0.1), dense 4": (17, 6, 5),
    "dense 300, batchnorm relu, dense 300 relu, batchnorm, dense 10": MNIST,
    "conv 4x3x3, batchnorm, maxpool 2, dense 130, batchnorm, dense 9, pointwise 90, batchnorm relu, dense 5": MNIST,
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    """Forty images are chunks of 16, 16 and 8; the statistics are those of all of them."""
    assert_every_recipe_is_torchs(text, NETWORKS[text], 40, pixels)


@pytest.mark.parametrize("images", range(1, 41))
def test_batches_of_any_size_are_torchs(images, instruction_set):
    text = (
        "conv 3x3x3, batchnorm relu, maxpool 2, conv 5x2x3 same, batchnorm, avgpool 2, dense 6, batchnorm relu, dense 3"
    )
    assert_random_is_torchs(text, (2, 12, 11), images=images)


@pytest.mark.parametrize("channels", range(1, 20))
def test_any_number_of_channels_is_torchs(channels, instruction_set):
    for width in (1, 2, 5, 16, 17):
        assert_random_is_torchs(f"pointwise {channels}, batchnorm relu, conv 2x1x1, dense 2", (1, 3, width), images=20)


def test_a_constant_channel_is_no_error(instruction_set):
    """Its variance is zero, so that its output is the shift."""
    spec, shape = parse_spec("batchnorm, dense 3"), (2, 4, 4)
    images = np.full((21, *shape), 200, np.uint8)
    images[:, 1] = np.random.default_rng(0).integers(0, 256, (21, 4, 4))
    data = Examples(images, np.arange(21, dtype=np.int32) % 3)
    assert_is_torchs(spec, Recipe(), data, random_weights(spec, shape, 1))


def test_a_pool_of_equal_values_gives_the_gradient_to_the_first(instruction_set):
    """Black images are ties everywhere, also after a batch norm and a prelu."""
    spec = parse_spec(
        "conv 3x3x3 same, batchnorm, maxpool 2, prelu, maxpool 3, conv 2x2x2, batchnorm relu, maxpool 2, dense 3"
    )
    data = Examples(np.zeros((40, *MNIST), np.uint8), np.arange(40, dtype=np.int32) % 3)
    data.images[::3, :, 5:9, 20:22] = 255
    assert_is_torchs(spec, Recipe(), data, random_weights(spec, MNIST, 2))


def test_the_running_statistics_have_no_gradient(instruction_set):
    spec = parse_spec("batchnorm, dense 3")
    _, gradient = native.gradient(
        spec, Recipe(), random_examples((2, 4, 4), 3, 20, 1), random_weights(spec, (2, 4, 4), 1)
    )
    assert not gradient[4:8].any() and gradient[:4].all()


# --- running statistics -----------------------------------------------------------------------


def test_running_statistics_follow_the_batches(instruction_set):
    """As in Keras: a step moves them by 1 % of the distance to the batch's mean and biased variance."""
    spec, shape = parse_spec("batchnorm, dense 3"), (2, 4, 5)
    data = random_examples(shape, 3, 37, 4, "floats")
    recipe = Recipe(epochs=3, batch_size=37)
    found = native.train(spec, recipe, data, seed=1).weights[4:8]
    pixels = data.images.astype(np.float64)
    batch = np.concatenate([pixels.mean(axis=(0, 2, 3)), pixels.var(axis=(0, 2, 3))])
    first = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(found, batch + 0.99**3 * (first - batch), rtol=1e-5)


def test_a_short_last_batch_has_its_own_statistics(instruction_set):
    """Two batches, of 20 and 3 images; the images of a batch are equal."""
    from smidgen.streams import epoch_order

    spec, shape = parse_spec("batchnorm, dense 3"), (1, 2, 2)
    values = np.linspace(0, 1, 23, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (23, *shape))
    found = native.train(
        spec, Recipe(epochs=1, batch_size=20), Examples(images, np.zeros(23, np.int32)), seed=5
    ).weights
    mean, variance = 0.0, 1.0
    order = epoch_order(23, 5, 0)
    for batch in (values[order[:20]], values[order[20:]]):
        mean, variance = 0.99 * mean + 0.01 * batch.mean(), 0.99 * variance + 0.01 * batch.var()
    np.testing.assert_allclose(found[2:4], [mean, variance], rtol=1e-5)


@pytest.mark.parametrize("images", [1, 16, 37])
def test_prediction_uses_the_running_statistics(images, instruction_set):
    """One layer in NumPy: scale (x - mean) / sqrt(variance + 0.001) + shift, then a relu."""
    spec, shape = parse_spec("batchnorm relu, conv 2x4x5"), (2, 4, 5)
    random = np.random.default_rng(2)
    scale, shift, mean, variance = random.normal(size=(4, 2)) ** 2 + 0.1
    kernel, bias = random.normal(size=(2, 2, 4, 5)), random.normal(size=2)
    weights = np.concatenate([scale, shift, mean, variance, kernel.ravel(), bias], dtype=np.float32)
    pixels = random.random((images, *shape)).astype(np.float32)
    axes = (slice(None), None, None)
    normal = (pixels - mean[axes]) / np.sqrt(variance[axes] + 0.001) * scale[axes] + shift[axes]
    wanted = np.einsum("ncyx,ocyx->no", np.maximum(normal, 0), kernel) + bias
    np.testing.assert_allclose(native.predict(spec, weights, pixels), wanted, rtol=1e-5, atol=1e-5)


def test_a_prediction_does_not_depend_on_its_batch(instruction_set):
    data, weights = patterns(images=50), random_weights(SMALL, MNIST, 3)
    order = np.random.default_rng(0).permutation(50)
    logits = native.predict(SMALL, weights, data.images)
    np.testing.assert_array_equal(native.predict(SMALL, weights, data.images[order]), logits[order])
    np.testing.assert_array_equal(native.predict(SMALL, weights, data.images[7:8]), logits[7:8])


# --- whole trainings --------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [SMALL, LARGE], ids=["small", "large"])
def test_it_learns(spec):
    data = patterns()
    training = native.train(spec, Recipe(epochs=12, batch_size=20, learning_rate=0.01), data, seed=1)
    assert training.diverged_at == 0 and training.losses[-1] < training.losses[0]
    assert correct_rate(spec, training.weights, data) > 0.9


@pytest.mark.parametrize("spec", [SMALL, LARGE], ids=["small", "large"])
def test_threads_do_not_change_a_bit(spec, instruction_set):
    data, recipe = patterns(images=170), Recipe(epochs=2, batch_size=50)
    one, other = (native.train(spec, recipe, data, seed=5, control=TrainControl(threads=threads)) for threads in (1, 3))
    assert one.weights.tobytes() == other.weights.tobytes() and one.losses == other.losses


def test_a_batch_of_equal_images_teaches_nothing(instruction_set):
    """Every feature equals its mean: the layers before the norm get no gradient, and nothing breaks."""
    spec, shape = parse_spec("dense 5, batchnorm relu, dense 3"), (4, 1, 1)
    data = random_examples(shape, 3, 9, 1, "floats")
    training = native.train(spec, Recipe(epochs=2, batch_size=1), data, seed=1)
    assert training.diverged_at == 0
    np.testing.assert_allclose(training.weights[:25], initial_weights(spec, shape, 1)[:25], atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite_diverges_at_once(value, instruction_set):
    images = random_examples((1, 6, 6), 3, 40, 0, "floats").images
    images[33, 0, 1, 1] = value
    data = Examples(images, np.zeros(40, np.int32))
    training = native.train(parse_spec("conv 2x3x3, batchnorm relu, dense 3"), Recipe(), data, seed=1)
    assert training.diverged_at == 1 and training.losses == ()
