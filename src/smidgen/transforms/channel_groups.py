"""Which outputs of a network share their channels, so that channels can only be removed from all of them together.

A layer that mixes (a convolution, pointwise or dense layer) makes new channels. Any other layer passes on the channels
that it is given, and an add ties those of its two inputs. A crelu of n channels makes 2 n, of which j and j + n belong
to channel j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.spec import Conv, Dense, Depthwise, Layer, LayerPlan, NetSpec, Pointwise, Repeat, inner_layers


@dataclass(frozen=True)
class ChannelGroup:
    """Outputs that share their channels.

    Attributes:
        places: the layers that have these outputs, in order.
        producers: those of them that mix.
        readers: the layers that mix these outputs into new channels.
        width: how many channels there are; an output of a crelu has twice as many.
        is_free: whether channels can be removed or reordered: they are neither the network's inputs nor its outputs,
            and no shared kernel depends on their order.
    """

    places: tuple[int, ...]
    producers: tuple[int, ...]
    readers: tuple[int, ...]
    width: int
    is_free: bool

    def expanded(self, channels: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
        """Return the indices of these channels in an output of `count` channels."""
        blocks = np.arange(0, count, self.width)
        return (blocks[:, None] + channels).ravel()


def channel_groups(plans: Sequence[LayerPlan]) -> tuple[ChannelGroup, ...]:
    """Return the groups of a plan without repeats that some layer makes, in order of their first producers."""
    first_of = _first_places(plans)
    groups: dict[int, list[int]] = {}
    for place, first in sorted(first_of.items()):
        groups.setdefault(first, []).append(place)
    return tuple(_group(plans, places) for places in groups.values() if _producers(plans, places))


def is_mixing(plan: LayerPlan) -> bool:
    """Return whether a layer computes each output channel from all input channels."""
    return isinstance(plan.layer, Conv | Pointwise | Dense)


def has_repeat(spec: NetSpec) -> bool:
    """Return whether a network repeats layers, whose channels then depend on each other."""
    return any(map(_repeats, spec.layers))


def _repeats(layer: Layer) -> bool:
    return isinstance(layer, Repeat) or any(map(_repeats, inner_layers(layer)))


def _first_places(plans: Sequence[LayerPlan]) -> dict[int, int]:
    """The first place of the group of each output; -1 is the network's input."""
    first = {place: place for place in range(-1, len(plans))}
    for place, plan in enumerate(plans):
        tied = {first[place], *([] if is_mixing(plan) else [first[index] for index in plan.inputs])}
        first = {other: min(tied) if found in tied else found for other, found in first.items()}
    return first


def _group(plans: Sequence[LayerPlan], places: list[int]) -> ChannelGroup:
    own = [place for place in places if place >= 0]
    readers = tuple(at for at, plan in enumerate(plans) if is_mixing(plan) and plan.inputs[0] in places)
    shares = any(isinstance(layer := plans[place].layer, Depthwise) and layer.shared > 1 for place in own)
    return ChannelGroup(
        places=tuple(own),
        producers=_producers(plans, places),
        readers=readers,
        width=min(plans[place].output_shape[0] for place in own),
        is_free=-1 not in places and len(plans) - 1 not in places and not shares,
    )


def _producers(plans: Sequence[LayerPlan], places: Sequence[int]) -> tuple[int, ...]:
    return tuple(place for place in places if place >= 0 and is_mixing(plans[place]))
