"""The last stages of a search: confirmation, fresh seeds, the curve of accuracy against size, and the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.errors import FloorNotMet
from smidgen.records import Score
from smidgen.search.byte_search import ByteSearchEffort
from smidgen.search.compress import CompressResult, search_bytes
from smidgen.search.confirm import confirm
from smidgen.search.effort import BUDGET_SHARES, CURVE_REACH, WIDENING_MACS
from smidgen.search.frontier import Point, TurningPoint
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import Judge, Requirement
from smidgen.search.proposals import resized
from smidgen.search.ranking import first_of_each
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.search.turning_point import turning_point_of_front
from smidgen.spec import NetSpec
from smidgen.teacher import context_with_model
from smidgen.trials.evaluate import TrainingContext, score_in_units

SPARE_SHARES = (0.85, 0.9, 0.8, 0.93, 0.74, 0.87, 0.83, 0.77)
"""Shares of the allowed error of the networks that are put into files, the most promising first: more weights of fewer
bits can make a shorter file. On MNIST grids of about four bits cost 0.3 to 0.4 points of accuracy, and it shows only in
training which network has the shortest file; it never was one of more than twice the winner's size."""

COMPRESSED_SIZE = 1.8
"""Where no accuracy is required, networks up to this multiple of the winner's size are compressed."""

COMPRESSION_LOSS = 0.002
"""Accuracy that the file of the best network within limits may lose, if its bytes are not limited."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The winner, whether it meets the requirement, and the smaller networks that failed confirmation."""

    winner: TrainedCandidate
    is_met: bool
    rejected: tuple[TrainedCandidate, ...] = ()


def choose_winner(search: Search) -> Choice:
    """Confirm the smallest network that meets the requirement; without a target, take the most accurate.

    Raises:
        FloorNotMet: No network meets the requirement, and the goal does not fall back to the best.
    """
    if search.goal.target is None:
        return Choice(_most_accurate(search), is_met=True)
    confirmed = confirm(search.by_size(), search.is_met)
    if confirmed.candidate:
        return Choice(confirmed.candidate, True, confirmed.rejected)
    if search.goal.fallback_to_best:
        return Choice(_most_accurate(search), False, confirmed.rejected)
    raise FloorNotMet(_not_met_text(search))


def _most_accurate(search: Search) -> TrainedCandidate:
    """The candidate with the lowest error on the selection half; of equals the smallest."""
    return min(
        search.history.candidates,
        key=lambda candidate: (search.score(candidate).error, candidate.outcome.parameters),
    )


def _not_met_text(search: Search) -> str:
    goal, judge, candidates = search.goal, search.judge, search.history.candidates
    required = judge.requirement
    assert required.floor is not None
    rates = ((judge.rate_overall(one.trial, one.outcome), one.outcome.parameters) for one in candidates)
    best, parameters = max(rates, key=lambda pair: pair[0])
    classes = f", and {100 * goal.class_floor:g} % of each class" if goal.class_floor else ""
    return (
        f"no network{f' of {goal.limits}' if goal.limits else ''} reached {100 * required.floor.accuracy:.6g} % on "
        f"{search.data.name} (needs {required.requirement_text}{classes}; best of {len(candidates)}: "
        f"{100 * best:.2f} %, {parameters:,} parameters). Lower --floor, "
        f"{'relax the limits, ' if goal.limits else ''}raise --effort, or add data{_plain_rate_text(search)}"
    )


def _plain_rate_text(search: Search) -> str:
    """The smallest network that would hold the floor by the plain rate, as a remedy; "" if there is none."""
    target = search.goal.target
    if target is None or target.rule == "rate" or target.within is not None:
        return ""
    goal = replace(search.goal, target=replace(target, rule="rate"))
    judge = Judge(Requirement.of(goal, search.data), search.context)
    confirmed = confirm(
        sorted(search.history.candidates, key=lambda candidate: candidate.outcome.parameters),
        lambda candidate, half: judge.is_met(candidate.trial, candidate.outcome, half),
    )
    if confirmed.candidate is None:
        return ""
    return f"; with --rule rate {confirmed.candidate.outcome.parameters:,} parameters reach it"


def train_fresh_seeds(search: Search, winner: TrainedCandidate) -> tuple[TrainedCandidate, ...]:
    """Train the winner's network and recipe from seeds that took no part in the search."""
    first = 1_000_003 * (search.seed + 1)
    trials = [winner.trial.with_seed(first + k) for k in range(search.effort.fresh_seeds)]
    return tuple(search.train(search.affordable(trials, BUDGET_SHARES["fresh seeds"]), "fresh seeds"))


def draw_curve(search: Search, winner: TrainedCandidate) -> TurningPoint | None:
    """Train the winner at larger widths long, and find the turning point of everything tried.

    Returns:
        None if the effort draws no curve, or the curve has no turning point.
    """
    if not search.effort.curve_sizes:
        return None
    space = search.space(macs_factor=WIDENING_MACS)
    sizes = curve_sizes(winner.outcome.parameters, search.effort.curve_sizes)
    wider = (resized(space, winner.trial.spec, size) for size in sizes)
    _train_until_longer_does_not_help(search, [spec for spec in wider if spec])
    floor = search.judge.requirement.floor
    return turning_point_of_front(_points(search), 1 - floor.accuracy if floor else None)


def curve_sizes(parameters: int, count: int) -> list[int]:
    """`count` sizes above a winner's, up to `CURVE_REACH` times it, in equal ratios."""
    return [round(parameters * CURVE_REACH ** (step / count)) for step in range(1, count + 1)]


def _train_until_longer_does_not_help(search: Search, specs: Sequence[NetSpec]) -> None:
    """Train networks long, and each twice as long again as often as the effort allows while that lowers its error.

    All are trained together, the largest first: one training alone would leave cores idle.
    """
    least = dict.fromkeys(specs, math.inf)
    for doublings in range(search.effort.curve_doublings + 1):
        trials = search.affordable(search.trials([*least], "long", doublings=doublings), BUDGET_SHARES["fresh seeds"])
        if not trials:
            return
        trained = search.train(trials[::-1], "the curve")
        errors = {one.trial.spec: search.score(one).error for one in trained}
        least = {spec: error for spec in least if (error := errors.get(spec, math.inf)) < least[spec]}


def _points(search: Search) -> list[Point]:
    """Everything tried, as points of the curve, but what diverged."""
    return [
        Point(one.outcome.parameters, one.outcome.validation, str(one.trial.spec), one.trial.seed)
        for one in search.history.candidates
        if not one.outcome.diverged_at
    ]


def score_on_test(search: Search, candidate: TrainedCandidate) -> Score:
    """The score on the test split. Call it once, for the winner."""
    weights = candidate.outcome.weights
    return score_in_units(search.context, candidate.trial.spec, weights, search.data.test, search.study.workers)


def search_file(search: Search, winner: TrainedCandidate, test: Score) -> CompressResult | None:
    """Search the shortest file of the networks that have accuracy to spare for coarser weights.

    Args:
        search: The search that found the winner.
        winner: The network to compare with.
        test: Its score on the test split.

    Returns:
        None if no file meets what the winner meets.

    Raises:
        FloorNotMet: The goal limits the bytes, and no file is short enough.
    """
    given = search.model(winner)
    models = [search.model(candidate) for candidate in _with_accuracy_to_spare(search, winner)]
    try:
        return search_bytes(
            search.study,
            _with_logits(search, winner),
            models,
            given=given,
            goal=_file_goal(search.goal),
            effort=_file_effort(search),
            seed=search.seed,
            requirement=search.judge.requirement if search.goal.target else None,
            given_test=test,
            looks=search.history.looks,
        )
    except FloorNotMet:
        if search.goal.limits.file_bytes is not None:
            raise
        return None


def _file_effort(search: Search) -> ByteSearchEffort:
    """How much is tried for fewer bytes; with a budget of work, what is left of it."""
    effort = search.effort.byte_search
    if search.most_work is None:
        return effort
    left = max(0.0, search.most_work - search.history.work)
    trainings = effort.first + effort.children
    return replace(
        effort, training_macs=min(effort.training_macs, left / trainings), total_macs=min(effort.total_macs, left)
    )


def _file_goal(goal: Goal) -> Goal:
    """The goal for the file: without a target or a limit of bytes, it may lose little of the winner's accuracy."""
    if goal.target or goal.limits.file_bytes is not None:
        return goal
    return replace(goal, target=Target(within=COMPRESSION_LOSS))


def _with_logits(search: Search, winner: TrainedCandidate) -> TrainingContext:
    """What the winner learned from; without a teacher that knows more, the winner's own logits stand in."""
    context = search.context_of(winner.trial)
    if context.teacher_logits is not None and not search.teacher_is_left_out:
        return context
    return context_with_model(search.study.store, context, search.model(winner), search.study.workers)


def _with_accuracy_to_spare(search: Search, winner: TrainedCandidate) -> list[TrainedCandidate]:
    """The networks for the file: the smallest with some of the allowed error to spare, then the winner, which has none.

    Without a target, those up to `COMPRESSED_SIZE` times the winner's size with the least error times size.
    """
    candidates = [one for one in search.by_size() if not one.outcome.diverged_at]
    if search.goal.target:
        allowed, errors = search.judge.requirement.allowed_error, search.estimated_errors()
        spare = [
            next(
                (one for one in candidates if errors.get(one.trial.key, search.score(one).error) <= share * allowed),
                winner,
            )
            for share in SPARE_SHARES
        ]
    else:
        most = COMPRESSED_SIZE * winner.outcome.parameters
        spare = [one for one in candidates if one.outcome.parameters <= most]
        spare.sort(key=lambda one: search.score(one).error_times_size)
    others = [one for one in first_of_each(spare, lambda one: one.trial.spec) if one.trial.spec != winner.trial.spec]
    return [*others[: search.effort.byte_search.networks], winner]
