"""The accuracy that a network must reach (`Requirement`), and the `Judge` who says whether an outcome reaches it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.errors import RequestError
from smidgen.records import Floor, Outcome, Score, Trial, Weights, look_confidence
from smidgen.search.goal import Goal
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext, classify_in_units

HALVES = ("selection", "confirmation")
"""The two halves of the validation split."""

RATE_TOLERANCE = 1e-9
"""Slack on a required rate, so that an exactly sufficient count survives rounding."""

ONE_SIDED_95 = 1.645
"""Standard deviations below which 95 % of a normal distribution lie."""


@dataclass(frozen=True)
class Requirement:
    """The rates that a network must reach on the validation split, made once the teacher is known.

    Attributes:
        floor: The accuracy floor behind the rates, the stricter of two; None where the most accurate network is
            wanted. No rate is then enough, so all of them are 1.
        rate: The rate to reach on both halves together.
        half_rates: The rate to reach on each half, by its name.
        balanced: Rates are means over the classes.
        class_floor: The rate that each class must reach on each half.
        strict: The floor that the confirmation half must show by itself; None without such a floor.
    """

    floor: Floor | None
    rate: float
    half_rates: Mapping[str, float]
    balanced: bool = False
    class_floor: float = 0.0
    strict: Floor | None = None

    @classmethod
    def of(cls, goal: Goal, data: Dataset, teacher: Mapping[str, Score] | None = None) -> Requirement:
        """Derive the requirement from a goal.

        A floor asks the same of both halves. With a distance to the teacher, a half on which the teacher errs more
        may be missed by as much more.

        Args:
            goal: What is searched for.
            data: Gives the number of validation images.
            teacher: The scores, by half, of the network that a distance is measured from, those of `balanced_scores`
                for a balanced goal; needed for `within` alone.

        Raises:
            RequestError: The validation split is too small to show such an accuracy.
        """
        floor = _stricter_floor(goal, data, teacher or {})
        rate = 1.0 if floor is None else needed_rate(data, floor, goal.balanced)
        half_rates = dict.fromkeys(HALVES, rate)
        absolute = goal.target and goal.target.accuracy_floor
        if teacher and floor and floor != absolute and not goal.balanced:
            lowest = needed_rate(data, absolute) if absolute else 0.0
            lost = _whole(teacher).rate - rate + RATE_TOLERANCE
            half_rates = {half: max(lowest, min(rate, teacher[half].rate - lost)) for half in HALVES}
        strict = absolute if absolute and absolute.rule == "strict" else None
        return cls(floor, rate, half_rates, goal.balanced, goal.class_floor, strict)

    @property
    def allowed_error(self) -> float:
        """The error that a network may have on the selection half."""
        return 1.0 - self.half_rates["selection"]

    @property
    def requirement_text(self) -> str:
        """For a sentence: "97.34 % on both validation halves"."""
        rate, *halves = (f"{100 * rate:.2f} %" for rate in (self.rate, *self.half_rates.values()))
        if halves == [rate, rate]:
            return f"{rate} on both validation halves"
        return f"{rate} on the validation split, {halves[0]} and {halves[1]} on its halves"


def _stricter_floor(goal: Goal, data: Dataset, teacher: Mapping[str, Score]) -> Floor | None:
    """The floor that asks for the higher rate: the goal's own, or the one that follows from the teacher's score."""
    target = goal.target
    if target is None:
        return None
    floors = [] if target.accuracy_floor is None else [target.accuracy_floor]
    if target.within is not None:
        floors.append(_teacher_floor(target.within, target.rule, _whole(teacher)))
    return max(floors, key=lambda floor: needed_rate(data, floor, goal.balanced))


def _teacher_floor(within: float, rule: str, teacher: Score) -> Floor:
    accuracy = teacher.rate - within + (0.0 if rule == "rate" else _margin(teacher, within))
    if accuracy <= 0:
        raise RequestError(f"within={within:g} of a teacher of {teacher} is no accuracy; give a better teacher")
    return Floor(min(accuracy, 1.0) - RATE_TOLERANCE, "rate")


def _margin(teacher: Score, within: float) -> float:
    """How much nearer to its teacher a network must be measured, for 95 % confidence in the distance; at most `within`.

    The standard error of a difference on the same images depends on those that only one of both classifies correctly
    (Agresti & Min 2005, section 2); there are at most as many as both err together.
    """
    discordant = 2 * (1 - teacher.rate) + within
    return min(within, ONE_SIDED_95 * math.sqrt(discordant / teacher.total))


def _whole(halves: Mapping[str, Score]) -> Score:
    return sum(halves.values(), Score(0, 0))


def needed_rate(data: Dataset, floor: Floor, balanced: bool = False) -> float:
    """The rate that holds the floor on the whole validation split; each of its halves must reach it.

    The rule "strict" asks for the rate that shows the floor on the confirmation half alone.

    Raises:
        RequestError: The validation split is too small to show so high a floor.
    """
    is_strict = floor.rule == "strict"
    total = shown_images(data, ("confirmation",) if is_strict else HALVES, balanced)
    needed = floor.needed(total)
    if needed is None:
        best, purpose = floor.shown_by(Score(total, total)), "confirmation" if is_strict else "validation"
        raise RequestError(
            f"{data.name} has {total} examples for {purpose}, and all of them right "
            f"show no more than {best:.4f}; give more data, a floor of at most {math.floor(1e3 * best) / 1e3:.3f}, or "
            "--rule rate"
        )
    return needed.rate


def shown_images(data: Dataset, halves: Sequence[str], balanced: bool) -> int:
    """How many images the certainty of an accuracy on some halves amounts to.

    Balanced, the mean over K classes of n_c images each is as certain as a rate over K² / sum(1 / n_c) images.
    """
    labels = np.concatenate([data.splits[half].labels for half in halves])
    if not balanced:
        return len(labels)
    counts = np.bincount(labels, minlength=data.classes)
    return int(data.classes**2 / (1 / np.maximum(counts, 1)).sum())


def balanced_scores(data: Dataset, logits_of: Callable[[str], npt.NDArray[np.float32]]) -> dict[str, Score]:
    """A network's scores by half, as means over the classes: each of as many images as such a mean is as certain as.

    Args:
        data: The data set.
        logits_of: Returns the network's logits of a half by its name, float32 [n, classes].
    """
    scores = {}
    for half in HALVES:
        split, images = data.splits[half], shown_images(data, (half,), balanced=True)
        rates = _rates_by_class(logits_of(half).argmax(axis=1) == split.labels, split, data.classes)
        scores[half] = Score(math.floor(rates.mean() * images + RATE_TOLERANCE), images)
    return scores


def shown_floor(outcome: Outcome) -> Floor:
    """The floor that a network chosen for its accuracy is shown to hold: by its worse half, as if over all images."""
    total = outcome.validation.total
    worse = min(outcome.selection.rate, outcome.confirmation.rate)
    low = Score(math.floor(worse * total), total).interval()[0]
    return Floor(max(0.0001, math.floor(1e4 * low) / 1e4))


@dataclass(frozen=True, eq=False)
class Judge:
    """Says whether an outcome meets a requirement, and how accurate it is by the requirement's own measure.

    Attributes:
        requirement: The rates to reach.
        context: Classifies the validation images where rates of single classes are needed.
        classify: How an outcome's weights do it: as the network that a user gets, or as a file that was decoded.
    """

    requirement: Requirement
    context: TrainingContext
    classify: Callable[[TrainingContext, NetSpec, Weights, Split], npt.NDArray[np.float32]] = classify_in_units
    _class_rates_memo: dict[tuple[str, str], npt.NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def rate(self, trial: Trial, outcome: Outcome, half: str) -> float:
        """The accuracy on "selection" or "confirmation"; if balanced, the mean over the classes."""
        if self.requirement.balanced:
            return float(self._class_rates(trial, outcome, half).mean())
        return outcome.halves[half].rate

    def rate_overall(self, trial: Trial, outcome: Outcome) -> float:
        """The accuracy on both halves; if balanced, the mean of the halves' own."""
        if not self.requirement.balanced:
            return outcome.validation.rate
        return sum(self.rate(trial, outcome, half) for half in HALVES) / len(HALVES)

    def is_met(self, trial: Trial, outcome: Outcome, half: str, look: int = 1) -> bool:
        """Whether a half reaches its rate, and each class on it the floor of the classes.

        On the confirmation half, which is looked at last, both halves together must also reach the rate; a strict floor
        must be shown there with the confidence that belongs to the network's turn.

        Args:
            trial: The key of the training.
            outcome: Its result.
            half: "selection" or "confirmation".
            look: How many networks the confirmation half has been asked about, this one included.
        """
        required = self.requirement
        if half == "confirmation" and required.strict and self.promise(trial, outcome, look) < required.strict.accuracy:
            return False
        if self.rate(trial, outcome, half) < required.half_rates[half]:
            return False
        if half == "confirmation" and not required.balanced and outcome.validation.rate < required.rate:
            return False
        floor = required.class_floor
        return not floor or bool(self._class_rates(trial, outcome, half).min() >= floor)

    def promise(self, trial: Trial, outcome: Outcome, look: int) -> float:
        """The accuracy that the confirmation half shows with the confidence that belongs to a network's turn."""
        balanced = self.requirement.balanced
        images = shown_images(self.context.dataset, ("confirmation",), balanced)
        right = math.floor(self.rate(trial, outcome, "confirmation") * images + RATE_TOLERANCE)
        return Score(right, images).lower_bound(look_confidence(look))

    def is_met_overall(self, trial: Trial, outcome: Outcome, floor: Floor) -> bool:
        """Whether both halves taken together hold the floor; if balanced, whether they reach the required rate."""
        if not self.requirement.balanced:
            return floor.is_met_by(outcome.validation)
        return self.rate_overall(trial, outcome) >= self.requirement.rate

    def is_met_with_margin(self, trial: Trial, outcome: Outcome) -> bool:
        """Whether the selection half exceeds its rate by so much that 95 % of other halves would reach it too.

        The margin counts in standard deviations of the difference between two halves.
        """
        images, least = len(self.context.dataset.selection), self.requirement.half_rates["selection"]
        margin = ONE_SIDED_95 * math.sqrt(2 * least * (1 - least) / images)
        reached = self.rate(trial, outcome, "selection") >= min(least + margin, 1.0)
        return reached and self.is_met(trial, outcome, "selection")

    def _class_rates(self, trial: Trial, outcome: Outcome, half: str) -> npt.NDArray[np.float64]:
        """The accuracy on each class: float64 [classes]; 1 for a class without images."""
        known = self._class_rates_memo.get((trial.key, half))
        if known is None:
            split: Split = getattr(self.context.dataset, half)
            logits = self.classify(self.context, trial.spec, outcome.weights, split)
            known = _rates_by_class(logits.argmax(axis=1) == split.labels, split, self.context.dataset.classes)
            self._class_rates_memo[trial.key, half] = known
        return known


def _rates_by_class(right: npt.NDArray[np.bool_], split: Split, classes: int) -> npt.NDArray[np.float64]:
    counts = np.bincount(split.labels, minlength=classes)
    hits = np.bincount(split.labels, weights=right, minlength=classes)
    rates: npt.NDArray[np.float64] = np.where(counts > 0, hits / np.maximum(counts, 1), 1.0)
    return rates
