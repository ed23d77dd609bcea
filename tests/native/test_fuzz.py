"""Random networks on random batches against torch in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracle import RECIPES, SETS, assert_is_torchs, random_examples, random_weights

from smidgen.errors import SpecError
from smidgen.spec import parse_spec


def random_text(random, shape, one_output=False):
    """A random spec of up to six layers that fit, and its number of classes: 2 to 12, or 2 of one output."""
    pieces, map_shape = random_layers(random, shape, random.integers(0, 7), depth=0)
    classes = 2 if one_output else random.integers(2, 13)
    outputs = 1 if one_output else classes
    _, height, width = map_shape
    heads = [f"dense {outputs}", f"pointwise {outputs}, globalavgpool", f"dense {outputs}, batchnorm"]
    if max(height, width) <= 11:
        heads.append(f"conv {outputs}x{height}x{width}")
    return ", ".join([*pieces, random.choice(heads, p=weights_of(heads))]), classes


def weights_of(heads):
    """Probabilities of the heads: a batch norm after the logits is valid and rare."""
    weights = np.array([0.1 if "batchnorm" in head else 1 for head in heads])
    return weights / weights.sum()


def random_layers(random, shape, count, depth):
    """At most `count` random layers, those that fit, and the shape that they end in."""
    pieces = []
    for _ in range(count):
        piece = random_layer(random, shape, depth)
        after = shape_after([piece], shape)
        if after is not None and math.prod(after) <= 40_000:
            pieces.append(piece)
            shape = after
    return pieces, shape


def shape_after(pieces, shape):
    """The shape that layers end in, or None if they do not fit."""
    try:
        return parse_spec(", ".join(pieces)).output_shape(shape)
    except SpecError:
        return None


def random_layer(random, shape, depth):
    kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "residual":
        return random_residual(random, shape, depth + 1) if depth < 3 else "crelu"
    if kind == "repeat":
        return random_repeat(random, shape, depth + 1) if depth < 3 else "prelu"
    return plain_layer(random, kind, random_kernel(random, shape), random_stride(random))


KINDS = {
    "conv": 0.2,
    "depthwise": 0.1,
    "pointwise": 0.07,
    "maxpool": 0.08,
    "avgpool": 0.06,
    "dense": 0.06,
    "batchnorm": 0.1,
    "prelu": 0.05,
    "crelu": 0.04,
    "repeat": 0.07,
    "residual": 0.12,
    "dropout": 0.03,
    "globalavgpool": 0.02,
}


def plain_layer(random, kind, kernel, stride, same="", channels=None):
    """A layer of this kind without brackets; in `channels` channels or units, or in some."""
    same, nobias = same or random.choice(["", " same"]), random.choice(["", "", " nobias"])
    act = random.choice(["", " relu", " leaky_relu(0.2)", " relu6"])
    shared = random.choice(["", "", f" shared {random.integers(1, 5)}"])
    texts = {
        "conv": f"conv {channels or random.integers(1, 20)}x{kernel}{stride}{same}{nobias}{act}",
        "depthwise": f"depthwise {kernel}{shared}{stride}{same}{nobias}{act}",
        "pointwise": f"pointwise {channels or random.integers(1, 20)}{stride}{nobias}{act}",
        "maxpool": f"maxpool {random.integers(1, 4)}x{random.integers(1, 4)}{random_stride(random)}",
        "avgpool": f"avgpool {random.integers(1, 4)}x{random.integers(1, 4)}{random_stride(random)}",
        "dense": f"dense {channels or random.integers(1, 160)}{nobias}{act}",
        "batchnorm": f"batchnorm{act}",
        "dropout": "dropout 0",
    }
    return str(texts.get(kind, kind))


def random_kernel(random, shape):
    """Mostly up to 7x7, sometimes up to 11x11 or one long row."""
    largest = random.choice([7, 7, 7, 11])
    if random.random() < 0.1:
        return f"1x{random.integers(1, 1 + min(63, 2 * shape[2]))}"
    return "{}x{}".format(*random.integers(1, 1 + largest, 2))


def random_stride(random):
    return random.choice(["", "", "", " stride 2", " stride {}x{}".format(*random.integers(1, 5, 2))])


def random_repeat(random, shape, depth):
    """A repeat, one to four times, of one to three layers that keep the shape of their input."""
    kinds = ["conv", "depthwise", "pointwise", "batchnorm", "prelu", "dropout", "residual"]
    layers = []
    for kind in random.choice(kinds, random.integers(1, 4)):
        if kind == "residual":
            layers.append(f"residual [{keeping(random, 'conv', shape)}] relu" if depth < 3 else "prelu")
        else:
            layers.append(keeping(random, kind, shape))
    return f"repeat {random.integers(1, 5)} [{', '.join(layers)}]"


def keeping(random, kind, shape):
    """A layer that keeps the shape of its input."""
    return plain_layer(random, str(kind), random_kernel(random, shape), "", " same", shape[0])


def random_residual(random, shape, depth):
    """A block of random layers, and a shortcut that ends in the block's shape."""
    block, after = random_layers(random, shape, random.integers(1, 4), depth)
    beside = [] if after == shape else [random_projection(random, shape, after)]
    if random.random() < 0.2:
        beside.append(keeping(random, random.choice(["batchnorm", "prelu", "conv", "dropout"]), after))
    act = random.choice(["", " relu", " leaky_relu(0.2)", " relu6"])
    return f"residual [{', '.join(block) or 'prelu'}{' | ' * bool(beside)}{', '.join(beside)}]{act}"


def random_projection(random, shape, after):
    """A layer from one shape to the other; one that does not fit if there is none."""
    channels, height, width = after
    if (height, width) == (1, 1):
        return str(random.choice([f"dense {channels}", f"globalavgpool, pointwise {channels}"]))
    strides = [-(-side // goal) for side, goal in zip(shape[1:], (height, width), strict=True)]
    kernel = [side - stride * (goal - 1) for side, goal, stride in zip(shape[1:], after[1:], strides, strict=True)]
    stride = "stride {}x{}".format(*strides)
    texts = [f"pointwise {channels} {stride}", f"conv {channels}x3x3 {stride} same"]
    if min(kernel) > 0:
        texts.append("conv {}x{}x{} {}".format(channels, *kernel, stride))
        texts.append("maxpool {}x{} {}, pointwise {}".format(*kernel, stride, channels))
    fitting = [text for text in texts if shape_after([text], shape) == after]
    return str(random.choice(fitting)) if fitting else texts[0]


def random_shape(random):
    """Maps of up to 16x16, rows of up to 130, and up to 16 channels."""
    channels = int(random.choice([1, 2, 3, random.integers(1, 17)]))
    if random.random() < 0.15:
        return channels, 1, int(random.integers(1, 131))
    return channels, int(random.integers(1, 17)), int(random.integers(1, 17))


def fuzz(seed, one_output=False):
    """Compare one random network on one random batch with torch."""
    random = np.random.default_rng([seed, 78 if one_output else 77])
    shape = random_shape(random)
    text, classes = random_text(random, shape, one_output)
    recipe = RECIPES[random.integers(len(RECIPES))]
    images, pixels = int(random.integers(1, 41)), random.choice(["bytes", "floats"])
    spec, data = parse_spec(text), random_examples(shape, classes, images, seed, pixels)
    weights = random_weights(spec, shape, seed)
    assert_is_torchs(spec, recipe, data, weights, threads=1 + seed % 3, note=f"seed {seed}:")


def test_random_networks_are_torchs(instruction_set):
    for seed in range(100):
        fuzz(seed)


def test_random_networks_of_one_output_are_torchs(instruction_set):
    for seed in range(40):
        fuzz(seed, one_output=True)


@pytest.mark.slow
def test_a_thousand_random_networks_of_one_output_are_torchs(monkeypatch):
    for seed in range(1000, 2000):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz(seed, one_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_ten_thousand_random_networks_are_torchs(block, monkeypatch):
    for seed in range(1000 * (block + 1), 1000 * (block + 2)):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz(seed)
