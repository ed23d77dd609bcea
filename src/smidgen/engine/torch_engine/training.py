"""Training a network with torch, and running a trained one.

All state of a training is flat, float32 [weights], and stays on the device. No step waits for the device: results are
read every `STEPS_BETWEEN_REPORTS` steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.engine.interface import DEFAULT_CONTROL, Examples, Images, TrainControl, Trained
from smidgen.engine.losses import class_logits, prepare
from smidgen.engine.start import Start, check_start, is_running_stat
from smidgen.engine.torch_engine.affine import pixel_values, warp
from smidgen.engine.torch_engine.constraints import WeightConstraints, weight_constraints
from smidgen.engine.torch_engine.device import chosen_device, settings, tensor_of
from smidgen.engine.torch_engine.dropout_masks import key_of, step_key
from smidgen.engine.torch_engine.losses import batch_loss
from smidgen.engine.torch_engine.network import logits_of, module_of
from smidgen.engine.torch_engine.optimizers import update
from smidgen.records import OPTIMIZERS, Recipe, Weights
from smidgen.spec import NetSpec
from smidgen.streams import affine_maps, epoch_order, initial_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

PREDICT_BATCH = 1024
STEPS_BETWEEN_REPORTS = 20


def train(
    spec: NetSpec,
    recipe: Recipe,
    examples: Examples,
    seed: int,
    start: Start | None = None,
    control: TrainControl = DEFAULT_CONTROL,
) -> Trained:
    """Train one network, as `Engine.train` says; the number of threads may change the last bits of the result."""
    with settings(control.threads):
        run = _begin(spec, recipe, examples, seed, start)
        losses: list[float] = []
        for epoch in range(recipe.epochs):
            losses.append(_train_epoch(run, epoch, control))
            if not math.isfinite(losses[-1]):
                break
            if control.after_epoch is not None and control.after_epoch(epoch, run.kept()):
                break
        # A last step that overshoots shows in the weights, but in no loss.
        if not (math.isfinite(losses[-1]) and run.weights.isfinite().all()):
            first = np.array(run.constraints.start.cpu().numpy())
            return Trained(first, tuple(losses[:-1]), diverged_at=len(losses))
        return Trained(run.kept(), tuple(losses))


def predict(spec: NetSpec, weights: Weights, images: Images, threads: int = 1) -> npt.NDArray[np.float32]:
    """Run a network, as `Engine.predict` says."""
    import torch

    device = chosen_device()
    channels, height, width = images.shape[1:]
    with settings(threads), torch.inference_mode():
        module = module_of(spec, (channels, height, width), weights).eval().to(device)
        batches = torch.split(tensor_of(images, torch.device("cpu")), PREDICT_BATCH)
        outputs = [module(pixel_values(batch.to(device))).cpu() for batch in batches]
    return class_logits(torch.cat(outputs).numpy())


@dataclass(frozen=True, eq=False)
class _Run:
    """A training in progress. The tensors are on the device, and training changes them in place.

    Attributes:
        weights: float32 [weights], before any quantization.
        average: float32 [weights], the moving average; None unless the recipe asks for one.
        state: The two running means of the optimizer, float32 [weights] each.
        key: int64 [], from which all dropout masks follow.
        images: The training images, uint8 or float32 [n, channels, height, width].
        labels: int64 [n].
        target_values: float32 [n, classes]; None if the loss uses labels alone.
        inverse_std: See `losses.Targets`.
    """

    recipe: Recipe
    seed: int
    module: nn.Sequential
    constraints: WeightConstraints
    weights: Tensor
    average: Tensor | None
    state: tuple[Tensor, Tensor]
    key: Tensor
    images: Tensor
    labels: Tensor
    target_values: Tensor | None
    inverse_std: Tensor

    def kept(self) -> Weights:
        """The weights to keep if the training ends now: a copy."""
        last = self.weights if self.average is None else self.average
        return np.array(self.constraints.final_weights(last).cpu().numpy())


@dataclass(frozen=True, eq=False)
class _EpochPlan:
    """order: int64 [n], of the images; maps: float32 [n, 2, 3], their augmentation, or None."""

    order: Tensor
    maps: Tensor | None


def _begin(spec: NetSpec, recipe: Recipe, examples: Examples, seed: int, start: Start | None) -> _Run:
    import torch

    device, shape = chosen_device(), examples.input_shape
    targets = prepare(recipe, examples.teacher_logits, math.prod(spec.output_shape(shape)))
    start = Start(initial_weights(spec, shape, seed)) if start is None else start
    check_start(spec, shape, start)
    constraints = weight_constraints(start, is_running_stat(spec, shape), device)
    first = constraints.start
    return _Run(
        recipe,
        seed,
        module=module_of(spec, shape, start.weights).train().to(device),
        constraints=constraints,
        weights=first.clone(),
        average=first.clone() if recipe.average else None,
        state=(torch.zeros_like(first), torch.zeros_like(first)),
        key=key_of(seed, device),
        images=tensor_of(examples.images, device),
        labels=tensor_of(examples.labels, device).long(),
        target_values=None if targets.values is None else tensor_of(targets.values, device),
        inverse_std=tensor_of(targets.inverse_std, device),
    )


# --- an epoch, a step -------------------------------------------------------------------------


def _train_epoch(run: _Run, number: int, control: TrainControl) -> float:
    """Make one pass over the images; return their mean loss, which is not finite if a batch's was not."""
    import torch

    images, size = len(run.labels), run.recipe.batch_size
    rates = run.recipe.learning_rates(images)
    epoch = _plan_epoch(run, number)
    total = torch.zeros((), dtype=torch.float64, device=run.weights.device)
    steps_before = number * run.recipe.steps(images)
    for place in range(0, images, size):
        step = steps_before + place // size
        total += _step(run, epoch, epoch.order[place : place + size], step, float(rates[step]))
        if (step + 1) % STEPS_BETWEEN_REPORTS == 0 or step + 1 == len(rates):
            if not total.isfinite():
                break
            if control.progress is not None:
                control.progress(step + 1, len(rates))
    return float(total / images)


def _plan_epoch(run: _Run, number: int) -> _EpochPlan:
    count, _, height, width = run.images.shape
    device, augment = run.weights.device, run.recipe.augment
    order = tensor_of(epoch_order(count, run.seed, number).astype(np.int64), device)
    if not augment:
        return _EpochPlan(order, None)
    return _EpochPlan(order, tensor_of(affine_maps(augment, count, (height, width), run.seed, number), device))


def _step(run: _Run, epoch: _EpochPlan, batch: Tensor, step: int, rate: float) -> Tensor:
    """Make one step of the optimizer on the images `batch`, int64 [b]; return the sum of their losses."""
    import torch

    used = run.constraints.forward_weights(run.weights).clone().requires_grad_()
    loss = _loss(run, used, _batch_images(run, epoch, batch), batch, step_key(run.key, step))
    (gradient,) = torch.autograd.grad(loss, used)
    gradient = gradient.contiguous()
    run.constraints.constrain_gradient(run.weights, gradient)
    update(OPTIMIZERS[run.recipe.optimizer], run.weights, gradient, run.state, rate, step + 1)
    if run.average is not None:
        decay = min(run.recipe.average, (2 + step) / (11 + step))
        run.average.lerp_(run.weights, 1 - decay)
    return loss.detach() * len(batch)


def _batch_images(run: _Run, epoch: _EpochPlan, batch: Tensor) -> Tensor:
    """The images of a batch as the network sees them: float32 [b, channels, height, width]."""
    images = pixel_values(run.images[batch])
    return images if epoch.maps is None else warp(images, epoch.maps[batch])


def _loss(run: _Run, used: Tensor, images: Tensor, batch: Tensor, key: Tensor) -> Tensor:
    """The mean loss of a batch. A batch norm's running statistics in `run.weights` change in place."""
    logits = logits_of(run.module, used, run.weights, images, key)
    values = None if run.target_values is None else run.target_values[batch]
    return batch_loss(run.recipe, logits, run.labels[batch], values, run.inverse_std)
