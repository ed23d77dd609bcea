"""Predictions do not depend on the other images, their order or the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import EVERY_LAYER, LAYERED, MNIST, RESIDUAL, WIDE, patterns, random_weights

from smidgen.engine import native, torch_engine
from smidgen.spec import parse_spec


@pytest.mark.parametrize("images", [0, 1, 15, 16, 17, 50])
@pytest.mark.parametrize(
    "spec", [EVERY_LAYER, LAYERED, WIDE, RESIDUAL], ids=["by chunk", "by layer", "wide", "residual"]
)
def test_predictions_do_not_depend_on_threads(spec, images, instruction_set):
    data, weights = patterns(images=50), random_weights(spec, MNIST, 3)
    logits = native.predict(spec, weights, data.images)[:images]
    for threads in (1, 2, 3, 60):
        found = native.predict(spec, weights, data.images[:images], threads)
        assert found.dtype == np.float32 and found.shape == (images, 4)
        np.testing.assert_array_equal(found, logits)


def test_the_logits_of_an_image_do_not_depend_on_the_others(instruction_set):
    data, weights = patterns(images=50), random_weights(EVERY_LAYER, MNIST, 3)
    order = np.random.default_rng(0).permutation(50)
    logits = native.predict(EVERY_LAYER, weights, data.images)
    np.testing.assert_array_equal(native.predict(EVERY_LAYER, weights, data.images[order]), logits[order])


def test_every_byte_is_read_as_its_fraction(instruction_set):
    """Each of 256 images has one value in 17 pixels: 16 that are loaded together, and one more."""
    bytes_ = np.repeat(np.arange(256, dtype=np.uint8), 17).reshape(256, 17, 1, 1)
    spec = parse_spec("dense 17")
    weights = np.concatenate([np.eye(17).ravel(), np.zeros(17)], dtype=np.float32)
    found = native.predict(spec, weights, bytes_)
    np.testing.assert_allclose(found, bytes_[:, :, 0, 0] / 255, rtol=2e-7)


@pytest.mark.parametrize(
    "text",
    [
        "conv 4x3x3 same relu",
        "conv 3x4x4, avgpool 2, conv 20x3x3 same, batchnorm",
        "depthwise 3x3 relu, pointwise 5 leaky_relu(0.1), dropout 0.3",
        "maxpool 3",
    ],
)
def test_a_network_that_ends_in_a_map_gives_its_values(text, instruction_set):
    spec, images = parse_spec(text), patterns(images=37).images
    weights = random_weights(spec, MNIST, 4)
    found = native.predict(spec, weights, images)
    assert found.shape == (37, np.prod(spec.output_shape(MNIST)))
    np.testing.assert_allclose(found, torch_engine.predict(spec, weights, images), atol=1e-6)
