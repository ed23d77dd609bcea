"""History -> the next networks to try: pure, and the same for the same seed.

A first generation is drawn from shapes that are known to be good at small sizes, each layer with a channel
count of its own. After it, evolution by edits (after Real et al. 2019, and Liberis et al., arXiv 2010.14246, who
use it for microcontrollers): parents are networks that waste little, and a child differs from its parent by one to
three edits of its layers.

Errors are of short trainings: they rank networks and do not measure them.
"""

from __future__ import annotations

import math
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

PARENTS = 20
"""How many networks have children."""

MOST_ATTEMPTS = 200
"""Edits that do not fit, or that were tried already, before a generation is left short."""


@dataclass(frozen=True)
class Space:
    """What may be proposed: networks for this input and these classes, within sizes that are asked for.

    satisfies: says whether a network is within what else is asked for, as memory; None for nothing else
    """

    input_shape: Shape
    classes: int
    most_parameters: int
    most_macs: int
    least_parameters: int = 0
    satisfies: Callable[[NetSpec], bool] | None = None

    def contains(self, spec: NetSpec) -> bool:
        """Whether the network fits its input, ends in the classes and is within the limits."""
        try:
            spec.check_head(self.input_shape, self.classes)
        except SpecError:
            return False
        parameters = spec.parameters(self.input_shape)
        in_size = self.least_parameters <= parameters <= self.most_parameters
        in_size = in_size and spec.macs(self.input_shape) <= self.most_macs
        return in_size and (self.satisfies is None or self.satisfies(spec))


@dataclass(frozen=True)
class CandidateScore:
    """A network that was tried, and its error on the selection split after some training."""

    spec: NetSpec
    parameters: int
    error: float

    @property
    def error_times_size(self) -> float:
        """Error times size. Along the front of good designs it changes little, because the error falls about as
        the size grows; at any one size, a better design has less."""
        return self.error * self.parameters


def first_generation(space: Space, count: int, seed: int) -> tuple[NetSpec, ...]:
    """`count` different networks of every size: small widths are as likely as large ones."""
    designs = MAP_DESIGNS if min(space.input_shape[1:]) >= 4 else VECTOR_DESIGNS
    random = Random(seed)
    return _distinct(space, count, set(), lambda: _fitted(space, random.choice(designs)(random)))


def next_generation(space: Space, history: Sequence[CandidateScore], count: int, seed: int) -> tuple[NetSpec, ...]:
    """`count` networks that were not tried yet, each an edit or a few away from one that wastes little.

    Parents are within a third of the space's sizes, so that their children often are in it.
    """
    random = Random(seed)
    least, most = 0.75 * space.least_parameters, 1.33 * space.most_parameters
    near = [ranked for ranked in history if least <= ranked.parameters <= most]
    parents = sorted(near, key=lambda ranked: ranked.error_times_size)[:PARENTS]
    known = {str(ranked.spec) for ranked in history}
    return _distinct(space, count, known, lambda: _child(random, random.choice(parents).spec)) if parents else ()


FIRST_GUESS = 0.7
"""The share of a training's error that one several times as long leaves, until some have shown it."""

LEAST_SHARE, LEAST_ERROR = 0.05, 1e-6
"""What is divided by is no less: on easy data long trainings leave no error, and a floor may allow none."""


def expected_share(history: Sequence[CandidateScore], longer: Sequence[CandidateScore]) -> float:
    """The share of the error that longer trainings left: the median over networks that had both."""
    longer_error = {str(ranked.spec): ranked.error for ranked in longer}
    shares = sorted(longer_error[str(r.spec)] / r.error for r in history if str(r.spec) in longer_error and r.error)
    return max(LEAST_SHARE, shares[len(shares) // 2]) if shares else FIRST_GUESS


def corrected(history: Sequence[CandidateScore], longer: Sequence[CandidateScore]) -> tuple[CandidateScore, ...]:
    """The history with the error that each network's longer training stands for, where it had one.

    Some designs gain more from long trainings than others; this makes them parents.
    """
    share = expected_share(history, longer)
    longer_error: dict[str, float] = {}
    for ranked in longer:
        error = longer_error.get(str(ranked.spec), math.inf)
        longer_error[str(ranked.spec)] = min(error, ranked.error)
    return tuple(
        replace(r, error=longer_error[str(r.spec)] / share) if str(r.spec) in longer_error else r for r in history
    )


def expected_size(history: Sequence[CandidateScore], allowed: float) -> float | None:
    """The size at which a good design is expected to err no more than `allowed`; None without a history."""
    sizes = sorted(_size_at(ranked, allowed, 1) for ranked in history)
    return sizes[min(GOOD_DESIGNS, len(sizes)) - 1] if sizes else None


GOOD_DESIGNS = 3
"""The expected size is that of the third best design: the best one may have been lucky."""


def promising(
    history: Sequence[CandidateScore], known: Sequence[CandidateScore], allowed: float, count: int
) -> tuple[NetSpec, ...]:
    """The `count` networks that deserve a longer training than `history` had, the best first.

    known: those that had it already; allowed: the error that `history` may show.
    Those that err no more come by size; one that errs more is ranked as if it were larger by the square of the
    excess, since it may still be lucky.
    """
    had = {str(ranked.spec) for ranked in known}
    left = [ranked for ranked in history if str(ranked.spec) not in had]
    left.sort(key=lambda ranked: (_size_at(ranked, allowed, 2), ranked.parameters))
    return tuple(dict.fromkeys(ranked.spec for ranked in left))[:count]


def nearest(long: Sequence[CandidateScore], allowed: float, count: int) -> tuple[NetSpec, ...]:
    """The `count` networks, smaller than any that holds already, that came nearest to `allowed` over their seeds."""
    held = min((ranked.parameters for ranked in long if ranked.error <= allowed), default=math.inf)
    errors: dict[NetSpec, list[CandidateScore]] = {}
    for ranked in long:
        if ranked.parameters < held:
            errors.setdefault(ranked.spec, []).append(ranked)
    means = [replace(same[0], error=sum(r.error for r in same) / len(same)) for same in errors.values()]
    means.sort(key=lambda ranked: (_size_at(ranked, allowed, 4), ranked.parameters))
    return tuple(ranked.spec for ranked in means[:count])


def _size_at(ranked: CandidateScore, allowed: float, power: int) -> float:
    """The size that a network counts for, where its error is more than is allowed."""
    return ranked.parameters * max(1.0, ranked.error / max(allowed, LEAST_ERROR)) ** power


def _distinct(space: Space, count: int, known: set[str], draw: Callable[[], NetSpec]) -> tuple[NetSpec, ...]:
    found: dict[str, NetSpec] = {}
    for _ in range(MOST_ATTEMPTS * count):
        if len(found) == count:
            break
        spec = draw()
        if str(spec) not in known and space.contains(spec):
            found[str(spec)] = spec
    return tuple(found.values())


def widened(space: Space, spec: NetSpec, factor: float) -> NetSpec | None:
    """The same design with every width times `factor` but the head's, or None where it leaves the space."""
    body = [_wider(layer, factor) for layer in spec.layers[:-1]]
    grown = NetSpec((*body, spec.layers[-1]))
    return grown if space.contains(grown) and grown != spec else None


def _wider(layer: Layer, factor: float) -> Layer:
    match layer:
        case Conv() | Pointwise():
            return replace(layer, channels=math.ceil(factor * layer.channels))
        case Dense():
            return replace(layer, units=math.ceil(factor * layer.units))
    return layer


# --- the first generation ---------------------------------------------------------------------


def _fitted(space: Space, layers: Sequence[Layer]) -> NetSpec:
    """The layers that still fit the map that they are given, then the head."""
    kept: list[Layer] = []
    for layer in layers:
        try:
            NetSpec((*kept, layer)).plan(space.input_shape)
            kept.append(layer)
        except SpecError:
            continue
    return NetSpec((*kept, Dense(space.classes)))


def _few(random: Random, most: int) -> int:
    """1 to `most`, small numbers as likely as large ones."""
    return max(1, round(math.exp(random.random() * math.log(most))))


def _plain(random: Random) -> list[Layer]:
    """Convolutions in pairs or alone between pools, as in the family cnn2 with a third pool."""
    layers: list[Layer] = [_spread((3, 3))] if random.random() < 0.5 else []
    scale = random.choice(SCALES)
    for block in range(3):
        for _ in range(random.choice((1, 1, 2)) if block < 2 else random.choice((0, 1))):
            layers.append(Conv(scale * _few(random, 4 << block), (3, 3), slope=RELU))
        layers.append(_pool(random))
    return layers


def _pool(random: Random) -> Layer:
    return random.choice((MaxPool(2), AvgPool(2)))


def _spread(kernel: tuple[int, int], same: bool = False) -> Depthwise:
    """A linear depthwise convolution; the layer after it has a bias that does the work of its own."""
    return Depthwise(kernel, same, bias=False)


def _separable(random: Random) -> list[Layer]:
    """A convolution, then depthwise and pointwise pairs; a last depthwise one is a pool with weights."""
    scale = random.choice(SCALES)
    layers: list[Layer] = [Conv(scale * _few(random, 8), (3, 3), slope=RELU), _pool(random)]
    for block in range(random.choice((1, 2, 2, 3))):
        layers += [_spread((3, 3)), Pointwise(scale * (2 + _few(random, 12)), RELU)]
        if block == 0:
            layers.append(_pool(random))
    return [*layers, *random.choice(((MaxPool(2),), (GlobalAvgPool(),), (_spread((3, 3)), GlobalAvgPool()), ()))]


def _pooled_first(random: Random) -> list[Layer]:
    """The image halved first: four times fewer multiply-accumulates."""
    scale = random.choice(SCALES)
    widths = [scale * _few(random, most) for most in (8, 8, 10)]
    first, second, third = (Conv(width, (3, 3), slope=RELU) for width in widths)
    return [_pool(random), first, second, _pool(random), third]


def _perceptron(random: Random) -> list[Layer]:
    return [Dense(_few(random, 64), RELU) for _ in range(random.choice((0, 1, 1, 2)))]


SCALES = (1, 1, 1, 2, 4)
Design = Callable[[Random], list[Layer]]
MAP_DESIGNS: tuple[Design, ...] = (_plain, _separable, _separable, _pooled_first)
VECTOR_DESIGNS: tuple[Design, ...] = (_perceptron,)


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
