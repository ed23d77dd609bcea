"""Random models for tests of transforms, and their logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from smidgen.data import load
from smidgen.engine import Examples, choose
from smidgen.model import (
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    dequantize,
    flatten_arrays,
    named_arrays,
    tensor_shapes,
)
from smidgen.records import Recipe
from smidgen.spec import Shape, parse_spec

SHAPE = (1, 12, 12)

CHAIN = (
    "conv 5x3x3 relu, depthwise 3x3 nobias, batchnorm relu, maxpool 2, prelu, pointwise 6 leaky_relu(0.1), avgpool 2, "
    "conv 4x2x2 relu, dropout 0.2, dense 7 relu, dense 3"
)

SAME = "conv 4x3x3 same relu, conv 3x3x3 same relu, globalavgpool, dense 3"

SLOPES = "conv 4x3x3, prelu, dense 3"

PADDED = "conv 4x3x3 relu, depthwise 3x3 same relu, conv 3x3x3 relu, globalavgpool, dense 3"

REPEATED = "conv 4x3x3 relu, repeat 2 [depthwise 3x3 same, pointwise 4 relu], globalavgpool, dense 3"

Edit = Callable[[dict[str, npt.NDArray[np.float32]]], object]


def a_model(text: str, seed: int = 0, shape: Shape = SHAPE) -> Model:
    """Random weights everywhere, biases and moments among them, variances above zero."""
    spec = parse_spec(text)
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0, 0.5, axes).astype(np.float32) for name, axes in tensor_shapes(spec, shape).items()}
    arrays |= {name: np.abs(array) + 0.5 for name, array in arrays.items() if name.endswith("variance")}
    return Model(spec, shape, tuple("abc"), flatten_arrays(spec, shape, arrays))


def edited(model: Model, edit: Edit) -> Model:
    weights = model.weights.copy()
    edit(named_arrays(model.spec, model.input_shape, weights))
    return replace(model, weights=weights)


def levels_of(model: Model, step: float = 0.25) -> QuantizedModel:
    """On a coarse grid, so that many levels are zero."""
    quantized = as_quantized(model)
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    tensors = {}
    for name, array in arrays.items():
        levels = np.maximum(np.rint(array / step), 1 if name.endswith("variance") else -(2**20)).astype(np.int32)
        tensors[name] = Tensor(levels, Uniform(np.array([step], np.float32)))
    return replace(quantized, tensors=tensors)


def images(shape: Shape = SHAPE, count: int = 40) -> npt.NDArray[np.float32]:
    return np.random.default_rng(9).random((count, *shape), np.float32)


def logits(network: Model | QuantizedModel) -> npt.NDArray[np.float32]:
    model = dequantize(network) if isinstance(network, QuantizedModel) else network
    found: npt.NDArray[np.float32] = choose().predict(model.spec, model.weights, images(model.input_shape))
    return found


def channels(quantized: QuantizedModel) -> list[int]:
    """The channels that come out of each layer that has weights and biases of its own."""
    plans = quantized.spec.plan(quantized.input_shape)
    return [plan.output_shape[0] for plan in plans if len(plan.weight_shape) > 1]


@cache
def digits_model() -> Model:
    """A small network that was trained on the digits."""
    data, spec = load("digits"), parse_spec("dense 20 relu, dense 10")
    examples = Examples(data.train.images, data.train.labels)
    weights = choose().train(spec, Recipe(epochs=6), examples, 0).weights
    return Model(spec, data.input_shape, data.class_names, weights)
