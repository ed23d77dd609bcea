"""Hidden channels sorted or removed: the network is the same function, or that of the channels that are left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from quantized_networks import a_quantized_model
from random_models import CHAIN, REPEATED, a_model, digits_model, levels_of, logits
from smidgen.data import load
from smidgen.engine import choose
from smidgen.errors import RequestError
from smidgen.model import (
    Model,
    QuantizedModel,
    Uniform,
    as_quantized,
    decode,
    dequantize,
    encode,
    equal_networks,
    named_arrays,
    nearest_step,
)
from smidgen.streams import initial_weights
from smidgen.transforms import sort_channels, with_channel_twice, without_channels
from smidgen.transforms.channels import hidden_groups

DROPPED = {0: (1, 4), 5: (0, 2, 3), 7: (3,), 9: (0, 6)}


def muted(quantized: QuantizedModel, dropped: dict[int, tuple[int, ...]]) -> QuantizedModel:
    """The same layers, with all that reads these channels zero."""
    plans, tensors = quantized.spec.plan(quantized.input_shape), dict(quantized.tensors)
    mixing = [0, 5, 7, 9, 10]
    for place, gone in dropped.items():
        last = next(after for after in mixing if after > place)
        tensor = tensors[f"{last}.weight"]
        levels = tensor.levels.copy().reshape(len(tensor.levels), plans[last].input_shape[0], -1)
        levels[:, gone] = 0
        tensors[f"{last}.weight"] = replace(tensor, levels=levels.reshape(tensor.levels.shape))
    return replace(quantized, tensors=tensors)


@pytest.mark.parametrize("form", [as_quantized, levels_of])
def test_channels_that_are_dropped_are_channels_that_nobody_reads(form: Callable[[Model], QuantizedModel]) -> None:
    quantized = form(a_model(CHAIN))
    smaller = without_channels(quantized, DROPPED)
    assert str(smaller.spec) == (
        "conv 3x3x3 relu, depthwise 3x3 nobias, batchnorm relu, maxpool 2, prelu, pointwise 3 leaky_relu(0.1), "
        "avgpool 2, conv 3x2x2 relu, dropout 0.2, dense 5 relu, dense 3"
    )
    np.testing.assert_allclose(logits(smaller), logits(muted(quantized, DROPPED)), rtol=1e-5, atol=1e-5)
    assert equal_networks(decode(encode(smaller)), smaller)


def test_steps_of_rows_go_with_their_rows() -> None:
    quantized = levels_of(a_model(CHAIN))
    steps = Uniform(np.arange(1, 6, dtype=np.float32))
    quantized.tensors["0.weight"] = replace(quantized.tensors["0.weight"], grid=steps)
    smaller = without_channels(quantized, {0: (1, 4)})
    grid = smaller.tensors["0.weight"].grid
    assert isinstance(grid, Uniform) and grid.steps.tolist() == [1, 3, 4]
    np.testing.assert_allclose(logits(smaller), logits(muted(quantized, {0: (1, 4)})), rtol=1e-5, atol=1e-4)


def test_channels_that_cannot_go_are_refused() -> None:
    quantized = as_quantized(a_model(CHAIN))
    with pytest.raises(RequestError, match=r"layer 10 of .* has no hidden channels"):
        without_channels(quantized, {10: (0,)})
    with pytest.raises(RequestError, match="would lose all of its 5 channels"):
        without_channels(quantized, {0: range(5)})
    with pytest.raises(RequestError, match="has no channel 5; give numbers from 0 to 4"):
        without_channels(quantized, {0: (5,)})
    with pytest.raises(RequestError, match="repeats layers"):
        without_channels(as_quantized(a_model(REPEATED)), {0: (1,)})


def test_a_trained_network_without_its_weakest_units_is_smaller_and_still_classifies() -> None:
    model = digits_model()
    sizes = np.abs(named_arrays(model.spec, model.input_shape, model.weights)["0.weight"]).sum(axis=1)
    smaller = dequantize(without_channels(as_quantized(model), {0: np.argsort(sizes)[:2].tolist()}))
    assert str(smaller.spec) == "dense 18 relu, dense 10"
    data = load("digits")
    classes = choose().predict(smaller.spec, smaller.weights, data.selection.images).argmax(axis=1)
    assert (classes == data.selection.labels).mean() > 0.8
    assert initial_weights(smaller.spec, model.input_shape, 0).shape == smaller.weights.shape


@pytest.mark.parametrize(
    "text",
    [
        "conv 9x3x3 relu, maxpool 2, conv 12x3x3 leaky_relu(0.1), dense 8 relu, dense 3",
        "conv 9x3x3 nobias, batchnorm relu, depthwise 3x3, pointwise 7, prelu, dropout 0.5, globalavgpool, dense 3",
    ],
)
def test_channels_in_the_order_of_their_biases_are_the_same_network(text: str) -> None:
    quantized = a_quantized_model(text, (2, 9, 9), scale=8.0)
    tensors = {
        n: replace(t, levels=np.abs(t.levels) + 1 if "variance" in n else t.levels)
        for n, t in quantized.tensors.items()
    }
    rows = Uniform(np.array([nearest_step(0.01 * (place + 1)) for place in range(9)]))
    quantized = replace(quantized, tensors={**tensors, "0.weight": replace(tensors["0.weight"], grid=rows)})
    ordered = sort_channels(quantized)
    assert not equal_networks(ordered, quantized)
    np.testing.assert_allclose(logits(ordered), logits(quantized), rtol=1e-3, atol=1e-4)
    hidden = next(tensor for name, tensor in ordered.tensors.items() if "bias" in name)
    assert (np.diff(hidden.levels) >= 0).all()


def test_biases_that_rise_take_fewer_bytes() -> None:
    quantized = a_quantized_model("dense 40 relu, dense 3", (1, 3, 3), scale=3.0)
    levels = np.random.default_rng(1).integers(-31, 32, 40).astype(np.int32)
    quantized = replace(
        quantized, tensors={**quantized.tensors, "0.bias": replace(quantized.tensors["0.bias"], levels=levels)}
    )
    ordered = sort_channels(quantized)
    assert decode(encode(ordered)).tensors["0.bias"].coder == "rising"
    assert len(encode(ordered)) < len(encode(quantized)) - 8


@pytest.mark.parametrize("text", [CHAIN, "conv 4x3x3, crelu, avgpool 2, pointwise 3 relu, dense 5 relu, dense 10"])
def test_a_network_with_a_channel_twice_is_the_same_function(text: str) -> None:
    model = a_model(text)
    before = logits(as_quantized(model))
    for group in hidden_groups(model.spec.plan(model.input_shape)):
        twice = with_channel_twice(model, group, group.width - 1, np.random.default_rng(3))
        plan = twice.spec.plan(twice.input_shape)[group.producers[0]]
        assert plan.output_shape[0] == group.width + 1
        np.testing.assert_allclose(logits(as_quantized(twice)), before, rtol=1e-4, atol=1e-4)
        again = with_channel_twice(model, group, group.width - 1, np.random.default_rng(3))
        assert np.array_equal(again.weights, twice.weights)


def test_the_two_of_a_doubled_channel_are_read_with_different_weights() -> None:
    model = a_model("conv 4x3x3 relu, maxpool 2, dense 10")
    (group,) = hidden_groups(model.spec.plan(model.input_shape))
    twice = with_channel_twice(model, group, 1, np.random.default_rng(0))
    before = named_arrays(model.spec, model.input_shape, model.weights)["2.weight"].reshape(10, 4, -1)
    after = named_arrays(twice.spec, twice.input_shape, twice.weights)["2.weight"].reshape(10, 5, -1)
    np.testing.assert_allclose(after[:, 1] + after[:, 4], before[:, 1], rtol=1e-6)
    shares = (after[:, 4] / before[:, 1]).mean(axis=1)
    assert len(np.unique(shares.round(3))) == 10 and np.all((shares >= 0) & (shares <= 1))


def test_channels_of_a_repeat_stay_where_they_are() -> None:
    quantized = a_quantized_model("conv 4x3x3, repeat 2 [pointwise 4 relu], dense 3", (1, 8, 8))
    assert sort_channels(quantized) is quantized
