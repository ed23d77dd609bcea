"""Choose weights to prune, as masks, and start a training in which they stay zero.

A mask is bool [weights], flat, and True where a weight is pruned: `engine.Start.fixed` takes it, and the weight is zero
and stays zero. Only the weights of convolutions and dense layers can be in a mask.

    mask = smallest(model, {"0.weight": 0.92, "1.weight": 0.91})
    training = engine.train(model.spec, recipe, examples, seed, start=pruned_start(model, mask))

A mask alone makes no network smaller: fewer channels do (`without_channels`), and so does a file with a coder that
codes zeros cheaply.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from smidgen.engine import Start
from smidgen.errors import RequestError
from smidgen.model import Model, tensor_shapes
from smidgen.records import Weights
from smidgen.spec import NetSpec, Shape, is_weighted

Mask = npt.NDArray[np.bool_]


def tensor_places(spec: NetSpec, input_shape: Shape, names: Collection[str]) -> dict[str, slice]:
    """Return the slices of the named tensors in the flat weights, in the network's order.

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
    """Return the names of the tensors that can be pruned: the weights of convolutions and dense layers."""
    plans = enumerate(spec.plan(input_shape))
    return tuple(f"{place}.weight" for place, plan in plans if is_weighted(plan.layer) and plan.parameters)


def smallest(model: Model, shares: Mapping[str, float]) -> Mask:
    """Mask the weights of least magnitude in each named tensor.

    Args:
        model: the network.
        shares: fraction of each tensor to prune, from 0 to 1, by the tensor's name.

    Returns:
        bool [weights], True where a weight is pruned; of equal magnitudes the first are.

    Raises:
        RequestError: a tensor does not exist or cannot be pruned, or a share is not from 0 to 1.
    """
    mask = np.zeros(model.weights.shape, np.bool_)
    for name, place in _prunable_places(model, shares).items():
        mask[place] = _nearest_to_zero(model.weights[place], shares[name])
    return mask


def pruned_start(model: Model, mask: Mask) -> Start:
    """Start a training from the model, with the weights of the mask at zero and fixed, and all others free."""
    return Start(np.where(mask, np.float32(0), model.weights), mask)


def gradual_shares(final: float, rounds: int) -> tuple[float, ...]:
    """Return the share to prune before each round of training, rising from 0 fast at first and then slowly.

    Zhu & Gupta 2017 (arXiv 1710.01878), equation 1, with an initial sparsity of 0.
    """
    return tuple(final - final * (1 - done / rounds) ** 3 for done in range(1, rounds + 1))


def _prunable_places(model: Model, names: Collection[str]) -> dict[str, slice]:
    places, allowed = tensor_places(model.spec, model.input_shape, names), prunable(model.spec, model.input_shape)
    if wrong := [name for name in places if name not in allowed]:
        raise RequestError(
            f"{', '.join(wrong)} cannot be pruned; the prunable tensors of '{model.spec}' are {', '.join(allowed)}"
        )
    return places


def _nearest_to_zero(weights: Weights, share: float) -> Mask:
    if not 0 <= share <= 1:
        raise RequestError(f"a share of {share:g} cannot be pruned; give one from 0 to 1")
    mask = np.zeros(weights.shape, np.bool_)
    mask[np.argsort(np.abs(weights), kind="stable")[: round(share * weights.size)]] = True
    return mask
