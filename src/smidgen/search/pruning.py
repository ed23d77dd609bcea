"""The stages that make trained networks smaller: channels are removed, and what is left is trained on.

    wide designs, trained -> one channel after another is removed, with a short training after each
                          -> the smallest network that meets the requirement is made smaller still (`descent.py`)

A small network that comes from a larger one is more accurate than the same network trained from drawn weights, and
depends less on the seed: the larger one found features that the small one alone rarely finds
(`results/2026-11-29-removal-of-channels`). This is iterative pruning with training in between (Molchanov et al. 2017,
arXiv 1611.06440, section 2). The channel that goes is found by trying each: the one whose removal raises the loss on
training images least for each parameter that it saves. No validation image takes part in that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from smidgen.model import Model
from smidgen.records import Trial
from smidgen.search.edits import with_widths
from smidgen.search.effort import BUDGET_SHARES
from smidgen.search.proposals import resized
from smidgen.search.ranking import (
    CandidateScore,
    best_designs,
    by_error,
    by_error_times_size,
    expected_size,
    first_of_each,
)
from smidgen.search.removals import least_harmful_of_each_layer, loss_on_first
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.spec import NetSpec, Shape
from smidgen.transforms.channel_groups import has_repeat
from smidgen.transforms.channels import hidden_groups

WIDE = 2.2
"""Size of the networks that channels are removed from, as a multiple of the size at which the requirement is expected
to be met."""

WIDE_MACS = 4
"""Multiply-accumulates of such a network at most, as a multiple of those that a candidate may have."""

LEAST_WIDTHS = 1e-9
"""A factor of all widths that leaves 1 of each."""

REMOVED_SHARE = 0.05
"""Channels are removed until this share of the parameters is gone; then the rest is trained on."""

SPARE_ERROR, SPARE_DEVIATIONS = 0.3, 2.0
"""Removal ends at an error that exceeds the allowed one by this share of it, or by so many standard deviations of the
selection half if that is more: a longer training may still make up for so much."""

LONGER_FROM = 0.75
"""Share of the allowed error from which on the trainings after a removal are twice as long."""


def wide_designs(search: Search) -> list[NetSpec]:
    """The best designs of the generations, each once, at `WIDE` times the size at which the requirement is expected.

    Such a network may exceed the limits of the goal, which it meets once it has lost enough.
    """
    scores = best_designs(search.expected, search.sized_error if search.goal.target else None)
    size = _expected_size(search, scores)
    space, shape = search.space(macs_factor=WIDE_MACS, limited=False), search.data.input_shape
    prunable = (score.spec for score in scores if is_prunable(score.spec, shape))
    designs = first_of_each(prunable, design_of)[: 2 * search.effort.pruned]
    return [resized(space, spec, round(WIDE * size)) or spec for spec in designs]


def design_of(spec: NetSpec) -> NetSpec:
    """The network with every width 1: those that differ in their widths alone have the same design."""
    return with_widths(spec, LEAST_WIDTHS)


def _expected_size(search: Search, scores: Sequence[CandidateScore]) -> float:
    """The size at which the requirement is expected to be met; without one, that of the most accurate network."""
    if search.goal.target:
        size = expected_size(scores, search.sized_error)
        return min(size or 0.0, search.goal.limits.parameters or math.inf)
    return min(scores, key=by_error).parameters


def is_prunable(spec: NetSpec, input_shape: Shape) -> bool:
    """Whether the network has channels or units that can be removed."""
    return not has_repeat(spec) and any(group.width > 1 for group in hidden_groups(spec.plan(input_shape)))


def prune(search: Search, wide: Sequence[TrainedCandidate]) -> None:
    """Remove channels from the best wide networks and train the rest, until they are too inaccurate.

    If the smallest network that meets the requirement is none of those, it loses channels too.
    """
    _remove_channels(search, _best_distinct(search, wide)[: search.effort.pruned])
    smallest = search.smallest_selected()
    if wide and smallest and not smallest.trial.start_digest:
        _remove_channels(search, [smallest])


def _remove_channels(search: Search, going: Sequence[TrainedCandidate]) -> None:
    """Let these networks lose channels and train on, again and again, until none can lose more."""
    while going:
        wanted = [trial for one in going if (trial := _next_training(search, one))]
        trained = search.train(search.affordable(wanted, BUDGET_SHARES["pruning"]), "pruning")
        going = [one for one in trained if goes_on(search, one)]


def _best_distinct(search: Search, wide: Sequence[TrainedCandidate]) -> list[TrainedCandidate]:
    """The wide networks, and those that were widened because these do not meet the requirement, of each design one."""
    shape = search.data.input_shape
    grown = [one for one in search.history.candidates if one.stage == "wider designs"]
    usable = [one for one in (*wide, *grown) if is_prunable(one.trial.spec, shape) and goes_on(search, one)]
    usable.sort(key=lambda one: by_error_times_size(search.score(one)))
    return first_of_each(usable, lambda one: design_of(one.trial.spec))


def _next_training(search: Search, one: TrainedCandidate) -> Trial | None:
    """The training of the network without the channels that it needs least; None if it has none to lose."""
    smaller = least_harmful(search, search.model(one))
    is_near = search.score(one).error > LONGER_FROM * search.judge.requirement.allowed_error
    return search.retraining(smaller, "short", doublings=int(is_near)) if smaller else None


def goes_on(search: Search, one: TrainedCandidate) -> bool:
    """Whether the network can lose more: it is accurate enough or, where the most accurate is wanted, too large."""
    if not search.goal.target:
        return not search.allows(one.trial.spec)
    allowed, images = search.judge.requirement.allowed_error, len(search.data.selection)
    deviation = math.sqrt(max(allowed * (1 - allowed), 0.0) / images)
    return search.score(one).error <= allowed + max(SPARE_ERROR * allowed, SPARE_DEVIATIONS * deviation)


def least_harmful(search: Search, model: Model) -> Model | None:
    """The network without the channels that it needs least; None if it has none to lose."""
    most = (1 - REMOVED_SHARE) * model.weights.size
    while model.weights.size > most:
        options = removals(search, model)
        if not options:
            return None
        model = options[0]
    return model


def removals(search: Search, model: Model) -> list[Model]:
    """The network without one channel or without the biases of one layer: of each layer the least harmful, in order."""
    return least_harmful_of_each_layer(partial(training_loss, search), model, search.study.workers)


def training_loss(search: Search, model: Model) -> float:
    """The mean cross-entropy of the labels on the first training images."""
    return loss_on_first(search.context, model)
