"""Gradients of every plain layer against torch in float64: kernels, widths, batches, losses and ties."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import (
    CNN,
    MNIST,
    RECIPES,
    assert_every_recipe_is_torchs,
    assert_is_torchs,
    assert_random_is_torchs,
    random_examples,
    random_weights,
)

from smidgen.engine import Examples, native
from smidgen.records import Recipe
from smidgen.spec import parse_spec

NETWORKS = {
    "conv 2x3x3 relu, conv 2x3x3 relu, maxpool 2, conv 4x3x3 relu, conv 4x3x3 relu, maxpool 2, dense 10": MNIST,
    "dense 7": (3, 5, 4),
    "dense 33 relu, dense 5": (20, 1, 1),
    "pointwise 6 relu, depthwise 3x3 same, dropout 0, dense 3": (20, 1, 1),
    "conv 3x5x5 same leaky_relu(0.2), maxpool 3, conv 5x4x2 same relu, avgpool 2, dense 6 relu, dense 4": (3, 21, 25),
    "conv 6x3x3 same relu, maxpool 2, depthwise 3x3, pointwise 9 relu, pointwise 10, globalavgpool": (3, 17, 19),
    "maxpool 2, conv 3x7x7 relu, conv 5x1x3 relu, depthwise 2x2 same relu, globalavgpool, dense 3": (1, 26, 33),
    "conv 13x3x3 relu, conv 17x3x3, dense 11 relu, dense 200 relu, dense 10": (1, 9, 12),
    "avgpool 3, conv 4x2x2 relu, conv 4x6x6 leaky_relu(0.1), pointwise 10, globalavgpool": (1, 29, 28),
    # Maps with a halo before or after a dense layer, a copy or the loss.
    "dense 4 relu, conv 5x3x3 same relu, dense 3": (2, 6, 6),
    "dense 4 relu, dropout 0, depthwise 5x5 same": (2, 6, 6),
    "avgpool 1, conv 2x3x3 same relu, avgpool 1, conv 2x4x4 same, dense 3": (2, 6, 6),
    "pointwise 3 relu, conv 5x6x4": (2, 6, 4),
    "conv 5x3x3 nobias relu, depthwise 2x2 nobias, pointwise 3 nobias, dense 6 nobias relu, dense 3 nobias": (2, 8, 8),
    "dense 200 nobias relu, dense 90 nobias, dense 4": (1, 20, 20),
    "conv 3x3x3 same, depthwise 5x5 same, maxpool 2, avgpool 1, maxpool 1, dense 3": (2, 7, 7),
    "dense 300 relu, dense 300 leaky_relu(0.3), dense 10": MNIST,  # batched, on several threads
    "conv 2x3x3 relu, maxpool 2, dense 130 relu, dense 9 relu, pointwise 90 relu, dense 120 relu, dense 10": MNIST,
    # Winograd's algorithm: odd and even sides, numbers of channels that leave part of a tile or block, one band and
    # several, a single pixel, halos on either side.
    "conv 16x3x3 relu, conv 17x3x3 relu, conv 16x3x3 relu, dense 5": (1, 9, 12),
    "pointwise 16 relu, conv 16x3x3 same relu, conv 19x3x3 same leaky_relu(0.1), dense 5": (2, 7, 8),
    "conv 20x3x3 same relu, maxpool 2, conv 33x3x3 relu, conv 18x3x3 nobias, dense 4": (1, 16, 15),
    "pointwise 35 relu, conv 16x3x3, conv 66x3x3 same, depthwise 5x5 same, conv 16x3x3, dense 3": (2, 9, 7),
    "conv 18x3x3, conv 16x3x3 relu, dense 4": (16, 5, 5),
    "conv 16x3x3 same, conv 17x3x3 same relu, conv 18x3x3 same, dense 3": (17, 2, 1),
    "conv 17x3x3 relu, conv 18x3x3 same relu, conv 16x3x3 same relu, globalavgpool": (1, 7, 61),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    assert_every_recipe_is_torchs(text, NETWORKS[text], 37, pixels)


@pytest.mark.parametrize("kernel_x", range(1, 8))
@pytest.mark.parametrize("kernel_y", range(1, 8))
def test_every_kernel_is_torchs(kernel_y, kernel_x, instruction_set):
    kernel, shape = f"{kernel_y}x{kernel_x}", (2, 9, 11)
    assert_random_is_torchs(f"conv 3x{kernel} same relu, conv 2x{kernel}, dense 3", shape, images=5)
    assert_random_is_torchs(f"pointwise 3, depthwise {kernel} same, depthwise {kernel} relu, dense 3", shape, images=5)


@pytest.mark.parametrize("channels", range(1, 20))
def test_every_tile_is_torchs(channels, instruction_set):
    for width in range(3, 33):
        assert_random_is_torchs(f"pointwise 2, conv {channels}x3x3 relu, pointwise 2, dense 2", (1, 3, width), images=2)


@pytest.mark.parametrize("images", [1, 2, 15, 16, 17, 31, 32, 33])
def test_batches_of_any_size_are_torchs(images, instruction_set):
    assert_random_is_torchs(str(CNN), MNIST, images=images)
    assert_random_is_torchs("dense 120 relu, dense 4", MNIST, images=images)


@pytest.mark.parametrize("classes", [2, 3, 100])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_any_number_of_classes(recipe, classes, instruction_set):
    assert_random_is_torchs(f"dense 5 relu, dense {classes}", (1, 4, 4), recipe)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_large_logits_are_torchs(recipe, instruction_set):
    """The logits of student and teacher are so large that most exponentials underflow."""
    spec, data = parse_spec("dense 6"), random_examples((1, 4, 4), 6, 37, 5, "floats")
    data = Examples(data.images, data.labels, 30 * data.teacher_logits)
    assert_is_torchs(spec, recipe, data, 40 * random_weights(spec, (1, 4, 4), 5))


def test_gradients_that_move_no_weight_are_zero(instruction_set):
    """At a loss near zero they would be denormal in the layers below, which makes a training many times slower."""
    weights = np.concatenate([np.zeros(12), [0, 80, -80]]).astype(np.float32)
    examples = Examples(np.full((5, 4, 1, 1), 255, np.uint8), np.ones(5, np.int32))
    _, gradient = native.gradient(parse_spec("dense 3"), Recipe(), examples, weights)
    assert not gradient.any()
    weights[-2] = 60  # e^-60 is 9e-27
    _, gradient = native.gradient(parse_spec("dense 3"), Recipe(), examples, weights)
    np.testing.assert_allclose(gradient[-3], np.exp(-60.0), rtol=1e-5)


def test_a_black_image_is_a_tie_everywhere(instruction_set):
    spec = parse_spec("maxpool 2, conv 3x3x3 relu, maxpool 2, conv 2x2x2 leaky_relu(0.1), maxpool 3, dense 3")
    data = Examples(np.zeros((17, *MNIST), np.uint8), np.arange(17, dtype=np.int32) % 3)
    assert_is_torchs(spec, Recipe(), data, random_weights(spec, MNIST, 2))
