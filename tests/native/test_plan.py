"""The memory of a plan: what prediction keeps, that places are reused without a trace, and large maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracle import (
    MNIST,
    SETS,
    assert_is_torchs,
    assert_random_is_torchs,
    patterns,
    random_examples,
    random_weights,
    torch_engine,
)
from test_augmentation import MOVED, moved
from test_fuzz import random_shape, random_text

from smidgen.engine import Examples, native
from smidgen.errors import EngineError
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps, initial_weights

LANES = 16
"""Images that the core works on at once."""


def core_network(spec, shape, weights=None, training=True):
    weights = initial_weights(spec, shape, 0) if weights is None else weights
    return native._network(spec, shape, weights, 128, 1, 0, training=training)


def activation_floats(text, shape, training):
    return core_network(parse_spec(text), shape, training=training).activation_floats


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("dense 10", 784 + 10),
        # 4x26x26 is read while 4x13x13 is written; the input is given up before.
        ("conv 4x3x3 relu, maxpool 2, conv 8x3x3 relu, maxpool 2, dense 10", 784 + 2704),
        ("maxpool 2, " + "pointwise 7 relu, " * 20 + "globalavgpool, dense 3", 2 * 7 * 196),
        # The shortcut's map is kept beside the block's. The sum is written over the block's.
        ("pointwise 4, residual [pointwise 8 relu, pointwise 4] relu, globalavgpool, dense 2", (4 + 8 + 4) * 784),
        ("pointwise 4, residual [pointwise 4, residual [pointwise 4]], globalavgpool, dense 2", (4 + 4 + 4) * 784),
        ("pointwise 4, residual [pointwise 4, prelu], globalavgpool, dense 2", (4 + 4 + 4) * 784),
        ("conv 6x1x1 stride 2, residual [dropout 0.5, crelu, pointwise 6], dense 2", (6 + 12 + 6) * 196),
    ],
)
def test_prediction_keeps_what_a_later_layer_reads(text, values):
    assert activation_floats(text, MNIST, training=False) == LANES * values


def test_zeros_beside_a_map_are_counted():
    """A map that a kernel of 5 columns reads has two zero columns right of each row, and two left of the first."""
    with_zeros = LANES * (28 * (28 + 2) + 2 + 2)
    assert activation_floats("conv 1x5x5 same, dense 2", MNIST, training=False) == with_zeros + LANES * 784


def test_training_keeps_every_map():
    text = "conv 4x3x3 relu, maxpool 2, conv 8x2x2 relu, dense 10"
    forward = 784 + 4 * 26 * 26 + 4 * 13 * 13 + 8 * 12 * 12 + 10
    assert activation_floats(text, MNIST, training=True) >= LANES * forward
    assert activation_floats(text, MNIST, training=False) < LANES * forward


# --- reuse ------------------------------------------------------------------------------------------


def fuzz_reuse(seed):
    """Compare the bits of one network whose maps share memory with those of one whose maps do not."""
    random = np.random.default_rng([seed, 99])
    shape = random_shape(random)
    text, classes = random_text(random, shape)
    spec, images = parse_spec(text), random_examples(shape, classes, 37, seed).images
    weights, logits = random_weights(spec, shape, seed), []
    for training in (True, False):
        network = core_network(spec, shape, weights, training)
        for _ in range(2):  # the second finds what the first left in memory
            logits.append(np.empty((37, classes), np.float32))
            network.predict(images, 0, logits[-1])
    assert all(one.tobytes() == logits[0].tobytes() for one in logits), f"seed {seed}: {text} of {shape}"
    most = max(math.prod(plan.input_shape) for plan in spec.plan(shape))
    assert LANES * most <= network.activation_floats


def test_maps_that_share_memory_leave_no_trace(monkeypatch):
    for seed in range(150):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz_reuse(seed)


@pytest.mark.slow
def test_maps_of_thousands_of_networks_leave_no_trace(monkeypatch):
    for seed in range(1000, 5000):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz_reuse(seed)


def test_a_network_made_for_prediction_does_not_train():
    spec, data = parse_spec("dense 4"), patterns(images=16)
    network, run = core_network(spec, MNIST, training=False), native._Run(spec, Recipe(), data)
    with pytest.raises(ValueError, match="made for prediction"):
        network.gradient(run.examples, order=np.arange(16, dtype=np.uint32), loss=run.loss, out=np.empty(1, np.float32))


def test_a_network_larger_than_memory_is_refused_with_the_numbers():
    """Batch norms keep the maps of a whole batch: here 65,536 images of 2 GiB for sixteen."""
    spec, shape = parse_spec("batchnorm, globalavgpool, dense 2"), (16, 1024, 1024)
    with pytest.raises(EngineError, match=r"needs \d+\.\d GiB for 65536 images at once, and this machine has"):
        native._network(spec, shape, initial_weights(spec, shape, 0), 65_536, 1, 0)


# --- large maps -------------------------------------------------------------------------------------

LARGE = {
    "pointwise 2 relu, depthwise 3x3 same, maxpool 2, batchnorm relu, prelu, avgpool 3x2, dense 3": (1, 322, 323),
    "conv 2x3x3 stride 2 same relu6, residual [conv 2x3x3 same relu | pointwise 2], maxpool 16, dense 2": (1, 400, 322),
    "conv 3x1x63 stride 1x16 same relu, maxpool 1x8, dense 3": (2, 1, 16_384),
    "pointwise 3 relu, maxpool 1x80, dense 3": (1, 1, 106_000),
    "dense 2": (1, 400, 400),
}
LARGER = {
    "conv 2x3x3 same relu, pointwise 2 relu, depthwise 5x5 stride 2 same, crelu, avgpool 3 stride 2, dense 3": (
        1,
        512,
        512,
    ),
    "pointwise 16 relu, conv 16x3x3 same relu, maxpool 23, dense 2": (1, 323, 322),
    "conv 2x3x3, residual [conv 2x3x3 same, prelu], maxpool 64, dense 2": (1, 1024, 1024),
    "conv 2x7x7 stride 1x3 relu, maxpool 1x7, dense 3": (1, 8, 200_000),
}


@pytest.mark.parametrize("text", LARGE)
def test_large_maps_are_torchs(text, instruction_set):
    assert_random_is_torchs(text, LARGE[text], images=3)


@pytest.mark.slow
@pytest.mark.parametrize("text", LARGER)
def test_larger_maps_are_torchs(text, instruction_set):
    assert_random_is_torchs(text, LARGER[text], images=3)


LARGEST = 8192
"""Its square is the most values of one map."""

REDUCING = [
    "conv 2x{k}x{k} stride {s} same relu",
    "depthwise {k}x{k} stride {s}",
    "maxpool {k} stride {s}",
    "avgpool {s}",
]


def fuzz_large(seed):
    """Compare a random network on a random large map, up to a million values, with torch."""
    random = np.random.default_rng([seed, 55])
    values = int(2 ** random.uniform(16, 20))
    channels, height = int(random.integers(1, 4)), int(2 ** random.uniform(0, 10))
    shape = (channels, height, max(values // (channels * height), 1))
    strides = max(1, height // 24), max(1, shape[2] // 24)
    k, s = random.integers(1, 8), "{}x{}".format(*(min(stride, 63) for stride in strides))
    first = ["prelu"] * random.integers(2) + [str(random.choice(REDUCING)).format(k=min(k, height), s=s)]
    first.append(
        "maxpool {}x{}".format(*(max(1, side // 30) for side in parse_spec(", ".join(first)).output_shape(shape)[1:]))
    )
    rest, _ = random_text(random, parse_spec(", ".join(first)).output_shape(shape))
    assert_random_is_torchs(", ".join([*first, rest]), shape, images=2, seed=seed)


@pytest.mark.slow
def test_random_networks_on_large_maps_are_torchs(monkeypatch):
    for seed in range(60):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz_large(seed)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, LARGEST, LARGEST), (64, 1, 1 << 20)])
def test_the_largest_map_is_computed(shape, instruction_set):
    """A map of 2^26 values takes 4 GiB for sixteen images."""
    channels, height, width = shape
    side = min(height, 1024), 1024
    spec = parse_spec(f"maxpool {side[0]}x{side[1]}, dense 2")
    data, weights = random_examples(shape, 2, 2, 4), random_weights(spec, shape, 4)
    pooled = data.images.reshape(2, channels, height // side[0], side[0], width // side[1], side[1]).max(axis=(3, 5))
    small = Examples(np.ascontiguousarray(pooled), data.labels)
    found, wanted = (
        native.gradient(s, Recipe(), d, weights)[1] for s, d in ((spec, data), (parse_spec("dense 2"), small))
    )
    assert found.tobytes() == wanted.tobytes()
    found, wanted = native.predict(spec, weights, data.images), native.predict(parse_spec("dense 2"), weights, pooled)
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", [(2, 400, 512), (1, 1, 106_000), (1, 106_000, 1), (3, 33, 32)])
def test_means_of_large_maps_are_exact(shape, instruction_set):
    """A mean is a sum of positive values, whose rounding would grow with their number."""
    images = random_examples(shape, 2, 3, 1, "floats").images
    spec = parse_spec("globalavgpool")
    found = native.predict(spec, np.empty(0, np.float32), images)[:, -shape[0] :]  # of one output, what is behind the 0
    np.testing.assert_allclose(found, images.astype(np.float64).mean(axis=(2, 3)), rtol=2e-6)


def test_large_images_are_moved_by_their_maps():
    data = random_examples((2, 322, 400), 3, 5, 2)
    maps = affine_maps(MOVED, 5, (322, 400), seed=3, epoch=0)
    spec, recipe = parse_spec("maxpool 5, dense 3"), Recipe(learning_rate=0.001, epochs=1, batch_size=5, augment=MOVED)
    found = native.train(spec, recipe, data, seed=3)
    before = Examples(moved(data.images, maps).astype(np.float32), data.labels)
    wanted = native.train(spec, Recipe(learning_rate=0.001, epochs=1, batch_size=5), before, seed=3)
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-4)


@pytest.mark.parametrize("channels", range(1, 17))
def test_any_number_of_input_channels(channels, instruction_set):
    for pixels in ("bytes", "floats"):
        text = "conv 3x3x3 same relu, depthwise 2x2 shared 2, maxpool 2, dense 3"
        data = random_examples((channels, 6, 7), 3, 19, channels, pixels)
        spec = parse_spec(text)
        assert_is_torchs(spec, Recipe(), data, random_weights(spec, (channels, 6, 7), channels))
        direct = parse_spec(f"maxpool 3, dense {channels}")
        weights = random_weights(direct, (channels, 6, 7), channels)
        found, wanted = (engine.predict(direct, weights, data.images) for engine in (native, torch_engine))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
