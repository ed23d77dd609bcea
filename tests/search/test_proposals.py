"""What is proposed: it fits, it is new, it is the same for the same seed; and what deserves a longer training."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import SpecError
from smidgen.search import proposals as search
from smidgen.search.proposals import (
    EDITS,
    FIRST_GUESS,
    GOOD_DESIGNS,
    CandidateScore,
    Space,
    expected_share,
    expected_size,
    first_generation,
    next_generation,
    promising,
)
from smidgen.spec import Dense, Layer, NetSpec, Shape, parse_spec
from smidgen.spec.families import cnn2

SHAPES: tuple[Shape, ...] = ((1, 28, 28), (1, 8, 8), (1, 6, 6), (3, 20, 24), (3, 32, 32), (1, 4, 4), (30, 1, 1))
VECTOR: Shape = (30, 1, 1)

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def space_of(shape: Shape, most_parameters: int = 20_000, least_parameters: int = 0) -> Space:
    return Space(shape, 10, most_parameters, 300_000, least_parameters)


def ranked(text: str, shape: Shape, error: float) -> CandidateScore:
    spec = parse_spec(text)
    return CandidateScore(spec, spec.parameters(shape), error)


def history_of(space: Space, count: int, seed: int) -> list[CandidateScore]:
    """A first generation with errors drawn at random."""
    random = Random(seed)
    specs = first_generation(space, count, seed)
    return [CandidateScore(spec, spec.parameters(space.input_shape), random.uniform(0.01, 0.9)) for spec in specs]


def tried(parameters: int, error: float, units: int = 0) -> CandidateScore:
    """A hand-made one: what is ranked are the counts, and the network only has to be another one each time."""
    return CandidateScore(NetSpec((Dense(units or parameters), Dense(10))), parameters, error)


# --- the first generation ---------------------------------------------------------------------


@every_shape
def test_the_first_generation_fits_is_distinct_and_is_the_same_for_the_same_seed(shape: Shape) -> None:
    space = space_of(shape)
    specs = first_generation(space, 24, seed=5)
    assert len({str(spec) for spec in specs}) == len(specs) == 24
    assert all(space.contains(spec) for spec in specs)
    assert first_generation(space, 24, seed=5) == specs
    assert first_generation(space, 24, seed=6) != specs


def test_vectors_get_perceptrons() -> None:
    for spec in first_generation(space_of(VECTOR), 24, seed=0):
        assert {type(layer) for layer in spec.layers} == {Dense}


def test_maps_get_convolutions_and_small_and_large_networks() -> None:
    space = space_of((1, 28, 28))
    specs = first_generation(space, 60, seed=0)
    assert all(type(spec.layers[-1]) is Dense and len(spec.layers) > 1 for spec in specs)
    sizes = sorted(spec.parameters(space.input_shape) for spec in specs)
    assert sizes[-1] > 5 * sizes[0]


def test_a_space_with_few_networks_gives_what_there_is() -> None:
    space = Space((2, 1, 1), 2, most_parameters=6, most_macs=100)
    specs = first_generation(space, 5, seed=0)
    assert [str(spec) for spec in specs] == ["dense 2"]
    assert all(
        space.contains(child) for child in next_generation(space, [CandidateScore(specs[0], 6, 0.1)], 50, seed=0)
    )


# --- later generations ------------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), shape=st.sampled_from(SHAPES))
def test_the_next_generation_fits_is_new_and_is_the_same_for_the_same_seed(seed: int, shape: Shape) -> None:
    space = space_of(shape)
    history = history_of(space, 12, seed)
    children = next_generation(space, history, 12, seed)
    texts = [str(child) for child in children]
    assert len(set(texts)) == len(texts) == 12
    assert not set(texts) & {str(known.spec) for known in history}
    assert all(space.contains(child) for child in children)
    assert next_generation(space, history, 12, seed) == children


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_children_are_of_the_sizes_that_are_asked_for(seed: int) -> None:
    shape = (1, 28, 28)
    history = history_of(space_of(shape), 40, seed)
    children = next_generation(space_of(shape, 900, 300), history, 10, seed)
    assert all(300 <= child.parameters(shape) <= 900 for child in children)
    assert children


def test_without_a_parent_near_those_sizes_there_are_no_children() -> None:
    space = space_of((1, 28, 28), 200, 100)
    assert next_generation(space, [], 5, seed=0) == ()
    assert next_generation(space, [ranked("dense 10", (1, 28, 28), 0.1)], 5, seed=0) == ()


def test_parents_waste_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one parent only, every child is an edit or a few away from the one that wastes least."""
    monkeypatch.setattr(search, "PARENTS", 1)
    good, bad = tried(1_000, 0.02, units=7), tried(900, 0.5, units=11)
    seen: list[NetSpec] = []

    def child(random: Random, parent: NetSpec) -> NetSpec:
        seen.append(parent)
        return parent

    monkeypatch.setattr(search, "_child", child)
    next_generation(space_of(VECTOR), [bad, good], 1, seed=0)
    assert set(seen) == {good.spec}


# --- edits ------------------------------------------------------------------------------------

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


# --- what a space holds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("maxpool 2, dense 10", True),  # 1,970 parameters, 1,960 multiply-accumulates
        ("dense 10", False),  # 7,850 parameters
        ("maxpool 3, dense 10", False),  # 820 parameters
        ("maxpool 2, dense 9", False),
        ("maxpool 2, dense 10 relu", False),
        ("maxpool 2, conv 4x3x3", False),
        ("conv 2x7x7 relu, maxpool 22, conv 2x3x3, dense 10", False),
        ("conv 6x3x3, maxpool 5, dense 10", False),  # 1,560 parameters, 38,004 multiply-accumulates
    ],
)
def test_a_space_holds_what_fits_and_is_within_its_limits(text: str, held: bool) -> None:
    space = Space((1, 28, 28), 10, most_parameters=2_000, most_macs=30_000, least_parameters=1_000)
    assert space.contains(parse_spec(text)) is held


# --- who deserves more ------------------------------------------------------------------------


def test_the_expected_share_is_the_median_of_those_that_had_both() -> None:
    history = [tried(10, 0.2), tried(20, 0.4), tried(30, 0.1), tried(40, 0.5), tried(50, 0.0)]
    longer = [tried(20, 0.3), tried(10, 0.05), tried(30, 0.05), tried(60, 0.4), tried(50, 0.0)]
    assert expected_share(history, longer) == pytest.approx(0.5)  # of 0.25, 0.5, 0.75


def test_without_a_longer_training_the_expected_share_is_a_guess() -> None:
    assert expected_share([tried(10, 0.2)], []) == expected_share([], []) == FIRST_GUESS
    assert 0 < FIRST_GUESS <= 1


def test_where_long_trainings_leave_no_error_something_is_still_expected() -> None:
    """A share of nothing would allow every error, and is divided by."""
    assert expected_share([tried(10, 0.2)], [tried(10, 0.0)]) > 0


def test_a_network_counts_for_its_size_and_for_more_where_it_errs_more_than_allowed() -> None:
    assert expected_size([tried(100, 0.03)], allowed=0.05) == 100
    assert expected_size([tried(100, 0.2)], allowed=0.05) == pytest.approx(400)
    assert expected_size([], allowed=0.05) is None


def test_the_expected_size_is_not_that_of_the_luckiest() -> None:
    history = [tried(size, 0.01) for size in (900, 100, 500, 300, 700)]
    assert expected_size(history, allowed=0.05) == sorted((900, 100, 500, 300, 700))[GOOD_DESIGNS - 1]
    assert expected_size(history[:1], allowed=0.05) == 900


def test_the_promising_come_by_size_and_a_larger_error_counts_as_a_larger_size() -> None:
    a, b, c, d = tried(500, 0.04), tried(300, 0.05), tried(200, 0.06), tried(100, 0.5)
    # c counts for 200 * (0.06 / 0.05)² = 288, and d for 10,000.
    assert promising([a, b, c, d], [], allowed=0.05, count=4) == (c.spec, b.spec, a.spec, d.spec)
    assert promising([d, c, b, a], [], allowed=0.05, count=2) == (c.spec, b.spec)
    assert promising([a, b, c, d], [c, a], allowed=0.05, count=4) == (b.spec, d.spec)
    assert promising([b, b], [], allowed=0.05, count=2) == (b.spec,)


@pytest.mark.parametrize("allowed", [0.0, 1e-300])
def test_where_no_error_is_allowed_those_without_one_come_first(allowed: float) -> None:
    small, large = tried(100, 0.01), tried(900, 0.0)
    assert promising([small, large], [], allowed, 2) == (large.spec, small.spec)
    assert expected_size([large], allowed) == 900


def test_widening_multiplies_every_width_but_the_heads() -> None:
    space = search.Space((1, 28, 28), 10, most_parameters=20_000, most_macs=1_000_000)
    spec = parse_spec("conv 3x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 5 relu, dense 7 relu, dense 10")
    wide = search.widened(space, spec, 1.4)
    assert str(wide) == "conv 5x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 7 relu, dense 10 relu, dense 10"


def test_widening_that_leaves_the_space_or_changes_nothing_gives_none() -> None:
    space = search.Space((1, 28, 28), 10, most_parameters=8_000, most_macs=1_000_000)
    assert search.widened(space, parse_spec("conv 4x3x3 relu, dense 10"), 2.0) is None
    assert search.widened(space, parse_spec("maxpool 2, dense 10"), 2.0) is None
