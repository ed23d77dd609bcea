"""A trained network that the exporters' tests share."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.data import Dataset
from smidgen.engine import Examples, choose
from smidgen.model import (
    QuantizedModel,
    Tensor,
    Uniform,
    named_arrays,
    nearest_step,
)
from smidgen.records import Recipe
from smidgen.spec import parse_spec

TRAINED = "conv 4x3x3 relu, maxpool 2, dense 12 leaky_relu(0.1), dense 10"


@pytest.fixture(scope="session")
def trained(digits: Dataset) -> QuantizedModel:
    """A small network of the digits, its weights on grids of 4 bits, its biases of 6."""
    spec = parse_spec(TRAINED)
    examples = Examples(digits.train.images, digits.train.labels)
    training = choose("native").train(spec, Recipe(epochs=40, learning_rate=0.01), examples, 0)
    tensors = {}
    for name, array in named_arrays(spec, digits.input_shape, training.weights).items():
        largest = 7 if name.endswith("weight") else 31
        step = nearest_step(float(np.abs(array).max()) / largest)
        levels = np.clip(np.rint(array / step), -largest, largest).astype(np.int32)
        tensors[name] = Tensor(levels, Uniform(np.array([step])))
    return QuantizedModel(spec, digits.input_shape, digits.class_names, tensors)
