"""Moved copies of the training images, and a teacher's logits for every one of them.

A small network that is trained for long learns the training images better than others. Where it sees them moved, it
must be told what the teacher says to the moved image, not to the image as it was (Beyer et al. 2022,
arXiv 2106.05237, section 3.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.candidate import Lessons
from smidgen.data import Split
from smidgen.engine import affine_maps
from smidgen.records import Augmentation
from smidgen.reproduce.trainings import Bench, Job, Runs

Images = npt.NDArray[np.uint8]

COPIES = 4
"""Of each image, the first as it is."""
MOVES = Augmentation(shift=1, rotation=8, scale=0.08)
CHUNK = 1000
"""Images at once: a few megabytes."""


def on_copies(
    bench: Bench, lessons: Lessons, teacher: Runs, jobs: Mapping[str, Job], stage: str, prefix: str
) -> dict[str, Runs]:
    """The runs of jobs that learn from a teacher on moved copies, made only if something must be trained.

    An epoch of theirs is one pass over all copies.
    """
    digest = hashlib.sha256(f"{lessons.dataset.digest} {COPIES} copies {MOVES}".encode()).hexdigest()
    train = _repeated(lessons.dataset.train)
    promise = replace(lessons.dataset, train=train, digest=digest)
    taught = replace(lessons, dataset=promise, teacher=teacher.trials[teacher.best].key)
    if not bench.remembers(taught, jobs):
        images = copies(np.asarray(lessons.dataset.train.images, np.uint8), bench.study.workers)
        made = replace(promise, train=Split(images, train.labels))
        taught = bench.taught(replace(lessons, dataset=made), teacher)
    return bench.train(taught, jobs, stage, prefix)


def _repeated(train: Split) -> Split:
    """As many images and labels as there will be; the images are one zero that takes no memory."""
    shape = (COPIES * len(train), *train.images.shape[1:])
    return Split(np.broadcast_to(np.uint8(0), shape), np.tile(train.labels, COPIES))


def copies(images: Images, workers: int = 1) -> Images:
    """The images, then each copy of all of them: uint8 [COPIES * n, channels, height, width]."""
    count, height, width = len(images), *images.shape[2:]
    out = np.concatenate([images] * COPIES)
    maps = [affine_maps(MOVES, count, (height, width), 0, copy) for copy in range(1, COPIES)]

    def chunk(place: tuple[int, int]) -> None:
        copy, first = place
        rows = slice(first, min(first + CHUNK, count))
        out[copy * count :][rows] = moved(images[rows], maps[copy - 1][rows])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(chunk, [(copy, first) for copy in range(1, COPIES) for first in range(0, count, CHUNK)]))
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
