"""The front and s(f) against their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.records import Score
from smidgen.search.frontier import Point, pareto, smallest_holding

POINTS = st.lists(
    st.builds(
        Point,
        parameters=st.integers(1, 30),
        score=st.integers(0, 20).map(lambda correct: Score(correct, 20)),
        label=st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)


def _beats(one: Point, other: Point) -> bool:
    no_worse = one.parameters <= other.parameters and one.score.rate >= other.score.rate
    return no_worse and (one.parameters < other.parameters or one.score.rate > other.score.rate)


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
