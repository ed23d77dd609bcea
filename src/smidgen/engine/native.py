"""The native engine: the C++ core of `native/`, one training on one thread (large ones on several).

The core knows no Python object but arrays: a network is two of them, a loss and an optimizer a few
numbers. Learning rates, the order of the images, the first weights and the targets are made here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.engine import Examples, Training, Watch, epoch_order, initial_weights
from smidgen.losses import prepare
from smidgen.records import OPTIMIZERS, Recipe, Weights
from smidgen.spec import (
    AvgPool,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    NetSpec,
    Pointwise,
    Shape,
)

if TYPE_CHECKING:
    from smidgen._core import Network

ARITHMETIC = 1
"""Counts up whenever a change of the core changes a single bit of what it computes."""

_LOSS_KINDS = {"labels": 0, "kl": 1, "logits": 2, "standardised-logits": 2, "probabilities": 3}
_OPTIMIZER_KINDS = {"adam": 0, "sgd": 1, "nesterov": 2, "rmsprop": 3, "adadelta": 4}
_STEPS_BETWEEN_WATCHES = 50
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

    return f"native-{ARITHMETIC}-{'fused' if _core.fused(_instruction_set()) else 'unfused'}"


def unsupported(spec: NetSpec) -> str:
    """The first layer that the core cannot run, as a reason, or ""."""
    for layer in spec.layers:
        if _encode(layer) is None:
            return f"the native core has no '{layer}' yet"
    return ""


def train(
    spec: NetSpec,
    recipe: Recipe,
    examples: Examples,
    seed: int,
    watch: Watch | None = None,
    threads: int = 1,
) -> Training:
    """Train from `initial_weights(spec, ..., seed)`; a pure function of its arguments but `threads`.

    A training that diverges gives the weights that it started from.
    threads: used by networks with large dense layers only; the result does not depend on it.
    """
    weights = initial_weights(spec, examples.input_shape, seed)
    count, steps = len(examples.images), recipe.steps(len(examples.images))
    batch_size = min(recipe.batch_size, count)  # memory is set aside for a whole batch
    network = _network(spec, examples.input_shape, weights, batch_size, threads, seed)
    lesson = _Lesson(recipe, examples)
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        order, total = epoch_order(count, seed, epoch), 0.0
        for step in range(0, steps, _STEPS_BETWEEN_WATCHES):
            if watch is not None:
                watch(epoch * steps + step, recipe.epochs * steps)
            total += lesson.steps(network, order, epoch * steps, step)
            if not np.isfinite(total):
                return Training(weights, tuple(losses), diverged_at=epoch + 1)
        losses.append(total / count)
    trained = np.empty_like(weights)
    network.weights(trained)
    if not np.isfinite(trained).all():  # the last step overshot, and no loss has seen it
        return Training(weights, tuple(losses[:-1]), diverged_at=recipe.epochs)
    return Training(trained, tuple(losses))


def predict(
    spec: NetSpec,
    weights: Weights,
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    threads: int = 1,
) -> npt.NDArray[np.float32]:
    """The logits: float32 [n, classes]."""
    input_shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
    logits = np.empty((len(images), spec.output_shape(input_shape)[0]), np.float32)
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
        self.optimizer = (kind, optimizer.momentum, optimizer.beta2, optimizer.epsilon)
        self.rates = recipe.learning_rates(len(examples.images))
        self.batch_size = recipe.batch_size

    def steps(self, network: Network, order: npt.NDArray[np.uint32], before: int, step: int) -> float:
        """So many optimizer steps from `step` of this epoch on; the sum of the losses."""
        first = step * self.batch_size
        part = order[first : first + _STEPS_BETWEEN_WATCHES * self.batch_size]
        rates = self.rates[before + step :]
        return float(network.train(*self.arrays, part, rates, *self.loss, *self.optimizer))


def _network(spec: NetSpec, input_shape: Shape, weights: Weights, batch_size: int, threads: int, seed: int) -> Network:
    from smidgen import _core

    rows = [row for layer in spec.layers if (row := _encode(layer)) is not None]
    layers = np.array([row[:6] for row in rows], np.int32)
    values = np.array([row[6] for row in rows], np.float32)
    return _core.Network(
        layers, values, list(input_shape), weights, batch_size, threads, seed % 2**64, _instruction_set()
    )


def _encode(layer: Layer) -> tuple[int, int, int, int, int, int, float] | None:
    """(kind, out, kernel_y, kernel_x, same, bias, slope or rate) as `LayerRequest` of native/plan.h has them."""
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
    return None


def _instruction_set() -> str:
    """SMIDGEN_INSTRUCTION_SET (v2, v3, v4, neon), or "" for the best that the processor has."""
    return os.environ.get("SMIDGEN_INSTRUCTION_SET", "")
