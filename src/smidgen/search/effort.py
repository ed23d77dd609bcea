"""How much is tried, and in which ways: the tables that the search goes by.

Where a number was measured, the note beside it says so; all others are plain limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.errors import RequestError
from smidgen.records import Recipe
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS, ByteSearchEffort


@dataclass(frozen=True)
class Effort:
    """How much is tried. Steps are optimizer steps; epochs follow from them and the size of the data.

    first, children: networks of the first and of each later generation, trained for `short_steps`
    promoted: of each generation, trained for `long_steps`
    finalists: after the generations, trained for `long_steps` from two seeds each
    near_misses, seeds: of the networks that came nearest to the floor, so many more seeds each
    curve_steps: of the networks that draw accuracy against size; 0 for no curve
    macs_a_value: the most multiply-accumulates of a candidate, for each value of an input
    byte_search: how much is tried for fewer bytes
    compares_ways: whether a teacher is trained where none is brought, and learning from it held against labels
    """

    first: int
    generations: int
    children: int
    promoted: int
    finalists: int
    near_misses: int
    seeds: int
    fresh_seeds: int
    short_steps: int
    curve_steps: int
    long_steps: int
    macs_a_value: int
    byte_search: ByteSearchEffort
    compares_recipes: bool = True


EFFORTS = {
    "glance": Effort(
        first=12,
        generations=1,
        children=8,
        promoted=0,
        finalists=2,
        near_misses=1,
        seeds=1,
        fresh_seeds=0,
        short_steps=300,
        curve_steps=0,
        long_steps=2_000,
        macs_a_value=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
        compares_recipes=False,
    ),
    "quick": Effort(
        first=32,
        generations=3,
        children=16,
        promoted=1,
        finalists=2,
        near_misses=1,
        seeds=2,
        fresh_seeds=2,
        short_steps=1_600,
        curve_steps=1_600,
        long_steps=12_000,
        macs_a_value=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
    ),
    "normal": Effort(
        first=48,
        generations=7,
        children=24,
        promoted=2,
        finalists=2,
        near_misses=2,
        seeds=3,
        fresh_seeds=3,
        short_steps=1_600,
        curve_steps=2_400,
        long_steps=20_000,
        macs_a_value=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
    ),
    "thorough": Effort(
        first=128,
        generations=20,
        children=48,
        promoted=4,
        finalists=12,
        near_misses=8,
        seeds=8,
        fresh_seeds=8,
        short_steps=3_200,
        curve_steps=8_000,
        long_steps=64_000,
        macs_a_value=400,
        byte_search=BYTE_SEARCH_EFFORTS["quick"],
    ),
}


def named_effort(name: str) -> Effort:
    """Look up an effort by its name.

    Raises:
        RequestError: there is no such effort.
    """
    if name not in EFFORTS:
        raise RequestError(f"effort='{name}' is not known; use one of {', '.join(EFFORTS)}")
    return EFFORTS[name]


MOST_PARAMETERS, LEAST_MACS = 20_000, 80_000
"""Of a candidate: more parameters would not be small; so many multiply-accumulates it may always have."""

SEARCHED = (0.7, 1.1)
"""Sizes that later generations try, as shares of the size at which the floor is expected."""

FAMILY_WIDTHS = (1, 2, 3)
"""Of each family, in the first generation."""

DISTILLATION_RECIPES = {
    "labels": Recipe(batch_size=64, learning_rate=0.03),
    "KL, T = 2": Recipe(batch_size=64, learning_rate=0.03, loss="kl", temperature=2),
    "logits": Recipe(batch_size=64, learning_rate=0.03, loss="standardised-logits"),
}
"""What a candidate may learn from; the best on the selection half is used for all long trainings."""

RECIPE_SEEDS = 3
FINALIST_SEEDS = 2
GROWTHS, WIDENED, GROWN_MACS = 6, 1.4, 16
"""Where nothing holds: how often the best designs grow, by what factor in width, and what room they have."""

CURVE_SEEDS, CURVE_REACH = 2, 4
"""Of each size on the curve; how many times larger than the winner the largest may be."""
