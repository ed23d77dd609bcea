"""Strides, long kernels, overlapping pools, ceilings and shared kernels against torch, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import FUSED, assert_random_is_torchs, random_examples, random_weights

from smidgen.engine import native
from smidgen.records import Recipe
from smidgen.spec import parse_spec

NETWORKS = {
    # One dimension: along a row, and along a column of width 1.
    "conv 8x1x63 same relu, conv 3x1x9 stride 1x2 same relu6, maxpool 1x4, dense 3": (2, 1, 70),
    "conv 4x63x1 stride 3x1 relu, depthwise 9x1 stride 2x1 same, avgpool 3x1 stride 2x1, dense 3": (2, 90, 1),
    "conv 3x11x11 stride 2 same relu, depthwise 11x10 same, conv 2x7x11, globalavgpool, dense 2": (2, 27, 30),
    # Depthwise kernels in registers, larger ones, phases without a weight, rows that no output reaches.
    "pointwise 5, depthwise 3x3 stride 2, depthwise 2x3 stride 2x1 same relu6, depthwise 1x2 stride 3, dense 3": (
        2,
        31,
        29,
    ),
    "pointwise 7, depthwise 3x2 shared 3 stride 1x2 same relu, depthwise 5x5 stride 4 same, dense 3": (1, 22, 23),
    "pointwise 4, depthwise 4x4 stride 2 same leaky_relu(0.2), depthwise 6x5 shared 2 stride 2 same, dense 3": (
        1,
        20,
        21,
    ),
    # More than the caches hold: bands of rows, regions of columns, sums that are kept from band to band.
    "conv 9x3x3 stride 2 same relu, conv 9x3x3 stride 2 same, globalavgpool, dense 2": (4, 131, 97),
    "pointwise 17 relu, pointwise 12 relu, pointwise 9 stride 2x3, globalavgpool, dense 2": (9, 65, 67),
    "pointwise 70 relu, pointwise 66 stride 2 relu, depthwise 3x3 same, pointwise 5, dense 3": (3, 9, 11),
    # Pools.
    "conv 3x3x3 same relu, maxpool 3 stride 2, avgpool 2x3 stride 1x2, maxpool 1x2 stride 3, dense 2": (1, 24, 30),
    "conv 3x3x3 same relu6, avgpool 3x2 stride 1, maxpool 2 stride 1, maxpool 25x5 stride 1, dense 2": (1, 29, 9),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    assert_random_is_torchs(text, NETWORKS[text], images=17, pixels=pixels)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("same", ["same", ""])
def test_every_small_kernel_is_torchs(stride, same, instruction_set):
    for kernel in ("1x1", "1x3", "3x1", "2x2", "3x3", "4x3", "5x5"):
        settings = " ".join(word for word in (f"stride {stride}", same) if word)
        text = f"conv 3x{kernel} {settings} relu, pointwise 5, depthwise {kernel} {settings}, dense 2"
        assert_random_is_torchs(text, (2, 17, 19), images=3)


@pytest.mark.parametrize("text", NETWORKS)
def test_bits_are_the_same_on_every_fused_set_and_any_number_of_threads(text, monkeypatch):
    spec, shape = parse_spec(text), NETWORKS[text]
    data = random_examples(shape, spec.output_shape(shape)[0], 37, 2)
    weights, found = random_weights(spec, shape, 2), []
    for name in FUSED:
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        for threads in (1, 3):
            loss, gradient = native.gradient(spec, Recipe(), data, weights, threads)
            found.append((loss, gradient.tobytes(), native.predict(spec, weights, data.images, threads).tobytes()))
    assert len(found) > 1
    assert np.isfinite(found[0][0])
    assert all(each == found[0] for each in found)
