"""Every random stream of trainings and data sets, by name.

Each function is pure: the same seed gives the same numbers. It reads the raw words of `numpy.random.PCG64`, which NumPy
promises never to change (NEP 19), so the numbers stay the same for ever. A generator is seeded with the seed and a
number that tells the streams apart:

    initial_weights    [seed, layer, 1]
    epoch_order        [seed, epoch, 2]
    affine_maps        [seed, epoch, 3]
    dropout_key        [seed, 4]
    split_words        [split seed, TEST_SPLIT, VALIDATION_SPLIT or TRAINING_ORDER]

The native core draws its dropout masks itself, from the same seed.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from smidgen.elementary import cosine, sine
from smidgen.errors import DataError
from smidgen.records import Augmentation, Weights
from smidgen.spec import NetSpec, PReLU, Shape

TEST_SPLIT, VALIDATION_SPLIT, TRAINING_ORDER = 3, 4, 5

INDEX_BITS = 26
"""Low bits of a sort key that carry an image's index."""

MAX_IMAGES = 2**INDEX_BITS
"""Most images that one epoch can put in an order: 67 million."""


def initial_weights(spec: NetSpec, input_shape: Shape, seed: int) -> Weights:
    """Draw the first weights of a network: Glorot uniform weights (Glorot & Bengio 2010, eq. 16) and zero biases.

    A batch norm starts at scale 1, shift 0, mean 0 and variance 1; a PReLU starts at slope 0.25.

    Returns:
        Flat float32 [weights], in the order of `records.Weights`.
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


def epoch_order(images: int, seed: int, epoch: int) -> npt.NDArray[np.uint32]:
    """Draw the order in which an epoch (from 0) sees the images: a permutation, uint32 [images].

    Raises:
        DataError: There are more than `MAX_IMAGES`: some would never be seen, and others twice.
    """
    if images > MAX_IMAGES:
        raise DataError(
            f"{images:,} training examples are too many; an epoch takes at most {MAX_IMAGES:,}: give a part of them"
        )
    raw = np.random.PCG64([seed, epoch, 2]).random_raw(images)
    index_mask = np.uint64(2**INDEX_BITS - 1)
    # Sorting keys that carry the index is faster than argsort.
    keys = (raw & ~index_mask) | np.arange(images, dtype=np.uint64)
    return (np.sort(keys) & index_mask).astype(np.uint32)


def affine_maps(
    augment: Augmentation, images: int, size: tuple[int, int], seed: int, epoch: int
) -> npt.NDArray[np.float32]:
    """Draw the affine map that augments each image in one epoch.

    Args:
        augment: The largest shift, rotation, scale and shear.
        images: How many images there are.
        size: (height, width) of an image in pixels.
        seed: Seed of the training.
        epoch: The epoch, from 0.

    Returns:
        float32 [images, 2, 3]. Map @ (y, x, 1) is the place (y, x), in pixels, at which the augmented image's pixel
        (y, x) is read in the original: bilinear between four pixels, and zero outside.
    """
    raw = np.random.PCG64([seed, epoch, 3]).random_raw(images * 5).reshape(images, 5)
    uniform = (raw >> np.uint64(11)).astype(np.float64) / 2**52 - 1
    dy, dx, turn, scale, shear = uniform.T
    angle = np.deg2rad(augment.rotation) * turn
    zoom = 1 / (1 + augment.scale * scale)
    cos, sin = cosine(angle) * zoom, sine(angle) * zoom
    slant = augment.shear * shear
    middle = (np.array(size, np.float64) - 1) / 2
    matrix = np.stack([cos, sin, slant * cos - sin, slant * sin + cos], axis=1).reshape(images, 2, 2)
    # Written out, because BLAS rounds a product of matrices differently on different processors.
    turned = matrix[:, :, 0] * middle[0] + matrix[:, :, 1] * middle[1]
    offset = middle - turned + augment.shift * np.stack([dy, dx], axis=1)
    return np.concatenate([matrix, offset[:, :, None]], axis=2).astype(np.float32)


def dropout_key(seed: int) -> int:
    """Draw the 64-bit word from which the torch engine derives all dropout masks of a training."""
    return int(np.random.PCG64([seed, 4]).random_raw())


def split_words(count: int, split_seed: int, split: int) -> npt.NDArray[np.uint64]:
    """Draw the random words by which images (or groups) are ordered before a split: uint64 [count].

    Args:
        count: How many images or groups there are.
        split_seed: Seed of the split.
        split: `TEST_SPLIT`, `VALIDATION_SPLIT` or `TRAINING_ORDER`.
    """
    return np.random.PCG64([split_seed, split]).random_raw(count)
