"""Networks with every layer, odd maps and even kernels, and images: for tests of exporters."""

from __future__ import annotations

import shutil

import numpy as np
import numpy.typing as npt
import pytest

from smidgen.engine import choose
from smidgen.model import (
    Codebook,
    QuantizedModel,
    Tensor,
    Uniform,
    flat_weights,
    nearest_step,
    tensor_shapes,
)
from smidgen.spec import Shape, classes_of, parse_spec

Images = npt.NDArray[np.uint8]

NETWORKS: dict[str, tuple[str, Shape]] = {
    "convolutions": ("conv 5x3x2 relu, conv 4x2x3 same leaky_relu(0.2), conv 3x4x4 same nobias, dense 4", (2, 9, 8)),
    "separable": ("depthwise 3x3 same relu, pointwise 6 relu, depthwise 2x3 nobias, avgpool 2, pointwise 5", (3, 4, 5)),
    "pools": ("maxpool 2, conv 4x3x3 relu, avgpool 3, globalavgpool, dense 3", (1, 17, 19)),
    "dense": ("dense 9 relu, dropout 0.5, dense 7 leaky_relu(0.01), dense 5 nobias", (1, 6, 6)),
    "ends in a mean": ("conv 6x3x3 relu, pointwise 4, globalavgpool", (1, 8, 8)),
    "ends in a pool": ("conv 6x3x3 relu, pointwise 4, maxpool 6", (1, 8, 8)),
    "one layer": ("dense 3", (2, 3, 3)),
    "normalized": (
        "batchnorm, conv 4x3x3, batchnorm relu, maxpool 2, batchnorm leaky_relu(0.3), dense 4, batchnorm",
        (1, 9, 9),
    ),
    "prelu": ("conv 4x3x3, prelu, maxpool 2, pointwise 5, prelu, dense 6, prelu, dense 3", (1, 9, 9)),
    "repeated": (
        "conv 4x3x3 relu, repeat 3 [depthwise 3x3 same, batchnorm, pointwise 4 relu, prelu], globalavgpool, dense 3",
        (1, 9, 9),
    ),
    "strides": ("conv 4x3x3 stride 2 same relu6, conv 3x5x1 stride 1x2, pointwise 4 stride 2, dense 3", (2, 19, 17)),
    "a signal": (
        "conv 4x1x63 stride 1x2 same relu, maxpool 1x4, depthwise 1x9 shared 3 stride 1x2, dense 3",
        (3, 1, 128),
    ),
    "overlapping pools": (
        "maxpool 3 stride 2, crelu, depthwise 2x2 shared 3 same relu, avgpool 2x3 stride 1x2, prelu, dense 4",
        (2, 12, 15),
    ),
    "residuals": (
        "conv 4x3x3 same relu, residual [conv 6x3x3 stride 2 same, batchnorm relu | pointwise 6 stride 2 nobias] relu, "
        "repeat 2 [residual [depthwise 3x3 same, prelu, pointwise 6] leaky_relu(0.1), batchnorm], "
        "residual [dropout 0.5, crelu, pointwise 6] relu6, globalavgpool, dense 3",
        (1, 10, 10),
    ),
    "nested": (
        "repeat 2 [repeat 2 [depthwise 3x3 same relu], residual [batchnorm, prelu] relu6], residual [dropout 0.1], "
        "dense 3",
        (2, 6, 6),
    ),
    "one output": ("conv 3x3x3 relu, maxpool 2, dense 4 relu, dense 1", (1, 9, 9)),
    "one output of a mean": ("conv 3x3x3 relu, pointwise 1, batchnorm, globalavgpool", (2, 6, 7)),
    "dense residual": ("dense 6 relu, residual [dense 6 relu, prelu, dense 6], residual [prelu], dense 3", (1, 5, 5)),
}
"""Every layer, with sides that are not square and kernels that are not odd."""

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


def network_with_grids(text: str, shape: Shape, bits: int = 4, seed: int = 0) -> QuantizedModel:
    """Random levels with grids of every kind; the last layer's logits are far enough apart to compare."""
    spec, rng, tensors = parse_spec(text), np.random.default_rng(seed), {}
    largest = 2 ** (bits - 1) - 1
    for place, (name, axes) in enumerate(tensor_shapes(spec, shape).items()):
        levels = rng.integers(-largest, largest + 1, axes).astype(np.int32)
        levels = np.abs(levels) + 1 if name.endswith("variance") else levels
        size = 1.0 / largest / np.sqrt(max(1, np.prod(axes[1:], dtype=int)))
        steps = size * rng.uniform(1, 2, axes[0] if place % 4 == 2 and len(axes) > 1 else 1)
        grid: Uniform | Codebook = Uniform(np.array([nearest_step(step) for step in steps]))
        if place % 8 == 6:
            grid = Codebook((np.arange(-largest - 1, largest + 2) * size * 1.3).astype(np.float32), largest + 1)
        tensors[name] = Tensor(levels, grid)
    return QuantizedModel(spec, shape, tuple(map(str, range(classes_of(spec.output_shape(shape)[0])))), tensors)


def some_images(shape: Shape, count: int = 200, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def torch_logits(quantized: QuantizedModel, images: Images) -> npt.NDArray[np.float32]:
    logits: npt.NDArray[np.float32] = choose("torch").predict(quantized.spec, flat_weights(quantized), images)
    return logits
