"""Memory of the exports: what is needed at the same time lies apart."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.exporters.arena import Lifetime, placed

SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 40)), min_size=1, max_size=9)


@given(SPANS, st.sampled_from([1, 4]))
def test_what_is_needed_at_the_same_time_lies_apart(spans: list[tuple[int, int, int]], alignment: int) -> None:
    known = [Lifetime(index, first, first + length, values) for index, (first, length, values) in enumerate(spans)]
    places = placed(known, alignment)
    assert all(place % alignment == 0 for place in places.values())
    for a, b in combinations(known, 2):
        if a.first <= b.last and b.first <= a.last:
            begin, other = places[a.layer], places[b.layer]
            assert begin + a.values <= other or other + b.values <= begin


def test_what_is_needed_at_different_times_shares_memory() -> None:
    assert set(placed([Lifetime(0, 0, 3, 10), Lifetime(1, 4, 6, 10)]).values()) == {0}
