"""Random designs for the first generation: shapes that are known to be good at small sizes.

Each layer has a number of channels or units of its own. Every draw is from the generator that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from smidgen.elementary import exponential, logarithm
from smidgen.errors import SpecError
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
    PReLU,
    Shape,
)

SCALES = (1, 1, 1, 2, 4)
"""Factors of all widths of a design."""

POOL_SIDES = (2, 3, 3, 4, 5, 6, 7)
"""Rows and columns of a weighted pool's window."""


def log_uniform(random: Random, most: int) -> int:
    """A number from 1 to `most`; small numbers are as likely as large ones."""
    return max(1, round(float(exponential(random.random() * logarithm(most)))))


def linear_depthwise(kernel: tuple[int, int], same: bool = False) -> Depthwise:
    """A linear depthwise convolution without a bias: the layer after it has one that does the same."""
    return Depthwise(kernel, same, bias=False)


def weighted_pool(random: Random) -> list[Layer]:
    """A pool with a weight for each row and each column of its window, for each channel."""
    side = random.choice(POOL_SIDES)
    return _weighted_pool_of(side, side)


def _weighted_pool_of(height: int, width: int) -> list[Layer]:
    return [linear_depthwise((1, width)), linear_depthwise((height, 1))]


def _pool(random: Random) -> Layer:
    return random.choice((MaxPool(2), AvgPool(2)))


def _convolutional(random: Random) -> list[Layer]:
    """Convolutions alone or in pairs between pools, as in the family cnn2, with a third pool."""
    layers: list[Layer] = [linear_depthwise((3, 3))] if random.random() < 0.5 else []
    scale = random.choice(SCALES)
    for block in range(3):
        for _ in range(random.choice((1, 1, 2)) if block < 2 else random.choice((0, 1))):
            layers.append(Conv(scale * log_uniform(random, 4 << block), (3, 3), slope=RELU))
        layers.append(_pool(random))
    return layers


def _separable(random: Random) -> list[Layer]:
    """A convolution, then depthwise and pointwise pairs; a last depthwise convolution is a pool with weights."""
    scale = random.choice(SCALES)
    layers: list[Layer] = [Conv(scale * log_uniform(random, 8), (3, 3), slope=RELU), _pool(random)]
    for block in range(random.choice((1, 2, 2, 3))):
        layers += [linear_depthwise((3, 3)), Pointwise(scale * (2 + log_uniform(random, 12)), RELU)]
        if block == 0:
            layers.append(_pool(random))
    endings = ((MaxPool(2),), (GlobalAvgPool(),), (linear_depthwise((3, 3)), GlobalAvgPool()), ())
    return [*layers, *random.choice(endings)]


def _pooled_first(random: Random) -> list[Layer]:
    """The image is halved first, which takes four times fewer multiply-accumulates."""
    scale = random.choice(SCALES)
    widths = [scale * log_uniform(random, most) for most in (8, 8, 10)]
    first, second, third = (Conv(width, (3, 3), slope=RELU) for width in widths)
    return [_pool(random), first, second, _pool(random), third]


def _bottlenecked(random: Random) -> list[Layer]:
    """A convolution, a bottleneck of a few channels, pairs on averaged maps, and a weighted pool before the head."""
    scale, same = random.choice(SCALES), random.random() < 0.5
    depthwise, slope = linear_depthwise((3, 3), same), random.choice((RELU, LINEAR))
    layers: list[Layer] = [Conv(scale * (2 + log_uniform(random, 8)), (3, 3), same, slope=RELU), _pool(random)]
    layers += [depthwise, Pointwise(scale * random.choice((2, 3, 4)), slope)]
    for _ in range(random.choice((1, 1, 2))):
        layers += [AvgPool(2)] if random.random() < 0.5 else []
        layers += [depthwise, *_expansion(random, scale * (3 + log_uniform(random, 12)))]
    return [*layers, *weighted_pool(random)]


def _expansion(random: Random, channels: int) -> list[Layer]:
    """A pointwise convolution with a relu or with trained slopes."""
    return [Pointwise(channels), PReLU()] if random.random() < 0.5 else [Pointwise(channels, RELU)]


def _perceptron(random: Random) -> list[Layer]:
    """Up to two hidden layers."""
    return [Dense(log_uniform(random, 64), RELU) for _ in range(random.choice((0, 1, 1, 2)))]


Design = Callable[[Random], list[Layer]]
MAP_DESIGNS: tuple[Design, ...] = (_convolutional, _separable, _separable, _pooled_first, *3 * (_bottlenecked,))
"""Designs for images; one that is listed twice is twice as likely."""

VECTOR_DESIGNS: tuple[Design, ...] = (_perceptron,)
"""Designs for vectors, and for images too small for convolutions."""

LARGEST_MAP = 40
"""A map with a longer side is halved before anything else: most of the arithmetic is at full size."""

WANTED_SIDE = 32


def designs_for(input_shape: Shape) -> tuple[Design, ...]:
    """The designs for an input: a vector, a signal of one row, a map, or a large map."""
    height, width = input_shape[1:]
    if height == 1 and width >= 4:
        return SIGNAL_DESIGNS
    if min(height, width) < 4:
        return VECTOR_DESIGNS
    return MAP_DESIGNS if max(height, width) <= LARGEST_MAP else _large_designs(max(height, width))


def fitting(layers: Sequence[Layer], input_shape: Shape) -> list[Layer]:
    """The layers that fit the map before them."""
    kept: list[Layer] = []
    for layer in layers:
        if fits(NetSpec((*kept, layer)), input_shape):
            kept.append(layer)
    return kept


def fits(spec: NetSpec, input_shape: Shape) -> bool:
    """Whether every layer fits the map before it."""
    try:
        spec.plan(input_shape)
    except SpecError:
        return False
    return True


# --- deep designs for maps ---------------------------------------------------------------------


def deep_design(input_shape: Shape) -> Design | None:
    """The design of deep networks for maps; None for vectors and signals.

    A narrow convolution and a pool, then depthwise and pointwise pairs on maps that are averaged once more at most. The
    last map is averaged, or has a weight for each row and each column, so that the head has few inputs. The best of ten
    that are trained long err less than the best of ten others, on MNIST and on Fashion-MNIST, in each of four ranges of
    size from 300 to 1,700 parameters (`results/2026-11-30-deep-designs`).
    """
    if designs_for(input_shape) in (SIGNAL_DESIGNS, VECTOR_DESIGNS):
        return None
    return lambda random: _deep(random, input_shape)


def _deep(random: Random, input_shape: Shape) -> list[Layer]:
    halved = _halved(random, _halvings(max(input_shape[1:])))
    pairs, averaged_before = random.choice((2, 3, 3, 4, 5)), random.choice((None, 1, 2, 2))
    same = averaged_before is not None or random.random() < 0.5
    slope, scale = random.choice((RELU, 0.1)), random.choice((1, 1, 2))
    layers: list[Layer] = [*halved, Conv(3 + log_uniform(random, 8), (3, 3), same=True, slope=slope), _pool(random)]
    for pair in range(pairs):
        layers += [AvgPool(2)] if pair == averaged_before else []
        layers += [linear_depthwise((3, 3), same), Pointwise(scale * (4 + log_uniform(random, 12)), slope)]
    kept = fitting(layers, input_shape)
    return [*kept, *_whole_map_pool(random, NetSpec(tuple(kept)).output_shape(input_shape))]


def _whole_map_pool(random: Random, shape: Shape) -> list[Layer]:
    """An average over the map, or a weight for each of its rows and columns."""
    height, width = shape[1:]
    weighted = _weighted_pool_of(height, width)
    average: list[Layer] = [GlobalAvgPool()]
    return random.choice((average, weighted, weighted))


# --- large maps -------------------------------------------------------------------------------


def _large_designs(side: int) -> tuple[Design, ...]:
    """The designs for maps, after layers that bring a side to about `WANTED_SIDE`."""
    halvings = _halvings(side)

    def after_halving(design: Design) -> Design:
        return lambda random: [*_halved(random, halvings), *design(random)]

    return tuple(map(after_halving, MAP_DESIGNS))


def _halvings(side: int) -> int:
    """How often a side is halved to be about `WANTED_SIDE`: never unless it is longer than `LARGEST_MAP`."""
    return math.ceil(math.log2(side / WANTED_SIDE)) if side > LARGEST_MAP else 0


def _halved(random: Random, halvings: int) -> list[Layer]:
    """Strided convolutions or average pools, one for each halving; a convolution may take two at once."""
    layers: list[Layer] = []
    while halvings:
        step = random.choice((1, 2)) if halvings > 1 else 1
        stride = (2**step, 2**step)
        kernel = (2**step + 1, 2**step + 1)
        strided = Conv(log_uniform(random, 8), kernel, same=True, slope=RELU, stride=stride)
        layers.append(random.choice((strided, AvgPool(stride))))
        halvings -= step
    return layers


# --- signals ----------------------------------------------------------------------------------

MIXTURES = (1, 1, 2, 2, 3, 4)
"""Channels that are left after a signal's channels are mixed."""


def _mixed(random: Random) -> list[Layer]:
    """The channels mixed into few by a linear layer, and the time averaged: what follows has less to read."""
    layers: list[Layer] = [Pointwise(random.choice(MIXTURES), bias=False)] if random.random() < 0.6 else []
    layers += [AvgPool((1, random.choice((2, 2, 2, 4))))] if random.random() < 0.6 else []
    return layers


def _activated(random: Random, layer: Conv | Pointwise) -> list[Layer]:
    """A linear layer with a relu, trained slopes or crelu after it: small networks of relus alone often die."""
    half = replace(layer, channels=-(-layer.channels // 2))
    activated: tuple[list[Layer], ...] = ([replace(layer, slope=RELU)], [layer, PReLU()], [half, CReLU()])
    return random.choice(activated)


def _filters(random: Random) -> list[Layer]:
    """Mixed and averaged channels, and one strided filter bank whose outputs are averaged over time."""
    kernel, stride = random.choice((3, 5, 7, 9)), random.choice((1, 1, 2, 2, 4))
    bank = Conv(log_uniform(random, 16), (1, kernel), stride=(1, stride))
    return [*_mixed(random), *_activated(random, bank), random.choice((*3 * (GlobalAvgPool(),), MaxPool((1, 4))))]


def _averages(random: Random) -> list[Layer]:
    """Averages over coarse steps or over all time, of the channels themselves or of mixtures, and no filter."""
    layers: list[Layer] = [AvgPool((1, random.choice((2, 3, 4, 6, 8))))] if random.random() < 0.6 else []
    layers += _activated(random, Pointwise(log_uniform(random, 12))) if random.random() < 0.6 else []
    ending: tuple[list[Layer], ...] = ([GlobalAvgPool()], [], [Dense(log_uniform(random, 8), RELU)])
    return [*layers, *random.choice(ending)]


def _separable_in_time(random: Random) -> list[Layer]:
    """A convolution, then depthwise and pointwise pairs with pools between them, all along time."""
    scale, kernel = random.choice(SCALES), (1, random.choice((3, 5, 9)))
    layers: list[Layer] = [Conv(scale * log_uniform(random, 8), kernel, slope=RELU, stride=(1, random.choice((1, 2))))]
    for _ in range(random.choice((1, 2, 2, 3))):
        layers += [linear_depthwise(kernel, same=True), Pointwise(scale * (2 + log_uniform(random, 12)), RELU)]
        layers.append(random.choice((MaxPool((1, 2)), AvgPool((1, 2)), MaxPool((1, 4)))))
    return [*layers, *random.choice(((GlobalAvgPool(),), (GlobalAvgPool(),), ()))]


SIGNAL_DESIGNS: tuple[Design, ...] = (*3 * (_filters,), _averages, *2 * (_separable_in_time,), _perceptron)
"""Designs for signals, (channels, 1, time)."""
