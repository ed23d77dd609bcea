"""A network as a torch module, and its weights as one flat array in the order of `records.Weights`.

Batch norm follows Keras, not `nn.BatchNorm2d`: epsilon 0.001, momentum 0.99, and running variances that follow the
biased variance of the batch, so that a batch of one image is valid.

The rounds of a repeat use the same module object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from smidgen.engine.torch_engine.dropout_masks import keep_mask
from smidgen.errors import EngineError, SpecError
from smidgen.records import Weights
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
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
    PReLU,
    Repeat,
    Shape,
)
from smidgen.streams import initial_weights

if TYPE_CHECKING:
    from torch import Tensor, nn


def module_of(spec: NetSpec, input_shape: Shape, weights: Weights | None = None) -> nn.Sequential:
    """Build a network as a torch module on the CPU.

    The module maps float32 [n, channels, height, width] (bytes divided by 255) to logits [n, classes]. Its dropout
    draws from torch's own generator; building the module draws nothing.

    Args:
        spec: The network.
        input_shape: (channels, height, width) of an image.
        weights: Flat float32; None for `streams.initial_weights` with seed 0.

    Raises:
        SpecError: A layer does not fit its input.
        EngineError: There are too many or too few weights.
    """
    import torch

    if weights is None:
        weights = initial_weights(spec, input_shape, seed=0)
    with torch.device("meta"):  # skip torch's own initialization
        module = torch.nn.Sequential(*_torch_layers(spec.plan(input_shape)))
    module = module.to_empty(device="cpu")
    tensors = _stored(module)
    sizes = [tensor.numel() for _, _, tensor in tensors]
    if sum(sizes) != weights.size:
        raise EngineError(f"'{spec}' has {sum(sizes)} weights and {weights.size} are given; give those of this network")
    with torch.no_grad():
        for (_, _, tensor), piece in zip(tensors, torch.split(torch.tensor(weights), sizes), strict=True):
            tensor.copy_(piece.view_as(tensor))
    return module


def flat_weights(module: nn.Module) -> Weights:
    """Return the weights of a module that `module_of` built: flat float32, shared weights once."""
    pieces = [tensor.detach().cpu().float().numpy().ravel() for _, _, tensor in _stored(module)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


def logits_of(module: nn.Sequential, weights: Tensor, running_stats: Tensor, images: Tensor, key: Tensor) -> Tensor:
    """Return the logits of a module in training with given weights in place of its own.

    Args:
        module: A module that `module_of` built.
        weights: float32 [weights], flat; the trained parameters are read from here, and autograd can follow them.
        running_stats: float32 [weights], flat; the running statistics of batch norms are read from here and change in
            place.
        images: float32 [n, channels, height, width].
        key: int64 [], the key of the step's dropout masks.
    """
    from torch.func import functional_call

    given = _pieces(module, weights, running_stats)
    values = images
    for layer in module:
        if isinstance(layer, _own_layers().dropout):
            values = layer(values, key)
        else:
            values = functional_call(layer, given[layer], (values,)) if layer in given else layer(values)
    return values


def _stored(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """(module, name in it, tensor) of every stored tensor, in the order of the flat weights; shared ones once."""
    # `modules()` yields a module that occurs twice only once.
    return [
        (layer, name, tensor)
        for layer in module.modules()
        for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    ]


def _pieces(module: nn.Module, weights: Tensor, running_stats: Tensor) -> dict[nn.Module, dict[str, Tensor]]:
    """The tensors that replace each layer's own: views of the flat weights and of the running statistics."""
    import torch
    from torch import nn

    given: dict[nn.Module, dict[str, Tensor]] = {}
    stored = _stored(module)
    sizes = [tensor.numel() for _, _, tensor in stored]
    for (layer, name, own), weight, running_stat in zip(
        stored, torch.split(weights, sizes), torch.split(running_stats, sizes), strict=True
    ):
        piece = weight if isinstance(own, nn.Parameter) else running_stat
        given.setdefault(layer, {})[name] = piece.view(own.shape)
    return given


# --- a layer in torch -------------------------------------------------------------------------


def _torch_layers(plans: tuple[LayerPlan, ...]) -> list[nn.Module]:
    """The modules of all layers, with a flatten or unflatten wherever maps and vectors meet."""
    from torch import nn

    modules: list[nn.Module] = []
    by_place: dict[int, nn.Module] = {}
    is_vector = False
    for place, plan in enumerate(plans):
        if isinstance(plan.layer, Dense):
            modules += [] if is_vector else [nn.Flatten()]
            is_vector = True
        elif is_vector and not isinstance(plan.layer, BatchNorm | PReLU | Dropout):
            modules.append(nn.Unflatten(1, plan.input_shape))
            is_vector = False
        by_place[place] = by_place[plan.source] if plan.source is not None else _torch_layer(plan, place)
        modules += [*_padding(plan), by_place[place], *_activation(getattr(plan.layer, "slope", LINEAR))]
    return modules if is_vector else [*modules, nn.Flatten()]


def _torch_layer(plan: LayerPlan, place: int) -> nn.Module:
    from torch import nn

    channels = plan.input_shape[0]
    match plan.layer:
        case Conv(out, kernel, _, _, bias):
            return nn.Conv2d(channels, out, kernel, bias=bias)
        case Depthwise(kernel, _, _, bias):
            return nn.Conv2d(channels, channels, kernel, groups=channels, bias=bias)
        case Pointwise(out, _, bias):
            return nn.Conv2d(channels, out, 1, bias=bias)
        case MaxPool(size):
            return nn.MaxPool2d(size)
        case AvgPool(size):
            return nn.AvgPool2d(size)
        case GlobalAvgPool():
            return nn.AdaptiveAvgPool2d(1)
        case Dense(units, _, bias):
            return nn.Linear(plan.weight_shape[1], units, bias=bias)
        case BatchNorm():
            return _own_layers().batch_norm(channels)
        case PReLU():
            return nn.PReLU(channels)
        case Dropout(rate):
            return _own_layers().dropout(rate, place)
        case Repeat():
            raise SpecError(f"'{plan.layer}' must be written out before it becomes a module")


def _padding(plan: LayerPlan) -> list[nn.Module]:
    """Zero padding that keeps a map's size; for an even kernel one more row below and column right, as in Keras."""
    from torch import nn

    if not isinstance(plan.layer, Conv | Depthwise) or not plan.layer.same:
        return []
    (top, bottom), (left, right) = (((k - 1) // 2, k - 1 - (k - 1) // 2) for k in plan.layer.kernel)
    return [nn.ZeroPad2d((left, right, top, bottom))]


def _activation(slope: float) -> list[nn.Module]:
    from torch import nn

    if slope == LINEAR:
        return []
    return [nn.ReLU() if slope == RELU else nn.LeakyReLU(slope)]


@dataclass(frozen=True)
class _OwnLayers:
    batch_norm: Callable[[int], nn.Module]
    dropout: type[nn.Module]


@cache
def _own_layers() -> _OwnLayers:
    """Define the two layers that differ from torch's. They inherit from torch's classes, so this waits for torch."""
    import torch
    from torch import nn
    from torch.nn import functional

    class KerasBatchNorm(nn.Module):
        """Batch norm over all axes but 1, with Keras's constants and biased variances."""

        running_mean: Tensor
        running_variance: Tensor

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_variance", torch.ones(channels))

        def forward(self, values: Tensor) -> Tensor:
            mean, variance = self._batch_stats(values) if self.training else (self.running_mean, self.running_variance)
            scale = self.weight * torch.rsqrt(variance + BATCH_NORM_EPSILON)
            per_channel = (1, -1) + (1,) * (values.dim() - 2)
            return (values - mean.view(per_channel)) * scale.view(per_channel) + self.bias.view(per_channel)

        def _batch_stats(self, values: Tensor) -> tuple[Tensor, Tensor]:
            axes = [axis for axis in range(values.dim()) if axis != 1]
            variance, mean = torch.var_mean(values, axes, correction=0)
            for running, new in ((self.running_mean, mean), (self.running_variance, variance)):
                running.mul_(BATCH_NORM_MOMENTUM).add_(new.detach(), alpha=1 - BATCH_NORM_MOMENTUM)
            return mean, variance

    class KeyedDropout(nn.Module):
        """Dropout whose mask is a function of a key and of its own place in the network."""

        def __init__(self, rate: float, place: int) -> None:
            super().__init__()
            self.rate, self.place = rate, place

        def forward(self, values: Tensor, key: Tensor | None = None) -> Tensor:
            if key is None:
                return functional.dropout(values, self.rate, self.training)
            return values * keep_mask(key, self.place, values, self.rate) / (1 - self.rate)

    return _OwnLayers(KerasBatchNorm, KeyedDropout)
