"""Whether a network meets what is asked: the accuracy that is required, and the judge of an outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.errors import RequestError
from smidgen.records import Floor, Outcome, Score, Trial
from smidgen.search.goal import Goal
from smidgen.trials.evaluate import TrainingContext, classify

HALVES = ("selection", "confirmation")
"""Of the validation split."""


LAST_BIT = 1e-9
"""Of a rate: a count that reaches what is asked must not miss it by rounding."""


ONE_SIDED = 1.645
"""Standard deviations that hold 95 % of a normal distribution on one side."""


def floor_of(goal: Goal, data: Dataset, teacher: Score) -> Floor | None:
    """The floor that a goal and the teacher's validation score ask for, the stricter of two; None without one.

    Raises:
        RequestError: so few images cannot show it.
    """
    floors = [] if goal.floor is None else [goal.floor]
    if goal.within is not None:
        asked = teacher.rate - goal.within + (_margin(teacher, goal.within) if goal.surely else 0.0)
        if asked <= 0:
            raise RequestError(
                f"within={goal.within:g} of a teacher of {teacher} is no accuracy; give a better teacher"
            )
        floors.append(Floor(min(asked, 1.0) - LAST_BIT, "rate"))
    return max(floors, key=lambda floor: needed_rate(data, floor, goal.balanced), default=None)


def _margin(teacher: Score, within: float) -> float:
    """How much nearer a network must be, for the difference to be 95 % sure; never so near that it must be better.

    The standard error of a difference on the same images is that of those which one alone gets right (Agresti & Min
    2005, section 2): at most the errors of both.
    """
    apart = 2 * (1 - teacher.rate) + within
    return min(within, ONE_SIDED * math.sqrt(apart / teacher.total))


def shown_floor(outcome: Outcome) -> Floor:
    """What a network that was chosen for its accuracy is shown to hold: by the worse half, over all images."""
    total = outcome.validation.total
    worse = min(outcome.selection.rate, outcome.confirmation.rate)
    low = Score(math.floor(worse * total), total).interval()[0]
    return Floor(max(0.0001, math.floor(1e4 * low) / 1e4))


def needed_rate(data: Dataset, floor: Floor, balanced: bool = False) -> float:
    """The rate that holds the floor on the whole validation split; both of its halves must reach it.

    Balanced, the mean over K classes of n_c images each is as sure as a rate over K² / sum(1 / n_c) images.

    Raises:
        RequestError: so few images cannot show so high a floor.
    """
    total = len(data.selection) + len(data.confirmation)
    if balanced:
        labels = np.concatenate([data.selection.labels, data.confirmation.labels])
        counts = np.bincount(labels, minlength=data.classes)
        total = int(data.classes**2 / (1 / np.maximum(counts, 1)).sum())
    needed = floor.needed(total)
    if needed is None:
        best = Score(total, total).interval()[0]
        raise RequestError(
            f"{data.name} has {total} images for validation, and all of them right show no more than {best:.4f}; "
            f"give more data, a floor of at most {best:.3f}, or --rule rate"
        )
    return needed.rate


SPARE = ONE_SIDED
"""Standard deviations of the difference between two halves of the validation split."""


@dataclass(eq=False)
class Judge:
    """Says how good an outcome is on either half, by the goal's own measure.

    needed: the rate to reach on both halves together; 1 where the best is asked for, so that nothing ever is enough
    least: the rate to reach on each
    """

    context: TrainingContext
    goal: Goal
    needed: float = 1.0
    least: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(HALVES, 1.0))
    _recalls: dict[tuple[str, str], npt.NDArray[np.float64]] = field(default_factory=dict)

    def rate(self, trial: Trial, outcome: Outcome, half: str) -> float:
        """The accuracy on "selection" or "confirmation"; of a balanced goal, the mean of the classes' own."""
        if self.goal.balanced:
            return float(self._class_rates(trial, outcome, half).mean())
        score: Score = getattr(outcome, half)
        return score.rate

    def ask(self, floor: Floor, given: Mapping[str, Score]) -> None:
        """Ask for a floor that `floor_of` gave, from now on.

        An accuracy is asked of both halves alike. Of `within`, a half that is harder for the network to be near to is
        allowed to be as much harder for others. given: that network's scores on the halves
        """
        data, goal = self.context.dataset, self.goal
        self.needed = needed_rate(data, floor, goal.balanced)
        self.least = dict.fromkeys(HALVES, self.needed)
        if goal.within is None or goal.balanced or floor is goal.floor:
            return
        absolute = needed_rate(data, goal.floor) if goal.floor else 0.0
        lost = sum(given.values(), Score(0, 0)).rate - self.needed + LAST_BIT
        self.least = {half: max(absolute, min(self.needed, given[half].rate - lost)) for half in HALVES}

    @property
    def asked(self) -> str:
        """For a sentence: "97.33 % on both halves of the validation split"."""
        needed, first, second = (f"{100 * rate:.2f} %" for rate in (self.needed, *self.least.values()))
        if needed == first == second:
            return f"{needed} on both halves of the validation split"
        return f"{needed} on the validation split, {first} and {second} on its halves"

    def holds(self, trial: Trial, outcome: Outcome, half: str) -> bool:
        """Whether a half reaches the rate that is needed, and each class on it the floor of the classes.

        The confirmation half is looked at last: with it both together must reach what is needed.
        """
        if self.rate(trial, outcome, half) < self.least[half]:
            return False
        if half == "confirmation" and not self.goal.balanced and outcome.validation.rate < self.needed:
            return False
        floor = self.goal.class_floor
        return not floor or bool(self._class_rates(trial, outcome, half).min() >= floor)

    def has_room(self, trial: Trial, outcome: Outcome) -> bool:
        """Whether the selection half holds by so much that another half of its size would too, 19 times of 20."""
        images, least = len(self.context.dataset.selection), self.least["selection"]
        spare = SPARE * math.sqrt(2 * least * (1 - least) / images)
        ample = min(least + spare, 1.0)
        return self.holds(trial, outcome, "selection") and self.rate(trial, outcome, "selection") >= ample

    def _class_rates(self, trial: Trial, outcome: Outcome, half: str) -> npt.NDArray[np.float64]:
        """The share of each class's images that is right: float64 [classes]; ones for a class without images."""
        known = self._recalls.get((trial.key, half))
        if known is None:
            split: Split = getattr(self.context.dataset, half)
            right = classify(self.context, trial.spec, outcome.weights, split).argmax(axis=1) == split.labels
            counts = np.bincount(split.labels, minlength=self.context.dataset.classes)
            hits = np.bincount(split.labels, weights=right, minlength=len(counts))
            known = np.where(counts > 0, hits / np.maximum(counts, 1), 1.0)
            self._recalls[trial.key, half] = known
        return known
