"""Random networks on random batches against torch in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracle import RECIPES, SETS, assert_is_torchs, random_examples, random_weights

from smidgen.errors import SpecError
from smidgen.spec import parse_spec


def random_text(random, shape):
    """A random spec of up to six layers that fit, and its number of outputs."""
    pieces, map_shape = [], shape
    for _ in range(random.integers(0, 7)):
        piece = random_layer(random, map_shape)
        try:
            map_shape = parse_spec(piece).output_shape(map_shape)
        except SpecError:
            continue
        pieces.append(piece)
    classes = random.integers(2, 13)
    _, height, width = map_shape
    heads = [f"dense {classes}", f"pointwise {classes}, globalavgpool", f"dense {classes}, batchnorm"]
    if max(height, width) <= 7:
        heads.append(f"conv {classes}x{height}x{width}")
    return ", ".join([*pieces, random.choice(heads, p=weights_of(heads))]), classes


def weights_of(heads):
    """Probabilities of the heads: a batch norm after the logits is valid and rare."""
    weights = np.array([0.1 if "batchnorm" in head else 1 for head in heads])
    return weights / weights.sum()


def random_layer(random, shape):
    channels, units = random.integers(1, 20), random.integers(1, 160)
    kernel, same, nobias, act = random_settings(random)
    size = random.integers(1, 4)
    layers = {
        f"conv {channels}x{kernel}{same}{nobias}{act}": 0.24,
        f"depthwise {kernel}{same}{nobias}{act}": 0.1,
        f"pointwise {channels}{nobias}{act}": 0.08,
        f"maxpool {size}": 0.11,
        f"avgpool {size}": 0.07,
        f"dense {units}{nobias}{act}": 0.08,
        f"batchnorm{act}": 0.12,
        "prelu": 0.06,
        random_repeat(random, shape): 0.09,
        "dropout 0": 0.03,
        "globalavgpool": 0.02,
    }
    return str(random.choice(list(layers), p=list(layers.values())))


def random_repeat(random, shape):
    """A repeat, one to four times, of one to three layers that keep the shape of their input."""
    layers = [random_repeated(random, shape) for _ in range(random.integers(1, 4))]
    return f"repeat {random.integers(1, 5)} [{', '.join(layers)}]"


def random_repeated(random, shape):
    kernel, same, nobias, act = random_settings(random)
    layers = {
        f"conv {shape[0]}x{kernel} same{nobias}{act}": 0.25,
        f"depthwise {kernel}{same}{nobias}{act}": 0.2,
        f"pointwise {shape[0]}{nobias}{act}": 0.15,
        f"dense {min(math.prod(shape), 60)}{nobias}{act}": 0.05,
        f"batchnorm{act}": 0.15,
        "prelu": 0.1,
        "maxpool 2": 0.05,
        "dropout 0": 0.05,
    }
    return str(random.choice(list(layers), p=list(layers.values())))


def random_settings(random):
    """Kernel, padding, bias and activation, as a spec writes them."""
    kernel = "{}x{}".format(*random.integers(1, 8, 2))
    same, nobias = random.choice(["", " same"]), random.choice(["", "", " nobias"])
    return kernel, same, nobias, random.choice(["", " relu", " leaky_relu(0.2)"])


def fuzz(seed):
    """Compare one random network on one random batch with torch."""
    random = np.random.default_rng([seed, 77])
    shape = (int(random.integers(1, 4)), int(random.integers(1, 17)), int(random.integers(1, 17)))
    text, classes = random_text(random, shape)
    recipe = RECIPES[random.integers(len(RECIPES))]
    images, pixels = int(random.integers(1, 41)), random.choice(["bytes", "floats"])
    spec, data = parse_spec(text), random_examples(shape, classes, images, seed, pixels)
    weights = random_weights(spec, shape, seed)
    assert_is_torchs(spec, recipe, data, weights, threads=1 + seed % 3, note=f"seed {seed}:")


def test_random_networks_are_torchs(instruction_set):
    for seed in range(300):
        fuzz(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_ten_thousand_random_networks_are_torchs(block, monkeypatch):
    for seed in range(1000 * (block + 1), 1000 * (block + 2)):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        fuzz(seed)
