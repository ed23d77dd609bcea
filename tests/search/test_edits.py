"""Edits keep a network a network, and its head a head."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import SpecError
from smidgen.search.edits import EDITS
from smidgen.search.proposals import Space
from smidgen.spec import Dense, Layer, NetSpec, Shape, parse_spec
from smidgen.spec.families import cnn2

SHAPES: tuple[Shape, ...] = ((1, 28, 28), (1, 8, 8), (1, 6, 6), (3, 20, 24), (3, 32, 32), (1, 4, 4), (30, 1, 1))
RICH = "conv 4x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 6 relu, dense 8 relu, dense 10"


@settings(max_examples=150)
@given(seed=st.integers(0, 2**31), shape=st.sampled_from(SHAPES), start=st.sampled_from((RICH, str(cnn2(2, 10)))))
def test_edits_never_make_a_tree_that_is_no_network_text(seed: int, shape: Shape, start: str) -> None:
    random, layers = Random(seed), list(parse_spec(start).layers)
    for _ in range(20):
        random.choice(EDITS)(random, layers)
        spec = NetSpec(tuple(layers))
        assert parse_spec(str(spec)) == spec
        assert layers[-1] == Dense(10)
        try:
            fits = spec.output_shape(shape) == (10, 1, 1)
        except SpecError:
            fits = False
        assert Space(shape, 10, 10**9, 10**12).contains(spec) <= fits


@pytest.mark.parametrize("edit", dict.fromkeys(EDITS), ids=lambda edit: edit.__name__)
def test_every_edit_changes_something(edit: object) -> None:
    assert callable(edit)
    results = set()
    for seed in range(20):
        layers: list[Layer] = list(parse_spec(RICH).layers)
        edit(Random(seed), layers)
        results.add(str(NetSpec(tuple(layers))))
    assert results - {RICH}


@pytest.mark.parametrize("edit", dict.fromkeys(EDITS), ids=lambda edit: edit.__name__)
def test_every_edit_leaves_a_bare_head_a_head(edit: object) -> None:
    assert callable(edit)
    for seed in range(20):
        layers: list[Layer] = [Dense(10)]
        edit(Random(seed), layers)
        assert layers[-1] == Dense(10)
