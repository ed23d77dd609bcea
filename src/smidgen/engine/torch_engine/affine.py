"""Images on the device: bytes to values, and the maps of `engine.affine_maps` applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def values_of(images: Tensor) -> Tensor:
    """Images as float32: bytes are read as value / 255."""
    return images / 255 if images.dtype.itemsize == 1 else images.float()


def moved(images: Tensor, maps: Tensor) -> Tensor:
    """Each image read where its map says: linear between four pixels, zero outside.

    images: float32 [n, channels, height, width]; maps: float32 [n, 2, 3], see `engine.affine_maps`
    """
    y, x = _read_at(maps, images.shape[2], images.shape[3])
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    return (
        _pixels(images, top, left, (1 - down) * (1 - right))
        + _pixels(images, top, left + 1, (1 - down) * right)
        + _pixels(images, top + 1, left, down * (1 - right))
        + _pixels(images, top + 1, left + 1, down * right)
    ).view_as(images)


def _read_at(maps: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The row and the column that each pixel is read at: float32 [n, height * width] each."""
    import torch

    y = torch.arange(height, device=maps.device).repeat_interleave(width)
    x = torch.arange(width, device=maps.device).repeat(height)
    rows = maps[:, :, :1] * y + maps[:, :, 1:2] * x + maps[:, :, 2:]
    return rows[:, 0], rows[:, 1]


def _pixels(images: Tensor, y: Tensor, x: Tensor, share: Tensor) -> Tensor:
    """The pixels at whole (y, x), each times its share, and zero outside: float32 [n, channels, height * width]."""
    height, width = images.shape[2:]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    values = images.flatten(2).gather(2, place[:, None].expand(-1, images.shape[1], -1))
    return values * (share * inside)[:, None]
