"""Which designs and edits an input gets, and what they make."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from searches import is_deep
from smidgen.search.designs import MAP_DESIGNS, SIGNAL_DESIGNS, VECTOR_DESIGNS, designs_for
from smidgen.search.edits import (
    BLOCK_EDITS,
    EDITS,
    LARGE_EDITS,
    NEWER_EDITS,
    SIGNAL_EDITS,
    edits_for,
    mix_channels,
    with_widths,
)
from smidgen.search.idle_layers import has_idle_layer
from smidgen.search.proposals import Space, deep_networks, first_generation, next_generation
from smidgen.search.ranking import CandidateScore
from smidgen.spec import Conv, CReLU, Dense, Depthwise, NetSpec, Pointwise, PReLU, Residual, Shape, parse_spec
from smidgen.transforms.shifts import idle_biases

LARGE, SIGNAL = (3, 96, 96), (3, 1, 128)


def test_each_kind_of_input_has_its_designs_and_edits() -> None:
    for shape in ((1, 28, 28), (3, 32, 32), (1, 4, 40)):
        assert (designs_for(shape), edits_for(shape)) == (MAP_DESIGNS, EDITS)
    for shape in ((20, 1, 1), (1, 3, 90)):
        assert (designs_for(shape), edits_for(shape)) == (VECTOR_DESIGNS, EDITS)
    assert (designs_for(SIGNAL), edits_for(SIGNAL)) == (SIGNAL_DESIGNS, SIGNAL_EDITS)
    assert edits_for(LARGE) == LARGE_EDITS


def space(shape: tuple[int, int, int]) -> Space:
    return Space(shape, 4, 20_000, 50_000_000)


def test_networks_for_large_maps_shrink_the_map_first() -> None:
    for spec in first_generation(space(LARGE), 40, 0):
        plans = spec.plan(LARGE)
        halved = [plan.layer for plan in plans if max(plan.output_shape[1:]) <= 48]
        first = plans[0]
        assert max(first.output_shape[1:]) <= 48 and halved
        assert spec.macs(LARGE) <= 50_000_000


def test_networks_for_signals_work_along_time() -> None:
    drawn = first_generation(space(SIGNAL), 60, 0)
    assert len(drawn) == 60
    kernels = [layer.kernel for spec in drawn for layer in spec.layers if isinstance(layer, Conv | Depthwise)]
    assert kernels and all(rows == 1 < columns for rows, columns in kernels)
    assert any(layer.stride != (1, 1) for spec in drawn for layer in spec.layers if isinstance(layer, Conv))


def test_networks_for_signals_mix_the_channels_and_average_the_time_first() -> None:
    drawn = first_generation(space(SIGNAL), 60, 0)
    texts = [str(spec) for spec in drawn]
    assert any(
        text.startswith(("pointwise 1 nobias, avgpool 1x2, conv", "pointwise 2 nobias, avgpool")) for text in texts
    )
    assert any(isinstance(layer, PReLU) for spec in drawn for layer in spec.layers)
    assert any(isinstance(layer, CReLU) for spec in drawn for layer in spec.layers)
    filters = (Conv, Depthwise, Dense)
    assert any(not any(isinstance(layer, filters) for layer in spec.layers[:-1]) for spec in drawn), "averages alone"


def test_an_edit_begins_with_a_mixture_of_the_channels() -> None:
    for text in (
        "conv 4x1x5 relu, globalavgpool, dense 4",
        "pointwise 9 nobias, conv 4x1x5 relu, globalavgpool, dense 4",
    ):
        layers = list(parse_spec(text).layers)
        mix_channels(Random(0), layers)
        first, *rest = layers
        assert isinstance(first, Pointwise) and first.channels <= 4 and not first.bias
        assert str(NetSpec(tuple(rest))) == "conv 4x1x5 relu, globalavgpool, dense 4"


@pytest.mark.parametrize("shape", [LARGE, SIGNAL])
def test_later_generations_use_the_new_layers(shape: tuple[int, int, int]) -> None:
    drawn = first_generation(space(shape), 30, 1)
    scores = [CandidateScore(spec, spec.parameters(shape), 0.1) for spec in drawn]
    children = next_generation(space(shape), scores, 150, 1)
    layers = [layer for spec in children for layer in spec.layers]
    assert any(isinstance(layer, Residual) for layer in layers)
    assert any(isinstance(layer, CReLU) for layer in layers)
    assert any(isinstance(layer, Depthwise) and layer.shared for layer in layers)
    assert any(isinstance(layer, Conv) and layer.stride != (1, 1) for layer in layers)
    assert all(space(shape).contains(spec) for spec in children)


def test_each_new_edit_makes_what_it_says() -> None:
    parent = parse_spec("conv 4x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 6 relu, dense 4")
    made = set()
    for seed in range(60):
        random = Random(seed)
        for edit in (*NEWER_EDITS, *BLOCK_EDITS):
            layers = list(parent.layers)
            edit(random, layers)
            made.add(str(NetSpec(tuple(layers))))
    assert "conv 4x3x3 stride 2 relu, depthwise 3x3 nobias, pointwise 6 relu, dense 4" in made
    assert "conv 4x3x3 relu, maxpool 2, residual [depthwise 3x3 same nobias, pointwise 4 relu], dense 4" in made
    assert "conv 2x3x3, crelu, maxpool 2, depthwise 3x3 nobias, pointwise 6 relu, dense 4" in made
    assert "conv 4x3x3 relu, maxpool 2, depthwise 3x3 shared 2 nobias, pointwise 6 relu, dense 4" in made
    pair = "depthwise 3x3 nobias, pointwise"
    assert f"conv 4x3x3 relu, maxpool 2, {pair} 3, {pair} 6 relu, dense 4" in made
    assert "conv 4x3x3 relu, maxpool 2, dense 4" in made
    assert f"conv 4x3x3 relu, maxpool 2, {pair} 6 relu, depthwise 1x3 nobias, depthwise 3x1 nobias, dense 4" in made
    assert f"conv 4x3x3 relu, maxpool 2, {pair} 6, prelu, dense 4" in made
    assert f"conv 4x3x3 nobias relu, maxpool 2, {pair} 6 relu, dense 4" in made
    assert "conv 4x3x3 relu, maxpool 2, repeat 3 [depthwise 3x3 same nobias, pointwise 4 relu], dense 4" in made


def test_edits_of_blocks_can_be_undone() -> None:
    for text, back in [
        ("conv 4x3x3, prelu, dense 4", "conv 4x3x3 relu, dense 4"),
        ("conv 4x3x3 nobias, dense 4", "conv 4x3x3, dense 4"),
        ("conv 4x3x3, repeat 2 [pointwise 4 relu], dense 4", "conv 4x3x3, pointwise 4 relu, dense 4"),
        ("conv 4x3x3, depthwise 1x3 nobias, depthwise 3x1 nobias, dense 4",
         "conv 4x3x3, depthwise 1x5 nobias, depthwise 5x1 nobias, dense 4"),
    ]:  # fmt: skip
        made = set()
        for seed in range(60):
            for edit in BLOCK_EDITS:
                layers = list(parse_spec(text).layers)
                edit(Random(seed), layers)
                made.add(str(NetSpec(tuple(layers))))
        assert back in made


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("conv 2x3x3 relu, prelu, dense 4", True),
        ("conv 2x3x3 relu, maxpool 2, prelu, dense 4", True),
        ("conv 2x3x3 relu, maxpool 2, crelu, dense 4", True),
        ("conv 2x3x3, crelu, crelu, dense 4", True),
        ("conv 2x3x3, globalavgpool, globalavgpool, dense 4", True),
        ("conv 2x3x3, globalavgpool, maxpool 1, dense 4", True),
        ("conv 2x3x3, depthwise 1x1 nobias, dense 4", True),
        ("conv 2x3x3, prelu, dense 4", False),
        ("conv 2x3x3 relu, depthwise 3x3 nobias, prelu, dense 4", False),
        ("conv 2x3x3, depthwise 1x1 nobias relu, maxpool 2, globalavgpool, dense 4", False),
        ("conv 2x3x3 relu, residual [pointwise 2], prelu, dense 4", False),
    ],
)
def test_a_network_with_a_layer_that_does_nothing_is_not_proposed(text: str, idle: bool) -> None:
    spec, shape = parse_spec(text), (1, 12, 12)
    assert has_idle_layer(spec, shape) == idle
    assert Space(shape, 4, 20_000, 50_000_000).contains(spec) != idle


@pytest.mark.parametrize(
    ("text", "shape", "idle"),
    [
        ("dense 1 nobias, dense 1", (30, 1, 1), True),
        ("dense 3, dense 1", (1, 6, 6), True),
        ("pointwise 2 nobias, dense 1", (30, 1, 1), True),
        ("dense 4 relu, dense 2, dense 1", (30, 1, 1), True),
        ("dense 1 nobias, dense 2", (30, 1, 1), False),
        ("dense 1 relu, dense 1", (30, 1, 1), False),
        ("dense 1 relu6, dense 1", (30, 1, 1), False),
        ("pointwise 1 nobias, dense 1", (3, 1, 24), False),
        ("conv 2x1x3, dense 1", (3, 1, 24), False),
        ("dense 1", (30, 1, 1), False),
    ],
)
def test_sums_that_one_output_can_add_itself_are_not_proposed(text: str, shape: Shape, idle: bool) -> None:
    spec = parse_spec(text)
    assert has_idle_layer(spec, shape) == idle
    assert Space(shape, 2, 20_000, 50_000_000).contains(spec) != idle


def test_no_proposed_network_has_biases_that_a_later_layer_can_have() -> None:
    space = Space((1, 28, 28), 10, 20_000, 3_000_000)
    drawn = first_generation(space, 40, 0)
    children = next_generation(space, [CandidateScore(s, s.parameters(space.input_shape), 0.1) for s in drawn], 60, 1)
    assert not any(idle_biases(spec, space.input_shape) for spec in (*drawn, *children))


def test_residuals_are_widened_with_the_layers_around_them() -> None:
    spec = parse_spec("pointwise 4, residual [conv 4x3x3 same, repeat 2 [pointwise 4] | pointwise 4], dense 3")
    assert str(with_widths(spec, 1.5)) == (
        "pointwise 6, residual [conv 6x3x3 same, repeat 2 [pointwise 6] | pointwise 6], dense 3"
    )


def test_the_networks_proposed_for_small_maps_change_only_on_purpose() -> None:
    shape = (1, 28, 28)
    small = Space(shape, 10, 20_000, 3_000_000)
    drawn = first_generation(small, 40, 0)
    children = next_generation(small, [CandidateScore(spec, spec.parameters(shape), 0.1) for spec in drawn], 60, 1)
    texts = "\n".join(map(str, (*drawn, *children)))
    assert (
        hashlib.sha256(texts.encode()).hexdigest() == "aa34a613895b0246d7d4ebe3fceda558922e5cc7bf0cb24e706621e2230229c2"
    )


# --- deep designs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (3, 32, 32), (1, 4, 40), (1, 8, 8), (1, 20, 20), (3, 96, 96), (1, 41, 60), (1, 4, 400)]
)
def test_deep_networks_have_pairs_behind_one_pool_and_few_inputs_of_the_head(shape: Shape) -> None:
    within = space(shape)
    drawn = deep_networks(within, 30, 0)
    assert len(drawn) == 30 and all(map(within.contains, drawn))
    assert drawn == deep_networks(within, 30, 0) != deep_networks(within, 30, 1)
    assert all(is_deep(spec, shape) for spec in drawn)


@pytest.mark.parametrize("shape", [SIGNAL, (20, 1, 1), (1, 3, 90)])
def test_there_are_no_deep_networks_for_signals_and_tables(shape: Shape) -> None:
    assert deep_networks(space(shape), 10, 0) == ()
