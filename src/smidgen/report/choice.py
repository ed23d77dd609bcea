"""How a network was chosen, in sentences for the page."""

from __future__ import annotations

from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult


def how_chosen(answer: ShrinkResult) -> tuple[str, ...]:
    """Return the steps of the choice, one sentence each, with the run's own counts."""
    data = answer.data
    networks = len({str(tried.trial.spec) for tried in answer.candidates})
    return (
        f"{len(data.train):,} images trained, and {len(data.selection):,} images of the training data, set aside, "
        f"chose among {networks:,} networks in {len(answer.candidates):,} trainings.",
        *(_by_floor(answer) if answer.goal.target else _by_limits(answer)),
        *(answer.teacher.notes if answer.teacher else ()),
        f"The {len(data.test):,} test images were scored once, after that.",
        f"The same network and recipe from {len(answer.fresh_seeds)} fresh seeds held the floor on all "
        f"{len(data.selection) + len(data.confirmation):,} validation images {answer.fresh_seeds_met} times.",
    )


def _by_floor(answer: ShrinkResult) -> tuple[str, ...]:
    """Return the steps to the smallest network that meets an accuracy floor."""
    data, floor, goal = answer.data, answer.floor, answer.goal
    rule = "the lower end of its 95 % Wilson interval" if floor.rule == "wilson" else "its plain rate"
    measure = ", its accuracy being the mean over the classes," if goal.balanced else ""
    classes = f" Each class had to reach {100 * goal.class_floor:g} % on both." if goal.class_floor else ""
    limits = f" Only networks of {goal.limits} were candidates." if goal.limits else ""
    count = len(answer.rejected)
    failed = f"{count} smaller {'network' if count == 1 else 'networks'}" if count else "no smaller network"
    return (
        f"A network holds the floor when {rule}{measure} over all validation images is at or above "
        f"{floor.accuracy:.6g}; that takes {100 * needed_rate(data, floor, goal.balanced):.2f} % right.{limits}",
        f"The smallest that reached it on those images had to reach it again on {len(data.confirmation):,} further "
        f"ones that took no part in choosing; {failed} passed selection and failed this confirmation.{classes}",
    )


def _by_limits(answer: ShrinkResult) -> tuple[str, ...]:
    """Return the steps to the most accurate network within limits."""
    data = answer.data
    return (
        f"Of the networks of {answer.goal.limits}, the one with the fewest errors on those images was taken.",
        f"{len(data.confirmation):,} further images took no part in choosing. The floor that the network is said to "
        f"hold, {100 * answer.floor.accuracy:.6g} %, is the lower end of the 95 % Wilson interval of the worse half.",
    )
