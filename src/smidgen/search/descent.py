"""The stage that makes the smallest network that meets the requirement smaller still, in rounds of trainings.

    single channels    it loses a channel of one layer or the biases of one, each in a network of its own
    near misses        the most accurate of the smaller networks that nearly meet the requirement is trained on
    exchanges          it gains a channel of one layer, is trained shortly, and then loses others until it is smaller

The removal of the channel that is missed least, again and again, is greedy: what is left depends on the order. An
exchange finds other widths of the same design, with weights that are trained already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from smidgen.engine import Start
from smidgen.model import Model
from smidgen.records import Trial
from smidgen.search.effort import BUDGET_SHARES
from smidgen.search.pruning import design_of, goes_on, is_prunable, removals, training_loss
from smidgen.search.ranking import first_of_each
from smidgen.search.removals import losses_of, without_each_channel
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.transforms import with_channel_twice
from smidgen.transforms.channel_groups import ChannelGroup
from smidgen.transforms.channels import hidden_groups

BRANCHES, CONTINUED = 3, 1
"""How many layers lose a channel, and how many near misses are trained on, in each round."""

GROWING, GROWING_SIZE, LOSING, EXCHANGED = 2, 1.2, 6, 4
"""How many designs gain channels in each round, and their size at most, as a multiple of the smallest network's; how
many of those that gained one lose others, and how many of these are trained on: those of the least loss on training
images times size."""


def descend(search: Search) -> None:
    """Train rounds of smaller networks until several rounds in a row find none that meets the requirement.

    Where the most accurate network within limits is wanted, a round is in vain if none is more accurate.
    """
    failures, grown, before, best = 0, list[TrainedCandidate](), None, best_network(search)
    for number in range(search.effort.descents):
        branches = _single_channels(search, best) if best is not before else ()
        smaller = [*_near_misses(search, best), *branches, *_exchanged(search, best, grown)]
        larger = list(_with_a_channel_more(search, best, np.random.default_rng((search.seed, number))))
        trials = search.affordable([*smaller, *larger], BUDGET_SHARES["pruning"])
        if not trials:
            return
        trained = search.train(trials, "single channels")
        grown = trained[len(smaller) :]
        before, best = best, best_network(search)
        failures = 0 if best is not before else failures + 1
        if failures > search.effort.patience:
            return


def is_pruned(search: Search) -> bool:
    """Whether the smallest network that meets the requirement so far comes from a larger one."""
    smallest = search.smallest_selected()
    return smallest is not None and bool(smallest.trial.start_digest)


def best_network(search: Search) -> TrainedCandidate | None:
    """The smallest network that meets the requirement, if possible not by luck; where none is required, the best."""
    if search.goal.target:
        return next(iter(search.likely()), search.smallest_selected())
    return min(search.history.candidates, key=lambda one: search.score(one).error, default=None)


def _single_channels(search: Search, best: TrainedCandidate | None) -> Iterator[Trial]:
    """The smallest network without a channel of one layer, for the layers that miss it least."""
    if best and search.goal.target:
        for model in removals(search, search.model(best))[:BRANCHES]:
            yield search.retraining(model, "middle")


def _near_misses(search: Search, best: TrainedCandidate | None) -> Iterator[Trial]:
    """Networks that lost channels, may become the answer and were not trained on yet, the most accurate first."""
    most = best.outcome.parameters if best and search.goal.target else math.inf
    known, errors = set(search.history.starts), search.estimated_errors()
    near = [
        one
        for one in search.history.candidates
        if one.trial.key in errors and Start(one.outcome.weights).digest not in known
        if one.outcome.parameters < most and (not search.goal.target or goes_on(search, one))
    ]
    near.sort(key=lambda one: errors[one.trial.key])
    for one in first_of_each(near, lambda one: one.trial.spec)[:CONTINUED]:
        yield search.retraining(search.model(one), "long")


# --- exchanges ----------------------------------------------------------------------------------


def _with_a_channel_more(search: Search, best: TrainedCandidate | None, random: np.random.Generator) -> Iterator[Trial]:
    """Networks of the best designs with the most needed channel twice, one network for each group of channels."""
    shape = search.data.input_shape
    for one in _growing(search, best):
        model = search.model(one)
        for group in hidden_groups(model.spec.plan(shape)):
            twice = with_channel_twice(model, group, _most_needed(search, model, group), random)
            yield search.retraining(twice, "short")


def _growing(search: Search, best: TrainedCandidate | None) -> list[TrainedCandidate]:
    """The smallest networks that meet the requirement, of each design one: what one design lacks another may have."""
    shape = search.data.input_shape
    if best is None or not best.trial.start_digest:
        return []
    others = [one for one in search.likely() if one.outcome.parameters <= GROWING_SIZE * best.outcome.parameters]
    usable = [one for one in (best, *others) if is_prunable(one.trial.spec, shape)]
    return first_of_each(usable, lambda one: design_of(one.trial.spec))[:GROWING]


def _most_needed(search: Search, model: Model, group: ChannelGroup) -> int:
    """The channel of a group whose removal raises the loss on training images most."""
    if group.width == 1:
        return 0
    losses = losses_of(partial(training_loss, search), without_each_channel(model, group), search.study.workers)
    return int(np.argmax(losses))


def _exchanged(search: Search, best: TrainedCandidate | None, grown: Sequence[TrainedCandidate]) -> list[Trial]:
    """The networks that gained a channel, without others that they need least: the best ones that are small enough."""
    larger = _by_loss_times_size(search, map(search.model, grown))[:LOSING]
    smaller = _by_loss_times_size(search, filter(None, (_small_enough(search, best, model) for model in larger)))
    wanted = first_of_each(smaller, lambda model: model.spec)[:EXCHANGED]
    return [search.retraining(model, "middle") for model in wanted]


def _by_loss_times_size(search: Search, models: Iterable[Model]) -> list[Model]:
    """The networks in the order of their loss on training images times their size."""
    return sorted(models, key=lambda model: training_loss(search, model) * model.weights.size)


def _small_enough(search: Search, best: TrainedCandidate | None, model: Model) -> Model | None:
    """The network without channels until it is within the limits and smaller than the smallest so far."""
    most = best.outcome.parameters - 1 if best and search.goal.target else model.weights.size
    while model.weights.size > most or not search.allows(model.spec):
        options = removals(search, model)
        if not options:
            return None
        model = options[0]
    return model
