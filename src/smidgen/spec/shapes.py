"""The record of one planned layer, its shapes and costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smidgen.spec.layers import PlannedLayer

Shape = tuple[int, int, int]
"""(channels, height, width); (n, 1, 1) for a vector of n values."""


@dataclass(frozen=True)
class LayerPlan:
    """A layer of a network for a given input shape.

    Attributes:
        layer: The layer.
        input_shape: The shape of its input; both inputs of an add have it.
        output_shape: The shape of its output.
        weight_shape: The shape of its weights; () without weights.
        bias_count: How many biases it has (for a batch norm, how many shifts).
        macs: Multiply-accumulates of one forward pass of one image.
        running_stats: How many running means and variances a batch norm stores; they are not trained.
        source: The index of the layer whose weights this one uses, in a later round of a repeat; None if it has
            weights of its own. `weight_shape` is then that of the shared weights, and `parameters` is 0.
        inputs: The indices of the layers whose outputs it reads; -1 is the network's input. An add reads the block's
            and then the shortcut's, every other layer one.
    """

    layer: PlannedLayer
    input_shape: Shape
    output_shape: Shape
    weight_shape: tuple[int, ...]
    bias_count: int
    macs: int
    running_stats: int = 0
    source: int | None = None
    inputs: tuple[int, ...] = (-1,)

    @property
    def weight_count(self) -> int:
        """How many weights it computes with, shared ones included, biases excluded."""
        return product(self.weight_shape) if self.weight_shape else 0

    @property
    def parameters(self) -> int:
        """How many trained numbers of its own it has."""
        return self.weight_count + self.bias_count if self.source is None else 0

    @property
    def fan(self) -> tuple[int, int]:
        """(fan in, fan out) as Glorot & Bengio (2010) and Keras count them; (0, 0) without a weight matrix."""
        if len(self.weight_shape) < 2:
            return (0, 0)
        field = product(self.weight_shape[2:])
        return self.weight_shape[1] * field, self.weight_shape[0] * field


def product(numbers: tuple[int, ...]) -> int:
    """Return the product of the numbers; 1 without any."""
    return math.prod(numbers)


def shape_text(shape: Shape) -> str:
    """Return a shape in words: "10 values", "a map of 8x12x12"."""
    if shape == (1, 1, 1):
        return "1 value"
    return f"{shape[0]} values" if shape[1:] == (1, 1) else "a map of " + sizes_text(shape)


def sizes_text(shape: tuple[int, ...]) -> str:
    """Return sizes joined by x."""
    return "x".join(map(str, shape))
