"""The front and s(f) against their definitions; the knee on curves whose knee is known, beside Kneedle's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.records import Score
from smidgen.search.frontier import Point, TurningPoint, isotonic, knee, pareto, smallest_holding, turning_point

POINTS = st.lists(
    st.builds(
        Point,
        parameters=st.integers(1, 30),
        score=st.integers(0, 20).map(lambda correct: Score(correct, 20)),
        label=st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)

SIZES = [100, 200, 400, 800, 1600, 3200, 6400, 12800]


def _beats(one: Point, other: Point) -> bool:
    no_worse = one.parameters <= other.parameters and one.score.rate >= other.score.rate
    return no_worse and (one.parameters < other.parameters or one.score.rate > other.score.rate)


def _kneedle(sizes: list[int], rates: np.ndarray) -> int:
    """Satopaa et al. 2011 without smoothing: the point furthest above the chord of the unit square."""
    x = np.log(np.asarray(sizes, float))
    x = (x - x[0]) / (x[-1] - x[0])
    return int(np.argmax((rates - rates.min()) / np.ptp(rates) - x))


def _hinge(sizes: list[int], at: int, top: float = 0.99, per_doubling: float = 0.04) -> np.ndarray:
    """Straight in log2(size) up to `at`, flat past it."""
    return top - per_doubling * np.maximum(0.0, np.log2(at) - np.log2(np.asarray(sizes, float)))


@given(POINTS)
def test_the_front_is_what_no_other_beats(points: list[Point]) -> None:
    expected = [point for point in points if not any(_beats(other, point) for other in points)]
    front = pareto(points)
    assert sorted(map(repr, front)) == sorted(map(repr, expected))
    assert list(front) == sorted(front, key=lambda point: point.parameters)


@given(POINTS, st.floats(0, 1))
def test_s_of_f_is_the_least_size_that_reaches_the_floor(points: list[Point], floor: float) -> None:
    sizes = [point.parameters for point in points if point.score.rate >= floor]
    found = smallest_holding(points, floor)
    assert (found.parameters if found else None) == min(sizes, default=None)
    assert found is None or found in pareto(points)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_isotonic_is_the_min_max_formula(rates: list[float]) -> None:
    n = len(rates)
    # Robertson, Wright & Dykstra 1988, theorem 1.4.4.
    expected = [max(min(np.mean(rates[j : k + 1]) for k in range(i, n)) for j in range(i + 1)) for i in range(n)]
    np.testing.assert_allclose(isotonic(rates), expected, atol=1e-12)


@pytest.mark.parametrize("at", SIZES[1:-1])
def test_a_hinge_has_its_knee_at_the_hinge(at: int) -> None:
    index = knee(SIZES, _hinge(SIZES, at))
    assert index is not None and SIZES[index] == at == SIZES[_kneedle(SIZES, _hinge(SIZES, at))]


def test_a_saturating_exponential_has_its_knee_where_kneedle_sees_it() -> None:
    # With x in doublings and 1 - exp(-x / tau), the price is 0.5 * 0.8 / (ln(9) tau), so the knee is at 1.70 tau.
    # Kneedle's is at tau * ln(range / tau): 1.61 tau for a range of 5 tau.
    sizes = [round(1000 * 2 ** (step / 20)) for step in range(200)]
    rates = 1 - 0.3 * np.exp(-(np.log2(sizes) - np.log2(1000)) / 2)
    index = knee(sizes, rates)
    assert index is not None
    assert np.log2(sizes[index] / 1000) / 2 == pytest.approx(1.70, abs=0.05)
    assert np.log2(sizes[_kneedle(sizes, rates)] / 1000) / 2 == pytest.approx(1.61, abs=0.05)


def test_sizes_that_teach_nothing_do_not_move_the_knee_as_they_move_kneedles() -> None:
    sizes = [round(1000 * 2 ** (step / 4)) for step in range(160)]
    rates = 1 - 0.3 * np.exp(-(np.log2(sizes) - np.log2(1000)) / 2)
    ours = [knee(sizes[:count], rates[:count]) or 0 for count in (48, 80, 160)]
    kneedles = [_kneedle(sizes[:count], rates[:count]) for count in (48, 80, 160)]
    assert min(ours) > 0 and max(ours) - min(ours) <= 1
    assert kneedles[-1] - kneedles[0] >= 8  # two doublings


def test_networks_at_chance_before_the_climb_are_no_knee() -> None:
    sizes = [2**power for power in range(20)]
    rates = np.clip(0.1 + 0.44 * (np.log2(sizes) - 14), 0.1, 0.98)
    assert knee(sizes, rates) == 16


@given(st.integers(3, 12), st.floats(0.01, 0.05), st.floats(1.0, 3.0))
def test_straight_and_convex_curves_have_no_knee(count: int, slope: float, power: float) -> None:
    doublings = np.arange(count)
    rates = 0.1 + slope * doublings**power / count**power
    assert knee([100 * 2**step for step in range(count)], rates) is None


@pytest.mark.parametrize("rates", [[], [0.9], [0.9, 0.95], [0.9, 0.9, 0.9], [0.95, 0.94, 0.9]])
def test_too_few_sizes_flat_and_falling_curves_have_no_knee(rates: list[float]) -> None:
    assert knee(SIZES[: len(rates)], rates) is None


@given(st.lists(st.floats(0, 1), min_size=3, max_size=8))
def test_the_knee_is_above_the_bottom_and_below_the_largest_size(rates: list[float]) -> None:
    index = knee(SIZES[: len(rates)], rates)
    assert index is None or 0 < index < len(rates) - 1


def _scores(rates: np.ndarray, total: int, seeds: int, generator: np.random.Generator) -> dict[int, list[Score]]:
    return {
        size: [Score(int(correct), total) for correct in generator.binomial(total, rate, seeds)]
        for size, rate in zip(SIZES, rates, strict=True)
    }


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_the_turning_point_of_a_noisy_hinge_has_the_hinge_in_its_range(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    for _ in range(10):
        found = turning_point(_scores(_hinge(SIZES, 800), 5000, seeds, generator), resamples=100)
        assert found is not None and found.low <= 800 <= found.high and found.low <= found.parameters <= found.high
        assert ("one seed" in found.note) == (seeds == 1)


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_noise_alone_and_a_noisy_line_have_no_turning_point(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    line = np.linspace(0.9, 0.98, len(SIZES))
    for rates in [np.full(len(SIZES), 0.97)] * 10 + [line] * 10:
        assert turning_point(_scores(rates, 5000, seeds, generator), resamples=100) is None


def test_one_seed_that_died_does_not_move_the_turning_point() -> None:
    groups = {
        size: [Score(round(10_000 * rate), 10_000)] * 5 for size, rate in zip(SIZES, _hinge(SIZES, 800), strict=True)
    }
    dead = {**groups, 1600: [*groups[1600][:4], Score(1135, 10_000)]}
    whole, with_dead = turning_point(groups), turning_point(dead)
    assert whole is not None and with_dead is not None
    assert whole.parameters == with_dead.parameters == 800


def test_the_turning_point_is_a_pure_function_of_its_seed() -> None:
    groups = {
        932: [Score(9700, 10_000)],
        408: [Score(8500, 10_000)],
        2358: [Score(9850, 10_000)],
        6722: [Score(9900, 10_000)],
    }
    assert turning_point(groups) == turning_point(dict(sorted(groups.items())))
    assert turning_point(groups) == TurningPoint(
        932, 0.97, 932, 932, "found in 1,000 of 1,000 curves drawn again from the counts of the one seed of each size"
    )


def test_two_sizes_and_empty_groups_have_no_turning_point() -> None:
    assert turning_point({100: [Score(9, 10)], 200: [Score(10, 10)], 400: []}) is None
