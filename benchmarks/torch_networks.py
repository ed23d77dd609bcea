"""The networks of `network_speed.py`: their text, their input, and the same network written by hand for torch.

Each is what people put on small devices. Three are of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597), without
dropout and without the biases that a batch norm takes away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

NORM = "batchnorm relu"
SEPARABLE = f"depthwise 3x3{{stride}} same nobias, {NORM}, pointwise {{channels}} nobias, {NORM}"
RESIDUAL = f"conv {{c}}x3x3{{stride}} same nobias, {NORM}, conv {{c}}x3x3 same nobias, batchnorm"

MOBILENET = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
"""Output channels and stride of each separable block of MobileNet-0.25."""
STRIDED = ((8, 2), (12, 2), (16, 2), (16, 2))
TIME_CNN = ((16, 1), (16, 2), (32, 2), (32, 2))


@dataclass(frozen=True)
class Network:
    """One network: `text` in the language of layers for inputs of `shape`, and `torch` builds the same module."""

    name: str
    text: str
    shape: tuple[int, int, int]
    classes: int
    torch: Callable[[], nn.Module]


def _stride(stride: int) -> str:
    return f" stride {stride}" if stride > 1 else ""


def _separable(channels: int, stride: int) -> str:
    return SEPARABLE.format(channels=channels, stride=_stride(stride))


def _ds_cnn() -> str:
    blocks = [_separable(64, 1)] * 4
    return f"conv 64x10x4 stride 2 same nobias, {NORM}, {', '.join(blocks)}, globalavgpool, dense 12"


def _resnet8() -> str:
    blocks = [f"residual [{RESIDUAL.format(c=16, stride='')}] relu"]
    for channels in (32, 64):
        block = RESIDUAL.format(c=channels, stride=_stride(2))
        blocks.append(f"residual [{block} | pointwise {channels} stride 2 nobias] relu")
    return f"conv 16x3x3 same nobias, {NORM}, {', '.join(blocks)}, globalavgpool, dense 10"


def _mobilenet() -> str:
    blocks = [_separable(*block) for block in MOBILENET]
    return f"conv 8x3x3 stride 2 same nobias, {NORM}, {', '.join(blocks)}, globalavgpool, dense 2"


def _strided() -> str:
    blocks = [f"depthwise 3x3{_stride(stride)} same, pointwise {channels} relu" for channels, stride in STRIDED]
    return f"conv 4x3x3 stride 2 same relu, {', '.join(blocks)}, globalavgpool, dense 10"


def _time_cnn() -> str:
    layers = [f"conv {channels}x1x9{' stride 1x2' if stride == 2 else ''} same relu" for channels, stride in TIME_CNN]
    return f"{', '.join(layers)}, globalavgpool, dense 6"


# --- by hand for torch ------------------------------------------------------------------------


def _normed(conv: nn.Module, channels: int) -> list[nn.Module]:
    from torch import nn

    return [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _torch_separable(channels_in: int, channels: int, stride: int) -> list[nn.Module]:
    from torch import nn

    depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False)
    pointwise = nn.Conv2d(channels_in, channels, 1, bias=False)
    return _normed(depthwise, channels_in) + _normed(pointwise, channels)


def _head(features: int, classes: int) -> list[nn.Module]:
    from torch import nn

    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes)]


def _torch_ds_cnn() -> nn.Module:
    from torch import nn

    first = [nn.ZeroPad2d((1, 1, 4, 5)), *_normed(nn.Conv2d(1, 64, (10, 4), 2, bias=False), 64)]
    blocks = [layer for _ in range(4) for layer in _torch_separable(64, 64, 1)]
    return nn.Sequential(*first, *blocks, *_head(64, 12))


def _torch_residual(channels_in: int, channels: int, stride: int) -> nn.Module:
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = _normed(nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), channels)
            second = [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)]
            self.block = nn.Sequential(*first, *second)
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.block(x) + self.shortcut(x))

    return Residual()


def _torch_resnet8() -> nn.Module:
    from torch import nn

    first = _normed(nn.Conv2d(3, 16, 3, 1, 1, bias=False), 16)
    blocks = [_torch_residual(16, 16, 1), _torch_residual(16, 32, 2), _torch_residual(32, 64, 2)]
    return nn.Sequential(*first, *blocks, *_head(64, 10))


def _torch_mobilenet() -> nn.Module:
    from torch import nn

    layers, channels_in = _normed(nn.Conv2d(3, 8, 3, 2, 1, bias=False), 8), 8
    for channels, stride in MOBILENET:
        layers += _torch_separable(channels_in, channels, stride)
        channels_in = channels
    return nn.Sequential(*layers, *_head(256, 2))


def _torch_strided() -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(inplace=True)]
    channels_in = 4
    for channels, stride in STRIDED:
        layers += [nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in)]
        layers += [nn.Conv2d(channels_in, channels, 1), nn.ReLU(inplace=True)]
        channels_in = channels
    return nn.Sequential(*layers, *_head(16, 10))


def _torch_time_cnn() -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    channels_in = 3
    for channels, stride in TIME_CNN:
        layers += [nn.Conv2d(channels_in, channels, (1, 9), (1, stride), (0, 4)), nn.ReLU(inplace=True)]
        channels_in = channels
    return nn.Sequential(*layers, *_head(32, 6))


NETWORKS = {
    network.name: network
    for network in (
        Network("ds-cnn", _ds_cnn(), (1, 49, 10), 12, _torch_ds_cnn),
        Network("resnet8", _resnet8(), (3, 32, 32), 10, _torch_resnet8),
        Network("mobilenet-0.25", _mobilenet(), (3, 96, 96), 2, _torch_mobilenet),
        Network("time-cnn", _time_cnn(), (3, 1, 128), 6, _torch_time_cnn),
        Network("strided-1k", _strided(), (1, 96, 96), 10, _torch_strided),
    )
}
