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

RUNGS = ("short", "middle", "long")
"""The lengths of a training: successive halving (Jamieson & Talwalkar 2016) trains few networks long."""


@dataclass(frozen=True)
class Effort:
    """How much a search tries. Steps are optimizer steps; epochs follow from them and the size of the data.

    Attributes:
        first: Networks of the first generation, each trained for `short_steps`.
        generations: Generations after the first.
        children: Networks of each later generation, each trained for `short_steps`.
        middle: Networks that each generation also trains for `middle_steps`; 0 leaves this length out.
        pruned: Networks whose channels are removed one after another; twice as many designs are trained for that.
        descents: Rounds at most in which the smallest network is made smaller still; where trainings are cheap, as many
            more of networks drawn smaller than it.
        patience: Rounds of those in a row that may be in vain.
        moved_rounds: Rounds at most in which near misses are trained further on moved copies of the pictures.
        finalists: Networks from drawn weights that are trained for `long_steps`, from two seeds each, where no network
            that lost channels meets the floor or trainings are cheap.
        near_misses: Networks that came nearest to the floor and get more seeds, in each of `SEED_ROUNDS` rounds.
        seeds: How many more seeds each of them gets in a round.
        fresh_seeds: Seeds that train the winner again at the end.
        short_steps: Steps of a short training, which ranks a network.
        middle_steps: Steps of a training that decides which networks are trained long.
        long_steps: Steps of a long training.
        curve_sizes: Sizes above the winner's on the curve of accuracy against size; 0 for no curve.
        curve_doublings: How often the trainings of those sizes may be doubled while that helps.
        macs_a_pixel: Most multiply-accumulates of a candidate, for each pixel, step or feature of an input.
        byte_search: How much is tried for fewer bytes.
        compares_recipes: Whether to train a teacher if none is given, and compare learning from it with learning from
            labels.
        teacher_length: Times as many epochs of that teacher as its recipe has.
        least_work: Multiply-accumulates up to which more networks and seeds are tried where trainings are cheap.
    """

    first: int
    generations: int
    children: int
    middle: int
    pruned: int
    descents: int
    patience: int
    finalists: int
    near_misses: int
    seeds: int
    fresh_seeds: int
    short_steps: int
    middle_steps: int
    long_steps: int
    curve_sizes: int
    curve_doublings: int
    macs_a_pixel: int
    byte_search: ByteSearchEffort
    compares_recipes: bool = True
    teacher_length: int = 1
    moved_rounds: int = 0
    least_work: float = 0.0

    @property
    def rungs(self) -> tuple[str, ...]:
        """Those of `RUNGS` that are used."""
        return RUNGS if self.middle else ("short", "long")

    def steps(self, rung: str) -> int:
        """Optimizer steps of one of `RUNGS`."""
        return {"short": self.short_steps, "middle": self.middle_steps, "long": self.long_steps}[rung]


SHRINK_BYTES = {
    "quick": ByteSearchEffort(
        networks=5, first=6, generations=2, children=6, steps=2_000, training_macs=0.4e12, total_macs=4e12
    ),
    "normal": ByteSearchEffort(
        networks=8,
        first=8,
        generations=6,
        children=6,
        steps=3_200,
        training_macs=1e12,
        total_macs=20e12,
        children_share=0.6,
    ),
    "thorough": ByteSearchEffort(
        networks=8, first=16, generations=8, children=16, steps=8_000, training_macs=3e12, total_macs=40e12
    ),
}
"""What a search tries for fewer bytes. On MNIST at 97 %, eight networks on one grid each made shorter files than three
networks on six grids each (`results/2026-11-29-networks-for-files`). Numbers of trainings are even, so that two cores
end together."""

EFFORTS = {
    "glance": Effort(
        first=12,
        generations=1,
        children=8,
        middle=0,
        pruned=0,
        descents=0,
        patience=0,
        finalists=2,
        near_misses=1,
        seeds=1,
        fresh_seeds=0,
        short_steps=300,
        middle_steps=1_000,
        long_steps=2_000,
        curve_sizes=0,
        curve_doublings=0,
        macs_a_pixel=100,
        byte_search=BYTE_SEARCH_EFFORTS["glance"],
        compares_recipes=False,
    ),
    "quick": Effort(
        first=32,
        generations=3,
        children=16,
        middle=4,
        pruned=1,
        descents=4,
        patience=1,
        finalists=2,
        near_misses=1,
        seeds=2,
        fresh_seeds=2,
        short_steps=1_600,
        middle_steps=4_800,
        long_steps=12_000,
        curve_sizes=2,
        curve_doublings=0,
        macs_a_pixel=100,
        byte_search=SHRINK_BYTES["quick"],
        least_work=1e12,
    ),
    "normal": Effort(
        first=32,
        generations=3,
        children=16,
        middle=5,
        pruned=2,
        descents=5,
        patience=2,
        finalists=2,
        near_misses=2,
        seeds=2,
        fresh_seeds=3,
        short_steps=1_600,
        middle_steps=6_400,
        long_steps=12_800,
        curve_sizes=3,
        curve_doublings=0,
        macs_a_pixel=100,
        byte_search=SHRINK_BYTES["normal"],
        least_work=2e12,
    ),
    "thorough": Effort(
        first=96,
        generations=5,
        children=32,
        middle=10,
        pruned=8,
        descents=24,
        patience=4,
        finalists=8,
        near_misses=6,
        seeds=3,
        fresh_seeds=8,
        short_steps=2_400,
        middle_steps=9_600,
        long_steps=24_000,
        curve_sizes=4,
        curve_doublings=1,
        macs_a_pixel=150,
        byte_search=SHRINK_BYTES["thorough"],
        teacher_length=4,
        moved_rounds=3,
        least_work=4e12,
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


MOST_EPOCHS = {"short": 60, "middle": 120, "long": 300}
"""Epochs of a training of each rung at most. Few images are an epoch of few steps: 360 pictures would be passed
267 times in 1,600 steps and 2,000 times in 12,000. Accuracy on fresh pictures (229 parameters, four seeds) was 91.9 %
after 120 epochs, 91.9 % after 250 and 93.3 % after 500; no error was left on the 360 pictures after 250."""


def epochs_of(effort: Effort, rung: str, images: int, copies: int = 1) -> int:
    """The epochs of a training of one of `RUNGS` on so many images, by the recipes of a search.

    Of augmented images each copy is passed as often less.
    """
    steps_an_epoch = DISTILLATION_RECIPES[LABELS].steps(images)
    return min(max(1, MOST_EPOCHS[rung] // copies), max(1, round(effort.steps(rung) / steps_an_epoch)))


MOST_PARAMETERS, LEAST_MACS = 20_000, 80_000
"""Upper limit of a candidate's parameters, above which it would not be small; multiply-accumulates that any candidate
may have."""

SEARCHED_SIZES = (0.7, 1.1)
"""Sizes that later generations search, as shares of the size at which the floor is expected."""

DEEP_MACS = 2
"""Where deep designs are drawn too, networks of a later generation may have so many times the multiply-accumulates that
those of the first may have."""

BEST_FEW = 3
"""If the goal has no floor, later generations search from the smallest of the best 3 networks on."""

FAMILY_WIDTHS = (1, 2, 3)
"""Widths of each family in the first generation."""

LABELS, TEACHER = "labels", "KL, T = 2"
"""Names of the two recipes."""

LABEL_WEIGHT = 0.3
"""The weight of the labels beside a teacher. Of eight trainings each, weights of 0, 0.3 and 0.6 and labels alone gave
97.29, 97.14, 97.19 and 97.22 % on MNIST's validation images, which is within the seeds' noise, and 86.80, 87.14, 87.45
and 87.32 % on Fashion-MNIST's, where the teacher has 90.7 % (`results/2026-11-29-labels-beside-a-teacher`)."""

DISTILLATION_RECIPES = {
    LABELS: Recipe(batch_size=64, learning_rate=0.03),
    TEACHER: Recipe(batch_size=64, learning_rate=0.03, loss="kl", temperature=2, label_weight=LABEL_WEIGHT),
}
"""Recipes by name. Where there is a teacher, networks learn from it unless labels are shown to be better."""

RETRAINING_RATES, MANY_IMAGES = {"short": 0.01, "middle": 0.01}, 10_000
"""Learning rates of trainings that go on from trained weights, where that is not the recipe's, and the training images
from which on they hold. At the recipe's learning rate such a training forgets more than it has time to learn anew:
after six removals networks for MNIST had 98.83 % of the validation images right where they had 98.62 % at 0.03. Of few
images that is not so: networks for the 1,078 pictures of digits had 94.43 % where they had 96.38 %
(`results/2026-11-30-retraining-rates`, two seeds). Small steps suit many images in theory too: the noise of a step
grows with learning rate times images (Smith & Le 2018, section 4)."""

MOVED_AT_ONCE = 4
"""Near misses that are trained further on moved copies of the pictures in each round."""

FINALIST_SEEDS = 2
"""Seeds of each finalist."""

SEED_ROUNDS = 2
"""Rounds of more seeds; each takes the networks that came nearest to the floor so far."""

WIDENINGS, WIDENING_FACTOR, WIDENING_MACS = 6, 1.4, 16
"""If no network meets the floor: how often the best designs are widened, the factor of each width, and the factor of
the multiply-accumulates that they may have."""

BUDGET_SHARES = {
    "generations": 0.4,
    "wide designs": 0.5,
    "pruning": 0.75,
    "finalists": 0.8,
    "wider designs": 0.85,
    "fresh seeds": 0.95,
}
"""The share of a budget of work that is spent at most by the end of each stage; the file has the rest."""

WIDENING_WORK = 2.0
"""Work of the wider designs at most, as a multiple of all the work before them."""

CURVE_REACH = 4
"""The largest size on the curve that is trained long, as a multiple of the winner's."""
