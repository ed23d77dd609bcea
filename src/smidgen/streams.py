"""Every random stream, by name: first weights, the order of the images in an epoch, and augmentation.

Each is a pure function of a seed. The generator's raw words are used, which NumPy promises never to change (NEP 19),
so the same seed gives the same numbers for ever.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from smidgen.records import Augmentation, Weights
from smidgen.spec import NetSpec, PReLU, Shape


def initial_weights(spec: NetSpec, input_shape: Shape, seed: int) -> Weights:
    """Glorot uniform weights (Glorot & Bengio 2010, eq. 16) and zero biases, flat float32.

    A batch norm starts at scale 1, shift 0, mean 0, variance 1; a PReLU at 0.25. The generator's raw words are used,
    which NumPy promises never to change (NEP 19), so the same seed gives the same weights for ever.
    """
    pieces = []
    for index, plan in enumerate(spec.plan(input_shape)):
        if plan.running_stats:
            channels = plan.bias_count
            pieces.append(np.repeat(np.array([1, 0, 0, 1], np.float32), channels))
        elif plan.parameters and isinstance(plan.layer, PReLU):
            pieces.append(np.full(plan.weight_count, 0.25, np.float32))
        elif plan.parameters:
            limit = math.sqrt(6 / sum(plan.fan))
            raw = np.random.PCG64([seed, index, 1]).random_raw(plan.weight_count)
            uniform = (raw >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
            pieces += [(2 * uniform - 1) * np.float32(limit), np.zeros(plan.bias_count, np.float32)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


PLACE_BITS = 26
"""Of a key that orders the images; more images than it can count do not fit a memory."""


def epoch_order(images: int, seed: int, epoch: int) -> npt.NDArray[np.uint32]:
    """The order in which an epoch sees the images: a permutation, uint32 [images]."""
    raw = np.random.PCG64([seed, epoch, 2]).random_raw(images)
    place = np.uint64(2**PLACE_BITS - 1)
    keys = (raw & ~place) | np.arange(images, dtype=np.uint64)  # to sort is faster than to sort by
    return (np.sort(keys) & place).astype(np.uint32)


def affine_maps(
    augment: Augmentation, images: int, size: tuple[int, int], seed: int, epoch: int
) -> npt.NDArray[np.float32]:
    """How an epoch moves each image: float32 [images, 2, 3].

    Row i of the new image's (y, x, 1) holds where it is read in the old one, as (y, x) in pixels: linear between
    four pixels, and zero outside. `size` is (height, width).
    """
    raw = np.random.PCG64([seed, epoch, 3]).random_raw(images * 5).reshape(images, 5)
    uniform = (raw >> np.uint64(11)).astype(np.float64) / 2**52 - 1
    dy, dx, turn, scale, shear = uniform.T
    angle = np.deg2rad(augment.rotation) * turn
    zoom = 1 / (1 + augment.scale * scale)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    slant = augment.shear * shear
    middle = (np.array(size, np.float64) - 1) / 2
    matrix = np.stack([cos, sin, slant * cos - sin, slant * sin + cos], axis=1).reshape(images, 2, 2)
    moved = middle - matrix @ middle + augment.shift * np.stack([dy, dx], axis=1)
    return np.concatenate([matrix, moved[:, :, None]], axis=2).astype(np.float32)
