"""What is proposed fits, is new, and is the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searches import a_search, is_deep
from smidgen.data import Dataset, from_arrays
from smidgen.search.effort import EFFORTS, Effort
from smidgen.search.goal import Goal, Target
from smidgen.search.parameter_search import first_networks, propose
from smidgen.search.proposals import Space, first_generation, next_generation, widened
from smidgen.search.pruning import wide_designs
from smidgen.search.ranking import CandidateScore, nearest
from smidgen.spec import Dense, NetSpec, Shape, parse_spec
from smidgen.trials.store import Store

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


def run(parameters: int, error: float, units: int = 0) -> CandidateScore:
    """A score made by hand: the counts are ranked, and the network only has to be another one each time."""
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


@pytest.mark.parametrize(("shape", "limit"), [((1, 8, 8), 40), ((1, 28, 28), 60), ((3, 1, 128), 45)])
def test_a_tight_limit_gets_narrowed_networks(shape: Shape, limit: int) -> None:
    """Hardly any network that is drawn is so small; and a limit that none can keep is given up soon."""
    specs = first_generation(space_of(shape, most_parameters=limit), 24, seed=0)
    assert len(specs) >= 12
    assert max(spec.parameters(shape) for spec in specs) <= limit
    assert first_generation(space_of(shape, most_parameters=3), 24, seed=0) == ()


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
    space = Space((2, 1, 1), 2, most_parameters=3, most_macs=100)
    specs = first_generation(space, 5, seed=0)
    assert [str(spec) for spec in specs] == ["dense 1"]
    assert all(
        space.contains(child) for child in next_generation(space, [CandidateScore(specs[0], 3, 0.1)], 50, seed=0)
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


def test_parents_have_the_least_error_times_size() -> None:
    """With one parent, the children are those of the network with the least."""
    space, good, bad = space_of(VECTOR), run(1_000, 0.02, units=7), run(900, 0.5, units=11)
    assert next_generation(space, [bad, good], 5, seed=0, parents=1) == next_generation(space, [good], 5, seed=0)


@every_shape
def test_two_classes_get_one_output(shape: Shape) -> None:
    """So do the children and the wider networks of a parent with one; a parent with two outputs keeps them."""
    space = Space(shape, 2, 20_000, 300_000)
    specs = first_networks(space, EFFORTS["quick"], seed=3)
    assert len(specs) >= 24
    assert {spec.output_shape(shape) for spec in specs} == {(1, 1, 1)}
    history = [CandidateScore(spec, spec.parameters(shape), 0.1) for spec in specs]
    children = next_generation(space, history, 12, seed=0)
    wider = [made for spec in specs if (made := widened(space, spec, 1.5))]
    assert children and wider
    assert {spec.output_shape(shape) for spec in (*children, *wider)} == {(1, 1, 1)}
    old = parse_spec("dense 3 relu, dense 2")
    assert space.contains(old)
    assert {
        child.output_shape(shape) for child in next_generation(space, [CandidateScore(old, 9, 0.1)], 5, seed=0)
    } == {(2, 1, 1)}


# --- what a space contains -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside"),
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
def test_a_space_contains_what_fits_and_is_within_its_limits(text: str, inside: bool) -> None:
    space = Space((1, 28, 28), 10, most_parameters=2_000, most_macs=30_000, least_parameters=1_000)
    assert space.contains(parse_spec(text)) is inside


# --- widening ---------------------------------------------------------------------------------


def test_widening_multiplies_every_width_but_the_heads() -> None:
    space = Space((1, 28, 28), 10, most_parameters=20_000, most_macs=1_000_000)
    spec = parse_spec("conv 3x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 5 relu, dense 7 relu, dense 10")
    wide = widened(space, spec, 1.4)
    assert str(wide) == "conv 5x3x3 relu, maxpool 2, depthwise 3x3 nobias, pointwise 7 relu, dense 10 relu, dense 10"


def test_widening_that_leaves_the_space_or_changes_nothing_gives_none() -> None:
    space = Space((1, 28, 28), 10, most_parameters=8_000, most_macs=1_000_000)
    assert widened(space, parse_spec("conv 4x3x3 relu, dense 10"), 2.0) is None
    assert widened(space, parse_spec("maxpool 2, dense 10"), 2.0) is None


# --- deep designs -----------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(2, 3), (14, 16)])
def test_half_of_a_later_generation_for_pictures_is_deep(
    widths: tuple[int, ...], digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    goal = Goal(Target(0.9, rule="rate"))
    with Store(own_store) as store:
        search = a_search(digits, store, small_effort, goal)
        plain = [parse_spec(f"conv {width}x3x3 relu, maxpool 2, dense 10") for width in widths]
        search.history.runs["short"] += [
            CandidateScore(spec, spec.parameters(digits.input_shape), search.judge.requirement.allowed_error)
            for spec in plain
        ]
        proposed = propose(search, 1)
    half = small_effort.children // 2
    assert len(proposed) == small_effort.children
    assert all(is_deep(spec, digits.input_shape) for spec in proposed[:half])
    assert not any(is_deep(spec, digits.input_shape) for spec in proposed[half:])


def test_a_network_that_is_known_is_not_drawn_again() -> None:
    space = Space((3, 1, 128), 3, 60, 50_000)
    drawn = first_generation(space, 20, seed=1)
    scores = [CandidateScore(spec, spec.parameters(space.input_shape), 0.1) for spec in drawn]
    others = first_generation(space, 20, seed=1, history=scores)
    assert len(others) == 20
    assert not set(drawn) & set(others)


def test_where_no_image_may_be_wrong_sizes_are_still_proposed(own_store: Path, small_effort: Effort) -> None:
    """Networks that err on 2 of 30 images are not expected to need millions of parameters to err on none."""
    y = np.arange(150) % 2
    data = from_arrays(np.random.default_rng(0).normal(size=(150, 6)) + y[:, None], y, "few rows")
    with Store(own_store) as store:
        search = a_search(data, store, small_effort, Goal(Target(0.97, rule="rate")))
        assert search.judge.requirement.allowed_error == pytest.approx(0)
        first = propose(search, 0)
        scores = [CandidateScore(spec, spec.parameters(data.input_shape), 1 / 15) for spec in first]
        search.history.runs["short"] += scores
        assert len(propose(search, 1)) == small_effort.children
        assert max(spec.parameters(data.input_shape) for spec in wide_designs(search)) < 20_000


def test_more_seeds_go_to_networks_that_may_become_the_answer() -> None:
    def run(width: int, error: float) -> CandidateScore:
        return CandidateScore(parse_spec(f"dense {width} relu, dense 2"), 10 * width, error)

    runs = [run(3, 0.15), run(5, 0.11), run(7, 0.105), run(9, 0.1)]
    assert nearest(runs, 0.1, 2) == (runs[1].spec, runs[2].spec)
    assert nearest(runs, 0.1, 2, most=60) == (runs[1].spec, runs[0].spec)
