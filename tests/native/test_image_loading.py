"""Images on their way into the core: bytes of every length, and pools of large images, done while these are loaded."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_random_is_torchs, random_examples, random_weights

from smidgen.engine import Start, native
from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec

REST = "conv 5x3x3 same relu, conv 3x3x3 stride 2 same, batchnorm relu, globalavgpool, dense 4"
POOLED = {
    f"avgpool 2, {REST}": (3, 64, 50),
    f"maxpool 2x3, {REST}": (1, 97, 90),
    f"maxpool 3 stride 2, {REST}": (2, 71, 64),
    f"avgpool 5x4 stride 1x6, {REST}": (1, 93, 101),
    f"avgpool 40x30, {REST}": (1, 130, 95),
    "maxpool 2, dense 4": (1, 92, 92),
    "globalavgpool, dense 4": (3, 60, 50),
    f"residual [avgpool 2 | maxpool 2], {REST}": (3, 64, 50),
}
"""Networks of a pool, and images that are large enough for it to be computed band by band."""


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", POOLED)
def test_pools_of_large_images_are_torchs(text, pixels, instruction_set):
    assert_random_is_torchs(text, POOLED[text], images=21, pixels=pixels)


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", POOLED)
def test_they_have_the_bits_of_a_pool_that_is_not_the_first_layer(text, pixels, instruction_set):
    """A maximum of one value hands the images on, so that the pool behind it reads a map."""
    shape = POOLED[text]
    data, spec, behind = random_examples(shape, 4, 21, 5, pixels), parse_spec(text), parse_spec(f"maxpool 1, {text}")
    recipe = Recipe(epochs=2, batch_size=18, augment=Augmentation(shift=3, rotation=10))
    start = Start(random_weights(spec, shape, 5))
    trained, expected = (native.train(each, recipe, data, 3, start) for each in (spec, behind))
    assert (trained.losses, trained.weights.tobytes()) == (expected.losses, expected.weights.tobytes())
    found = native.predict(spec, trained.weights, data.images)
    assert found.tobytes() == native.predict(behind, trained.weights, data.images).tobytes()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 64, 65, 79, 80, 127, 128, 200, 4096])
def test_bytes_are_255ths(length, instruction_set):
    spec, shape = parse_spec("dense 3"), (1, 1, length)
    data, weights = random_examples(shape, 3, 21, length), random_weights(spec, shape, 1)
    floats = data.images.astype(np.float32) * np.float32(1 / 255)
    assert native.predict(spec, weights, data.images).tobytes() == native.predict(spec, weights, floats).tobytes()
