"""History -> the next networks to try: pure, and the same for the same seed.

A first generation is drawn from shapes that are known to be good at small sizes, each layer with a channel
count of its own. After it, regularised evolution (Real et al. 2019, as Liberis et al. use it for
microcontrollers, arXiv 2010.14246): parents are drawn from the networks near the front of error against
size, and a child differs from its parent by one or two edits of its layers.

Errors are of short trainings: they rank networks and do not measure them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from smidgen.errors import SpecError
from smidgen.spec import (
    LINEAR,
    RELU,
    AvgPool,
    Conv,
    Dense,
    Depthwise,
    GlobalAvgPool,
    Layer,
    MaxPool,
    NetSpec,
    Pointwise,
    Shape,
)

PARENT_REACH = 1.3
"""How much larger than a child may be, its parent may be."""

MOST_ATTEMPTS = 200
"""Edits that do not fit, or that were tried already, before a generation is left short."""


@dataclass(frozen=True)
class Space:
    """What may be proposed: networks for this input and these classes, within sizes that are asked for."""

    input_shape: Shape
    classes: int
    most_parameters: int
    most_macs: int
    least_parameters: int = 0

    def holds(self, spec: NetSpec) -> bool:
        """Whether the network fits its input, ends in the classes and is within the limits."""
        try:
            spec.check_head(self.input_shape, self.classes)
        except SpecError:
            return False
        parameters = spec.parameters(self.input_shape)
        in_size = self.least_parameters <= parameters <= self.most_parameters
        return in_size and spec.macs(self.input_shape) <= self.most_macs


@dataclass(frozen=True)
class Ranked:
    """A network that was tried, and its error on the selection split after a short training."""

    spec: NetSpec
    parameters: int
    error: float


def first_generation(space: Space, count: int, seed: int) -> tuple[NetSpec, ...]:
    """`count` different networks, spread evenly in the logarithm of their width."""
    shapes = MAP_SHAPES if min(space.input_shape[1:]) >= 4 else VECTOR_SHAPES
    random = Random(seed)
    return _distinct(space, count, set(), lambda: random.choice(shapes)(random, space.classes))


def next_generation(space: Space, history: Sequence[Ranked], count: int, seed: int) -> tuple[NetSpec, ...]:
    """`count` networks that were not tried yet, each an edit or a few away from one near the front.

    Parents are of the sizes of the space, and a little larger.
    """
    random = Random(seed)
    most = PARENT_REACH * space.most_parameters
    parents = near_front([r for r in history if space.least_parameters <= r.parameters <= most])
    known = {str(ranked.spec) for ranked in history}
    if not parents:
        return ()
    return _distinct(space, count, known, lambda: _child(random, random.choice(parents).spec))


def near_front(history: Sequence[Ranked], layers: int = 2) -> tuple[Ranked, ...]:
    """The first `layers` non-dominated fronts of error against size (Deb et al. 2002), smallest first."""
    left = sorted(history, key=lambda ranked: (ranked.parameters, ranked.error))
    chosen: list[Ranked] = []
    for _ in range(layers):
        front, best = [], float("inf")
        for ranked in left:
            if ranked.error < best:
                front.append(ranked)
                best = ranked.error
        chosen += front
        left = [ranked for ranked in left if ranked not in front]
    return tuple(sorted(chosen, key=lambda ranked: ranked.parameters))


FIRST_GUESS = 0.7
"""What a long training leaves of a short one's error, until some have shown it."""


def expected_share(history: Sequence[Ranked], long: Sequence[Ranked]) -> float:
    """The share of a short training's error that a long one leaves: the median of those that had both."""
    long_error = {str(ranked.spec): ranked.error for ranked in long}
    shares = sorted(long_error[str(r.spec)] / r.error for r in history if str(r.spec) in long_error and r.error > 0)
    return shares[len(shares) // 2] if shares else FIRST_GUESS


def crossing(history: Sequence[Ranked], most_error: float) -> int | None:
    """The size at which the front of a history comes below `most_error`, or None where it does not."""
    return min((ranked.parameters for ranked in history if ranked.error <= most_error), default=None)


def promising(history: Sequence[Ranked], known: Sequence[Ranked], most_error: float, count: int) -> tuple[NetSpec, ...]:
    """The `count` networks that deserve a longer training than `history` had.

    known: those that had it. The first are the smallest that are expected to come below `most_error`; where
    there are too few of them, those with the least excess of error, for their size, follow.
    """
    share = expected_share(history, known)
    had = {str(ranked.spec) for ranked in known}
    best = crossing(known, most_error) or float("inf")
    left = [r for r in near_front(history, 3) if str(r.spec) not in had and r.parameters < best]
    hopeful = [ranked for ranked in left if share * ranked.error <= most_error]
    others = [ranked for ranked in left if share * ranked.error > most_error]
    others.sort(key=lambda ranked: ranked.error * ranked.parameters**0.5)
    return tuple(ranked.spec for ranked in (hopeful + others)[:count])


def _distinct(space: Space, count: int, known: set[str], draw: Callable[[], NetSpec]) -> tuple[NetSpec, ...]:
    found: dict[str, NetSpec] = {}
    for _ in range(MOST_ATTEMPTS * count):
        if len(found) == count:
            break
        spec = draw()
        if str(spec) not in known and space.holds(spec):
            found[str(spec)] = spec
    return tuple(found.values())


# --- the first generation ---------------------------------------------------------------------


def _few(random: Random, most: int) -> int:
    """1 to `most`, small numbers as likely as large ones."""
    return max(1, round(most ** random.random()))


def _plain(random: Random, classes: int) -> NetSpec:
    """Convolutions in pairs or alone between max-pools, as in the family cnn2 with a third pool."""
    layers: list[Layer] = []
    for block in range(3):
        for _ in range(random.choice((1, 1, 2)) if block < 2 else random.choice((0, 1))):
            layers.append(Conv(_few(random, 4 << block), (3, 3), slope=RELU))
        layers.append(MaxPool(2))
    return NetSpec((*layers, Dense(classes)))


def _spread(kernel: tuple[int, int], same: bool = False) -> Depthwise:
    """A linear depthwise convolution; the layer after it has a bias that does the work of its own."""
    return Depthwise(kernel, same, bias=False)


def _separable(random: Random, classes: int) -> NetSpec:
    """A convolution, then depthwise and pointwise pairs between max-pools."""
    layers: list[Layer] = [Conv(_few(random, 8), (3, 3), slope=RELU), MaxPool(2)]
    for block in range(random.choice((1, 2, 2, 3))):
        layers += [_spread((3, 3)), Pointwise(2 + _few(random, 12), RELU)]
        if block == 0:
            layers.append(MaxPool(2))
    head = random.choice(((MaxPool(2),), (GlobalAvgPool(),), (_spread((3, 3)),), ()))
    return NetSpec((*layers, *head, Dense(classes)))


def _pooled_first(random: Random, classes: int) -> NetSpec:
    """The image halved first: four times fewer multiply-accumulates."""
    layers: list[Layer] = [random.choice((MaxPool(2), AvgPool(2))), Conv(_few(random, 8), (3, 3), slope=RELU)]
    layers += [Conv(_few(random, 8), (3, 3), slope=RELU), MaxPool(2), Conv(_few(random, 10), (3, 3), slope=RELU)]
    return NetSpec((*layers, Dense(classes)))


def _perceptron(random: Random, classes: int) -> NetSpec:
    hidden = [Dense(_few(random, 64), RELU) for _ in range(random.choice((0, 1, 1, 2)))]
    return NetSpec((*hidden, Dense(classes)))


Shape_ = Callable[[Random, int], NetSpec]
MAP_SHAPES: tuple[Shape_, ...] = (_plain, _plain, _separable, _pooled_first)
VECTOR_SHAPES: tuple[Shape_, ...] = (_perceptron,)


# --- edits ------------------------------------------------------------------------------------


def _child(random: Random, parent: NetSpec) -> NetSpec:
    layers = list(parent.layers)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(EDITS)(random, layers)
    return NetSpec(tuple(layers))


def _body(layers: list[Layer], *kinds: type) -> list[int]:
    """Places of layers of these kinds; the last layer is the head and is left alone."""
    return [place for place, layer in enumerate(layers[:-1]) if isinstance(layer, kinds)]


def _change_width(random: Random, layers: list[Layer]) -> None:
    places = _body(layers, Conv, Pointwise, Dense)
    if not places:
        return
    place = random.choice(places)
    layer = layers[place]
    assert isinstance(layer, Conv | Pointwise | Dense)
    width = layer.units if isinstance(layer, Dense) else layer.channels
    step = (
        random.choice((-2, -1, -1, 1, 1, 2)) if width < 16 else round(width * random.choice((-0.25, -0.1, 0.1, 0.25)))
    )
    width = max(1, width + step)
    layers[place] = replace(layer, units=width) if isinstance(layer, Dense) else replace(layer, channels=width)


def _change_kernel(random: Random, layers: list[Layer]) -> None:
    places = _body(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, kernel=random.choice(((1, 3), (2, 2), (3, 1), (3, 3), (3, 3), (4, 4), (5, 5))))


def _change_padding(random: Random, layers: list[Layer]) -> None:
    places = _body(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, same=not layer.same)


def _change_activation(random: Random, layers: list[Layer]) -> None:
    places = _body(layers, Conv, Depthwise, Pointwise, Dense)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
        slope = random.choice((RELU, RELU, 0.1, 0.2, LINEAR))
        layers[place] = replace(layer, slope=slope, bias=not (isinstance(layer, Depthwise) and slope == LINEAR))


def _change_pool(random: Random, layers: list[Layer]) -> None:
    places = _body(layers, MaxPool, AvgPool)
    if places:
        kind, size = random.choice((MaxPool, MaxPool, AvgPool)), random.choice((2, 2, 3))
        layers[random.choice(places)] = kind(size)


def _insert(random: Random, layers: list[Layer]) -> None:
    layer = random.choice(
        (
            Conv(_few(random, 8), (3, 3), slope=RELU),
            _spread((3, 3)),
            Pointwise(2 + _few(random, 10), RELU),
            MaxPool(2),
            AvgPool(2),
            GlobalAvgPool(),
        )
    )
    layers.insert(random.randrange(len(layers)), layer)


def _remove(random: Random, layers: list[Layer]) -> None:
    if len(layers) > 1:
        del layers[random.randrange(len(layers) - 1)]


def _swap(random: Random, layers: list[Layer]) -> None:
    if len(layers) > 2:
        place = random.randrange(len(layers) - 2)
        layers[place], layers[place + 1] = layers[place + 1], layers[place]


def _separate(random: Random, layers: list[Layer]) -> None:
    """A convolution as a depthwise and a pointwise one."""
    places = _body(layers, Conv)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv)
        layers[place : place + 1] = [_spread(layer.kernel, layer.same), Pointwise(layer.channels, layer.slope)]


EDITS = (
    _change_width,
    _change_width,
    _change_width,
    _change_width,
    _change_kernel,
    _change_padding,
    _change_activation,
    _change_pool,
    _insert,
    _remove,
    _swap,
    _separate,
)
