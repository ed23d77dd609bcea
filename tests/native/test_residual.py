"""Residuals, adds and other layers of the second language: gradients against torch, bits, memory."""

from __future__ import annotations

import pytest
from oracle import assert_every_recipe_is_torchs

RESIDUALS = {
    "conv 4x3x3 same relu, residual [conv 4x3x3 same relu, conv 4x3x3 same] relu, dense 3": (2, 7, 6),
    "residual [conv 2x3x3 same relu], dense 3": (2, 7, 6),
    "conv 3x3x3 relu, residual [conv 5x3x3 stride 2 same relu, conv 5x3x3 same | pointwise 5 stride 2] relu, dense 3": (
        2,
        9,
        8,
    ),
    "conv 3x3x3 relu, residual [maxpool 2, pointwise 4 | avgpool 2, pointwise 4 nobias] leaky_relu(0.1), dense 3": (
        2,
        9,
        8,
    ),
    "conv 4x3x3 same nobias, batchnorm relu, residual [conv 4x3x3 same nobias, batchnorm relu, conv 4x3x3 same nobias, "
    "batchnorm] relu, residual [conv 4x3x3 stride 2 same nobias, batchnorm | conv 4x1x1 stride 2, batchnorm] relu, "
    "globalavgpool, dense 3": (3, 8, 9),
    # A block of one layer that changes its map in place, or that hands its input on.
    "pointwise 3 leaky_relu(0.2), residual [prelu], residual [batchnorm relu], residual [dropout 0], dense 3": (
        2,
        5,
        4,
    ),
    "pointwise 3 relu, residual [avgpool 1], residual [maxpool 1] relu, residual [avgpool 1 | dropout 0], dense 3": (
        2,
        5,
        4,
    ),
    "pointwise 4 relu6, residual [dropout 0, conv 4x3x3 same, dropout 0] relu6, dropout 0, dense 4": (2, 5, 4),
    # The sum is read by several layers, the block ends in a sum, brackets within brackets.
    "pointwise 3 relu, residual [residual [conv 3x3x3 same relu, depthwise 3x3 same] relu, pointwise 3], dense 3": (
        2,
        6,
        5,
    ),
    "pointwise 3, residual [pointwise 3 relu, residual [conv 3x3x3 same] | residual [depthwise 3x3 same relu]] relu, "
    "dense 3": (2, 6, 5),
    "pointwise 3 relu, repeat 3 [residual [conv 3x3x3 same relu, depthwise 3x3 same] leaky_relu(0.1)], dense 3": (
        2,
        6,
        5,
    ),
    "pointwise 3, residual [repeat 2 [residual [depthwise 3x3 same relu], prelu]] relu6, dense 3": (2, 6, 5),
    # Dense layers, of one chunk and of a whole batch, and vectors.
    "dense 12 relu, residual [dense 12 relu, dense 12] relu, dense 3": (1, 5, 5),
    "dense 150 relu, residual [dense 150 relu, dense 150 | batchnorm] relu, residual [dense 150], dense 3": (1, 10, 10),
    "dense 9 relu, residual [dense 75, prelu, dense 9 | batchnorm, dropout 0] relu6, dense 3": (3, 1, 25),
    # Winograd's algorithm within residuals.
    "conv 16x3x3 same relu, residual [conv 16x3x3 same relu, conv 16x3x3 same] relu, residual [conv 18x3x3 same relu, "
    "conv 16x3x3 same] relu, globalavgpool, dense 3": (2, 7, 6),
    "crelu, conv 3x3x3 relu, crelu, residual [crelu, pointwise 6 relu] relu6, dense 3": (2, 6, 5),
    "conv 3x3x3 leaky_relu(0.1), residual [pointwise 5 relu | crelu, pointwise 5], dense 3": (2, 6, 5),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", RESIDUALS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    assert_every_recipe_is_torchs(text, RESIDUALS[text], 37, pixels)
