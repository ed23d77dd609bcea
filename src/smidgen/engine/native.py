"""The native engine: the C++ core of `native/`, one training on one thread (large ones on several).

The core knows no Python object but arrays: a network is two of them, a loss and an optimizer a few
numbers. Learning rates, the order of the images, the first weights and the targets are made here.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen import environment
from smidgen.engine.interface import DEFAULT_CONTROL, Examples, Images, TrainControl, Trained
from smidgen.engine.losses import prepare
from smidgen.engine.start import Start, check_start
from smidgen.errors import EngineError
from smidgen.records import OPTIMIZERS, Recipe, Weights
from smidgen.spec import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Shape,
)
from smidgen.streams import affine_maps, epoch_order, initial_weights

if TYPE_CHECKING:
    from smidgen._core import Network

ARITHMETIC = 2
"""Counts up whenever a change of the core changes a single bit of what it computes."""

_LOSS_KINDS = {"labels": 0, "kl": 1, "logits": 2, "standardised-logits": 2, "probabilities": 3}
_OPTIMIZER_KINDS = {"adam": 0, "sgd": 1, "nesterov": 2, "rmsprop": 3, "adadelta": 4}
_IMAGES_BETWEEN_REPORTS = 6_400
PREDICT_BATCH = 128


def available() -> str:
    """ "" when the core was built, else what to do."""
    try:
        import smidgen._core  # noqa: F401
    except ImportError:
        return (
            "the native core was not built when Smidgen was installed; install a C++ compiler "
            "(Debian: apt-get install g++) and run: pip install --force-reinstall --no-cache-dir smidgen"
        )
    return ""


def name() -> str:
    """Sets of instructions that fuse multiply-adds give the same bits; the others are told apart."""
    from smidgen import _core

    return f"native-{ARITHMETIC}-{'fused' if _core.fused(environment.instruction_set()) else 'unfused'}"


def train(
    spec: NetSpec,
    recipe: Recipe,
    examples: Examples,
    seed: int,
    start: Start | None = None,
    control: TrainControl = DEFAULT_CONTROL,
) -> Trained:
    """Train one network, as `Engine.train` says.

    Only networks with a batch norm or a large dense layer use more than one thread. The result does not depend on the
    number of threads.
    """
    if start is not None:
        check_start(spec, examples.input_shape, start)
    weights = initial_weights(spec, examples.input_shape, seed) if start is None else start.weights
    batch_size = min(recipe.batch_size, len(examples.images))  # memory is set aside for a whole batch
    network = _network(spec, examples.input_shape, weights, batch_size, control.threads, seed)
    if start is not None:
        network.start(*_held(start))
    lesson, kept = _Lesson(recipe, examples), weights
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        total = lesson.epoch(network, seed, epoch, control)
        kept = np.empty_like(weights)
        network.weights(kept)
        if not (np.isfinite(total) and np.isfinite(kept).all()):  # the last step overshot where no loss has seen it
            return Trained(weights, tuple(losses), diverged_at=epoch + 1)
        losses.append(total / len(examples.images))
        if control.after_epoch is not None and control.after_epoch(epoch, kept.copy()):
            break
    return Trained(kept, tuple(losses))


def predict(
    spec: NetSpec,
    weights: Weights,
    images: Images,
    threads: int = 1,
) -> npt.NDArray[np.float32]:
    """Run a network, as `Engine.predict` says; the result does not depend on `threads`."""
    input_shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
    logits = np.empty((len(images), math.prod(spec.output_shape(input_shape))), np.float32)
    pixels = np.ascontiguousarray(images)
    bounds = [len(images) * part // threads for part in range(threads + 1)]

    def part(first: int, last: int) -> None:
        _network(spec, input_shape, weights, PREDICT_BATCH, 1, 0).predict(pixels, first, logits[first:last])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, bounds[:-1], bounds[1:]))
    return logits


def gradient(
    spec: NetSpec, recipe: Recipe, examples: Examples, weights: Weights, threads: int = 1
) -> tuple[float, Weights]:
    """The mean loss over all examples as one batch, and its gradient: what the tests hold to torch.

    A dropout draws the masks of seed 0.
    """
    network = _network(spec, examples.input_shape, weights, len(examples.images), threads, 0)
    lesson, out = _Lesson(recipe, examples), np.empty_like(weights)
    order = np.arange(len(examples.images), dtype=np.uint32)
    total = network.gradient(*lesson.arrays, order, *lesson.loss, out)
    return total / len(examples.images), out


class _Lesson:
    """What every call of the core needs of a recipe and its examples."""

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        targets = prepare(recipe, examples.teacher_logits)
        self.arrays = (
            np.ascontiguousarray(examples.images),
            np.ascontiguousarray(examples.labels, np.int32),
            np.empty((0, 0), np.float32) if targets.values is None else targets.values,
            targets.inverse_std,
        )
        self.loss = (_LOSS_KINDS[recipe.loss], recipe.temperature, recipe.label_weight)
        optimizer = OPTIMIZERS[recipe.optimizer]
        kind = _OPTIMIZER_KINDS[optimizer.kind]
        self.optimizer = (kind, optimizer.momentum, optimizer.beta2, optimizer.epsilon, recipe.average)
        self.rates = recipe.learning_rates(len(examples.images))
        self.recipe = recipe

    def epoch(self, network: Network, seed: int, epoch: int, control: TrainControl) -> float:
        """One pass over the images: the sum of their losses, or NaN where it diverged."""
        count, batch_size = len(self.arrays[0]), self.recipe.batch_size
        order, warps, steps = epoch_order(count, seed, epoch), self._warps(seed, epoch), self.recipe.steps(count)
        total, at_once = 0.0, max(1, _IMAGES_BETWEEN_REPORTS // batch_size)
        for step in range(0, steps, at_once):
            done = epoch * steps + step
            if control.progress is not None and (threads := control.progress(done, len(self.rates))):
                network.threads = threads
            part = order[step * batch_size : (step + at_once) * batch_size]
            total += network.train(*self.arrays, part, self.rates[done:], *self.loss, *self.optimizer, warps)
            if not np.isfinite(total):
                break
        return total

    def _warps(self, seed: int, epoch: int) -> npt.NDArray[np.float32]:
        if not self.recipe.augment:
            return np.empty((0, 2, 3), np.float32)
        count, _, height, width = self.arrays[0].shape
        return affine_maps(self.recipe.augment, count, (height, width), seed, epoch)


def _held(start: Start) -> tuple[Any, ...]:
    """What the core's `start` takes: the weights, what is fixed, tied and projected; empty where nothing is."""
    projection, none = start.projection, np.empty(0, np.int32)
    fixed = np.empty(0, np.uint8) if start.fixed is None else np.ascontiguousarray(start.fixed, np.uint8)
    tied = none if start.tied is None else np.ascontiguousarray(start.tied, np.int32)
    if projection is None:
        return start.weights, fixed, tied, none, [], []
    codebook = np.ascontiguousarray(projection.codebook, np.int32)
    return start.weights, fixed, tied, codebook, list(projection.levels), list(projection.costs or ())


def _network(spec: NetSpec, input_shape: Shape, weights: Weights, batch_size: int, threads: int, seed: int) -> Network:
    from smidgen import _core

    rows = [_encode(plan) for plan in spec.plan(input_shape)]
    layers = np.array([row[:7] for row in rows], np.int32)
    values = np.array([row[7] for row in rows], np.float32)
    return _core.Network(
        layers, values, list(input_shape), weights, batch_size, threads, seed % 2**64, environment.instruction_set()
    )


_Row = tuple[int, int, int, int, int, int, int, float]


def _encode(plan: LayerPlan) -> _Row:
    """(kind, out, kernel_y, kernel_x, same, bias, source, slope or rate), as `LayerRequest` of native/plan.h."""
    source = -1 if plan.source is None else plan.source
    kind, out, kernel_y, kernel_x, same, bias, value = _encode_layer(plan.layer)
    return kind, out, kernel_y, kernel_x, same, bias, source, value


def _encode_layer(layer: Layer) -> tuple[int, int, int, int, int, int, float]:
    match layer:
        case Conv(channels, (ky, kx), same, slope, bias):
            return 0, channels, ky, kx, same, bias, slope
        case Depthwise((ky, kx), same, slope, bias):
            return 1, 0, ky, kx, same, bias, slope
        case Pointwise(channels, slope, bias):
            return 0, channels, 1, 1, True, bias, slope
        case MaxPool(size):
            return 2, 0, size, size, False, False, 1.0
        case AvgPool(size):
            return 3, 0, size, size, False, False, 1.0
        case GlobalAvgPool():
            return 3, 0, 0, 0, False, False, 1.0
        case Dense(units, slope, bias):
            return 4, units, 1, 1, False, bias, slope
        case Dropout(rate):
            return 5, 0, 1, 1, False, False, rate
        case BatchNorm(slope):
            return 6, 0, 1, 1, False, True, slope
        case PReLU():
            return 7, 0, 1, 1, False, False, 1.0
    raise EngineError(f"the native core has no '{layer}'; use engine='torch'")
