"""Before a search: how long it is expected to take here, and the effort that a budget of time or work allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from smidgen.errors import RequestError
from smidgen.search.budget import WorkEstimate, effort_within, enlarged, rounded
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal
from smidgen.search.parameter_search import first_networks
from smidgen.search.progress import STATED_SECONDS, expectation
from smidgen.search.pruning import WIDE
from smidgen.search.state import Search, space_of
from smidgen.search.teacher_stage import teacher_trial
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.speed import measured_speed
from smidgen.trials.study import Study

SURPRISE = 1.5
"""By what factor the expected work must grow for that to be said."""


@dataclass(frozen=True)
class Budget:
    """How long a search may be; nothing given is no limit.

    Attributes:
        minutes: Minutes on this machine; before anything is trained they are turned into work.
        work: Multiply-accumulates of training.
    """

    minutes: float | None = None
    work: float | None = None

    def __post_init__(self) -> None:
        if self.minutes is not None and self.work is not None:
            raise RequestError("minutes and work are two budgets; give one of them")
        for name in ("minutes", "work"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RequestError(f"{name}={value:g} must be above 0; leave it out for no budget")

    @property
    def slug(self) -> str:
        """For the name of a folder: "5-minutes", "work-6.12e+12"; "" without a budget."""
        if self.minutes is not None:
            return f"{self.minutes:g}-minutes"
        return "" if self.work is None else f"work-{self.work:.3g}"

    def __bool__(self) -> bool:
        return self.minutes is not None or self.work is not None


@dataclass(frozen=True)
class SearchPlan:
    """What a search will do.

    Attributes:
        effort: How much is tried.
        estimate: What efforts are expected to take.
        work: The budget in multiply-accumulates; None without one.
        candidates_work: What the candidates may take of it; None without a budget.
        expected_work: What the candidates are expected to take.
        notes: What is said about the budget in the report, one sentence each.
    """

    effort: Effort
    estimate: WorkEstimate
    work: float | None
    candidates_work: float | None
    expected_work: float
    notes: tuple[str, ...] = ()


def plan_search(
    study: Study,
    context: TrainingContext,
    goal: Goal,
    effort: Effort,
    seed: int,
    *,
    budget: Budget,
    trains_teacher: bool,
) -> SearchPlan:
    """Choose the effort for a budget, and say how long the search will take.

    Args:
        study: Its reporter is told the expected time; its workers share the work.
        context: The data and the engine.
        goal: What is searched for.
        effort: How much is tried without a budget.
        seed: Seed of the search.
        budget: How long it may take.
        trains_teacher: Whether a teacher may be trained.

    Raises:
        RequestError: The budget is too small for any search.
    """

    def first(wanted: Effort) -> tuple[NetSpec, ...]:
        return first_networks(space_of(context.dataset, goal, wanted), wanted, seed)

    teacher = teacher_trial(context, seed) if trains_teacher else None
    expected = WorkEstimate(context, first, teacher, goal.target is not None and goal.target.within is not None)
    effort = effort if budget else enlarged(effort, expected)
    drawn = first(effort)
    speed = measured_speed(context, drawn) if drawn and (budget.minutes is not None or study.is_followed) else None
    work, notes = budget.work, tuple[str, ...]()
    if budget.minutes is not None:
        work = rounded(60 * budget.minutes * (speed or 1.0) * study.threads)
    if work is not None:
        effort = effort_within(work, expected)
        notes = (_budget_note(budget, work),)
    total = expected(effort)
    if speed and total > STATED_SECONDS * speed * study.threads:
        study.reporter.say(expectation(total, speed, study.threads))
    for note in notes:
        study.reporter.say(note)
    taught = expected.teacher_work(effort)
    return SearchPlan(effort, expected, work, None if work is None else work - taught, total - taught, notes)


def with_known_costs(search: Search, estimate: WorkEstimate, wide: Sequence[NetSpec]) -> Search:
    """The search that expects later networks to cost what the wide designs do, which the generations have shown.

    Which networks a floor takes cannot be known before: for 99 % on MNIST they cost six times the usual ones.
    """
    if search.progress is None or search.most_work is not None or not wide:
        return search
    usual, work = median(spec.macs(search.data.input_shape) for spec in wide) / WIDE, search.history.work
    known = replace(search.progress, expected_work=work + estimate.later(search.effort, usual, work))
    left = known.left(work, search.study.work)
    if left and known.expected_work > SURPRISE * search.progress.expected_work:
        search.study.reporter.say(f"the floor takes larger networks than were expected: {left}")
    return replace(search, progress=known)


def _budget_note(budget: Budget, work: float) -> str:
    if budget.minutes is None:
        return f"the budget was {work:.3g} multiply-accumulates of training (--work {work:.3g})"
    return (
        f"the budget of {budget.minutes:g} minutes was turned into {work:.3g} multiply-accumulates of training at the "
        f"speed of this machine; --work {work:.3g} gives the same networks on any machine"
    )
