"""What a network can do without: single weights, inputs that never change, whole channels. Pure functions.

A mask is bool [weights], flat, and True where a weight is *pruned*: that is what `engine.Start.fixed` takes, so the
weight is zero and stays zero. Biases, batch norms and PReLUs are never in a mask.

    mask = smallest(model, {"0.weight": 0.92, "1.weight": 0.91})
    training = engine.train(model.spec, recipe, examples, seed, start=pruned_start(model, mask))

A mask makes no network smaller by itself: fewer channels do (`without_channels`), and a file whose coder knows zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.engine import Start
from smidgen.errors import RequestError
from smidgen.model import Model, tensor_shapes
from smidgen.records import Score, Weights
from smidgen.spec import (
    Conv,
    Dense,
    Depthwise,
    NetSpec,
    Pointwise,
    Shape,
)

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


# --- which weights ---------------------------------------------------------------------------


def tensor_places(spec: NetSpec, input_shape: Shape, names: Collection[str]) -> dict[str, slice]:
    """Where the named tensors are in the flat weights, in their order.

    Raises:
        RequestError: the network has no such tensor.
    """
    ends, places = 0, {}
    for name, shape in tensor_shapes(spec, input_shape).items():
        places[name] = slice(ends, ends := ends + int(np.prod(shape)))
    if unknown := sorted(set(names) - places.keys()):
        raise RequestError(f"'{spec}' has no tensor {', '.join(unknown)}; it has {', '.join(places)}")
    return {name: place for name, place in places.items() if name in names}


def prunable(spec: NetSpec, input_shape: Shape) -> tuple[str, ...]:
    """The tensors that may be pruned: the weights of convolutions and dense layers."""
    kinds = Conv | Depthwise | Pointwise | Dense
    plans = enumerate(spec.plan(input_shape))
    return tuple(f"{place}.weight" for place, plan in plans if isinstance(plan.layer, kinds) and plan.parameters)


def smallest(model: Model, shares: Mapping[str, float]) -> Mask:
    """Of each named tensor, so large a share of its weights, from 0 to 1: those nearest to zero."""
    mask = np.zeros(model.weights.shape, np.bool_)
    for name, place in _prunable_places(model, shares).items():
        mask[place] = _nearest_to_zero(model.weights[place], shares[name])
    return mask


def smallest_overall(model: Model, share: float) -> Mask:
    """So large a share of all weights that may be pruned: those nearest to zero, wherever they are."""
    places = _prunable_places(model, prunable(model.spec, model.input_shape))
    numbers = np.concatenate([np.arange(place.start, place.stop) for place in places.values()])
    mask = np.zeros(model.weights.shape, np.bool_)
    mask[numbers] = _nearest_to_zero(model.weights[numbers], share)
    return mask


def below_deviations(model: Model, quality: Mapping[str, float]) -> Mask:
    """Of each named tensor, what is nearer to zero than its quality times the tensor's standard deviation.

    Han et al. 2015 (arXiv 1506.02626), section 3.
    """
    mask = np.zeros(model.weights.shape, np.bool_)
    for name, place in _prunable_places(model, quality).items():
        tensor = model.weights[place]
        mask[place] = np.abs(tensor) < quality[name] * tensor.std(dtype=np.float64)
    return mask


def pruned_start(model: Model, mask: Mask) -> Start:
    """Where training goes on: the weights of the mask zero and fixed, all others free."""
    return Start(np.where(mask, np.float32(0), model.weights), mask)


def gradual_shares(final: float, rounds: int) -> tuple[float, ...]:
    """The share to prune before each round of training, rising fast and then slowly to the final one.

    Zhu & Gupta 2017 (arXiv 1710.01878), equation 1, from nothing.
    """
    return tuple(final - final * (1 - done / rounds) ** 3 for done in range(1, rounds + 1))


def _prunable_places(model: Model, names: Collection[str]) -> dict[str, slice]:
    places, may = tensor_places(model.spec, model.input_shape, names), prunable(model.spec, model.input_shape)
    if kept := [name for name in places if name not in may]:
        raise RequestError(f"{', '.join(kept)} cannot be pruned; '{model.spec}' may lose weights of {', '.join(may)}")
    return places


def _nearest_to_zero(weights: Weights, share: float) -> Mask:
    """Of weights that are as near, the first."""
    if not 0 <= share <= 1:
        raise RequestError(f"a share of {share:g} cannot be pruned; give one from 0 to 1")
    mask = np.zeros(weights.shape, np.bool_)
    mask[np.argsort(np.abs(weights), kind="stable")[: round(share * weights.size)]] = True
    return mask


# --- what each tensor can lose ---------------------------------------------------------------


@dataclass(frozen=True)
class Sensitivity:
    """The network's score with each tensor alone pruned by each share, and not trained again.

    shares: ascending; whole: the score with nothing pruned
    scores: by the tensor's name, one score a share
    """

    shares: tuple[float, ...]
    whole: Score
    scores: Mapping[str, tuple[Score, ...]]

    def within(self, most_lost: float) -> dict[str, float]:
        """Of each tensor the largest share up to which none costs more than `most_lost` of the rate; 0 for none."""
        least = self.whole.rate - most_lost
        return {name: self._held(scores, least) for name, scores in self.scores.items()}

    def _held(self, scores: Sequence[Score], least: float) -> float:
        held = 0.0
        for share, score in zip(self.shares, scores, strict=True):
            if score.rate < least:
                break
            held = share
        return held


def sensitivity(model: Model, shares: Sequence[float], score: Callable[[Weights], Score]) -> Sensitivity:
    """Prune tensor by tensor, share by share (Han et al. 2015, figure 6); `score` takes flat weights."""

    def pruned(name: str, share: float) -> Weights:
        return pruned_start(model, smallest(model, {name: share})).weights

    ascending = tuple(sorted(shares))
    names = prunable(model.spec, model.input_shape)
    scores = {name: tuple(score(pruned(name, share)) for share in ascending) for name in names}
    return Sensitivity(ascending, score(model.weights), scores)


# --- inputs that never change ----------------------------------------------------------------


# --- whole channels --------------------------------------------------------------------------


# --- channels that are dead ------------------------------------------------------------------
