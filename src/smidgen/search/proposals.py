"""Which networks a generation trains: pure functions of the history and a seed.

The first generation is drawn from designs that are known to be good at small sizes (`smidgen.search.designs`). Later
ones are found by evolution (`smidgen.search.edits`): parents are the networks with the least error times size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from smidgen.errors import SpecError
from smidgen.search.designs import Design, deep_design, designs_for, fits, fitting
from smidgen.search.edits import child, edits_for, with_widths
from smidgen.search.idle_layers import has_idle_layer
from smidgen.search.ranking import CandidateScore, by_error_times_size
from smidgen.spec import Dense, Layer, NetSpec, Shape, outputs_for
from smidgen.transforms import spec_without_idle_biases

PARENTS = 20
"""How many networks have children."""

RESIZING_STEPS, MOST_RESIZING = 20, 200
"""A network is widened by a twentieth of its widths at a time, and at most 200 times."""

MISSES_BEFORE_NARROWING, MOST_MISSES = 50, 400
"""Draws in a row that do not fit or are known, before the next ones are narrowed and before a generation stays smaller
than wanted."""

NARROWINGS = (1.0, 0.5, 0.25, 0.125)
"""Factors of the widths of a narrowed network; the first with which it fits is taken."""


@dataclass(frozen=True)
class Space:
    """The networks that may be proposed.

    Attributes:
        input_shape: Channels, height and width of an input.
        classes: Classes of the data; the head has one output for two of them, else one for each.
        most_parameters: Upper limit of the parameters.
        most_macs: Upper limit of the multiply-accumulates for one input.
        least_parameters: Lower limit of the parameters.
        satisfies: Any further condition, such as a limit of memory; None for none.
    """

    input_shape: Shape
    classes: int
    most_parameters: int
    most_macs: int
    least_parameters: int = 0
    satisfies: Callable[[NetSpec], bool] | None = None

    def contains(self, spec: NetSpec) -> bool:
        """Whether the network fits its input, ends in the classes, has no idle layer and is within the limits."""
        try:
            spec.check_head(self.input_shape, self.classes)
        except SpecError:
            return False
        parameters = spec.parameters(self.input_shape)
        in_size = self.least_parameters <= parameters <= self.most_parameters
        in_size = in_size and spec.macs(self.input_shape) <= self.most_macs
        in_size = in_size and not has_idle_layer(spec, self.input_shape)
        return in_size and (self.satisfies is None or self.satisfies(spec))

    def that(self, satisfies: Callable[[NetSpec], bool]) -> Space:
        """The part of the space that meets one more condition."""
        known = self.satisfies
        return replace(self, satisfies=lambda spec: (known is None or known(spec)) and satisfies(spec))


def first_generation(
    space: Space, count: int, seed: int, history: Iterable[CandidateScore] = ()
) -> tuple[NetSpec, ...]:
    """`count` different networks of every size that are not known: small widths are as likely as large ones."""
    return _drawn(space, designs_for(space.input_shape), count, seed, history)


def deep_networks(space: Space, count: int, seed: int, history: Iterable[CandidateScore] = ()) -> tuple[NetSpec, ...]:
    """`count` different deep networks for pictures that are not known; none for other inputs."""
    design = deep_design(space.input_shape)
    return _drawn(space, (design,), count, seed, history) if design else ()


def _drawn(
    space: Space, designs: Sequence[Design], count: int, seed: int, history: Iterable[CandidateScore]
) -> tuple[NetSpec, ...]:
    random, known = Random(seed), {str(score.spec) for score in history}
    return _distinct(space, count, known, lambda: fitted(space, random.choice(designs)(random)))


def next_generation(
    space: Space, history: Sequence[CandidateScore], count: int, seed: int, parents: int = PARENTS
) -> tuple[NetSpec, ...]:
    """`count` new networks, each one to three edits away from a parent.

    Parents are at most a quarter smaller or a third larger than the space allows, so that their children are often
    in it.

    Args:
        space: The networks that may be proposed.
        history: The networks that are known, with their errors.
        count: How many networks; fewer if so many are not found.
        seed: Seed of all draws.
        parents: How many of the best networks have children.
    """
    random = Random(seed)
    least, most = 0.75 * space.least_parameters, 1.33 * space.most_parameters
    near = [score for score in history if least <= score.parameters <= most]
    best = sorted(near, key=by_error_times_size)[:parents]
    known, edits = {str(score.spec) for score in history}, edits_for(space.input_shape)
    return _distinct(space, count, known, lambda: child(random, random.choice(best).spec, edits)) if best else ()


def widened(space: Space, spec: NetSpec, factor: float) -> NetSpec | None:
    """The network with every width times `factor` except the head's; None if it leaves the space or stays the same."""
    wider = with_widths(spec, factor)
    return wider if space.contains(wider) and wider != spec else None


def resized(space: Space, spec: NetSpec, parameters: int) -> NetSpec | None:
    """The network with every width but the head's times one factor, of at most `parameters`; None if none fits."""
    found = None
    for step in range(1, MOST_RESIZING):
        wider = with_widths(spec, 1 + step / RESIZING_STEPS)
        if not space.contains(wider) or wider.parameters(space.input_shape) > parameters:
            break
        found = wider
    return found


def _distinct(space: Space, count: int, known: set[str], draw: Callable[[], NetSpec]) -> tuple[NetSpec, ...]:
    """Draw until there are `count` different networks of the space that are not known, or no more are found."""
    found: dict[str, NetSpec] = {}
    misses = 0
    while len(found) < count and misses < MOST_MISSES:
        spec = draw()
        spec = spec if misses < MISSES_BEFORE_NARROWING else _narrowed(space, spec)
        if space.contains(spec):
            spec = spec_without_idle_biases(spec, space.input_shape)
        is_new = str(spec) not in known and str(spec) not in found and space.contains(spec)
        misses = 0 if is_new else misses + 1
        if is_new:
            found[str(spec)] = spec
    return tuple(found.values())


def _narrowed(space: Space, spec: NetSpec) -> NetSpec:
    """The network with the largest of `NARROWINGS` with which the space contains it; the network itself if none."""
    narrower = (with_widths(spec, factor) for factor in NARROWINGS)
    return next((each for each in narrower if space.contains(each)), spec)


def fitted(space: Space, layers: Sequence[Layer]) -> NetSpec:
    """The layers that fit the map before them, then the head."""
    head = Dense(outputs_for(space.classes))
    whole = NetSpec((*layers, head))
    return whole if fits(whole, space.input_shape) else NetSpec((*fitting(layers, space.input_shape), head))
