"""Memory of the exports: what is alive at the same time lies apart, and nothing is larger than it must be."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given

from quantized_networks import networks
from smidgen.exporters.arena import IN_PLACE, arena_of
from smidgen.spec import NetSpec, Shape, parse_spec
from smidgen.spec.liveness import lifetimes, most_alive


@given(networks())
def test_values_that_are_alive_together_lie_apart(network: tuple[NetSpec, Shape]) -> None:
    spec, shape = network
    plans = spec.plan(shape)
    arena = arena_of(plans, shape)
    values = lifetimes(plans, shape)
    assert max(arena.offsets[value.layer] + value.values for value in values) <= arena.size
    for a, b in combinations(values, 2):
        together = a.first <= b.last and b.first <= a.last
        reads = [plan for place, plan in enumerate(plans) if place == b.first and b.layer >= 0 and a.last == place]
        in_place = any(isinstance(plan.layer, IN_PLACE) and plan.inputs[0] == a.layer for plan in reads)
        begin, end = arena.offsets[a.layer], arena.offsets[a.layer] + a.values
        if together and not (in_place and arena.offsets[b.layer] == begin):
            assert arena.offsets[b.layer] >= end or arena.offsets[b.layer] + b.values <= begin


def test_a_chain_takes_no_more_than_a_layer_with_its_input_and_output() -> None:
    for text in ("conv 4x3x3 relu, maxpool 2, conv 8x3x3 relu, dense 10", "dense 20 relu, dense 30 relu, dense 3"):
        plans = parse_spec(text).plan((1, 12, 12))
        assert arena_of(plans, (1, 12, 12)).size <= most_alive(plans, (1, 12, 12))


def test_a_layer_in_place_takes_no_memory_of_its_own() -> None:
    plans = parse_spec("maxpool 2, batchnorm relu, prelu, residual [prelu], globalavgpool").plan((2, 8, 8))
    arena = arena_of(plans, (2, 8, 8))
    assert arena.size <= 2 * 8 * 8 + 2 * 4 * 4, "the input, over which nearly all is written, and the block's output"
    assert [arena.offsets[layer] for layer in (-1, 0, 1, 2)] == [0, 0, 0, 0]
