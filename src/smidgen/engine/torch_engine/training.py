"""Training, of one network or of many copies of it at once, and running a trained one.

All state is flat and has the copies as its first axis: float32 [copies, weights]. Only the network itself
knows of one copy at a time; `torch.vmap` makes of it one that trains all. A step waits for nothing: what a
device computed is looked at every `STEPS_BETWEEN_REPORTS` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.engine.interface import DEFAULT_CONTROL, Examples, Images, TrainControl, Trained
from smidgen.engine.losses import prepare
from smidgen.engine.start import Start, check_start, is_running_stat
from smidgen.engine.torch_engine.affine import moved, values_of
from smidgen.engine.torch_engine.constraints import WeightConstraints, weight_constraints
from smidgen.engine.torch_engine.device import chosen_device, settings, tensor_of
from smidgen.engine.torch_engine.dropout_masks import keys_of, step_keys
from smidgen.engine.torch_engine.losses import batch_loss
from smidgen.engine.torch_engine.network import logits_of, module_of
from smidgen.engine.torch_engine.optimizers import update
from smidgen.errors import EngineError
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
    """Train one network, as `Engine.train` says."""
    starts = None if start is None else [start]
    return _train(spec, recipe, examples, [seed], starts, control)[0]


def train_many(
    spec: NetSpec,
    recipe: Recipe,
    examples: Examples,
    seeds: Sequence[int],
    starts: Sequence[Start] | None = None,
    control: TrainControl = DEFAULT_CONTROL,
) -> list[Trained]:
    """Train a copy of one network for each seed, all at once: what `train` gives for each, but for rounding.

    It pays on a GPU, which one small network leaves idle. `Recipe.patience` takes no part: it asks for scores
    after each epoch. A copy that diverges leaves the others alone.

    starts: one for each seed, or None for the first weights of each

    Raises:
        RequestError: the recipe needs a teacher's logits and the examples have none.
        EngineError: the device that is asked for is not here, or a start does not fit the network.
    """
    if starts is not None and len(starts) != len(seeds):
        raise EngineError(f"there are {len(starts)} starts and {len(seeds)} seeds; give one start for each seed")
    return _train(spec, recipe, examples, seeds, starts, replace(control, after_epoch=None)) if seeds else []


def predict(spec: NetSpec, weights: Weights, images: Images, threads: int = 1) -> npt.NDArray[np.float32]:
    """Logits, float32 [n, classes], of images: uint8 or float32 [n, channels, height, width]."""
    import torch

    place = chosen_device()
    channels, height, width = images.shape[1:]
    with settings(threads), torch.inference_mode():
        module = module_of(spec, (channels, height, width), weights).eval().to(place)
        batches = torch.split(tensor_of(images, torch.device("cpu")), PREDICT_BATCH)
        logits = [module(values_of(batch.to(place))).cpu() for batch in batches]
    return torch.cat(logits).numpy()


@dataclass(frozen=True, eq=False)
class _Run:
    """Trainings under way: all that they need is on the device.

    weights, average: float32 [copies, weights], the average only where one is asked for; state: the optimizer's
    keys: int64 [copies], of the dropouts' masks; images, labels, targets: those of the examples
    """

    recipe: Recipe
    seeds: Sequence[int]
    module: nn.Sequential
    hold: WeightConstraints
    weights: Tensor
    average: Tensor | None
    state: tuple[Tensor, Tensor]
    keys: Tensor
    images: Tensor
    labels: Tensor
    target_values: Tensor | None
    inverse_std: Tensor

    def kept(self) -> npt.NDArray[np.float32]:
        """float32 [copies, weights]: what is kept if the training ends now."""
        kept = self.hold.kept(self.weights if self.average is None else self.average)
        return np.array(kept.cpu().numpy())


@dataclass(frozen=True, eq=False)
class _Epoch:
    """order: int [copies, images]; maps: float32 [copies, images, 2, 3], only where images are moved."""

    order: Tensor
    maps: Tensor | None


def _train(
    spec: NetSpec,
    recipe: Recipe,
    examples: Examples,
    seeds: Sequence[int],
    starts: Sequence[Start] | None,
    control: TrainControl,
) -> list[Trained]:
    with settings(control.threads):
        run = _begin(spec, recipe, examples, seeds, starts)
        losses = []
        for epoch in range(recipe.epochs):
            losses.append(_train_epoch(run, epoch, control))
            ended = not np.isfinite(losses[-1]).any()
            if ended or (control.after_epoch is not None and control.after_epoch(epoch, run.kept()[0])):
                break
        return _trainings(run, np.stack(losses, axis=1))


def _begin(
    spec: NetSpec, recipe: Recipe, examples: Examples, seeds: Sequence[int], starts: Sequence[Start] | None
) -> _Run:
    import torch

    place, shape = chosen_device(), examples.input_shape
    targets = prepare(recipe, examples.teacher_logits)
    starts = [Start(initial_weights(spec, shape, seed)) for seed in seeds] if starts is None else starts
    for _, start in zip(seeds, starts, strict=True):
        check_start(spec, shape, start)
    hold = weight_constraints(starts, is_running_stat(spec, shape), place)
    return _Run(
        recipe,
        seeds,
        module=module_of(spec, shape, starts[0].weights).train().to(place),
        hold=hold,
        weights=hold.start.clone(),
        average=hold.start.clone() if recipe.average else None,
        state=(torch.zeros_like(hold.start), torch.zeros_like(hold.start)),
        keys=tensor_of(keys_of(seeds), place),
        images=tensor_of(examples.images, place),
        labels=tensor_of(examples.labels, place).long(),
        target_values=None if targets.values is None else tensor_of(targets.values, place),
        inverse_std=tensor_of(targets.inverse_std, place),
    )


def _trainings(run: _Run, losses: npt.NDArray[np.float64]) -> list[Trained]:
    """What came of each copy; losses: [copies, epochs]."""
    starts, kept = run.hold.start.cpu().numpy(), run.kept()
    # Where the last step overshot, no loss has seen it.
    last = np.isfinite(run.weights.cpu().numpy()).all(axis=1)
    finite = np.isfinite(losses)
    finite[:, -1] &= last
    trainings = []
    for copy, good in enumerate(finite):
        epochs = len(good) if good.all() else int(good.argmin())
        diverged_at = 0 if good.all() else epochs + 1
        weights = np.array(starts[copy] if diverged_at else kept[copy])
        trainings.append(Trained(weights, tuple(losses[copy, :epochs].tolist()), diverged_at))
    return trainings


# --- an epoch, a step -------------------------------------------------------------------------


def _train_epoch(run: _Run, number: int, control: TrainControl) -> npt.NDArray[np.float64]:
    """One pass over the images: the mean loss of each copy, not finite where a batch's was not."""
    import torch

    images, size = len(run.labels), run.recipe.batch_size
    rates = run.recipe.learning_rates(images)
    epoch = _epoch(run, number)
    total = torch.zeros_like(run.keys, dtype=torch.float64)
    before = number * run.recipe.steps(images)
    for place in range(0, images, size):
        step = before + place // size
        total += _step(run, epoch, slice(place, place + size), step, float(rates[step]))
        if (step + 1) % STEPS_BETWEEN_REPORTS == 0 or step + 1 == len(rates):
            if not total.isfinite().any():
                break
            if control.progress is not None:
                control.progress(step + 1, len(rates))
    mean: npt.NDArray[np.float64] = (total / images).cpu().numpy()
    return mean


def _epoch(run: _Run, number: int) -> _Epoch:
    """The order and the maps of every copy, each from its own seed."""
    images, augment = len(run.labels), run.recipe.augment
    order = _by_seed(lambda seed: epoch_order(images, seed, number).astype(np.int32), run)
    if not augment:
        return _Epoch(order, None)
    size = (run.images.shape[2], run.images.shape[3])
    return _Epoch(order, _by_seed(lambda seed: affine_maps(augment, images, size, seed, number), run))


def _by_seed(make: Callable[[int], npt.NDArray[np.generic]], run: _Run) -> Tensor:
    """An array for each seed, made side by side: [copies, ...]."""
    with ThreadPoolExecutor() as pool:
        return tensor_of(np.stack(list(pool.map(make, run.seeds))), run.keys.device)


def _step(run: _Run, epoch: _Epoch, batch: slice, step: int, rate: float) -> Tensor:
    """One step of the optimizer; the sum of the batch's losses, [copies]."""
    import torch

    chosen = epoch.order[:, batch].long()
    used = run.hold.used(run.weights).clone().requires_grad_()
    losses = _losses(run, used, _batch(run, epoch, chosen), chosen, step_keys(run.keys, step))
    # No copy's loss depends on another's weights: the gradient of the sum is the gradient of each.
    (gradient,) = torch.autograd.grad(losses.sum(), used)
    gradient = gradient.contiguous()
    run.hold.change(run.weights, gradient)
    update(OPTIMIZERS[run.recipe.optimizer], run.weights, gradient, run.state, rate, step + 1)
    if run.average is not None:
        decay = min(run.recipe.average, (2 + step) / (11 + step))
        run.average.lerp_(run.weights, 1 - decay)
    return losses.detach() * chosen.shape[1]


def _batch(run: _Run, epoch: _Epoch, chosen: Tensor) -> Tensor:
    """The chosen images as the network sees them: float32 [copies, batch, channels, height, width]."""
    images = values_of(run.images[chosen])
    if epoch.maps is None:
        return images
    maps = epoch.maps.gather(1, chosen[:, :, None, None].expand(-1, -1, 2, 3))
    return moved(images.flatten(0, 1), maps.flatten(0, 1)).view_as(images)


def _losses(run: _Run, used: Tensor, images: Tensor, chosen: Tensor, keys: Tensor) -> Tensor:
    """The mean loss of each copy: [copies]. Moments move in place, in the weights."""
    import torch

    loss = partial(_loss, run)
    if len(chosen) == 1:  # the same without the cost of vmap
        return loss(used[0], run.weights[0], images[0], chosen[0], keys[0])[None]
    losses: Tensor = torch.vmap(loss)(used, run.weights, images, chosen, keys)
    return losses


def _loss(run: _Run, used: Tensor, running_stats: Tensor, images: Tensor, chosen: Tensor, key: Tensor) -> Tensor:
    """The mean loss of one copy over its batch."""
    logits = logits_of(run.module, used, running_stats, images, key)
    values = None if run.target_values is None else run.target_values[chosen]
    return batch_loss(run.recipe, logits, run.labels[chosen], values, run.inverse_std)
