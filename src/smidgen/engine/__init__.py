"""Engines: what trains a network and what runs it.

Both engines start from the same weights and see the images in the same order, so that one can
be held against the other. An engine is a module with five functions:

    available() -> str        "" when it can be used here, else what to install
    name() -> str             the engine and its arithmetic; part of a trial's key
    unsupported(spec) -> str  the first layer that it cannot run, or ""
    train(spec, recipe, examples, seed, watch, threads, start, after_epoch) -> Training
    predict(spec, weights, images, threads) -> logits
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import numpy.typing as npt

from smidgen.errors import EngineError
from smidgen.records import Augmentation, Weights
from smidgen.spec import NetSpec, PReLU, Shape

Watch = Callable[[int, int], int | None]
"""Called as watch(steps done, steps in all) a few times a second; what it raises stops the training.

It may return how many threads there are now for this training: cores that have nothing else to do. An engine whose
result depends on that number does not listen.
"""

AfterEpoch = Callable[[int, Weights], bool]
"""Called as after_epoch(epoch from 0, the weights that would be kept now); True ends the training."""


@dataclass(frozen=True, eq=False)
class Projection:
    """The values that weights may take. The network computes with each weight's nearest level; the gradient
    moves the weight itself (the straight-through estimator: Bengio et al. 2013, arXiv 1308.3432, section 2.3).

    codebook: int32 [weights], which of the codebooks a weight has; -1 leaves it free
    levels: for each codebook its levels, float32, ascending
    costs: for each codebook what a weight at each level adds to the loss, float32; straight lines between
        them push weights to cheap levels. None: nothing
    """

    codebook: npt.NDArray[np.int32]
    levels: tuple[npt.NDArray[np.float32], ...]
    costs: tuple[npt.NDArray[np.float32], ...] | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """Where a training begins, and what its weights are held to; all by place in the flat weights.

    weights: float32 [weights]
    fixed: bool [weights]; where it is True the weight stays as it is (zero, for one that is pruned). None: nowhere
    tied: int32 [weights]; weights of one number have one gradient, the sum of theirs, so that those that
        begin equal stay equal; -1 for none (Han et al. 2015, arXiv 1510.00149, section 3.3). None: none
    projection: the values that they may take; what is kept are those values
    """

    weights: Weights = field(repr=False)
    fixed: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    tied: npt.NDArray[np.int32] | None = field(default=None, repr=False)
    projection: Projection | None = field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """A SHA-256 of all of it, in hex: `records.Trial.start`."""
        sha = hashlib.sha256()
        for array in self._arrays():
            sha.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
        return sha.hexdigest()

    def _arrays(self) -> list[npt.NDArray[np.generic] | None]:
        p = self.projection
        held = [] if p is None else [p.codebook, *p.levels, None, *(p.costs or ())]
        return [self.weights, self.fixed, self.tied, None, *held]


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from.

    images: uint8 (read as value / 255) or float32 [n, channels, height, width]
    labels: int32 [n]
    teacher_logits: float32 [n, classes], row i for image i; None when the loss is on labels alone
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def input_shape(self) -> Shape:
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class Training:
    """Trained weights, the mean loss of each epoch, and the epoch that diverged (from 1), or 0."""

    weights: Weights
    losses: tuple[float, ...]
    diverged_at: int = 0


def initial_weights(spec: NetSpec, input_shape: Shape, seed: int) -> Weights:
    """Glorot uniform weights (Glorot & Bengio 2010, eq. 16) and zero biases, flat float32.

    A batch norm starts at scale 1, shift 0, mean 0, variance 1; a PReLU at 0.25. The generator's raw words are used,
    which NumPy promises never to change (NEP 19), so the same seed gives the same weights for ever.
    """
    pieces = []
    for index, plan in enumerate(spec.plan(input_shape)):
        if plan.moments:
            channels = plan.bias_count
            pieces.append(np.repeat(np.array([1, 0, 0, 1], np.float32), channels))
        elif plan.parameters and isinstance(plan.layer, PReLU):
            pieces.append(np.full(plan.weight_count, 0.25, np.float32))
        elif plan.parameters:
            limit = math.sqrt(6 / sum(plan.fan))
            raw = np.random.PCG64([seed, index, 1]).random_raw(plan.weight_count)
            uniform = (raw >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
            pieces += [(2 * uniform - 1) * np.float32(limit), np.zeros(plan.bias_count, np.float32)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


PLACE_BITS = 26
"""Of a key that orders the images; more images than it can count do not fit a memory."""


def epoch_order(images: int, seed: int, epoch: int) -> npt.NDArray[np.uint32]:
    """The order in which an epoch sees the images: a permutation, uint32 [images]."""
    raw = np.random.PCG64([seed, epoch, 2]).random_raw(images)
    place = np.uint64(2**PLACE_BITS - 1)
    keys = (raw & ~place) | np.arange(images, dtype=np.uint64)  # to sort is faster than to sort by
    return (np.sort(keys) & place).astype(np.uint32)


def affine_maps(
    augment: Augmentation, images: int, size: tuple[int, int], seed: int, epoch: int
) -> npt.NDArray[np.float32]:
    """How an epoch moves each image: float32 [images, 2, 3].

    Row i of the new image's (y, x, 1) holds where it is read in the old one, as (y, x) in pixels: linear between
    four pixels, and zero outside. `size` is (height, width).
    """
    raw = np.random.PCG64([seed, epoch, 3]).random_raw(images * 5).reshape(images, 5)
    uniform = (raw >> np.uint64(11)).astype(np.float64) / 2**52 - 1
    dy, dx, turn, scale, shear = uniform.T
    angle = np.deg2rad(augment.rotation) * turn
    zoom = 1 / (1 + augment.scale * scale)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    slant = augment.shear * shear
    middle = (np.array(size, np.float64) - 1) / 2
    matrix = np.stack([cos, sin, slant * cos - sin, slant * sin + cos], axis=1).reshape(images, 2, 2)
    moved = middle - matrix @ middle + augment.shift * np.stack([dy, dx], axis=1)
    return np.concatenate([matrix, moved[:, :, None]], axis=2).astype(np.float32)


def is_moment(spec: NetSpec, input_shape: Shape) -> npt.NDArray[np.bool_]:
    """Which of the flat weights are moments of a batch norm: bool [weights]."""
    plans = spec.plan(input_shape)
    pieces = [np.repeat([False, True], [plan.parameters, plan.moments]) for plan in plans]
    return np.concatenate(pieces)


def check_start(spec: NetSpec, input_shape: Shape, start: Start) -> None:
    """Raise EngineError unless a start fits a network: the one check, for every engine."""
    moments = is_moment(spec, input_shape)
    _check_places("weights", start.weights, np.float32, moments, spec)
    _check_numbers("weights", start.weights)
    if start.fixed is not None:
        _check_places("fixed", start.fixed, np.bool_, moments, spec)
    if start.tied is not None:
        _check_places("tied", start.tied, np.int32, moments, spec)
        _check_range("tied", start.tied, moments, moments.size)
    if start.projection is not None:
        _check_places("codebook", start.projection.codebook, np.int32, moments, spec)
        _check_range("codebook", start.projection.codebook, moments, len(start.projection.levels))
        _check_books(start.projection)
        _check_fixed_levels(start, start.projection)


def _check_places(
    name: str, array: npt.NDArray[np.generic], kind: type[np.generic], moments: npt.NDArray[np.bool_], spec: NetSpec
) -> None:
    if array.dtype != kind or array.shape != moments.shape:
        raise EngineError(
            f"the start's {name} is {array.dtype} {list(array.shape)}; '{spec}' needs {kind.__name__} "
            f"[{moments.size}], a value for each of its weights"
        )


def _check_numbers(name: str, values: npt.NDArray[np.float32]) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise EngineError(f"the start's {name} has {bad} of {values.size} values that are not finite; give numbers")


def _check_range(name: str, numbers: npt.NDArray[np.int32], moments: npt.NDArray[np.bool_], end: int) -> None:
    outside = numbers[(numbers < -1) | (numbers >= end)]
    if outside.size:
        raise EngineError(f"the start's {name} has the number {outside[0]}; give -1 for none, or 0 to {end - 1}")
    if (numbers[moments] >= 0).any():
        raise EngineError(f"the start's {name} names moments of a batch norm, which follow the data; give them -1")


def _check_books(projection: Projection) -> None:
    costs = projection.levels if projection.costs is None else projection.costs
    if len(costs) != len(projection.levels):
        raise EngineError(f"there are {len(projection.levels)} codebooks and {len(costs)} lists of costs; give as many")
    for number, (levels, cost) in enumerate(zip(projection.levels, costs, strict=True)):
        for name, array in ((f"levels of codebook {number}", levels), (f"costs of codebook {number}", cost)):
            if array.dtype != np.float32 or array.ndim != 1 or not array.size or array.size != levels.size:
                raise EngineError(
                    f"the {name} are {array.dtype} {list(array.shape)}; give float32 [levels], a cost for each level"
                )
            _check_numbers(name, array)
        if (np.diff(levels) <= 0).any():
            raise EngineError(f"the levels of codebook {number} do not ascend; sort them, each once")


def _check_fixed_levels(start: Start, projection: Projection) -> None:
    """A fixed weight stays as it is, so its codebook must have its value."""
    for number, levels in enumerate(projection.levels):
        fixed = start.weights[(projection.codebook == number) & (False if start.fixed is None else start.fixed)]
        other = fixed[~np.isin(fixed, levels)]
        if other.size:
            raise EngineError(
                f"a weight is fixed at {other[0]:g}, which is no level of its codebook {number}; give it codebook -1"
            )


def engines() -> dict[str, ModuleType]:
    """Every engine by name, the default first."""
    from smidgen.engine import native, torch_engine

    return {"native": native, "torch": torch_engine}


def choose(spec: NetSpec, wanted: str = "auto") -> ModuleType:
    """The engine for a network: the one wanted, or the first that is here and can run every layer.

    Raises:
        EngineError: no such engine, or none that is installed can run the network.
    """
    table = engines()
    if wanted != "auto" and wanted not in table:
        raise EngineError(f"no engine '{wanted}'; use auto, {', '.join(table)}")
    reasons = []
    for name, engine in table.items():
        if wanted not in ("auto", name):
            continue
        reason = engine.available() or engine.unsupported(spec)
        if not reason:
            return engine
        reasons.append(f"{name}: {reason}")
    raise EngineError(f"no engine can train '{spec}'; " + "; ".join(reasons))
