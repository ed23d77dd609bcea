"""Copies of the training images, each shifted, rotated and scaled at random: more to learn from in a long training.

The copies are made once and become training images like all others, because a student must learn what the teacher says
about the transformed image, not about the original (Beyer et al. 2022, arXiv 2106.05237, section 3.1).
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Split
from smidgen.errors import RequestError
from smidgen.records import Augmentation
from smidgen.streams import affine_maps

Bytes = npt.NDArray[np.uint8]

COPY_AUGMENTATION = Augmentation(shift=1, rotation=8, scale=0.08)
MAX_COPIES = 64
CHUNK_IMAGES = 1000
"""Images transformed at once; their intermediate arrays take a few megabytes."""


def with_copies(data: Dataset, copies: int, workers: int = 1) -> Dataset:
    """Put `copies` copies of each training image in place of it; the other splits stay as they are.

    Args:
        data: Images of uint8, at least 2x2 pixels.
        copies: 1 to 64. The first copy is the image itself; the others are randomly shifted, rotated and scaled.
        workers: Threads that transform images.

    Returns:
        The data set, with a digest of its own. Its training images are made when they are first read.

    Raises:
        RequestError: The number of copies is not from 1 to 64, or the data has no images that can be transformed.
    """
    if not 1 <= copies <= MAX_COPIES:
        raise RequestError(f"copies={copies} must be from 1 to {MAX_COPIES}; 1 is the images as they are")
    if copies == 1:
        return data
    if data.train.dtype != np.uint8 or min(data.input_shape[1:]) < 2:
        raise RequestError(f"{data.name} has no uint8 images of at least 2x2 pixels to transform; leave copies at 1")
    base = data.train

    def make() -> Bytes:
        return transformed_copies(base.images.astype(np.uint8, copy=False), copies, workers)

    shape = (copies * len(base), *data.input_shape)
    train = Split.lazy(make, shape, np.uint8, np.tile(base.labels, copies))
    digest = hashlib.sha256(f"{data.digest} {copies} copies {COPY_AUGMENTATION}".encode()).hexdigest()
    return replace(data, train=train, digest=digest)


def transformed_copies(images: Bytes, copies: int, workers: int = 1) -> Bytes:
    """Return the images, followed by each transformed copy of all of them.

    Args:
        images: uint8 [n, channels, height, width].
        copies: The number of copies, the images themselves among them.
        workers: Threads.

    Returns:
        uint8 [copies * n, channels, height, width].
    """
    count, height, width = len(images), *images.shape[2:]
    out = np.concatenate([images] * copies)
    maps = [affine_maps(COPY_AUGMENTATION, count, (height, width), 0, copy) for copy in range(1, copies)]

    def transform_chunk(place: tuple[int, int]) -> None:
        copy, first = place
        rows = slice(first, min(first + CHUNK_IMAGES, count))
        out[copy * count :][rows] = transformed(images[rows], maps[copy - 1][rows])

    with ThreadPoolExecutor(workers) as pool:
        chunks = [(copy, first) for copy in range(1, copies) for first in range(0, count, CHUNK_IMAGES)]
        list(pool.map(transform_chunk, chunks))
    return out


def transformed(images: Bytes, maps: npt.NDArray[np.float32]) -> Bytes:
    """Read each image where its affine map points, with bilinear interpolation and zeros outside the image.

    Args:
        images: uint8 [n, channels, height, width].
        maps: float32 [n, 2, 3], as `smidgen.streams.affine_maps` makes them: from (y, x, 1) of a pixel of the result
            to the (y, x) at which the image is read.

    Returns:
        uint8 [n, channels, height, width].
    """
    count, channels, height, width = images.shape
    row = width + 3  # zeros around the image, one before and two after, so that every pixel read has its neighbours
    padded = np.zeros((count, channels, height + 3, row), np.float32)
    padded[:, :, 1 : height + 1, 1 : width + 1] = images
    pixels = padded.reshape(count, channels, -1)
    y, x = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
    with np.errstate(over="ignore", invalid="ignore"):  # maps of huge values overflow to infinities and inf - inf
        at = maps[:, :, :1] * y + maps[:, :, 1:2] * x + maps[:, :, 2:]
    at = np.fmax(at, np.float32(-1))  # not np.clip: NaN must not become an index, it reads outside
    at = np.minimum(at, np.array([[height], [width]], np.float32)) + np.float32(1)
    corner = np.floor(at)
    down, right = np.moveaxis(at - corner, 1, 0)
    place = (corner[:, 0] * row + corner[:, 1]).astype(np.int64)
    shares = {0: (1 - down) * (1 - right), 1: (1 - down) * right, row: down * (1 - right), row + 1: down * right}
    total = np.zeros((count, channels, height * width), np.float32)
    for step, share in shares.items():
        total += share[:, None] * np.take_along_axis(pixels, (place + step)[:, None], axis=2)
    return np.rint(total).astype(np.uint8).reshape(images.shape)
