"""The last trainings of pictures: networks that nearly meet the requirement are trained further on moved copies.

The rounds before end where longer training helps no more: such a network knows its training images nearly as well as
it can. Moved, turned and resized copies are new to it, and the teacher says of each how much it looks like each class.
Whether that helps depends on the pictures and on the network: digits stay digits when they move, but clothes fill their
pictures, and a few hundred parameters have no room for more. So it is tried, and costs a few trainings. Where such a
network becomes the smallest, the rounds of `descent.py` go on from it, on moved copies too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

from smidgen.data import can_be_moved, with_copies
from smidgen.records import Trial
from smidgen.search.descent import best_network, descend
from smidgen.search.effort import BUDGET_SHARES, MOVED_AT_ONCE, TEACHER
from smidgen.search.ranking import first_of_each
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.teacher import TeacherOutputs, context_with_teacher

COPIES, LEARNING_RATE, NEAR = 4, 0.01, 1.15
"""Copies of each picture, the learning rate of trainings on them, and how much the networks err before, as a multiple
of what is allowed."""


def with_moved_copies(search: Search, teacher: TeacherOutputs | None) -> Search:
    """The search that can train on moved copies.

    It is the same search where no accuracy is required, the effort leaves that out, inputs are no pictures, the user
    moved them already, or networks learn from a teacher that cannot be asked about other pictures.
    """
    data, study = search.data, search.study
    is_wanted = search.goal.target and search.effort.moved_rounds
    if not is_wanted or not can_be_moved(data) or data.copies > 1:
        return search
    moved = with_copies(data, COPIES, study.workers)
    context = replace(search.context, dataset=moved, teacher_key="", teacher_logits=None)
    if teacher and teacher.trial and teacher.outcome:
        context = context_with_teacher(study.store, context, teacher.trial, teacher.outcome, study.workers)
    elif search.recipe_name == TEACHER:
        return search
    return replace(search, moved=context)


def train_on_moved_copies(search: Search) -> None:
    """Train networks further that nearly meet the requirement and are smaller than the smallest that does, in rounds.

    The first round whose networks do not err less than before in the mean is the last. If the smallest network is then
    one of those, rounds make it smaller still.
    """
    if search.moved:
        _train_near_misses(search)
        best = best_network(search)
        if best and search.context_of(best.trial) is search.moved:
            descend(replace(search, context=search.moved))


def _train_near_misses(search: Search) -> None:
    for _ in range(search.effort.moved_rounds):
        near, errors = near_misses(search)[:MOVED_AT_ONCE], search.estimated_errors()
        trained = search.train(
            search.affordable([retraining(search, one) for one in near], BUDGET_SHARES["pruning"]), "moved copies"
        )
        before = [errors[one.trial.key] for one in near[: len(trained)]]
        if not trained or fmean(search.score(one).error for one in trained) >= fmean(before):
            return


def near_misses(search: Search) -> list[TrainedCandidate]:
    """The networks to train on, the smallest first: they lost channels and were not trained on moved copies yet."""
    best, errors, candidates = best_network(search), search.estimated_errors(), search.history.candidates
    most = best.outcome.parameters if best else math.inf
    known = {one.trial.spec for one in candidates if search.context_of(one.trial) is search.moved}
    allowed = NEAR * search.judge.requirement.allowed_error
    smaller = (one for one in candidates if one.outcome.parameters < most and one.trial.spec not in known)
    near = [one for one in smaller if errors.get(one.trial.key, 1.0) <= allowed]
    near.sort(key=lambda one: (one.outcome.parameters, errors[one.trial.key]))
    return first_of_each(near, lambda one: one.trial.spec)


def retraining(search: Search, one: TrainedCandidate) -> Trial:
    """The training that goes on from a network's weights, on moved copies."""
    assert search.moved is not None
    moved = replace(search, context=search.moved)
    return moved.retraining(search.model(one), "long", learning_rate=LEARNING_RATE)
