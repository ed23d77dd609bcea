"""Small random edits of a network, and the same network with other widths.

A child differs from its parent by one to three edits of its layers (after Real et al. 2019, and Liberis et al., arXiv
2010.14246, who use such edits for microcontrollers). The last layer, the head, is never edited.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from smidgen.search.block_edits import (
    bridge_pair,
    drop_bias,
    places_of,
    pool_by_place,
    repeat_pair,
    squeeze,
    train_slopes,
    unsqueeze,
)
from smidgen.search.designs import LARGEST_MAP, linear_depthwise, log_uniform
from smidgen.spec import (
    LINEAR,
    RELU,
    AvgPool,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    GlobalAvgPool,
    Layer,
    MaxPool,
    NetSpec,
    Pointwise,
    Repeat,
    Residual,
    Shape,
)

KERNELS = ((1, 3), (2, 2), (3, 1), (3, 3), (3, 3), (4, 4), (5, 5))
"""Kernels that an edit draws from; 3 x 3 is twice as likely as each other."""


def child(random: Random, parent: NetSpec, edits: Sequence[Edit] | None = None) -> NetSpec:
    """The parent with one to three edits (of `EDITS` unless given); it may fit no input."""
    layers, edits = list(parent.layers), EDITS if edits is None else edits
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(edits)(random, layers)
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
        case Repeat():
            return replace(layer, layers=tuple(_wider(inner, factor) for inner in layer.layers))
        case Residual():
            block, shortcut = (
                tuple(_wider(inner, factor) for inner in part) for part in (layer.layers, layer.shortcut)
            )
            return replace(layer, layers=block, shortcut=shortcut)
    return layer


def _change_width(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, Conv, Pointwise, Dense)
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
    places = places_of(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, kernel=random.choice(KERNELS))


def _change_padding(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, same=not layer.same)


def _change_activation(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, Conv, Depthwise, Pointwise, Dense)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise | Pointwise | Dense)
        slope = random.choice((RELU, RELU, 0.1, 0.2, LINEAR))
        layers[place] = replace(layer, slope=slope, bias=not (isinstance(layer, Depthwise) and slope == LINEAR))


def _change_pool(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, MaxPool, AvgPool)
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
    places = places_of(layers, Conv)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv)
        depthwise = replace(linear_depthwise(layer.kernel, layer.same), stride=layer.stride)
        layers[place : place + 1] = [depthwise, Pointwise(layer.channels, layer.slope)]


# --- edits for large maps and for signals -----------------------------------------------------


def _change_stride(random: Random, layers: list[Layer], strides: Sequence[tuple[int, int]] = ((1, 1), (2, 2))) -> None:
    places = places_of(layers, Conv, Depthwise, Pointwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise | Pointwise)
        layers[place] = replace(layer, stride=random.choice(strides))


def _stride_for_pool(random: Random, layers: list[Layer]) -> None:
    """Let the convolution before a pool take the pool's steps."""
    pools = [place for place in places_of(layers, MaxPool, AvgPool) if place]
    if pools:
        place = random.choice(pools)
        pool, before = layers[place], layers[place - 1]
        assert isinstance(pool, MaxPool | AvgPool)
        if isinstance(before, Conv | Depthwise | Pointwise) and before.stride == (1, 1):
            layers[place - 1 : place + 1] = [replace(before, stride=pool.stride)]


def _concatenate_relu(random: Random, layers: list[Layer]) -> None:
    """Replace a relu by a crelu after half the channels."""
    places = [place for place in places_of(layers, Conv, Pointwise) if getattr(layers[place], "slope", LINEAR) == RELU]
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Pointwise)
        layers[place : place + 1] = [replace(layer, channels=-(-layer.channels // 2), slope=LINEAR), CReLU()]


def _share_kernels(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Depthwise)
        layers[place] = replace(layer, shared=random.choice((0, 1, 2, 3)))


def _change_line(random: Random, layers: list[Layer]) -> None:
    """Change a kernel along time."""
    places = places_of(layers, Conv, Depthwise)
    if places:
        place = random.choice(places)
        layer = layers[place]
        assert isinstance(layer, Conv | Depthwise)
        layers[place] = replace(layer, kernel=(1, random.choice((2, 3, 5, 7, 9, 15))))


def _change_steps(random: Random, layers: list[Layer]) -> None:
    """Change a stride along time."""
    _change_stride(random, layers, ((1, 1), (1, 2), (1, 3), (1, 4)))


def _change_line_pool(random: Random, layers: list[Layer]) -> None:
    places = places_of(layers, MaxPool, AvgPool)
    if places:
        layers[random.choice(places)] = random.choice((MaxPool, AvgPool))((1, random.choice((2, 2, 3, 4))))


def _insert_in_line(random: Random, layers: list[Layer]) -> None:
    layer = random.choice(
        (
            Conv(log_uniform(random, 8), (1, 5), slope=RELU),
            linear_depthwise((1, 5), same=True),
            Pointwise(1 + log_uniform(random, 10), RELU),
            MaxPool((1, 2)),
            AvgPool((1, 2)),
            GlobalAvgPool(),
        )
    )
    layers.insert(random.randrange(len(layers)), layer)


def mix_channels(random: Random, layers: list[Layer]) -> None:
    """Begin with a linear mixture of the channels, or change one that is there."""
    mixture = Pointwise(random.choice((1, 1, 2, 2, 3, 4)), bias=False)
    first = layers[0]
    is_mixed = len(layers) > 1 and isinstance(first, Pointwise) and first.slope == LINEAR
    layers[: int(is_mixed)] = [mixture]


Edit = Callable[[Random, list[Layer]], None]
NEWER_EDITS: tuple[Edit, ...] = (_stride_for_pool, bridge_pair, _concatenate_relu, _share_kernels)

BLOCK_EDITS: tuple[Edit, ...] = (squeeze, unsqueeze, pool_by_place, train_slopes, drop_bias, repeat_pair)

EDITS: tuple[Edit, ...] = (
    *8 * (_change_width,),
    _change_kernel,
    _change_padding,
    _change_activation,
    _change_pool,
    _insert,
    _remove,
    _swap,
    _separate,
    *BLOCK_EDITS,
    *NEWER_EDITS,
)
"""Edits of a list of layers, in place; one that is listed more often is more likely."""

LARGE_EDITS: tuple[Edit, ...] = (*EDITS, _change_stride)
"""Edits of networks for large maps."""

SIGNAL_EDITS: tuple[Edit, ...] = (
    *4 * (_change_width,),
    _change_line,
    _change_padding,
    _change_activation,
    _change_line_pool,
    _insert_in_line,
    _remove,
    _swap,
    _separate,
    _change_steps,
    mix_channels,
    train_slopes,
    drop_bias,
    *NEWER_EDITS,
)
"""Edits of networks for signals."""


def edits_for(input_shape: Shape) -> tuple[Edit, ...]:
    """The edits for an input: those of small maps and vectors, of large maps, or of signals of one row."""
    height, width = input_shape[1:]
    if height == 1 and width >= 4:
        return SIGNAL_EDITS
    return LARGE_EDITS if min(height, width) >= 4 and max(height, width) > LARGEST_MAP else EDITS
