"""The native engine: trains with the C++ core of `native/`, tiny networks on one thread, others on all idle cores.

The core takes arrays and small structs. Learning rates, the order of the images, augmentation, the first weights
and the targets are computed here.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import smidgen
from smidgen import environment
from smidgen.engine.interface import DEFAULT_CONTROL, Examples, Images, TrainControl, Trained
from smidgen.engine.losses import class_logits, prepare
from smidgen.engine.start import Start, check_start
from smidgen.errors import EngineError
from smidgen.records import OPTIMIZERS, Recipe, Weights
from smidgen.spec import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    PlannedLayer,
    Pointwise,
    PReLU,
    Shape,
)
from smidgen.streams import affine_maps, epoch_order, initial_weights

if TYPE_CHECKING:
    from smidgen._core import Constraints, Network
    from smidgen._core import Layer as CoreLayer

ARITHMETIC = 3
"""Version of the core's results: a change of a single bit in any of them counts it up."""

_LOSS_KINDS = {
    "labels": "LABELS",
    "kl": "KL",
    "logits": "SQUARED",
    "standardised-logits": "SQUARED",
    "probabilities": "PROBABILITIES",
}
"""The name in the core's `LossKind` of each loss of a recipe."""

_IMAGES_BETWEEN_REPORTS = 6_400
PREDICT_BATCH = 128


def available() -> str:
    """Return "" if the core was built, else why it was not and what to do."""
    try:
        import smidgen._core  # noqa: F401
    except ImportError as error:
        reason = next((line for line in build_failure().splitlines() if "error:" in line), "")
        reason = f" ({reason.strip()}; `smidgen doctor` shows more)" if reason else ""
        if not isinstance(error, ModuleNotFoundError):
            reason = f" for this machine ({error})"
        return (
            f"the native core was not built when Smidgen was installed{reason}; install a C++ compiler "
            "(Debian: apt-get install g++) and run: pip install --force-reinstall --no-cache-dir smidgen"
        )
    return ""


def build_failure() -> str:
    """Return what the compiler said when the core could not be built, or ""; written when the package was built."""
    file = Path(smidgen.__file__).with_name("core_failure.txt")
    return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def name() -> str:
    """Return the engine's name in trial keys: all instruction sets that fuse multiply-adds give the same bits."""
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

    Small networks use one thread: those of few multiply-accumulates, without a batch norm or a large dense layer. The
    result does not depend on the number of threads.
    """
    if start is not None:
        check_start(spec, examples.input_shape, start)
    weights = initial_weights(spec, examples.input_shape, seed) if start is None else start.weights
    batch_size = min(recipe.batch_size, len(examples.images))  # memory is set aside for a whole batch
    network = _network(spec, examples.input_shape, weights, batch_size, control.threads, seed)
    if start is not None:
        network.start(start.weights, _constraints(start))
    run, kept = _Run(spec, recipe, examples), weights
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        total = run.epoch(network, seed, epoch, control)
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
    outputs = np.empty((len(images), math.prod(spec.output_shape(input_shape))), np.float32)
    pixels = np.ascontiguousarray(images)
    bounds = [len(images) * part // threads for part in range(threads + 1)]

    def part(first: int, last: int) -> None:
        network = _network(spec, input_shape, weights, PREDICT_BATCH, 1, 0, training=False)
        network.predict(pixels, first, outputs[first:last])

    if threads == 1:
        part(0, len(images))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, bounds[:-1], bounds[1:]))
    return class_logits(outputs)


def gradient(
    spec: NetSpec, recipe: Recipe, examples: Examples, weights: Weights, threads: int = 1
) -> tuple[float, Weights]:
    """Return the mean loss over all examples as one batch, and its gradient, for tests.

    A dropout draws the masks of seed 0.
    """
    network = _network(spec, examples.input_shape, weights, len(examples.images), threads, 0)
    run, out = _Run(spec, recipe, examples), np.empty_like(weights)
    order = np.arange(len(examples.images), dtype=np.uint32)
    total = network.gradient(run.examples, order=order, loss=run.loss, out=out)
    return total / len(examples.images), out


class _Run:
    """One training's examples, loss and optimizer, as the core takes them."""

    def __init__(self, spec: NetSpec, recipe: Recipe, examples: Examples) -> None:
        from smidgen import _core

        targets = prepare(recipe, examples.teacher_logits, math.prod(spec.output_shape(examples.input_shape)))
        self.recipe = recipe
        self.image_shape = examples.images.shape
        self.examples = _core.Examples(
            np.ascontiguousarray(examples.images),
            np.ascontiguousarray(examples.labels, np.int32),
            targets=targets.values,
            inverse_std=None if targets.values is None else targets.inverse_std,
        )
        self.loss = _core.Loss(
            _core.LossKind[_LOSS_KINDS[recipe.loss]],
            temperature=recipe.temperature,
            label_weight=recipe.label_weight,
        )
        optimizer = OPTIMIZERS[recipe.optimizer]
        self.optimizer = _core.Optimizer(
            _core.OptimizerKind[optimizer.kind.upper()],
            momentum=optimizer.momentum,
            beta2=optimizer.beta2,
            epsilon=optimizer.epsilon,
        )
        self.rates = recipe.learning_rates(len(examples.images))

    def epoch(self, network: Network, seed: int, epoch: int, control: TrainControl) -> float:
        """Train on every image once. Return the sum of the losses, or NaN if the training diverges."""
        count, batch_size = self.image_shape[0], self.recipe.batch_size
        order, steps = epoch_order(count, seed, epoch), self.recipe.steps(count)
        maps = self._affine_maps(seed, epoch)
        total, at_once = 0.0, max(1, _IMAGES_BETWEEN_REPORTS // batch_size)
        for step in range(0, steps, at_once):
            done = epoch * steps + step
            if control.progress is not None and (threads := control.progress(done, len(self.rates))):
                network.threads = threads
            part = order[step * batch_size : (step + at_once) * batch_size]
            total += network.train(
                self.examples,
                order=part,
                rates=self.rates[done:],
                loss=self.loss,
                optimizer=self.optimizer,
                average=self.recipe.average,
                affine_maps=maps,
            )
            if not np.isfinite(total):
                break
        return total

    def _affine_maps(self, seed: int, epoch: int) -> npt.NDArray[np.float32] | None:
        if not self.recipe.augment:
            return None
        count, _, height, width = self.image_shape
        return affine_maps(self.recipe.augment, count, (height, width), seed, epoch)


def _constraints(start: Start) -> Constraints:
    from smidgen import _core

    projection = start.projection
    return _core.Constraints(
        fixed=None if start.fixed is None else np.ascontiguousarray(start.fixed, np.uint8),
        tied=None if start.tied is None else np.ascontiguousarray(start.tied, np.int32),
        codebook=None if projection is None else np.ascontiguousarray(projection.codebook, np.int32),
        levels=[] if projection is None else list(projection.levels),
        costs=[] if projection is None else list(projection.costs or ()),
    )


def _network(
    spec: NetSpec,
    input_shape: Shape,
    weights: Weights,
    batch_size: int,
    threads: int,
    seed: int,
    training: bool = True,
) -> Network:
    from smidgen import _core

    try:
        return _core.Network(
            layers=[_core_layer(plan) for plan in spec.plan(input_shape)],
            input_shape=list(input_shape),
            weights=weights,
            batch_size=batch_size,
            threads=threads,
            seed=seed % 2**64,
            instruction_set=environment.instruction_set(),
            training=training,
        )
    except MemoryError as error:
        raise EngineError(str(error) or "there is too little memory for the network; use a smaller batch") from error


def _core_layer(plan: LayerPlan) -> CoreLayer:
    from smidgen import _core

    kind, settings = _kind_and_settings(plan.layer)
    source = -1 if plan.source is None else plan.source
    return _core.Layer(_core.LayerKind[kind], source=source, inputs=list(plan.inputs), **settings)


def _kind_and_settings(layer: PlannedLayer) -> tuple[str, dict[str, Any]]:
    """The name in the core's `LayerKind`, and the keyword arguments of the core's `Layer`."""
    match layer:
        case Conv(channels, kernel, same):
            return "CONV", {"out": channels, "kernel": kernel, "same": same} | _strided(layer)
        case Depthwise(kernel, same):
            return "DEPTHWISE", {"kernel": kernel, "same": same, "shared": layer.shared} | _strided(layer)
        case Pointwise(channels):
            return "CONV", {"out": channels} | _strided(layer)
        case MaxPool(window, stride):
            return "MAX_POOL", {"kernel": window, "stride": stride}
        case AvgPool(window, stride):
            return "AVG_POOL", {"kernel": window, "stride": stride}
        case GlobalAvgPool():
            return "AVG_POOL", {"kernel": (0, 0)}
        case Dense(units):
            return "DENSE", {"out": units, "bias": layer.bias} | _activation(layer)
        case Dropout(rate):
            return "DROPOUT", {"rate": rate}
        case BatchNorm():
            return "BATCH_NORM", {"bias": True} | _activation(layer)
        case PReLU():
            return "PRELU", {}
        case CReLU():
            return "CRELU", {}
        case Add():
            return "ADD", _activation(layer)


def _strided(layer: Conv | Depthwise | Pointwise) -> dict[str, Any]:
    return {"stride": layer.stride, "bias": layer.bias} | _activation(layer)


def _activation(layer: Conv | Depthwise | Pointwise | Dense | BatchNorm | Add) -> dict[str, float]:
    return {"slope": layer.slope, "ceiling": layer.ceiling}
