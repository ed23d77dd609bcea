"""Turned signs change no logit and make more weights positive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_models import a_model, logits
from smidgen.model import dequantize, encode
from smidgen.transforms import grid_steps, quantize_model, shortest, with_codebooks, with_positive_weights
from smidgen.transforms.signs import quantized_with_positive_weights

SHAPE = (2, 8, 8)
TURNED = (
    "conv 3x3x3, conv 2x2x2 relu, dense 3",
    "pointwise 3, avgpool 2, depthwise 3x3 same nobias, pointwise 4, prelu, dense 3",
    "conv 4x3x3 relu, maxpool 2, depthwise 1x3 nobias, depthwise 3x1, dense 3",
    "dense 6, dropout 0.5, dense 5 relu, dense 3",
    "conv 3x3x3, globalavgpool, dense 3",
)
KEPT = (
    "conv 3x3x3 relu, dense 3",
    "conv 3x3x3, maxpool 2, dense 3",
    "conv 3x3x3, prelu, dense 3",
    "conv 3x3x3, batchnorm, dense 3",
    "pointwise 4, depthwise 3x3 shared 2 relu, dense 3",
    "depthwise 3x3 shared 1, dense 3",
    "repeat 2 [pointwise 2], dense 3",
)


@pytest.mark.parametrize("text", TURNED)
@given(seed=st.integers(0, 5))
def test_turned_signs_change_no_logit(text: str, seed: int) -> None:
    model = a_model(text, seed, shape=SHAPE)
    turned = with_positive_weights(model)
    assert (turned.weights > 0).sum() >= (model.weights > 0).sum() + (turned.weights != model.weights).any()
    assert (np.abs(turned.weights) == np.abs(model.weights)).all()
    np.testing.assert_array_equal(logits(turned), logits(model))


@pytest.mark.parametrize("text", KEPT)
def test_signs_that_an_activation_needs_stay(text: str) -> None:
    model = a_model(text, shape=SHAPE)
    np.testing.assert_array_equal(with_positive_weights(model).weights, model.weights)


@pytest.mark.parametrize("text", TURNED)
def test_the_shortest_file_has_turned_signs(text: str) -> None:
    model = a_model(text, shape=SHAPE)
    quantized = quantize_model(model, grid_steps(model, 0.3))
    turned = quantized_with_positive_weights(quantized)
    np.testing.assert_array_equal(logits(dequantize(turned)), logits(dequantize(quantized)))
    assert shortest(quantized)[1] <= len(encode(turned))


def test_a_codebook_is_not_the_same_for_both_signs() -> None:
    quantized = with_codebooks(a_model(TURNED[0], shape=SHAPE), ["0.weight"])
    assert quantized_with_positive_weights(quantized) is quantized
