"""Places the input and the outputs of all layers in one block of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smidgen.spec import Add, BatchNorm, Dropout, LayerPlan, PReLU, Shape
from smidgen.spec.layers import AvgPool, GlobalAvgPool, MaxPool
from smidgen.spec.liveness import Lifetime, lifetimes

IN_PLACE = (Add, AvgPool, BatchNorm, Dropout, GlobalAvgPool, MaxPool, PReLU)
"""Layers that may write over their first input: no value is written behind what the next one is made from."""


@dataclass(frozen=True)
class Arena:
    """Where the values of a network lie.

    Attributes:
        offsets: The first place of each layer's output by its index in the plan; -1 is the input.
        size: How many values the block holds.
    """

    offsets: Mapping[int, int]
    size: int


def arena_of(plans: Sequence[LayerPlan], input_shape: Shape) -> Arena:
    """Place every value where no other lies that is alive at the same time, the largest first (first fit).

    A layer of `IN_PLACE` writes over its first input if nothing reads that later.
    """
    owners = _owners(plans, input_shape)
    spans: dict[int, Lifetime] = {}
    for each in lifetimes(plans, input_shape):
        spans[owners[each.layer]] = _joined(spans.get(owners[each.layer]), each)
    placed: dict[int, int] = {}
    for owner, span in sorted(spans.items(), key=lambda pair: (-pair[1].values, pair[0])):
        placed[owner] = _first_fit(span, [(placed[other], spans[other]) for other in placed])
    size = max(placed[owner] + span.values for owner, span in spans.items())
    return Arena({layer: placed[owner] for layer, owner in owners.items()}, size)


def _owners(plans: Sequence[LayerPlan], input_shape: Shape) -> dict[int, int]:
    """Return for each value the first of those that share its place, by layers that work in place."""
    last = {each.layer: each.last for each in lifetimes(plans, input_shape)}
    owners = {-1: -1}
    for index, plan in enumerate(plans):
        first, *others = plan.inputs
        alone = last[first] == index and first not in others
        owners[index] = owners[first] if alone and isinstance(plan.layer, IN_PLACE) else index
    return owners


def _joined(span: Lifetime | None, other: Lifetime) -> Lifetime:
    if span is None:
        return other
    last, values = max(span.last, other.last), max(span.values, other.values)
    return Lifetime(span.layer, min(span.first, other.first), last, values)


def _first_fit(span: Lifetime, placed: list[tuple[int, Lifetime]]) -> int:
    """Return the first place where the span meets none of those that are alive with it."""
    place = 0
    for offset, other in sorted(placed, key=lambda pair: pair[0]):
        together = other.first <= span.last and span.first <= other.last
        if together and offset < place + span.values and place < offset + other.values:
            place = offset + other.values
    return place
