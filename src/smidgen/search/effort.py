"""How much a search tries, and the constants that it goes by.

Where a number was measured, the note beside it says so; all others are plain limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from smidgen.errors import RequestError
from smidgen.records import Recipe
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS, ByteSearchEffort
from smidgen.text_forms import shortened


@dataclass(frozen=True)
class Effort:
    """How much a search tries. Steps are optimizer steps; epochs follow from them and the size of the data.

    Attributes:
        first: Networks of the first generation, each trained for `short_steps`.
        generations: Generations after the first.
        children: Networks of each later generation, each trained for `short_steps`.
        promoted: Networks of each generation that are also trained for `long_steps`.
        finalists: Networks that are trained for `long_steps` after the generations, from two seeds each.
        near_misses: Networks that came nearest to the floor and get more seeds.
        seeds: How many more seeds each of them gets.
        fresh_seeds: Seeds that train the winner again at the end.
        short_steps: Steps of a short training, which ranks a network.
        curve_steps: Steps of a network on the curve of accuracy against size; 0 for no curve.
        long_steps: Steps of a long training.
        macs_a_pixel: Most multiply-accumulates of a candidate, for each pixel, step or feature of an input.
        byte_search: How much is tried for fewer bytes.
        compares_recipes: Whether to train a teacher if none is given, and compare learning from it with learning from
            labels.
        least_work: Multiply-accumulates up to which more networks and seeds are tried where trainings are cheap.
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
    macs_a_pixel: int
    byte_search: ByteSearchEffort
    compares_recipes: bool = True
    least_work: float = 0.0


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
        macs_a_pixel=100,
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
        macs_a_pixel=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
        least_work=3e11,
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
        macs_a_pixel=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
        least_work=6e11,
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
        macs_a_pixel=400,
        byte_search=BYTE_SEARCH_EFFORTS["quick"],
        least_work=2e12,
    ),
}

AnyEffort = TypeVar("AnyEffort", Effort, ByteSearchEffort)


def effort_named(effort: str | AnyEffort, efforts: Mapping[str, AnyEffort]) -> AnyEffort:
    """The effort of that name; an effort object is returned as it is.

    Raises:
        RequestError: There is no effort of that name.
    """
    kind = type(next(iter(efforts.values())))
    if isinstance(effort, kind):
        return effort
    if not isinstance(effort, str) or effort not in efforts:
        also = "" if isinstance(effort, str) else f", or an object of the class {kind.__name__}"
        raise RequestError(f"effort={shortened(repr(effort))} is not known; use one of {', '.join(efforts)}{also}")
    return efforts[effort]


MOST_SHORT_EPOCHS, MOST_EPOCHS = 60, 300
"""Epochs of a short and of a long training at most. Few images are an epoch of few steps: 360 pictures would be passed
267 times in 1,600 steps and 2,000 times in 12,000. Accuracy on fresh pictures (229 parameters, four seeds) was 91.9 %
after 120 epochs, 91.9 % after 250 and 93.3 % after 500; no error was left on the 360 pictures after 250."""


def epochs_of(effort: Effort, steps: int, images: int, copies: int = 1) -> int:
    """The epochs of a training of about `steps` optimizer steps on so many images, by the recipes of a search.

    Of augmented images each copy is passed as often less.
    """
    most = MOST_EPOCHS if steps >= effort.long_steps else MOST_SHORT_EPOCHS
    return min(max(1, most // copies), max(1, round(steps / DISTILLATION_RECIPES["labels"].steps(images))))


MOST_PARAMETERS, LEAST_MACS = 20_000, 80_000
"""Upper limit of a candidate's parameters, above which it would not be small; multiply-accumulates that any candidate
may have."""

SEARCHED_SIZES = (0.7, 1.1)
"""Sizes that later generations search, as shares of the size at which the floor is expected."""

BEST_FEW = 3
"""If the goal has no floor, later generations search from the smallest of the best 3 networks on."""

FAMILY_WIDTHS = (1, 2, 3)
"""Widths of each family in the first generation."""

DISTILLATION_RECIPES = {
    "labels": Recipe(batch_size=64, learning_rate=0.03),
    "KL, T = 2": Recipe(batch_size=64, learning_rate=0.03, loss="kl", temperature=2),
    "logits": Recipe(batch_size=64, learning_rate=0.03, loss="standardised-logits"),
}
"""Recipes by name. The one with the lowest error on the selection half is used for all long trainings."""

RECIPE_SEEDS = 3
"""Seeds of each recipe in the comparison."""

FINALIST_SEEDS = 2
"""Seeds of each finalist."""

WIDENINGS, WIDENING_FACTOR, WIDENING_MACS = 6, 1.4, 16
"""If no network meets the floor: how often the best designs are widened, the factor of each width, and the factor of
the multiply-accumulates that they may have."""

BUDGET_SHARES = {"generations": 0.5, "finalists": 0.75, "wider designs": 0.85, "fresh seeds": 0.95}
"""The share of a budget of work that is spent at most by the end of each stage; the file has the rest."""

WIDENING_WORK = 2.0
"""Work of the wider designs at most, as a multiple of all the work before them."""

CURVE_SEEDS, CURVE_REACH = 2, 4
"""Seeds of each size on the curve; the largest size on it, as a multiple of the winner's."""
