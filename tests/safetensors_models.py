"""Models with every layer for tests of .safetensors files."""

from __future__ import annotations

import numpy as np

from smidgen.model import Model
from smidgen.spec import Shape, parse_spec

SHAPE = (2, 12, 12)

ALL_LAYERS = (
    "conv 3x3x2 relu, batchnorm leaky_relu(0.1), depthwise 3x3 same relu, pointwise 4, maxpool 2, "
    "avgpool 2, dropout 0.5, globalavgpool, dense 5 relu, batchnorm, dense 3"
)


def weight_count(text: str, shape: Shape) -> int:
    return sum(plan.parameters + plan.running_stats for plan in parse_spec(text).plan(shape))


def a_model(text: str = ALL_LAYERS, shape: Shape = SHAPE, seed: int = 0) -> Model:
    spec = parse_spec(text)
    weights = np.random.default_rng(seed).standard_normal(weight_count(text, shape)).astype(np.float32)
    classes = tuple(f"class {n}" for n in range(spec.output_shape(shape)[0]))
    return Model(spec, shape, classes, weights, {"data": "digits", "floor": "97 %"})


def assert_same(left: Model, right: Model) -> None:
    assert (left.spec, left.input_shape) == (right.spec, right.input_shape)
    assert (left.class_names, left.metadata) == (right.class_names, right.metadata)
    assert left.weights.dtype == np.float32
    assert left.weights.tobytes() == right.weights.tobytes()
