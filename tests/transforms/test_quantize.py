"""Weights on grids, and what a training is told of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smidgen.data import Dataset
from smidgen.engine import Examples, check_start, native
from smidgen.model import Model, decode, encode, flat_weights, named_arrays, nearest_step
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights
from smidgen.transforms import (
    fold_batch_norm,
    grid_steps,
    quantization_aware_start,
    quantize_model,
    shortest,
    sort_channels,
    with_coder,
)
from smidgen.trials.evaluate import TrainingContext

TEXT = "conv 4x3x3 relu, maxpool 2, dense 10"


def model_of(text: str, seed: int = 0) -> Model:
    spec = parse_spec(text)
    weights = initial_weights(spec, (1, 8, 8), seed)
    return Model(spec, (1, 8, 8), tuple("0123456789"), weights)


def test_steps_are_shares_of_the_mean_square_that_take_a_byte_and_a_zero_tensor_has_the_step_before_it() -> None:
    model = model_of(TEXT)
    steps = grid_steps(model, 0.25)
    for name, array in named_arrays(model.spec, model.input_shape, model.weights).items():
        if array.any():
            assert steps[name] == nearest_step(0.25 * float(np.sqrt(np.mean(array**2))))
    assert steps["0.bias"] == steps["0.weight"]


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_every_weight_is_at_its_nearest_level(share: float) -> None:
    model = model_of(TEXT)
    steps = grid_steps(model, share)
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    for name, tensor in quantize_model(model, steps).tensors.items():
        off = np.abs(tensor.levels * np.float32(steps[name]) - arrays[name])
        assert off.max() <= steps[name] / 2 * (1 + 1e-5)


def test_a_variance_is_never_zero_and_moments_are_not_held() -> None:
    model = model_of("conv 3x3x3 relu, maxpool 2, batchnorm, dense 10")
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    arrays["2.variance"][:] = [1e-9, 1.0, 2.0]
    steps = grid_steps(model, 0.3)
    assert quantize_model(model, steps).tensors["2.variance"].levels.min() == 1
    start = quantization_aware_start(model, steps, 0.0)
    check_start(model.spec, model.input_shape, start)
    books = named_arrays(model.spec, model.input_shape, start.projection.codebook.astype(np.float32))
    assert {name for name, book in books.items() if (book == -1).all()} == {"2.mean", "2.variance"}


def test_a_training_that_is_held_ends_on_levels_and_its_file_is_it_exactly(digits: Dataset) -> None:
    model = model_of(TEXT)
    steps = grid_steps(model, 0.3)
    recipe = Recipe(epochs=3, learning_rate=0.01)
    examples = Examples(digits.train.images, digits.train.labels)
    start = quantization_aware_start(model, steps, 1e-4)
    check_start(model.spec, model.input_shape, start)
    weights = native.train(model.spec, recipe, examples, 0, start=start).weights
    quantized = quantize_model(replace(model, weights=weights), steps)
    assert np.array_equal(flat_weights(decode(encode(quantized))), weights)


def test_a_price_makes_the_file_shorter_and_common_levels_cheaper(digits: Dataset) -> None:
    """From the same weights, with the same grids and seed."""
    context = TrainingContext(digits)
    examples = Examples(digits.train.images, digits.train.labels)
    model = model_of(TEXT)
    recipe = Recipe(epochs=20, learning_rate=0.01)
    trained = native.train(model.spec, recipe, examples, 0).weights
    model = replace(model, weights=trained)
    steps = grid_steps(model, 0.2)
    sizes = []
    for price in (0.0, 30.0, 300.0):
        start = quantization_aware_start(model, steps, price / len(context.dataset.train))
        weights = native.train(model.spec, recipe, examples, 0, start=start).weights
        sizes.append(shortest(quantize_model(replace(model, weights=weights), steps))[1])
    assert sizes[0] > sizes[1] > sizes[2]
    levels = quantize_model(model, steps).tensors["2.weight"].levels
    costs = quantization_aware_start(model, steps, 1.0).projection.costs[2]
    middle = len(costs) // 2
    common, rare = np.bincount(np.abs(levels).ravel()).argmax(), middle
    assert costs[middle + common] < costs[middle + rare]


def test_the_shortest_of_two_orders_of_channels() -> None:
    quantized = quantize_model(fold_batch_norm(model_of(TEXT, seed=3)), grid_steps(model_of(TEXT, seed=3), 0.1))
    found, size = shortest(quantized)
    assert size == len(encode(found)) == min(len(encode(quantized)), len(encode(sort_channels(quantized))))


def test_a_coder_can_be_asked_for() -> None:
    quantized = quantize_model(model_of(TEXT), grid_steps(model_of(TEXT), 0.1))
    read = decode(encode(with_coder(quantized, "fixed")))
    assert {tensor.coder for tensor in read.tensors.values()} == {"fixed"}
    assert len(encode(with_coder(quantized, "fixed"))) >= len(encode(quantized))
