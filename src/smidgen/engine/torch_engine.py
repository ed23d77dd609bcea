"""The torch engine: the same network as an `nn.Module`, on a CPU or a GPU.

It runs every layer, for networks too large for the native core and for the user's own use of a
network in torch (`module_of`, `flat_weights`); and it is the oracle of the native core's tests.

Batch norm is Keras's, which is not `nn.BatchNorm2d`: epsilon 0.001, momentum 0.99, and running
variances that follow the biased variance of the batch, so a batch of one image is no error.

The same trial gives the same bits on the same kind of device for the same number of threads.
torch is imported on first use: it costs most of a second.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.engine import Examples, Training, Watch, epoch_order, initial_weights
from smidgen.errors import EngineError
from smidgen.losses import prepare
from smidgen.records import OPTIMIZERS, Optimizer, Recipe, Weights
from smidgen.spec import (
    LINEAR,
    RELU,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    Shape,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DEVICE_VARIABLE = "SMIDGEN_TORCH_DEVICE"
BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-3, 0.99
PREDICT_BATCH = 1024
WATCH_EVERY = 20

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


def available() -> str:
    """The empty string when torch is installed, else what to install."""
    return "" if find_spec("torch") else "pip install 'smidgen[torch]'"


def name() -> str:
    """The engine and its arithmetic, for example "torch-2.13.0-cpu"."""
    import torch

    version = torch.__version__.partition("+")[0]
    return f"torch-{version}-{_device().type}"


def unsupported(_spec: NetSpec) -> str:
    """The empty string: this engine runs every layer."""
    return ""


def train(
    spec: NetSpec, recipe: Recipe, examples: Examples, seed: int, watch: Watch | None = None, threads: int = 1
) -> Training:
    """Train a network from `initial_weights`, in the order of `epoch_order` (epochs from 0).

    A batch whose loss is not finite ends the training: its epoch (from 1) is `diverged_at`, it has
    no entry in `losses`, and the weights are those that gave it.

    Raises:
        RequestError: the recipe needs a teacher's logits and the examples have none.
        EngineError: the device that is asked for is not here.
    """
    with _settings(threads):
        run = _start(spec, recipe, examples, seed)
        losses: list[float] = []
        for epoch in range(recipe.epochs):
            loss = _train_epoch(run, epoch, watch)
            if not math.isfinite(loss):
                return Training(flat_weights(run.module), tuple(losses), diverged_at=epoch + 1)
            losses.append(loss)
        return Training(flat_weights(run.module), tuple(losses))


def predict(spec: NetSpec, weights: Weights, images: Images, threads: int = 1) -> npt.NDArray[np.float32]:
    """Logits, float32 [n, classes], of images: uint8 or float32 [n, channels, height, width]."""
    import torch

    device = _device()
    channels, height, width = images.shape[1:]
    with _settings(threads), torch.inference_mode():
        module = module_of(spec, (channels, height, width), weights).eval().to(device)
        batches = torch.split(_tensor(images, torch.device("cpu")), PREDICT_BATCH)
        logits = [module(_values_of(batch.to(device))).cpu() for batch in batches]
    return torch.cat(logits).numpy()


# --- spec <-> module --------------------------------------------------------------------------


def module_of(
    spec: NetSpec, input_shape: Shape, weights: Weights | None = None, generator: torch.Generator | None = None
) -> nn.Sequential:
    """The network as a module: float32 [n, channels, height, width], values 0 to 1 -> logits [n, classes].

    Without weights it starts from `initial_weights` of seed 0. Dropout draws its masks from `generator`, or
    from torch's own when there is none; making the module draws nothing.

    Raises:
        SpecError: a layer does not fit.
        EngineError: the weights are too many or too few.
    """
    import torch

    if weights is None:
        weights = initial_weights(spec, input_shape, seed=0)
    with torch.device("meta"):  # torch's own initial weights are not made, only to be written over
        module = torch.nn.Sequential(*_torch_layers(spec.plan(input_shape), generator))
    module = module.to_empty(device="cpu")
    tensors = list(module.state_dict().values())
    sizes = [tensor.numel() for tensor in tensors]
    if sum(sizes) != weights.size:
        raise EngineError(f"'{spec}' has {sum(sizes)} weights and {weights.size} are given; give those of this network")
    for tensor, piece in zip(tensors, torch.split(torch.tensor(weights), sizes), strict=True):
        tensor.copy_(piece.view_as(tensor))
    return module


def flat_weights(module: nn.Module) -> Weights:
    """The weights of a module of `module_of`, flat: the inverse of its `weights`.

    A state dict gives, layer by layer, weight and bias; of a batch norm scale, shift, mean, variance.
    """
    pieces = [tensor.detach().cpu().float().numpy().ravel() for tensor in module.state_dict().values()]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


def _torch_layers(plans: tuple[LayerPlan, ...], generator: torch.Generator | None) -> list[nn.Module]:
    """The modules of all layers, flattened and unflattened where a vector meets a map."""
    from torch import nn

    modules: list[nn.Module] = []
    is_vector = False
    for plan in plans:
        if isinstance(plan.layer, Dense):
            modules += [] if is_vector else [nn.Flatten()]
            is_vector = True
        elif is_vector and not isinstance(plan.layer, BatchNorm | Dropout):
            modules.append(nn.Unflatten(1, plan.input_shape))
            is_vector = False
        modules += _torch_layer(plan, generator) + _activation(getattr(plan.layer, "slope", LINEAR))
    return modules if is_vector else [*modules, nn.Flatten()]


def _torch_layer(plan: LayerPlan, generator: torch.Generator | None) -> list[nn.Module]:
    from torch import nn

    channels = plan.input_shape[0]
    match plan.layer:
        case Conv(out, kernel, same, _, bias):
            return [*_padding(kernel, same), nn.Conv2d(channels, out, kernel, bias=bias)]
        case Depthwise(kernel, same, _, bias):
            return [*_padding(kernel, same), nn.Conv2d(channels, channels, kernel, groups=channels, bias=bias)]
        case Pointwise(out, _, bias):
            return [nn.Conv2d(channels, out, 1, bias=bias)]
        case MaxPool(size):
            return [nn.MaxPool2d(size)]
        case AvgPool(size):
            return [nn.AvgPool2d(size)]
        case GlobalAvgPool():
            return [nn.AdaptiveAvgPool2d(1)]
        case Dense(units, _, bias):
            return [nn.Linear(plan.weight_shape[1], units, bias=bias)]
        case BatchNorm():
            return [_own_layers().batch_norm(channels)]
        case Dropout(rate):
            return [_own_layers().dropout(rate, generator)]


def _padding(kernel: tuple[int, int], same: bool) -> list[nn.Module]:
    """Zeros around a map so that its size stays; an even kernel has one more on the high side, as in Keras."""
    from torch import nn

    if not same:
        return []
    (top, bottom), (left, right) = (((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel)
    return [nn.ZeroPad2d((left, right, top, bottom))]


def _activation(slope: float) -> list[nn.Module]:
    from torch import nn

    if slope == LINEAR:
        return []
    return [nn.ReLU() if slope == RELU else nn.LeakyReLU(slope)]


@dataclass(frozen=True)
class _OwnLayers:
    batch_norm: Callable[[int], nn.Module]
    dropout: Callable[[float, torch.Generator | None], nn.Module]


@cache
def _own_layers() -> _OwnLayers:
    """The two layers that torch has otherwise; made on first use, for they inherit from torch's classes."""
    import torch
    from torch import nn

    class KerasBatchNorm(nn.Module):
        """Batch norm over all but axis 1, with Keras's constants and biased variances."""

        running_mean: Tensor
        running_variance: Tensor

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_variance", torch.ones(channels))

        def forward(self, values: Tensor) -> Tensor:
            mean, variance = self._moments(values) if self.training else (self.running_mean, self.running_variance)
            scale = self.weight * torch.rsqrt(variance + BATCH_NORM_EPSILON)
            per_channel = (1, -1) + (1,) * (values.dim() - 2)
            return (values - mean.view(per_channel)) * scale.view(per_channel) + self.bias.view(per_channel)

        def _moments(self, values: Tensor) -> tuple[Tensor, Tensor]:
            axes = [axis for axis in range(values.dim()) if axis != 1]
            variance, mean = torch.var_mean(values, axes, correction=0)
            self.running_mean.lerp_(mean.detach(), 1 - BATCH_NORM_MOMENTUM)
            self.running_variance.lerp_(variance.detach(), 1 - BATCH_NORM_MOMENTUM)
            return mean, variance

    class SeededDropout(nn.Module):
        """Dropout from a generator of its own, so that no other training can change its masks."""

        def __init__(self, rate: float, generator: torch.Generator | None) -> None:
            super().__init__()
            self.rate = rate
            self.generator = generator

        def forward(self, values: Tensor) -> Tensor:
            if not self.training:
                return values
            kept = torch.rand(values.shape, generator=self.generator, device=values.device) >= self.rate
            return values * kept / (1 - self.rate)

    return _OwnLayers(KerasBatchNorm, SeededDropout)


# --- training ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Run:
    """A training under way: all images on the device, all parameters in one tensor that the module looks into."""

    recipe: Recipe
    seed: int
    module: nn.Module
    parameters: tuple[nn.Parameter, ...]
    flat: Tensor
    state: tuple[Tensor, Tensor]
    images: Tensor
    labels: Tensor
    target_values: Tensor | None
    inverse_std: Tensor


def _start(spec: NetSpec, recipe: Recipe, examples: Examples, seed: int) -> _Run:
    import torch
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    device = _device()
    targets = prepare(recipe, examples.teacher_logits)
    generator = torch.Generator(device).manual_seed(seed)
    weights = initial_weights(spec, examples.input_shape, seed)
    module = module_of(spec, examples.input_shape, weights, generator).train().to(device)
    parameters = tuple(module.parameters())
    flat = parameters_to_vector(parameters).detach()
    vector_to_parameters(flat, parameters)
    return _Run(
        recipe,
        seed,
        module,
        parameters,
        flat,
        state=(torch.zeros_like(flat), torch.zeros_like(flat)),
        images=_tensor(examples.images, device),
        labels=_tensor(examples.labels, device).long(),
        target_values=None if targets.values is None else _tensor(targets.values, device),
        inverse_std=_tensor(targets.inverse_std, device),
    )


def _train_epoch(run: _Run, epoch: int, watch: Watch | None) -> float:
    """One pass over the images: the mean loss, or the first batch's loss that is not finite."""
    import torch

    images = len(run.labels)
    rates = run.recipe.learning_rates(images)
    order = _tensor(epoch_order(images, run.seed, epoch).astype(np.int64), run.labels.device)
    total = 0.0
    for step, chosen in enumerate(torch.split(order, run.recipe.batch_size), epoch * run.recipe.steps(images)):
        loss, gradient = _batch_gradient(run, chosen)
        if not math.isfinite(loss):
            return loss
        update(OPTIMIZERS[run.recipe.optimizer], run.flat, gradient, run.state, float(rates[step]), step + 1)
        total += loss * len(chosen)
        if watch and ((step + 1) % WATCH_EVERY == 0 or step + 1 == len(rates)):
            watch(step + 1, len(rates))
    return total / images


def _batch_gradient(run: _Run, chosen: Tensor) -> tuple[float, Tensor]:
    """The mean loss of the chosen images, and its gradient as one flat tensor."""
    import torch

    logits = run.module(_values_of(run.images[chosen]))
    values = None if run.target_values is None else run.target_values[chosen]
    loss = batch_loss(run.recipe, logits, run.labels[chosen], values, run.inverse_std)
    gradients = torch.autograd.grad(loss, run.parameters)
    return loss.item(), torch.cat([gradient.reshape(-1) for gradient in gradients])


def batch_loss(
    recipe: Recipe, logits: Tensor, labels: Tensor, target_values: Tensor | None, inverse_std: Tensor
) -> Tensor:
    """The loss that `losses.loss_and_gradient` defines, for autograd: a tensor without axes."""
    from torch.nn import functional

    if target_values is None:
        return functional.cross_entropy(logits, labels)
    soft = _soft_loss(recipe, logits, target_values, inverse_std)
    if not recipe.label_weight:
        return soft
    return (1 - recipe.label_weight) * soft + recipe.label_weight * functional.cross_entropy(logits, labels)


def _soft_loss(recipe: Recipe, logits: Tensor, target_values: Tensor, inverse_std: Tensor) -> Tensor:
    from torch.nn import functional

    if recipe.loss == "kl":
        logs = functional.log_softmax(logits / recipe.temperature, dim=1)
        return recipe.temperature**2 * functional.kl_div(logs, target_values, reduction="batchmean")
    if recipe.loss == "probabilities":
        return functional.mse_loss(functional.softmax(logits, dim=1), target_values)
    return ((logits - target_values) * inverse_std).square().mean()


def _values_of(images: Tensor) -> Tensor:
    """Images as float32: bytes are read as value / 255."""
    return images / 255 if images.dtype.itemsize == 1 else images.float()


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy on the device: torch warns of arrays that it may not write to, and reads no negative strides."""
    import torch

    return torch.tensor(np.ascontiguousarray(array), device=device)


# --- optimizers: `records.OPTIMIZERS` names the source of each ----------------------------------


def update(
    optimizer: Optimizer, weights: Tensor, gradient: Tensor, state: tuple[Tensor, Tensor], rate: float, step: int
) -> None:
    """One step of an optimizer, in place: weights, gradient and both states have one shape; steps count from 1."""
    _UPDATES[optimizer.kind](optimizer, weights, gradient, state, rate, step)


def _adam(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, step: int) -> None:
    mean, square = state
    mean.mul_(o.momentum).add_(g, alpha=1 - o.momentum)
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    root = (square / (1 - o.beta2**step)).sqrt_().add_(o.epsilon)
    weights.addcdiv_(mean, root, value=-rate / (1 - o.momentum**step))


def _sgd(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    velocity, _ = state
    velocity.mul_(o.momentum).add_(g)
    weights.sub_(velocity, alpha=rate)


def _nesterov(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    velocity, _ = state
    velocity.mul_(o.momentum).add_(g)
    weights.sub_(g.add(velocity, alpha=o.momentum), alpha=rate)


def _rmsprop(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    _, square = state
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    # Keras adds epsilon under the root, torch.optim beside it.
    weights.addcdiv_(g, (square + o.epsilon).sqrt_(), value=-rate)


def _adadelta(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    moves, square = state
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    move = g * ((moves + o.epsilon) / (square + o.epsilon)).sqrt_()
    moves.mul_(o.beta2).addcmul_(move, move, value=1 - o.beta2)
    weights.sub_(move, alpha=rate)


_Update = Callable[["Optimizer", "Tensor", "Tensor", "tuple[Tensor, Tensor]", float, int], None]
_UPDATES: dict[str, _Update] = {
    "adam": _adam,
    "sgd": _sgd,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adadelta": _adadelta,
}


# --- the machine ------------------------------------------------------------------------------


def _device() -> torch.device:
    """The device that the environment names, else a GPU when there is one."""
    import torch

    wanted = os.environ.get(DEVICE_VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        raise EngineError(f"{DEVICE_VARIABLE}='{wanted}' is no device here; use cpu, or leave it unset") from error


@contextmanager
def _settings(threads: int) -> Iterator[None]:
    """So many threads, and kernels that give the same bits each time; torch is left as it was found."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)
