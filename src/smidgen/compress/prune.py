"""What a network can do without: single weights, inputs that never change, whole channels. Pure functions.

A mask is bool [weights], flat, and True where a weight is *pruned*: that is what `engine.Start.fixed` takes, so the
weight is zero and stays zero. Biases, batch norms and PReLUs are never in a mask.

    mask = smallest(model, {"0.weight": 0.92, "1.weight": 0.91})
    training = engine.train(model.spec, recipe, examples, seed, start=pruned_start(model, mask))

A mask makes no network smaller by itself: fewer channels do (`without_channels`), and a file whose coder knows zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smidgen.compress.smidgen_file import Packed
from smidgen.compress.tensors import Tensor, Uniform, full_precision, values_of
from smidgen.engine import Start
from smidgen.errors import RequestError
from smidgen.modelfile import Model, named_arrays, tensor_shapes
from smidgen.records import Score, Weights
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
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


def without_constant_inputs(model: Model, images: npt.NDArray[np.uint8] | Floats) -> tuple[Model, Mask]:
    """The network with the weights from inputs that are the same in all images zero, and which ones those are.

    What they added goes into the biases, so on these images it is the same function (to rounding, exact where the
    constant is zero). For a network that begins with a dense layer, after pools and dropouts at most; any other is
    left as it is.
    images: of the training split, uint8 (read as value / 255) or float32 [n, channels, height, width]
    """
    mask, weights = np.zeros(model.weights.shape, np.bool_), model.weights.copy()
    plans = model.spec.plan(model.input_shape)
    first = next(place for place, plan in enumerate(plans) if not isinstance(plan.layer, MaxPool | AvgPool | Dropout))
    layer = plans[first].layer
    if not isinstance(layer, Dense):
        return model, mask
    low, high = (_pooled(plans[:first], _as_values(end)) for end in (images.min(axis=0), images.max(axis=0)))
    constant = (low == high) & (layer.bias | (low == 0))
    arrays = named_arrays(model.spec, model.input_shape, weights)
    matrix = arrays[f"{first}.weight"]
    if layer.bias:
        arrays[f"{first}.bias"][:] += matrix[:, constant].astype(np.float64) @ low[constant]
    matrix[:, constant] = 0
    mask[: matrix.size] = np.broadcast_to(constant, matrix.shape).ravel()
    return replace(model, weights=weights), mask


def _as_values(image: npt.NDArray[np.uint8] | Floats) -> Floats:
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image.astype(np.float32)


def _pooled(plans: Sequence[LayerPlan], image: Floats) -> Floats:
    """One image after these pools, flat. A pool never falls where its input rises: bounds stay bounds."""
    for plan in plans:
        if isinstance(plan.layer, MaxPool | AvgPool):
            size, (channels, height, width) = plan.layer.size, plan.output_shape
            cut = image[:, : height * size, : width * size].reshape(channels, height, size, width, size)
            image = cut.max(axis=(2, 4)) if isinstance(plan.layer, MaxPool) else cut.mean(axis=(2, 4))
    return image.reshape(-1)


# --- whole channels --------------------------------------------------------------------------


def weakest_channels(model: Model, shares: Mapping[int, float]) -> dict[int, tuple[int, ...]]:
    """Of each layer, by its place, so large a share of its channels: those whose weights have the least sum of sizes.

    Li et al. 2017 (arXiv 1608.08710), section 3.1. For a convolution, a pointwise or a dense layer.
    """
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    weakest = {}
    for place, share in shares.items():
        _check_hidden(model.spec, model.input_shape, place)
        sums = np.abs(arrays[f"{place}.weight"].astype(np.float64)).reshape(len(arrays[f"{place}.weight"]), -1).sum(1)
        order = np.argsort(sums, kind="stable")
        weakest[place] = tuple(sorted(order[: round(share * len(sums))].tolist()))
    return weakest


def without_channels(packed: Packed, dropped: Mapping[int, Collection[int]]) -> Packed:
    """A smaller network: these channels of these layers are gone, and all that reads them.

    dropped: by the place of a convolution, a pointwise or a dense layer, numbers of its channels. A `Model` goes in as
        `packed_model(model)` and comes out by `unpacked`, with the bits that it had.

    Raises:
        RequestError: there is no such layer or channel, nothing would be left of one, its channels are the classes, or
            the network has a repeat.
    """
    layers, tensors = list(packed.spec.layers), dict(packed.tensors)
    plans = packed.spec.plan(packed.input_shape)
    for place, channels in dropped.items():
        _check_hidden(packed.spec, packed.input_shape, place)
        kept = _kept(plans[place], channels)
        last = next(after for after in _mixing(plans) if after > place)
        for between in range(place, last):
            _keep_rows(tensors, between, kept)
        tensors[f"{last}.weight"] = _keep_inputs(tensors[f"{last}.weight"], plans[last].input_shape[0], kept)
        layers[place] = _narrower(plans[place], len(kept))
    return replace(packed, spec=NetSpec(tuple(layers)), tensors=tensors)


def without_dead_channels(packed: Packed) -> Packed:
    """The same function without the channels that nothing reads, and without those that never change.

    A channel that never changes goes where what it adds is nothing, or where that can move into the next biases: they
    are in full precision, and no padding of zeros comes between. What goes may leave others dead, so again until none
    is. A network with a repeat is left as it is.
    """
    if any(isinstance(layer, Repeat) for layer in packed.spec.layers):
        return packed
    plans = packed.spec.plan(packed.input_shape)
    for first, last in pairwise(_mixing(plans)):
        dead, tensors = _dead(packed, plans, first, last)
        if dead:
            return without_dead_channels(without_channels(replace(packed, tensors=tensors), {first: dead}))
    return packed


def _mixing(plans: Sequence[LayerPlan]) -> list[int]:
    """The places of the layers that make new channels of all that they are given."""
    return [place for place, plan in enumerate(plans) if isinstance(plan.layer, Conv | Pointwise | Dense)]


def _check_hidden(spec: NetSpec, input_shape: Shape, place: int) -> None:
    if any(isinstance(layer, Repeat) for layer in spec.layers):
        raise RequestError(f"'{spec}' repeats layers, whose channels depend on each other; prune single weights")
    hidden = _mixing(spec.plan(input_shape))[:-1]
    if place not in hidden:
        raise RequestError(f"layer {place} of '{spec}' has no channels to drop; such layers are {hidden or 'none'}")


def _kept(plan: LayerPlan, dropped: Collection[int]) -> list[int]:
    count = plan.output_shape[0]
    if wrong := [channel for channel in dropped if not 0 <= channel < count]:
        raise RequestError(f"'{plan.layer}' has no channel {wrong[0]}; give numbers from 0 to {count - 1}")
    kept = sorted(set(range(count)) - set(dropped))
    if not kept:
        raise RequestError(f"'{plan.layer}' would lose all of its {count} channels; keep at least one")
    return kept


def _narrower(plan: LayerPlan, channels: int) -> Conv | Pointwise | Dense:
    layer = plan.layer
    if isinstance(layer, Dense):
        return replace(layer, units=channels)
    assert isinstance(layer, Conv | Pointwise)
    return replace(layer, channels=channels)


def _keep_rows(tensors: dict[str, Tensor], place: int, kept: Sequence[int]) -> None:
    """All that a layer has for each channel out."""
    for name in (f"{place}.{part}" for part in ("weight", "bias", "mean", "variance")):
        if name in tensors:
            grid = tensors[name].grid
            if isinstance(grid, Uniform) and len(grid.steps) > 1:
                grid = Uniform(grid.steps[kept])
            tensors[name] = replace(tensors[name], levels=tensors[name].levels[kept], grid=grid)


def _keep_inputs(tensor: Tensor, channels: int, kept: Sequence[int]) -> Tensor:
    """A dense layer reads each channel's whole map."""
    rows, *rest = tensor.levels.shape
    by_channel = tensor.levels.reshape(rows, channels, -1)[:, kept]
    shape = (rows, len(kept), *rest[1:]) if len(rest) > 1 else (rows, -1)
    return replace(tensor, levels=np.ascontiguousarray(by_channel.reshape(shape)))


# --- channels that are dead ------------------------------------------------------------------


def _dead(packed: Packed, plans: Sequence[LayerPlan], first: int, last: int) -> tuple[list[int], dict[str, Tensor]]:
    """Which of the channels between two mixing layers can go, all but one at most, and the tensors without them."""
    weight, channels = values_of(packed.tensors[f"{last}.weight"]), plans[last].input_shape[0]
    reading = weight.astype(np.float64).reshape(len(weight), channels, -1)
    constant = _constant(packed, plans, first, last)
    unread = ~reading.any(axis=(0, 2))
    silent = constant == 0
    moved = ~np.isnan(constant) & _takes_constants(packed, plans[last], last)
    dead = np.flatnonzero(unread | silent | moved)[: channels - 1]
    moved &= np.isin(np.arange(channels), dead)
    tensors = dict(packed.tensors)
    if moved.any():
        added = reading[:, moved].sum(axis=2) @ constant[moved]
        tensors[f"{last}.bias"] = full_precision((values_of(tensors[f"{last}.bias"]) + added).astype(np.float32))
    return dead.tolist(), tensors


def _takes_constants(packed: Packed, plan: LayerPlan, place: int) -> bool:
    """Whether a constant can move into this layer's biases: they are in full precision, and nothing is padded."""
    bias = packed.tensors.get(f"{place}.bias")
    return bias is not None and bias.grid is None and not getattr(plan.layer, "same", False)


def _constant(packed: Packed, plans: Sequence[LayerPlan], first: int, last: int) -> npt.NDArray[np.float64]:
    """The one value of each channel that the layer `last` is given, NaN where it changes: float64 [channels]."""
    constant = np.full(plans[first].output_shape[0], np.nan)
    for place in range(first, last):
        tensors = {
            part: values_of(packed.tensors[f"{place}.{part}"]).astype(np.float64)
            for part in ("weight", "bias", "mean", "variance")
            if f"{place}.{part}" in packed.tensors
        }
        constant = _through(plans[place], tensors, constant)
    return constant


def _through(
    plan: LayerPlan, tensors: Mapping[str, npt.NDArray[np.float64]], constant: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The constants after one layer; NaN goes through as NaN."""
    layer, bias = plan.layer, tensors.get("bias", np.zeros(len(constant)))
    if isinstance(layer, Conv | Pointwise | Dense | Depthwise):
        rows = tensors["weight"].reshape(len(constant), -1)
        sums = np.full(len(constant), np.nan) if not isinstance(layer, Depthwise) else constant * rows.sum(axis=1)
        if getattr(layer, "same", False):
            sums = np.where(constant == 0, 0.0, np.nan)
        sums = np.where(rows.any(axis=1), sums, 0.0) + bias
        return np.where(sums < 0, layer.slope * sums, sums)
    if isinstance(layer, BatchNorm):
        scaled = (constant - tensors["mean"]) * tensors["weight"] / np.sqrt(tensors["variance"] + BATCH_NORM_EPSILON)
        sums = np.where(tensors["weight"] == 0, 0.0, scaled) + bias
        return np.where(sums < 0, layer.slope * sums, sums)
    if isinstance(layer, PReLU):
        return np.where(constant < 0, tensors["weight"] * constant, constant)
    return constant
