"""Pruning: exact counts, weights that stay zero, and smaller networks that are the same function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.data import load
from smidgen.engine import Examples, choose
from smidgen.errors import RequestError, SpecError
from smidgen.model import (
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    decode,
    dequantize,
    encode,
    equal_networks,
    flat_weights,
    flatten_arrays,
    named_arrays,
    tensor_shapes,
)
from smidgen.records import Recipe, Score, Weights
from smidgen.spec import Shape, parse_spec
from smidgen.streams import initial_weights
from smidgen.transforms import (
    gradual_shares,
    prunable,
    pruned_start,
    smallest,
    tensor_places,
    without_channels,
    without_constant_inputs,
    without_dead_channels,
)

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


# --- which weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.92, 1.0])
def test_the_smallest_of_a_tensor_are_as_many_as_asked_and_none_is_larger_than_one_that_stays(share: float) -> None:
    model = a_model(CHAIN)
    mask = smallest(model, {"5.weight": share, "9.weight": share})
    places = tensor_places(model.spec, SHAPE, tensor_shapes(model.spec, SHAPE))
    for name, place in places.items():
        asked = round(share * (place.stop - place.start)) if name in ("5.weight", "9.weight") else 0
        assert mask[place].sum() == asked
        gone, kept = np.abs(model.weights[place][mask[place]]), np.abs(model.weights[place][~mask[place]])
        assert gone.max(initial=0) <= kept.min(initial=np.inf)


def test_only_weights_of_convolutions_and_dense_layers_can_be_pruned() -> None:
    names = ("0.weight", "1.weight", "5.weight", "7.weight", "9.weight", "10.weight")
    assert prunable(parse_spec(CHAIN), SHAPE) == names


def test_what_cannot_be_pruned_is_refused() -> None:
    model = a_model(CHAIN)
    with pytest.raises(RequestError, match=r"0\.bias cannot be pruned; the prunable tensors of .* are 0\.weight"):
        smallest(model, {"0.bias": 0.5})
    with pytest.raises(RequestError, match=r"has no tensor 6\.weight; it has 0\.weight"):
        smallest(model, {"6.weight": 0.5})
    with pytest.raises(RequestError, match=r"a share of 1\.5 cannot be pruned; give one from 0 to 1"):
        smallest(model, {"0.weight": 1.5})


def test_shares_rise_as_the_cube_has_it() -> None:
    assert gradual_shares(0.9, 1) == (0.9,)
    shares = gradual_shares(0.8, 4)
    np.testing.assert_allclose(shares, [0.8 * (1 - 27 / 64), 0.8 * (1 - 8 / 64), 0.8 * (1 - 1 / 64), 0.8])


# --- training and sensitivity --------------------------------------------------------------------


@cache
def digits_model() -> Model:
    """A small network that was trained on the digits."""
    data, spec = load("digits"), parse_spec("dense 20 relu, dense 10")
    examples = Examples(data.train.images, data.train.labels)
    weights = choose().train(spec, Recipe(epochs=6), examples, 0).weights
    return Model(spec, data.input_shape, data.class_names, weights)


def selection(weights: Weights) -> Score:
    data, spec = load("digits"), digits_model().spec
    classes = choose().predict(spec, weights, data.selection.images).argmax(axis=1)
    return Score(int((classes == data.selection.labels).sum()), len(data.selection))


def test_pruned_weights_stay_zero_while_the_others_are_trained() -> None:
    model, data = digits_model(), load("digits")
    mask = smallest(model, {"0.weight": 0.8, "1.weight": 0.5})
    start = pruned_start(model, mask)
    examples = Examples(data.train.images, data.train.labels)
    trained = choose().train(model.spec, Recipe(epochs=3), examples, 0, start=start).weights
    assert not trained[mask].any()
    assert (trained[~mask] != model.weights[~mask]).mean() > 0.8
    assert selection(trained).correct > selection(start.weights).correct


# --- inputs that never change --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["dense 6 relu, dense 3", "maxpool 2, dropout 0.1, avgpool 2, dense 6 relu, dense 3"])
def test_constant_inputs_move_into_the_biases(text: str) -> None:
    model = a_model(text)
    rng = np.random.default_rng(3)
    data = rng.integers(0, 256, (50, *SHAPE), np.uint8)
    data[:, :, :4], data[:, :, :, 8:] = 0, 51
    smaller, mask = without_constant_inputs(model, data)
    engine = choose()
    before, after = (engine.predict(model.spec, m.weights, data) for m in (model, smaller))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
    inputs = {"dense": 144, "maxpo": 9}[text[:5]]
    constant = {"dense": 144 - 8 * 8, "maxpo": 9 - 2 * 2}[text[:5]]
    assert mask.sum() == 6 * constant and not smaller.weights[mask].any()
    np.testing.assert_array_equal(np.flatnonzero(mask) < 6 * inputs, True)


def test_inputs_that_are_always_zero_leave_the_biases_as_they_are() -> None:
    model = a_model("dense 6 nobias relu, dense 3")
    data = np.full((20, *SHAPE), 7, np.uint8)
    data[:, :, 6:] = 0
    data[:10, :, :2] = 9
    smaller, mask = without_constant_inputs(model, data)
    assert mask.sum() == 6 * 6 * 12  # without a bias, what is always 7 has nowhere to go
    assert smaller.weights[~mask].tobytes() == model.weights[~mask].tobytes()


def test_a_network_that_begins_with_a_convolution_is_left_as_it_is() -> None:
    model = a_model(CHAIN)
    smaller, mask = without_constant_inputs(model, np.zeros((3, *SHAPE), np.uint8))
    assert smaller is model and not mask.any()


# --- whole channels ------------------------------------------------------------------------------

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


# --- dead channels -------------------------------------------------------------------------------


def zero(name: str, rows: list[int]) -> Edit:
    return lambda arrays: arrays[name].__setitem__(rows, 0)


def unread(name: str, count: int, numbers: list[int]) -> Edit:
    """Zero all that a layer reads of these of its channels in."""
    return lambda arrays: arrays[name].reshape(len(arrays[name]), count, -1).__setitem__((slice(None), numbers), 0)


@pytest.mark.parametrize(
    ("text", "edit", "left"),
    [
        (CHAIN, unread("5.weight", 5, [0, 3]), [3, 3, 6, 4, 7, 3]),
        (CHAIN, unread("9.weight", 4, [1]), [5, 5, 6, 3, 7, 3]),
        (CHAIN, zero("0.weight", [2]), [4, 4, 6, 4, 7, 3]),
        (CHAIN, zero("1.weight", [1, 2]), [3, 3, 6, 4, 7, 3]),
        (CHAIN, zero("2.weight", [1, 2]), [3, 3, 6, 4, 7, 3]),
        (CHAIN, zero("5.weight", [0, 5]), [5, 5, 4, 4, 7, 3]),
        (CHAIN, zero("9.weight", [0, 1, 2, 6]), [5, 5, 6, 4, 3, 3]),
        (CHAIN, unread("10.weight", 7, [0, 1, 2, 3, 4, 5, 6]), [5, 5, 6, 4, 1, 3]),
        (SAME, zero("3.weight", [0]), [4, 3, 3]),
        (SAME, unread("1.weight", 4, [1, 2]), [2, 3, 3]),
        (SAME, zero("1.weight", [0, 2]), [4, 1, 3]),
        (SLOPES, zero("0.weight", [0, 1, 2]), [1, 3]),
        (SLOPES, zero("0.weight", [0, 1, 2, 3]), [1, 3]),
    ],
)
def test_a_network_without_its_dead_channels_is_the_same_function(text: str, edit: Edit, left: list[int]) -> None:
    model = edited(a_model(text), edit)
    smaller = without_dead_channels(as_quantized(model))
    assert channels(smaller) == left
    np.testing.assert_allclose(logits(smaller), logits(model), rtol=1e-5, atol=1e-5)
    assert flat_weights(smaller).size == smaller.spec.parameters(SHAPE) + sum(
        plan.running_stats for plan in smaller.spec.plan(SHAPE)
    )


@pytest.mark.parametrize(
    ("text", "bias", "left"),
    [
        (SAME, 0.3, [4, 3, 3]),
        (SAME, -0.3, [3, 3, 3]),
        (SAME, 0.0, [3, 3, 3]),
        (PADDED, 0.3, [4, 4, 3, 3]),
        (PADDED, -0.3, [3, 3, 3, 3]),
    ],
)
def test_a_constant_does_not_go_through_a_padding_of_zeros(text: str, bias: float, left: list[int]) -> None:
    def edit(arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        arrays["0.weight"][1], arrays["0.bias"][1] = 0, bias

    model = edited(a_model(text), edit)
    smaller = without_dead_channels(as_quantized(model))
    assert channels(smaller) == left
    np.testing.assert_allclose(logits(smaller), logits(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("level", "left"), [(2, [5, 5, 6, 4, 7, 3]), (-2, [5, 5, 6, 4, 6, 3])])
def test_levels_lose_only_what_adds_nothing(level: int, left: list[int]) -> None:
    quantized = levels_of(a_model(CHAIN))
    quantized.tensors["9.weight"].levels[3], quantized.tensors["9.bias"].levels[3] = 0, level
    smaller = without_dead_channels(quantized)
    assert channels(smaller) == left
    np.testing.assert_array_equal(logits(smaller), logits(quantized))
    for name, tensor in smaller.tensors.items():
        assert tensor.grid is not None, f"{name} left its grid"


def test_channels_that_die_with_others_go_too() -> None:
    """A dense unit whose only inputs were one dead channel is constant once that channel is gone."""

    def edit(arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        arrays["9.weight"][2, :] = 0
        arrays["9.weight"][2, 0] = 1
        arrays["7.weight"][0], arrays["7.bias"][0] = 0, -1

    model = edited(a_model(CHAIN), edit)
    plan = model.spec.plan(SHAPE)[9]
    assert plan.input_shape == (4, 1, 1)
    smaller = without_dead_channels(as_quantized(model))
    assert channels(smaller) == [5, 5, 6, 3, 6, 3]
    np.testing.assert_allclose(logits(smaller), logits(model), rtol=1e-5, atol=1e-5)


LAYERS = (
    *("conv 4x3x3 relu", "conv 3x2x2 same leaky_relu(0.2)", "conv 5x1x3 same nobias", "depthwise 3x3 relu"),
    *("depthwise 2x2 same nobias relu", "pointwise 4 relu", "batchnorm relu", "batchnorm", "prelu", "dropout 0.3"),
    *("maxpool 2", "avgpool 2", "globalavgpool", "dense 6 relu", "dense 5"),
)


@st.composite
def sparse_models(draw: st.DrawFn) -> Model:
    """Networks that have lost whole rows at random, and whose biases are often zero or below it."""
    kept: list[str] = []
    for text in draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=7)):
        try:
            parse_spec(", ".join([*kept, text])).plan(SHAPE)
        except SpecError:
            continue
        kept.append(text)
    model = a_model(", ".join([*kept, "dense 3"]), draw(st.integers(0, 99)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def edit(arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        for name, array in arrays.items():
            if not name.endswith(("mean", "variance")):
                array[rng.random(len(array)) < 0.5] = 0
            if name.endswith("bias"):
                array[rng.random(len(array)) < 0.3] *= -1

    return edited(model, edit)


@given(sparse_models())
@settings(max_examples=60)
def test_any_network_without_its_dead_channels_is_the_same_function(model: Model) -> None:
    for quantized in (as_quantized(model), levels_of(model)):
        smaller = without_dead_channels(quantized)
        np.testing.assert_allclose(logits(smaller), logits(quantized), rtol=1e-4, atol=1e-4)
        assert without_dead_channels(smaller) is smaller, "some were left"
        assert flat_weights(smaller).size <= flat_weights(quantized).size


def test_a_network_that_lives_or_repeats_is_left_as_it_is() -> None:
    alive = as_quantized(a_model(CHAIN))
    assert without_dead_channels(alive) is alive
    repeated = as_quantized(edited(a_model(REPEATED), zero("0.weight", [0])))
    assert without_dead_channels(repeated) is repeated


def test_a_trained_network_without_its_weakest_units_is_smaller_and_still_classifies() -> None:
    model = digits_model()
    sizes = np.abs(named_arrays(model.spec, model.input_shape, model.weights)["0.weight"]).sum(axis=1)
    smaller = dequantize(without_channels(as_quantized(model), {0: np.argsort(sizes)[:2].tolist()}))
    assert str(smaller.spec) == "dense 18 relu, dense 10"
    data = load("digits")
    classes = choose().predict(smaller.spec, smaller.weights, data.selection.images).argmax(axis=1)
    assert (classes == data.selection.labels).mean() > 0.8
    assert initial_weights(smaller.spec, model.input_shape, 0).shape == smaller.weights.shape
