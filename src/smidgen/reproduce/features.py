"""A teacher's frozen layers, run once for each image: a student on top of them trains on what they give.

That is the same training as with the layers in place and fixed, at a hundredth of the work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.records import Weights
from smidgen.spec import Conv, LayerPlan, MaxPool, NetSpec

Floats = npt.NDArray[np.float32]

CHUNK = 16
"""Images at once: the patches under their kernels stay in the cache."""


def promised(data: Dataset, spec: NetSpec, trial: str) -> Dataset:
    """The data set of what `spec`, valid convolutions and max-pools, makes of each image, not computed yet.

    It has the digest and the shapes, which is all that finding remembered trainings takes; its values are zeros
    that take no memory.
    trial: the key of the training that the layers' weights come from, part of the digest
    """
    features = int(np.prod(spec.output_shape(data.input_shape)))

    def of(split: Split) -> Split:
        return Split(np.broadcast_to(np.float32(0), (len(split), features, 1, 1)), split.labels)

    digest = hashlib.sha256(f"{data.digest} {trial} {spec}".encode()).hexdigest()
    return _mapped(data, of, digest)


def computed(promise: Dataset, data: Dataset, spec: NetSpec, weights: Weights, workers: int = 1) -> Dataset:
    """What was promised: vectors, float32. `weights` are of a network that begins with the layers of `spec`."""

    def of(split: Split) -> Split:
        maps = feature_maps(spec, weights, split.images, workers)
        return Split(maps.reshape(len(maps), -1, 1, 1), split.labels)

    return _mapped(data, of, promise.digest)


def _mapped(data: Dataset, of: Callable[[Split], Split], digest: str) -> Dataset:
    train, selection, confirmation, test = map(of, (data.train, data.selection, data.confirmation, data.test))
    return replace(data, train=train, selection=selection, confirmation=confirmation, test=test, digest=digest)


def feature_maps(spec: NetSpec, weights: Weights, images: npt.NDArray[np.uint8] | Floats, workers: int = 1) -> Floats:
    """What the layers make of the images: float32 [n, channels, height, width]."""
    plans = spec.plan((images.shape[1], images.shape[2], images.shape[3]))
    out = np.empty((len(images), *plans[-1].output_shape), np.float32)

    def chunk(first: int) -> None:
        part = images[first : first + CHUNK]
        maps: Floats = np.asarray(part, np.float32)
        if part.dtype == np.uint8:
            maps = maps / np.float32(255)
        place = 0
        for plan in plans:
            maps = _layer(plan, weights[place : place + plan.parameters], maps)
            place += plan.parameters
        out[first : first + CHUNK] = maps

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(chunk, range(0, len(images), CHUNK)))
    return out


def _layer(plan: LayerPlan, weights: Weights, maps: Floats) -> Floats:
    match plan.layer:
        case Conv(_, _, False, slope, True):
            matrix = weights[: plan.weight_count].reshape(plan.weight_shape)
            sums = _convolved(maps, matrix, plan.output_shape[1:]) + weights[plan.weight_count :, None]
            np.maximum(sums, np.float32(slope) * sums, out=sums)
            return sums.reshape(len(maps), *plan.output_shape)
        case MaxPool(size):
            height, width = (size * (side // size) for side in maps.shape[2:])
            corners = (maps[:, :, y:height:size, x:width:size] for y in range(size) for x in range(size))
            return reduce(np.maximum, corners)  # a maximum over axes of two values takes forty times as long
    raise ValueError(f"'{plan.layer}' is not a layer whose features are computed here; give convolutions and max-pools")


def _convolved(maps: Floats, matrix: Floats, size: tuple[int, int]) -> Floats:
    """A valid convolution without bias, as one product of matrices an image: float32 [n, channels out, pixels]."""
    out_channels, channels, kernel_y, kernel_x = matrix.shape
    height, width = size
    patches = np.empty((len(maps), channels, kernel_y, kernel_x, height, width), np.float32)
    for y in range(kernel_y):
        for x in range(kernel_x):
            patches[:, :, y, x] = maps[:, :, y : y + height, x : x + width]
    product: Floats = matrix.reshape(out_channels, -1) @ patches.reshape(len(maps), -1, height * width)
    return product
