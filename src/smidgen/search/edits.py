"""Small random edits of a network, and the same network with other widths.

A child differs from its parent by one to three edits of its layers (after Real et al. 2019, and Liberis et al., arXiv
2010.14246, who use such edits for microcontrollers). The last layer, the head, is never edited.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

from smidgen.search.designs import linear_depthwise, log_uniform
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
)

KERNELS = ((1, 3), (2, 2), (3, 1), (3, 3), (3, 3), (4, 4), (5, 5))
"""Kernels that an edit draws from; 3 x 3 is twice as likely as each other."""


def child(random: Random, parent: NetSpec) -> NetSpec:
    """The parent with one to three edits; it may fit no input."""
    layers = list(parent.layers)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(EDITS)(random, layers)
    return NetSpec(tuple(layers))


def with_widths(spec: NetSpec, factor: float) -> NetSpec:
    """The network with every width times `factor`, rounded up, except the head's."""
    return NetSpec((*(_wider(layer, factor) for layer in spec.layers[:-1]), spec.layers[-1]))


def _wider(layer: Layer, factor: float) -> Layer:
    match layer:
        case Conv() | Pointwise():
            return replace(layer, channels=math.ceil(factor * layer.channels))
        case Dense():
            return replace(layer, units=math.ceil(factor * layer.units))
    return layer


def _places(layers: list[Layer], *kinds: type) -> list[int]:
    """The indices of layers of these kinds, without the head."""
    return [place for place, layer in enumerate(layers[:-1]) if isinstance(layer, kinds)]


def _change_width(random: Random, layers: list[Layer]) -> None:
    places = _places(layers, Conv, Pointwise, Dense)
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
    places = _places(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, kernel=random.choice(KERNELS))


def _change_padding(random: Random, layers: list[Layer]) -> None:
    places = _places(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, same=not layer.same)


def _change_activation(random: Random, layers: list[Layer]) -> None:
    places = _places(layers, Conv, Depthwise, Pointwise, Dense)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
        slope = random.choice((RELU, RELU, 0.1, 0.2, LINEAR))
        layers[place] = replace(layer, slope=slope, bias=not (isinstance(layer, Depthwise) and slope == LINEAR))


def _change_pool(random: Random, layers: list[Layer]) -> None:
    places = _places(layers, MaxPool, AvgPool)
    if places:
        kind, size = random.choice((MaxPool, MaxPool, AvgPool)), random.choice((2, 2, 3))
        layers[random.choice(places)] = kind(size)


def _insert(random: Random, layers: list[Layer]) -> None:
    layer = random.choice(
        (
            Conv(log_uniform(random, 8), (3, 3), slope=RELU),
            linear_depthwise((3, 3)),
            Pointwise(2 + log_uniform(random, 10), RELU),
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
    """Replace a convolution by a depthwise and a pointwise one."""
    places = _places(layers, Conv)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv)
        layers[place : place + 1] = [linear_depthwise(layer.kernel, layer.same), Pointwise(layer.channels, layer.slope)]


Edit = Callable[[Random, list[Layer]], None]
EDITS: tuple[Edit, ...] = (
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
"""Edits of a list of layers, in place; one that is listed more often is more likely."""
