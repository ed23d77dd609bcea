"""Which outputs of a plan must be kept at which step, and the memory that this takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from smidgen.spec.shapes import LayerPlan, Shape, product


@dataclass(frozen=True)
class Lifetime:
    """How long the output of one layer must be kept.

    Attributes:
        layer: The index of the layer in the plan; -1 for the network's input.
        first: The step at which it is made; 0 for the input. Step i computes layer i.
        last: The last step that reads it; the last step of all for the network's output.
        values: How many values it has.
    """

    layer: int
    first: int
    last: int
    values: int


def lifetimes(plans: Sequence[LayerPlan], input_shape: Shape) -> tuple[Lifetime, ...]:
    """Return the lifetimes of the input and of every layer's output, in the order of the plan.

    While a layer is computed, its inputs and its output are alive together, and so is everything that a later layer
    reads. No layer is computed in place.
    """
    last = {-1: 0} | {index: index for index in range(len(plans))}
    for index, plan in enumerate(plans):
        last |= dict.fromkeys(plan.inputs, index)
    last[len(plans) - 1] = len(plans) - 1
    sizes = [product(input_shape), *(product(plan.output_shape) for plan in plans)]
    return tuple(Lifetime(layer, max(layer, 0), last[layer], values) for layer, values in zip(last, sizes, strict=True))


def alive(plans: Sequence[LayerPlan], input_shape: Shape) -> tuple[int, ...]:
    """Return how many values are alive at each step of a plan."""
    change = [0] * (len(plans) + 1)
    for lifetime in lifetimes(plans, input_shape):
        change[lifetime.first] += lifetime.values
        change[lifetime.last + 1] -= lifetime.values
    return tuple(accumulate(change[:-1]))


def most_alive(plans: Sequence[LayerPlan], input_shape: Shape) -> int:
    """Return the most values alive at once; for a chain, the largest sum of a layer's input and output."""
    return max(alive(plans, input_shape))
