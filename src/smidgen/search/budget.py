"""How much work a search is expected to be, and the effort that a budget of work allows.

Work is counted in multiply-accumulates of training. It follows from the data and the arguments alone, so a search
within a budget of work trains the same networks on every machine, however long that takes there. Time is work divided
by the speed of the machine, which is measured (`smidgen.trials.speed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import floor, log10
from statistics import median

from smidgen.data import can_be_moved
from smidgen.errors import RequestError
from smidgen.records import Trial
from smidgen.search.byte_search import BATCH, ByteSearchEffort, passes
from smidgen.search.effort import (
    DISTILLATION_RECIPES,
    EFFORTS,
    FINALIST_SEEDS,
    LABELS,
    MOVED_AT_ONCE,
    RUNGS,
    SEED_ROUNDS,
    Effort,
    epochs_of,
)
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext

CURVE_COST = 2.5
"""Work of a long training of a size on the curve, as a multiple of that of a usual network."""

WIDE_COST, PRUNING_COST, DESCENT_COST, SMALLER_COST = 2.0, 28.0, 8.5, 0.3
"""Work of the training of a wide network, of all short trainings while its channels are removed, of a round that
makes the smallest network smaller, and of a network smaller than that: as multiples of a usual network's training, for
a round one of middle length."""

MOST_EXTENSION = 4
"""Factor of a named effort's generations at most: on tiny networks the time goes elsewhere than into arithmetic."""

MOST_ENLARGEMENT, ENLARGED_COUNTS = 4, ("children", "middle", "pruned", "finalists", "near_misses", "seeds")
"""Factor of an effort's counts at most where trainings are cheap, and which counts those are. The first generation is
not among them: it has networks of every size, and the large ones take most of its time."""

LEAST_STEPS, SMALLEST_SHARE = 50, 0.001
"""Steps of a training that a small budget leaves at least, and the smallest share of the usual steps that is tried."""

TEACHER_SHARE = 0.25
"""Share of a budget that a teacher may take."""


@dataclass(frozen=True, eq=False)
class WorkEstimate:
    """What the search expects to train, before it has trained anything.

    Attributes:
        context: The data.
        first: Returns the networks of an effort's first generation, which are known beforehand.
        teacher: The training of the teacher by its recipe; None if none is trained.
        needs_teacher: Whether it is trained by every effort, as a distance is measured from it.
    """

    context: TrainingContext
    first: Callable[[Effort], Sequence[NetSpec]]
    teacher: Trial | None
    needs_teacher: bool = False
    _macs_memo: dict[tuple[int, int], list[int]] = field(default_factory=dict, repr=False)

    def teacher_work(self, effort: Effort) -> float:
        """The work of the teacher; 0 where none is trained."""
        trains = self.teacher if effort.compares_recipes or self.needs_teacher else None
        return effort.teacher_length * self.context.cost(trains) if trains else 0.0

    def __call__(self, effort: Effort) -> float:
        """The expected multiply-accumulates of a search with this effort.

        Later networks are taken to cost as much as the median of the first generation.
        """
        macs, images = self._first_macs(effort), self._images(effort)
        usual = median(macs) if macs else 0.0
        counts = {"short": effort.generations * effort.children, "middle": effort.generations * effort.middle}
        generations = images["short"] * sum(macs) + usual * sum(n * images[rung] for rung, n in counts.items())
        return self.teacher_work(effort) + generations + self.later(effort, usual, generations)

    def later(self, effort: Effort, usual: float, before: float) -> float:
        """The expected work of all stages after the generations, the file among them.

        Args:
            effort: How much is tried.
            usual: Multiply-accumulates for one image of a usual network.
            before: The work of the generations.
        """
        data, images = self.context.dataset, self._images(effort)
        moved = MOVED_AT_ONCE * effort.moved_rounds * can_be_moved(data)
        total: float = usual * (
            images["middle"] * _wide_trainings(effort)
            + images["short"] * PRUNING_COST * effort.pruned
            + images["long"] * (effort.fresh_seeds + _curve_trainings(effort) + moved)
        )
        if not effort.pruned or before + total < effort.least_work:
            total += usual * images["long"] * _finalists(effort)
        if before + total < effort.least_work:
            counts = {"short": effort.children, "middle": effort.middle, "long": effort.finalists}
            round_of_smaller = sum(count * images[rung] for rung, count in counts.items())
            total += SMALLER_COST * usual * effort.descents * round_of_smaller
        epoch_steps = -(-len(data.train) // BATCH)
        return total + _byte_search_work(effort.byte_search, 3 * len(data.train) * usual, epoch_steps, data.copies)

    def _images(self, effort: Effort) -> dict[str, float]:
        """The images of a training of each rung, each three times: forward, and backward twice."""
        data = self.context.dataset
        return {rung: 3 * len(data.train) * epochs_of(effort, rung, len(data.train), data.copies) for rung in RUNGS}

    def _first_macs(self, effort: Effort) -> list[int]:
        """The multiply-accumulates for one image of each network of the first generation."""
        key = effort.first, effort.macs_a_pixel
        if key not in self._macs_memo:
            shape = self.context.dataset.input_shape
            self._macs_memo[key] = [spec.macs(shape) for spec in self.first(effort)]
        return self._macs_memo[key]


def _curve_trainings(effort: Effort) -> float:
    """Long trainings of the sizes on the curve, each doubled as often as it may be, in usual ones."""
    return CURVE_COST * effort.curve_sizes * sum(2.0**doublings for doublings in range(effort.curve_doublings + 1))


def _wide_trainings(effort: Effort) -> float:
    """Trainings of middle length of wide networks and in the rounds that make the smallest smaller, in usual ones."""
    compared = 2 * effort.pruned * len(DISTILLATION_RECIPES if effort.compares_recipes else (LABELS,))
    return WIDE_COST * compared + DESCENT_COST * effort.descents


def _finalists(effort: Effort) -> int:
    """Long trainings from drawn weights, which are left out where a network that lost channels meets the floor."""
    return effort.finalists * FINALIST_SEEDS + SEED_ROUNDS * effort.near_misses * effort.seeds


def _byte_search_work(effort: ByteSearchEffort, epoch_macs: float, epoch_steps: int, copies: int) -> float:
    def training(share: float) -> float:
        return min(passes(share * effort.steps, epoch_steps, copies) * epoch_macs, effort.training_macs)

    children = effort.generations * effort.children * training(effort.children_share)
    return effort.first * training(1.0) + min(children, effort.total_macs)


def effort_within(work: float, expected: WorkEstimate) -> Effort:
    """The largest effort whose expected work is within a budget.

    It is the largest named effort that fits, with more generations where there is room for them, or "glance" with
    shorter trainings. No teacher is trained that would take more than `TEACHER_SHARE` of the budget.

    Args:
        work: Multiply-accumulates of training.
        expected: The expected work of an effort.

    Raises:
        RequestError: The budget is too small for any search.
    """
    most = TEACHER_SHARE * work
    efforts = [
        replace(each, compares_recipes=each.compares_recipes and expected.teacher_work(each) <= most)
        for each in EFFORTS.values()
    ]
    fitting = [effort for effort in efforts if expected(effort) <= work]
    if not fitting:
        return _shortened(work, expected)
    effort = fitting[-1]
    one_more = expected(replace(effort, generations=effort.generations + 1)) - expected(effort)
    room = int((work - expected(effort)) / max(one_more, 1.0))
    return replace(effort, generations=min(effort.generations + room, MOST_EXTENSION * effort.generations))


def enlarged(effort: Effort, expected: WorkEstimate) -> Effort:
    """The effort with more networks and seeds, where trainings are so cheap that it stays within its `least_work`.

    Args:
        effort: How much is tried.
        expected: The expected work of an effort.
    """
    if expected(effort) > effort.least_work:
        return effort
    larger = (_times(effort, factor) for factor in range(MOST_ENLARGEMENT, 1, -1))
    return next((each for each in larger if expected(each) <= effort.least_work), effort)


def _times(effort: Effort, factor: int) -> Effort:
    counts = {name: factor * getattr(effort, name) for name in ENLARGED_COUNTS}
    return replace(effort, **counts)


def _shortened(work: float, expected: WorkEstimate) -> Effort:
    glance = EFFORTS["glance"]
    least = expected(_with_steps(glance, 0.0))
    if work < least:
        raise RequestError(
            f"work={work:.3g} is too little for these data; the shortest search takes about {rounded(1.1 * least):.3g}"
        )
    share = 1.0
    while expected(_with_steps(glance, share)) > work and share > SMALLEST_SHARE:
        share *= 0.9
    return _with_steps(glance, share)


def _with_steps(effort: Effort, share: float) -> Effort:
    """The effort with shorter trainings."""
    short, middle, long = (max(LEAST_STEPS, round(share * effort.steps(rung))) for rung in RUNGS)
    files = replace(effort.byte_search, steps=max(LEAST_STEPS, round(share * effort.byte_search.steps)))
    return replace(effort, short_steps=short, middle_steps=middle, long_steps=long, byte_search=files)


def rounded(work: float) -> float:
    """A budget to three digits, so that it can be typed: 1.23e12."""
    digits = 2 - floor(log10(work)) if work > 0 else 0
    return float(round(work, digits))
