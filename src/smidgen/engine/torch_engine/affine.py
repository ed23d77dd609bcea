"""Pixels on the device: bytes to values, and the affine maps of augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pixel_values(images: Tensor) -> Tensor:
    """Return images as float32; bytes are read as value / 255."""
    return images / 255 if images.dtype.itemsize == 1 else images.float()


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Read each image where its map says: bilinear between four pixels, zero outside.

    Args:
        images: float32 [n, channels, height, width].
        maps: float32 [n, 2, 3], see `streams.affine_maps`.

    Returns:
        float32 in the shape of `images`.
    """
    y, x = _source_places(maps, images.shape[2], images.shape[3])
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    return (
        _weighted_pixels(images, top, left, (1 - down) * (1 - right))
        + _weighted_pixels(images, top, left + 1, (1 - down) * right)
        + _weighted_pixels(images, top + 1, left, down * (1 - right))
        + _weighted_pixels(images, top + 1, left + 1, down * right)
    ).view_as(images)


def _source_places(maps: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The row and the column at which each pixel is read: float32 [n, height * width] each."""
    import torch

    y = torch.arange(height, device=maps.device).repeat_interleave(width)
    x = torch.arange(width, device=maps.device).repeat(height)
    rows = maps[:, :, :1] * y + maps[:, :, 1:2] * x + maps[:, :, 2:]
    rows = rows.nan_to_num(nan=-2.0)  # NaN (inf - inf of huge maps) must not become an index: -2 is outside
    return rows[:, 0], rows[:, 1]


def _weighted_pixels(images: Tensor, y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The pixels at whole (y, x) times a weight, zero outside: float32 [n, channels, height * width]."""
    height, width = images.shape[2:]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    values = images.flatten(2).gather(2, place[:, None].expand(-1, images.shape[1], -1))
    return values * (weight * inside)[:, None]
