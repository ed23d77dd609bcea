"""The turning point on curves whose knee is known, on noise, on two knees, on none, and on the published families."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.records import Score
from smidgen.search.frontier import Point, TurningPoint
from smidgen.search.turning_point import LEAST_SIZES, turning_point, turning_point_of_front

IMAGES = 10_000
SIZES = np.exp(np.linspace(np.log(100), np.log(6400), 12)).round()


def errors(sizes: np.ndarray, knee: float, right: float, left: float) -> np.ndarray:
    """A power law of slope `right`, which is steeper below the knee."""
    x = np.log2(sizes / knee)
    return np.minimum(0.9, 0.02 * 2 ** (-right * x + (left - right) * np.maximum(0, -x)))


def exact(sizes: np.ndarray, rates: np.ndarray, images: int = 10**6) -> dict[int, list[Score]]:
    """The scores, without noise, of networks with these errors."""
    return {int(size): [Score(round(images * (1 - rate)), images)] for size, rate in zip(sizes, rates, strict=True)}


def swept(
    rates: np.ndarray, random: np.random.Generator, seeds: int = 3, sizes: np.ndarray = SIZES
) -> TurningPoint | None:
    noisy = rates[:, None] * np.exp(random.normal(0, 0.1, (len(sizes), seeds)))
    right = random.binomial(IMAGES, 1 - np.clip(noisy, 0, 1))
    return turning_point(
        {int(size): [Score(int(k), IMAGES) for k in row] for size, row in zip(sizes, right, strict=True)}
    )


@pytest.mark.parametrize("at", range(2, 9))
def test_without_noise_the_knee_is_found_exactly(at: int) -> None:
    rates = errors(SIZES, SIZES[at], 0.5, 2.0)
    inside = rates < 0.4
    found = turning_point(
        {
            int(size): [Score(round(10**6 * (1 - rate)), 10**6)]
            for size, rate in zip(SIZES[inside], rates[inside], strict=True)
        }
    )
    assert found is not None and found.low <= SIZES[at] <= found.high
    assert found.parameters == SIZES[at]
    assert found.rate == pytest.approx(0.98, abs=1e-5)


def test_the_range_covers_a_noisy_knee_in_nine_of_ten_repeats() -> None:
    random, rates = np.random.default_rng(0), errors(SIZES, 400, 0.6, 2.0)
    found = [point for _ in range(20) if (point := swept(rates, random))]
    assert len(found) >= 19
    assert sum(point.low <= 400 <= point.high for point in found) >= 0.9 * len(found)
    assert all(point.low <= point.parameters <= point.high for point in found)


@pytest.mark.parametrize("slope", [0.0, 0.4, 1.2])
def test_straight_lines_have_none(slope: float) -> None:
    random, rates = np.random.default_rng(1), errors(SIZES, 400, slope, slope)
    assert sum(swept(rates, random) is not None for _ in range(40)) <= 2


def test_a_curve_that_is_steeper_for_large_networks_has_none() -> None:
    random = np.random.default_rng(2)
    assert not any(swept(errors(SIZES, 400, 2.0, 0.5), random) for _ in range(10))


def test_of_two_knees_the_sharper_is_taken_and_the_other_named() -> None:
    x = np.log2(SIZES)
    bend = lambda at, by: by * np.maximum(0, np.log2(at) - x)  # noqa: E731
    rates = 0.005 * 2 ** (bend(SIZES[8], 0.5) + bend(SIZES[3], 2.0))
    found = turning_point(exact(SIZES, rates))
    assert found is not None and found.parameters == SIZES[3]
    assert f"also bends at {SIZES[8]:,.0f}" in found.note


def test_the_front_of_a_search_turns_where_its_designs_do() -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(5):
        sizes = np.exp(random.uniform(np.log(60), np.log(1600), 200)).round()
        rates = errors(sizes, 300, 0.8, 3.0) * np.exp(random.exponential(0.3, 200))
        right = random.binomial(IMAGES, 1 - np.clip(rates, 0, 1))
        points = [Point(int(size), Score(int(k), IMAGES), "") for size, k in zip(sizes, right, strict=True)]
        found = turning_point_of_front(points, allowed_error=0.03)
        assert found is not None and 0.8 <= found.parameters / 300 <= 1.25
        covered += found.low <= 300 <= found.high
    assert covered >= 4


def test_networks_near_guessing_and_sizes_far_from_the_floor_take_no_part() -> None:
    rates = errors(SIZES, 400, 0.6, 2.0)
    points = [
        Point(int(size), Score(round(IMAGES * (1 - rate)), IMAGES), "") for size, rate in zip(SIZES, rates, strict=True)
    ]
    guessing = [Point(k, Score(1_000 + k, IMAGES), "") for k in range(1, 60)]
    assert turning_point_of_front(points) == turning_point_of_front([*points, *guessing])
    assert turning_point_of_front(points, allowed_error=0.0001) is None, "no network is near that error"


PUBLISHED = {
    "cnn1": ((1199882, 300426, 75338, 18954, 4802, 1236), (98.87, 98.61, 98.50, 98.67, 98.09, 86.50), 4802),
    "cnn2": ((75242, 21498, 6722, 2358, 932, 408), (99.24, 99.16, 98.99, 98.96, 98.24, 95.64), 932),
    "mlp1": ((669706, 269322, 118282, 55050, 26506, 13002), (97.83, 98.27, 98.30, 98.09, 97.39, 96.03), 26506),
    "mlp2": ((368650, 118794, 43018, 17418, 7690, 3594), (97.78, 98.0, 97.97, 97.71, 96.96, 95.42), 17418),
}
"""Sizes, test accuracies in % by our recipe (docs/how-to/reproduce.md), and the author's turning point."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_range_of_each_published_family_has_the_authors_turning_point(name: str) -> None:
    sizes, rates, author = PUBLISHED[name]
    found = turning_point({size: [Score(round(100 * rate), IMAGES)] for size, rate in zip(sizes, rates, strict=True)})
    assert found is not None and found.low <= author <= found.high


def test_it_is_a_pure_function_of_the_scores() -> None:
    groups = {
        932: [Score(9700, IMAGES)],
        408: [Score(8500, IMAGES)],
        2358: [Score(9850, IMAGES)],
        6722: [Score(9870, IMAGES)],
    }
    assert turning_point(groups) == turning_point(dict(sorted(groups.items())))


def test_one_seed_that_died_does_not_move_it() -> None:
    rates = errors(SIZES, SIZES[5], 0.5, 2.0)
    groups = {
        int(size): 5 * [Score(round(IMAGES * (1 - rate)), IMAGES)] for size, rate in zip(SIZES, rates, strict=True)
    }
    died = {**groups, int(SIZES[6]): [*groups[int(SIZES[6])][:4], Score(1135, IMAGES)]}
    whole, with_died = turning_point(groups), turning_point(died)
    assert whole is not None and with_died is not None and whole.parameters == with_died.parameters == SIZES[5]


def test_few_sizes_and_perfect_networks_have_none() -> None:
    few = {100 * 2**k: [Score(9_000 + 300 * k, IMAGES)] for k in range(LEAST_SIZES - 1)}
    assert turning_point(few) is None
    assert turning_point({}) is None
    assert turning_point({100 * 2**k: [Score(IMAGES, IMAGES)] for k in range(8)}) is None
    assert turning_point({100: [], 200: [], 300: [], 400: [], 500: []}) is None
