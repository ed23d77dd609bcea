"""Moved copies of the training images: more to learn from, for a network that is trained for long.

A small network that is trained for long learns its training images better than others. Where it sees them moved, it
must be told what the teacher says to the moved image, not to the image as it was (Beyer et al. 2022, arXiv
2106.05237, section 3.1): so the copies are made once, and are training images like all others to whoever comes after.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.errors import RequestError
from smidgen.records import Augmentation
from smidgen.streams import affine_maps

Images = npt.NDArray[np.uint8]

MOVES = Augmentation(shift=1, rotation=8, scale=0.08)
MOST_COPIES = 64
CHUNK = 1000
"""Images at once: a few megabytes."""


def with_copies(data: Dataset, count: int, workers: int = 1) -> Dataset:
    """The data with so many of each training image, the first as it is; the other splits stay as they are.

    Raises:
        RequestError: a number below 1, or data that are no images of bytes.
    """
    if not 1 <= count <= MOST_COPIES:
        raise RequestError(f"copies={count} must be from 1 to {MOST_COPIES}; 1 is the images as they are")
    if count == 1:
        return data
    images = data.train.images
    if images.dtype != np.uint8 or min(data.input_shape[1:]) < 2:
        raise RequestError(f"{data.name} has no images of bytes that could be moved; leave copies at 1")
    made = Split(moved_copies(images.astype(np.uint8, copy=False), count, workers), promised(data, count).train.labels)
    return replace(promised(data, count), train=made)


def promised(data: Dataset, count: int) -> Dataset:
    """The same data set by name and size, its training images one zero that takes no memory."""
    digest = hashlib.sha256(f"{data.digest} {count} copies {MOVES}".encode()).hexdigest()
    shape = (count * len(data.train), *data.train.images.shape[1:])
    train = Split(np.broadcast_to(np.uint8(0), shape), np.tile(data.train.labels, count))
    return replace(data, train=train, digest=digest)


def moved_copies(images: Images, count: int, workers: int = 1) -> Images:
    """The images, then each further copy of all of them: uint8 [count * n, channels, height, width]."""
    one, height, width = len(images), *images.shape[2:]
    out = np.concatenate([images] * count)
    maps = [affine_maps(MOVES, one, (height, width), 0, copy) for copy in range(1, count)]

    def chunk(place: tuple[int, int]) -> None:
        copy, first = place
        rows = slice(first, min(first + CHUNK, one))
        out[copy * one :][rows] = moved(images[rows], maps[copy - 1][rows])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(chunk, [(copy, first) for copy in range(1, count) for first in range(0, one, CHUNK)]))
    return out


def moved(images: Images, maps: npt.NDArray[np.float32]) -> Images:
    """Each image read where its map says, linear between four pixels, zero outside: as `engine.affine_maps` has it.

    images: uint8 [n, channels, height, width]; maps: float32 [n, 2, 3]
    """
    count, channels, height, width = images.shape
    row = width + 3  # of a frame of zeros: one before, two after, so that every corner has its neighbours
    framed = np.zeros((count, channels, height + 3, row), np.float32)
    framed[:, :, 1 : height + 1, 1 : width + 1] = images
    pixels = framed.reshape(count, channels, -1)
    y, x = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
    at = maps[:, :, :1] * y + maps[:, :, 1:2] * x + maps[:, :, 2:]
    at = np.clip(at, np.float32(-1), np.array([[height], [width]], np.float32)) + np.float32(1)
    corner = np.floor(at)
    down, right = np.moveaxis(at - corner, 1, 0)
    place = (corner[:, 0] * row + corner[:, 1]).astype(np.int64)
    shares = {0: (1 - down) * (1 - right), 1: (1 - down) * right, row: down * (1 - right), row + 1: down * right}
    total = np.zeros((count, channels, height * width), np.float32)
    for step, share in shares.items():
        total += share[:, None] * np.take_along_axis(pixels, (place + step)[:, None], axis=2)
    return np.rint(total).astype(np.uint8).reshape(images.shape)
