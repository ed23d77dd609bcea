"""Folded batch norms, constant inputs and dead channels: a smaller network that is the same function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from random_models import (
    CHAIN,
    PADDED,
    REPEATED,
    SAME,
    SHAPE,
    SLOPES,
    Edit,
    a_model,
    channels,
    edited,
    levels_of,
    logits,
)
from smidgen.engine import choose
from smidgen.errors import SpecError
from smidgen.model import (
    Model,
    as_quantized,
    flat_weights,
    named_arrays,
    tensor_shapes,
)
from smidgen.spec import Shape, parse_spec
from smidgen.transforms import (
    fold_batch_norm,
    with_equal_scales,
    without_constant_inputs,
    without_dead_channels,
)


def with_moments(text: str, shape: Shape) -> Model:
    """Random weights, and variances that are above zero."""
    spec, rng = parse_spec(text), np.random.default_rng(4)
    pieces = [
        rng.uniform(0.2, 2, axes) if name.endswith("variance") else rng.standard_normal(axes)
        for name, axes in tensor_shapes(spec, shape).items()
    ]
    weights = np.concatenate([piece.ravel() for piece in pieces]).astype(np.float32)
    return Model(spec, shape, tuple(map(str, range(spec.output_shape(shape)[0]))), weights)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        (
            "conv 3x3x3 nobias, batchnorm relu, depthwise 3x3, dropout 0.5, batchnorm, pointwise 4, batchnorm "
            "leaky_relu(0.1), dense 5, batchnorm relu, dense 2",
            "conv 3x3x3 relu, depthwise 3x3, pointwise 4 leaky_relu(0.1), dense 5 relu, dense 2",
        ),
        (
            "batchnorm, conv 3x3x3 relu, batchnorm, maxpool 2, batchnorm, dense 2",
            "batchnorm, conv 3x3x3 relu, batchnorm, maxpool 2, batchnorm, dense 2",
        ),
        (
            "conv 3x3x3, repeat 2 [pointwise 3, batchnorm relu], batchnorm, dense 2",
            "conv 3x3x3, repeat 2 [pointwise 3, batchnorm relu], batchnorm, dense 2",
        ),
    ],
)
def test_a_batch_norm_is_folded_into_the_linear_layer_before_it(text: str, folded: str) -> None:
    model = with_moments(text, (2, 9, 9))
    made = fold_batch_norm(model)
    assert str(made.spec) == folded
    np.testing.assert_allclose(logits(made), logits(model), rtol=2e-4, atol=2e-4)


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


def sizes_of_weights(model: Model) -> list[float]:
    """The root mean square of each tensor of weights; slopes of a PReLU are no weights."""
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    return [float(np.sqrt((values**2).mean())) for values in arrays.values() if values.ndim > 1]


@pytest.mark.parametrize(
    "text",
    [
        "conv 3x3x3 relu, maxpool 2, depthwise 3x3, pointwise 4 leaky_relu(0.1), avgpool 2, dense 5 relu, dense 3",
        "conv 4x3x3 same nobias, prelu, conv 3x3x3, crelu, globalavgpool, dense 3",
        SLOPES,
    ],
)
def test_layers_of_equal_scale_compute_the_same(text: str) -> None:
    model = a_model(text)
    model = edited(model, lambda arrays: arrays["0.weight"].__imul__(np.float32(20)))
    equal = with_equal_scales(model)
    np.testing.assert_allclose(sizes_of_weights(equal), sizes_of_weights(equal)[0], rtol=1e-5)
    assert max(sizes_of_weights(model)) > 5 * min(sizes_of_weights(model))
    np.testing.assert_allclose(logits(equal), logits(model), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["conv 4x3x3 relu6, dense 3", "conv 3x3x3, batchnorm relu, dense 3", REPEATED, "dense 3"]
)
def test_layers_keep_their_scale_where_a_factor_would_change_the_function(text: str) -> None:
    model = a_model(text)
    assert with_equal_scales(model) is model
