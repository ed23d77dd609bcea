"""Edits that put in, change or take out a group of layers: bottlenecks, weighted pools, repeats.

What they make is known to save parameters in small networks: a bottleneck of a few channels (Sandler et al. 2018,
section 3.2), a pool with a weight for each place (the global depthwise convolution of MobileFaceNets, Chen et al. 2018,
section 3.2, but of rank one), layers that are used again (Dehghani et al. 2019), and trained slopes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from smidgen.search.designs import weighted_pool
from smidgen.spec import (
    LINEAR,
    RELU,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    GlobalAvgPool,
    Layer,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
)

BOTTLENECK = (2, 3, 3, 4)
"""Channels that a bottleneck draws from."""

ROUNDS = (2, 2, 3, 4)
"""Rounds that a repeat draws from."""


def places_of(layers: list[Layer], *kinds: type) -> list[int]:
    """The indices of layers of these kinds, without the head."""
    return [place for place, layer in enumerate(layers[:-1]) if isinstance(layer, kinds)]


def squeeze(random: Random, layers: list[Layer]) -> None:
    """Put a bottleneck before a depthwise and pointwise pair, with a depthwise convolution of its own."""
    pairs = list(_pairs(layers))
    if pairs:
        place = random.choice(pairs)
        first = layers[place]
        bottleneck = Pointwise(random.choice(BOTTLENECK), random.choice((RELU, LINEAR)))
        layers[place:place] = [first, bottleneck]


def unsqueeze(random: Random, layers: list[Layer]) -> None:
    """Take one depthwise and pointwise pair out."""
    pairs = list(_pairs(layers))
    if pairs:
        place = random.choice(pairs)
        del layers[place : place + 2]


def pool_by_place(random: Random, layers: list[Layer]) -> None:
    """Give the last pool a weight for each row and each column, or change its size."""
    place = _weighted_pool_at(layers)
    if place is not None:
        layers[place : place + 2] = weighted_pool(random)
    elif pools := places_of(layers, GlobalAvgPool):
        layers[pools[-1] : pools[-1] + 1] = weighted_pool(random)
    else:
        layers[-1:-1] = weighted_pool(random)


def train_slopes(random: Random, layers: list[Layer]) -> None:
    """Give a relu a trained slope for each channel, or a trained slope back to a relu."""
    trained = [place for place in places_of(layers, PReLU) if place and isinstance(layers[place - 1], Conv | Pointwise)]
    plain = [place for place in places_of(layers, Conv, Pointwise) if getattr(layers[place], "slope", LINEAR) == RELU]
    choices = [*trained, *plain]
    if not choices:
        return
    place = random.choice(choices)
    if place in trained:
        _set(layers, place - 1, slope=RELU)
        del layers[place]
    else:
        _set(layers, place, slope=LINEAR)
        layers.insert(place + 1, PReLU())


def drop_bias(random: Random, layers: list[Layer]) -> None:
    """Take the biases of a layer out, or put them back."""
    places = places_of(layers, Conv, Pointwise, Depthwise, Dense)
    if places:
        place = random.choice(places)
        _set(layers, place, bias=not getattr(layers[place], "bias", True))


def repeat_pair(random: Random, layers: list[Layer]) -> None:
    """Use a depthwise and pointwise pair several times, or change how often it is used."""
    repeats = places_of(layers, Repeat)
    if repeats:
        place = random.choice(repeats)
        repeat = layers[place]
        assert isinstance(repeat, Repeat)
        once = list(repeat.layers)
        layers[place : place + 1] = random.choice(([replace(repeat, times=random.choice(ROUNDS))], once))
    elif kept := _kept_pair(random, layers):
        place, pair = kept
        layers[place : place + 2] = [Repeat(random.choice(ROUNDS), pair)]


def bridge_pair(random: Random, layers: list[Layer]) -> None:
    """Add the input of a depthwise and pointwise pair to its output."""
    if kept := _kept_pair(random, layers):
        place, pair = kept
        layers[place : place + 2] = [Residual(pair)]


def _kept_pair(random: Random, layers: list[Layer]) -> tuple[int, tuple[Layer, Layer]] | None:
    """A depthwise and pointwise pair, with the padding and the width that keep the shape of its input."""
    pairs = [place for place in _pairs(layers) if _channels_before(layers, place)]
    if not pairs:
        return None
    place = random.choice(pairs)
    depthwise, pointwise = layers[place : place + 2]
    assert isinstance(depthwise, Depthwise) and isinstance(pointwise, Pointwise)
    channels = _channels_before(layers, place)
    kept = replace(depthwise, same=True, stride=(1, 1)), replace(pointwise, channels=channels, stride=(1, 1))
    return place, kept


def _channels_before(layers: list[Layer], place: int) -> int:
    """The channels of the map that a layer reads; 0 if they are those of the input."""
    factor = 1
    for layer in reversed(layers[:place]):
        if isinstance(layer, CReLU):
            factor *= 2
        if isinstance(layer, Conv | Pointwise):
            return factor * layer.channels
    return 0


def _pairs(layers: list[Layer]) -> Iterator[int]:
    """The places of depthwise convolutions that a pointwise one follows."""
    for place in range(len(layers) - 2):
        if isinstance(layers[place], Depthwise) and isinstance(layers[place + 1], Pointwise):
            yield place


def _weighted_pool_at(layers: list[Layer]) -> int | None:
    """The place of the first of two depthwise convolutions before the head of which one is a row and one a column."""
    if len(layers) < 3:
        return None
    row, column = layers[-3:-1]
    if isinstance(row, Depthwise) and isinstance(column, Depthwise) and row.kernel[0] == column.kernel[1] == 1:
        return len(layers) - 3
    return None


def _set(layers: list[Layer], place: int, **settings: object) -> None:
    layers[place] = replace(layers[place], **settings)  # type: ignore[arg-type]
