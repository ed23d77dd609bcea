"""Biases that a later layer can have in their place go there, and the network computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_models import a_model, logits
from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.transforms import spec_without_idle_biases, without_biases, without_idle_biases

SHAPE = (2, 8, 8)
IDLE = {
    "conv 3x3x3, conv 2x2x2 relu, dense 3": "conv 3x3x3 nobias, conv 2x2x2 relu, dense 3",
    "pointwise 3, avgpool 2, depthwise 3x3 nobias, pointwise 4 relu, dense 3":
        "pointwise 3 nobias, avgpool 2, depthwise 3x3 nobias, pointwise 4 relu, dense 3",
    "conv 3x3x3 relu, maxpool 2, depthwise 2x2, maxpool 2, dense 3":
        "conv 3x3x3 relu, maxpool 2, depthwise 2x2 nobias, maxpool 2, dense 3",
    "pointwise 3, depthwise 3x3, globalavgpool, dense 3":
        "pointwise 3 nobias, depthwise 3x3 nobias, globalavgpool, dense 3",
    "dense 4, dropout 0.5, dense 5, prelu, dense 3": "dense 4 nobias, dropout 0.5, dense 5, prelu, dense 3",
}  # fmt: skip
NEEDED = (
    "conv 3x3x3 relu, dense 3",
    "conv 3x3x3, prelu, dense 3",
    "conv 3x3x3, crelu, dense 3",
    "pointwise 3, conv 2x3x3 same relu, dense 3",
    "pointwise 3, dense 3 nobias",
    "pointwise 3, depthwise 3x3 nobias relu, dense 3",
    "pointwise 4, depthwise 3x3 shared 2 nobias, dense 3",
    "residual [pointwise 2], dense 3",
    "repeat 2 [pointwise 2], dense 3",
)


@pytest.mark.parametrize("text", IDLE)
@given(seed=st.integers(0, 5))
def test_the_next_biases_take_up_idle_ones(text: str, seed: int) -> None:
    model = a_model(text, seed, shape=SHAPE)
    without = without_idle_biases(model)
    assert str(without.spec) == IDLE[text] == str(spec_without_idle_biases(model.spec, SHAPE))
    np.testing.assert_allclose(logits(without), logits(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", NEEDED)
def test_other_biases_stay(text: str) -> None:
    model = a_model(text, shape=SHAPE)
    assert without_idle_biases(model) is model
    assert spec_without_idle_biases(model.spec, SHAPE) == model.spec


def test_behind_a_layer_that_pads_most_of_a_bias_is_taken_up() -> None:
    model = a_model("pointwise 3, depthwise 3x3 same nobias, pointwise 4 relu, globalavgpool, dense 3", shape=SHAPE)
    arrays = {name: array for name, array in named_arrays(model.spec, SHAPE, model.weights).items() if name != "0.bias"}
    taken_up = without_biases(model, 0)
    dropped = Model(taken_up.spec, SHAPE, model.class_names, flatten_arrays(taken_up.spec, SHAPE, arrays))
    errors = [np.abs(logits(each) - logits(model)).max() for each in (taken_up, dropped)]
    assert 0 < errors[0] < errors[1] / 2


def test_biases_before_an_activation_are_dropped() -> None:
    model = a_model("pointwise 3 relu, dense 3", shape=SHAPE)
    without = without_biases(model, 0)
    assert str(without.spec) == "pointwise 3 nobias relu, dense 3"
    assert len(without.weights) == len(model.weights) - 3
