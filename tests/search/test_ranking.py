"""Which networks deserve a longer training, and at which size a floor is expected."""

from __future__ import annotations

import pytest

from smidgen.search.ranking import (
    FIRST_GUESS,
    GOOD_DESIGNS,
    LEAST_STEEPNESS,
    CandidateScore,
    best_designs,
    expected_scores,
    expected_share,
    expected_size,
    promising,
    steepness,
)
from smidgen.spec import Dense, NetSpec


def run(parameters: int, error: float, units: int = 0) -> CandidateScore:
    """A score made by hand: the counts are ranked, and the network only has to be another one each time."""
    return CandidateScore(NetSpec((Dense(units or parameters), Dense(10))), parameters, error)


def test_the_expected_share_is_the_median_of_those_that_had_both() -> None:
    history = [run(10, 0.2), run(20, 0.4), run(30, 0.1), run(40, 0.5), run(50, 0.0)]
    longer = [run(20, 0.3), run(10, 0.05), run(30, 0.05), run(60, 0.4), run(50, 0.0)]
    assert expected_share(history, longer) == pytest.approx(0.5)  # of 0.25, 0.5, 0.75


def test_without_a_longer_training_the_expected_share_is_a_guess() -> None:
    assert expected_share([run(10, 0.2)], []) == expected_share([], []) == FIRST_GUESS
    assert 0 < FIRST_GUESS <= 1


def test_where_long_trainings_leave_no_error_something_is_still_expected() -> None:
    """A share of nothing would allow every error, and is divided by."""
    assert expected_share([run(10, 0.2)], [run(10, 0.0)]) > 0


def test_a_network_counts_for_its_size_and_for_more_where_it_errs_more_than_allowed() -> None:
    assert expected_size([run(100, 0.03)], allowed=0.05) == 100
    assert expected_size([run(100, 0.2)], allowed=0.05) == pytest.approx(400)
    assert expected_size([], allowed=0.05) is None


def test_the_expected_size_is_not_that_of_the_luckiest() -> None:
    history = [run(size, 0.01) for size in (900, 100, 500, 300, 700)]
    assert expected_size(history, allowed=0.05) == sorted((900, 100, 500, 300, 700))[GOOD_DESIGNS - 1]
    assert expected_size(history[:1], allowed=0.05) == 900


def test_the_promising_come_by_size_and_a_larger_error_counts_as_a_larger_size() -> None:
    a, b, c, d = run(500, 0.04), run(300, 0.05), run(200, 0.06), run(100, 0.5)
    # c counts for 200 * (0.06 / 0.05)² = 288, and d for 10,000.
    assert promising([a, b, c, d], [], allowed=0.05, count=4) == (c.spec, b.spec, a.spec, d.spec)
    assert promising([d, c, b, a], [], allowed=0.05, count=2) == (c.spec, b.spec)
    assert promising([a, b, c, d], [c, a], allowed=0.05, count=4) == (b.spec, d.spec)
    assert promising([b, b], [], allowed=0.05, count=2) == (b.spec,)


@pytest.mark.parametrize("allowed", [0.0, 1e-300])
def test_where_no_error_is_allowed_those_without_one_come_first(allowed: float) -> None:
    small, large = run(100, 0.01), run(900, 0.0)
    assert promising([small, large], [], allowed, 2) == (large.spec, small.spec)
    assert expected_size([large], allowed) == 900


def test_where_the_error_falls_slowly_more_size_is_expected() -> None:
    """A front of error = size ** -0.5: half the error takes four times the size."""
    front = [run(size, size**-0.5) for size in (100, 200, 400, 800)]
    assert steepness(front, allowed=0.05) == pytest.approx(0.5)
    assert expected_size(front, allowed=0.03) == pytest.approx(1 / 0.03**2)
    worse = [run(size, 2 * size**-0.5, units=size + 1) for size in (100, 200, 400, 800)]
    assert steepness([*front, *worse], allowed=0.05) == pytest.approx(0.5)


@pytest.mark.parametrize(("power", "found"), [(-2.0, 1.0), (-0.01, LEAST_STEEPNESS)])
def test_a_front_is_taken_to_be_neither_too_steep_nor_flat(power: float, found: float) -> None:
    assert steepness([run(size, size**power) for size in (100, 200, 400, 800)], allowed=0.9) == found


def test_without_enough_of_a_front_near_the_allowed_error_the_error_is_taken_to_fall_as_the_size_grows() -> None:
    assert steepness([run(100, 0.5), run(200, 0.49), run(400, 0.48)], allowed=0.4) == 1.0
    assert steepness([run(100 * k, 0.9 - 0.01 * k) for k in range(1, 9)], allowed=0.05) == 1.0
    assert steepness([], allowed=0.1) == 1.0


def test_the_best_designs_are_those_that_are_small_for_their_error() -> None:
    front = [run(size, size**-0.5) for size in (100, 200, 400, 800)]
    good = run(600, 0.03)  # by the front this error takes 1,111 parameters; by error times size 100 of them are best
    assert best_designs([*front, good], allowed=0.05)[0] == good
    assert best_designs([*front, good], allowed=None)[0] == front[0]


def test_a_longer_training_never_seen_leaves_what_the_one_before_left() -> None:
    short, middle = [run(10, 0.4), run(20, 0.2)], [run(10, 0.36)]
    found = {score.parameters: score.error for score in expected_scores([short, middle, []])}
    assert found == {10: pytest.approx(0.9 * 0.36), 20: pytest.approx(0.9 * 0.9 * 0.2)}
