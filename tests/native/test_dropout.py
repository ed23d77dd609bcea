"""Dropout: its rate, its masks, and that forward and backward use the same mask."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import LAYERED, MNIST, patterns, random_weights

from smidgen import _core
from smidgen.engine import Examples, native
from smidgen.records import Recipe
from smidgen.spec import parse_spec


def masks(rate, images=48, features=100):
    """What dropout multiplies each feature of each image with: float32 [images, features].

    All features are one, all weights zero and the targets one hot, one output an image: the gradient of
    output i is the mask of image i times -2 / (outputs * images).
    """
    spec = parse_spec(f"dropout {rate}, dense {images}")
    ones, labels = np.ones((images, features, 1, 1), np.float32), np.zeros(images, np.int32)
    data = Examples(ones, labels, np.eye(images, dtype=np.float32))
    _, gradient = native.gradient(spec, Recipe("logits"), data, np.zeros(images * (features + 1), np.float32))
    return gradient[: images * features].reshape(images, features) * np.float32(-0.5 * images * images)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate, instruction_set):
    found = masks(rate)
    kept = found != 0
    np.testing.assert_allclose(found[kept], 1 / (1 - rate), rtol=1e-6)
    spread = np.sqrt(rate * (1 - rate) / found.size)
    assert abs(kept.mean() - (1 - rate)) <= 4 * spread


@pytest.mark.parametrize("features", [150, 400], ids=["by chunk", "by layer"])
def test_every_image_and_feature_has_a_mask_of_its_own(features, instruction_set):
    kept = masks(0.5, features=features) != 0
    for rows in (kept, kept.T):
        agreement = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
        assert np.abs(agreement).max() < 6 / np.sqrt(rows.shape[1])


def test_every_step_draws_another_mask():
    """The learning rate is so small that weights stay near zero: those that changed were not dropped."""
    spec, shape = parse_spec("dropout 0.5, dense 2"), (400, 1, 1)
    weights = np.zeros(spec.parameters(shape), np.float32)
    network = native._network(spec, shape, weights, 1, 1, 0)
    examples = _core.Examples(np.ones((1, *shape), np.float32), np.zeros(1, np.int32))
    labels, descent = _core.Loss(_core.LossKind.LABELS), _core.Optimizer(_core.OptimizerKind.SGD)
    order, rates = np.zeros(1, np.uint32), np.full(1, 1e-6, np.float32)
    moved = []
    for _ in range(2):
        before, after = np.empty_like(weights), np.empty_like(weights)
        network.weights(before)
        network.train(examples, order=order, rates=rates, loss=labels, optimizer=descent)
        network.weights(after)
        moved.append((after != before)[:400])
    assert all(abs(kept.mean() - 0.5) < 0.1 for kept in moved)
    assert abs((moved[0] == moved[1]).mean() - 0.5) < 0.1


def test_gradients_go_through_the_mask_that_the_values_went_through(instruction_set):
    """With one image, the gradient of the second layer reveals the mask, and the first layer's follows from it."""
    spec, shape = parse_spec("dense 60 relu, dropout 0.4, dense 3"), (30, 1, 1)
    random = np.random.default_rng(1)
    pixels = random.random((1, *shape)).astype(np.float32)
    weights = random_weights(spec, shape, 1)
    _, gradient = native.gradient(spec, Recipe(), Examples(pixels, np.zeros(1, np.int32)), weights)
    matrix1, matrix2 = weights[:1800].reshape(60, 30), weights[1860:2040].reshape(3, 60)
    hidden = np.maximum(matrix1 @ pixels.ravel() + weights[1800:1860], 0)
    slope2 = gradient[2040:]  # of the logits: the gradient of the last biases
    kept = gradient[1860:2040].reshape(3, 60)[0] != 0
    np.testing.assert_allclose(gradient[1860:2040], np.outer(slope2, hidden * kept / 0.6).ravel(), atol=1e-6)
    slope1 = (slope2 @ matrix2) * kept / 0.6 * (hidden > 0)
    np.testing.assert_allclose(gradient[:1800], np.outer(slope1, pixels).ravel(), atol=1e-6)
    assert 10 < kept.sum() < (hidden > 0).sum()


def test_dropout_is_off_in_prediction(instruction_set):
    plain = parse_spec("conv 4x3x3 relu, maxpool 2, dense 121 relu, dense 4")
    weights, images = random_weights(LAYERED, MNIST, 1), patterns(images=20).images
    np.testing.assert_array_equal(native.predict(LAYERED, weights, images), native.predict(plain, weights, images))
