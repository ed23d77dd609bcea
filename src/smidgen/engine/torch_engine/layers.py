"""One planned layer as torch modules.

Batch norm follows Keras, not `nn.BatchNorm2d`: epsilon 0.001, momentum 0.99, and running variances that follow the
biased variance of the batch, so that a batch of one image is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from smidgen.engine.torch_engine.dropout_masks import keep_mask
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    BATCH_NORM_MOMENTUM,
    LINEAR,
    NO_CEILING,
    RELU,
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
    PlannedLayer,
    Pointwise,
    PReLU,
    Shape,
    same_padding,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


def torch_layer(plan: LayerPlan, place: int) -> nn.Module:
    """Return the module of a layer, without its padding and its activation.

    Args:
        plan: The layer.
        place: Its index in the plan, on which the masks of a dropout depend.
    """
    from torch import nn

    channels = plan.input_shape[0]
    match plan.layer:
        case Conv() | Depthwise() | Pointwise():
            return _convolution(plan.layer, channels)
        case Dense(units, _, bias):
            return nn.Linear(plan.weight_shape[1], units, bias=bias)
        case BatchNorm():
            return own_layers().batch_norm(channels)
        case PReLU():
            return nn.PReLU(channels)
        case MaxPool(window, stride):
            return nn.MaxPool2d(window, stride)
        case AvgPool(window, stride):
            return nn.AvgPool2d(window, stride)
        case GlobalAvgPool():
            return nn.AdaptiveAvgPool2d(1)
        case CReLU():
            return own_layers().crelu()
        case Dropout(rate):
            return own_layers().dropout(rate, place)
        case Add():
            return own_layers().add(plan.output_shape)


def _convolution(layer: Conv | Depthwise | Pointwise, channels: int) -> nn.Module:
    from torch import nn

    match layer:
        case Pointwise(out, _, bias, stride):
            return nn.Conv2d(channels, out, 1, stride, bias=bias)
        case Conv(out, kernel, _, _, bias, stride):
            return nn.Conv2d(channels, out, kernel, stride, bias=bias)
        case Depthwise(kernel, _, _, bias, stride, _, 0):
            return nn.Conv2d(channels, channels, kernel, stride, groups=channels, bias=bias)
    return own_layers().shared_depthwise(layer, channels)


def padding(plan: LayerPlan) -> list[nn.Module]:
    """Return the module that puts zeros around a map; none without `same`."""
    from torch import nn

    layer = plan.layer
    if not isinstance(layer, Conv | Depthwise) or not layer.same:
        return []
    (top, bottom), (left, right) = map(same_padding, plan.input_shape[1:], layer.kernel, layer.stride)
    return [nn.ZeroPad2d((left, right, top, bottom))]


def activation(layer: PlannedLayer) -> list[nn.Module]:
    """Return the module of a layer's activation; none for a linear one."""
    from torch import nn

    slope = getattr(layer, "slope", LINEAR)
    if getattr(layer, "ceiling", NO_CEILING) != NO_CEILING:
        return [nn.ReLU6()]
    if slope == LINEAR:
        return []
    return [nn.ReLU() if slope == RELU else nn.LeakyReLU(slope)]


@dataclass(frozen=True)
class OwnLayers:
    """The classes of the layers that torch has not, or has otherwise."""

    batch_norm: Callable[[int], nn.Module]
    dropout: type[nn.Module]
    crelu: type[nn.Module]
    shared_depthwise: Callable[[Depthwise, int], nn.Module]
    add: Callable[[Shape], nn.Module]


@cache
def own_layers() -> OwnLayers:
    """Define these layers. They inherit from torch's classes, so this waits for torch."""
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

    class ConcatenatedReLU(nn.Module):
        """relu(x) of all channels, then relu(-x) of all."""

        def forward(self, values: Tensor) -> Tensor:
            return torch.cat([values, -values], 1).relu()

    class SharedDepthwise(nn.Module):
        """A depthwise convolution in which channel c uses kernel c % shared."""

        def __init__(self, layer: Depthwise, channels: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(layer.shared, 1, *layer.kernel))
            self.bias = nn.Parameter(torch.empty(channels)) if layer.bias else None
            self.stride, self.channels, self.shared = layer.stride, channels, layer.shared

        def forward(self, values: Tensor) -> Tensor:
            rounds = -(-self.channels // self.shared)
            kernels = self.weight.repeat(rounds, 1, 1, 1)[: self.channels]
            return functional.conv2d(values, kernels, self.bias, self.stride, groups=self.channels)

    class Sum(nn.Module):
        """The sum of two maps or vectors of one shape."""

        def __init__(self, shape: Shape) -> None:
            super().__init__()
            self.shape = shape

        def forward(self, block: Tensor, shortcut: Tensor) -> Tensor:
            if block.dim() != shortcut.dim():
                block, shortcut = (values.reshape(-1, *self.shape) for values in (block, shortcut))
            return block + shortcut

    return OwnLayers(KerasBatchNorm, KeyedDropout, ConcatenatedReLU, SharedDepthwise, Sum)
