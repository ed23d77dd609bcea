"""Folding, pruning and simplification of networks with residuals, crelu and shared kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import naive_network
from random_models import a_model, edited, levels_of
from smidgen.errors import RequestError
from smidgen.model import Model, QuantizedModel, as_quantized, decode, dequantize, encode, equal_networks, flat_weights
from smidgen.spec import Dense, NetSpec
from smidgen.transforms import fold_batch_norm, sort_channels, take_channels, without_channels, without_dead_channels
from smidgen.transforms.channel_groups import channel_groups
from spec_strategies import residuals

SHAPE = (1, 12, 12)
RESNET = (
    "conv 4x3x3 same, batchnorm relu, "
    "residual [conv 4x3x3 same nobias, batchnorm relu, conv 4x3x3 same, batchnorm] relu, "
    "residual [conv 6x3x3 stride 2 same, batchnorm relu6, conv 6x3x3 same, batchnorm | pointwise 6 stride 2 nobias, "
    "batchnorm] relu, dropout 0.1, globalavgpool, dense 3"
)
CRELU = "conv 3x3x3 stride 2, crelu, depthwise 3x3 shared 1, residual [conv 6x3x3 same, prelu], pointwise 5, dense 3"


def outputs(model: Model | QuantizedModel, images: int = 5) -> np.ndarray:
    weights = model.weights if isinstance(model, Model) else flat_weights(model)
    values = np.random.default_rng(9).normal(0, 1, (images, *model.input_shape))
    return naive_network.logits(model.spec, weights, values)


def check_same(found: Model | QuantizedModel, expected: Model | QuantizedModel) -> None:
    wanted = outputs(expected)
    np.testing.assert_allclose(outputs(found), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_batch_norms_are_folded_within_residuals() -> None:
    model = a_model(RESNET)
    folded = fold_batch_norm(model)
    assert str(folded.spec) == (
        "conv 4x3x3 same relu, residual [conv 4x3x3 same relu, conv 4x3x3 same] relu, "
        "residual [conv 6x3x3 stride 2 same relu6, conv 6x3x3 same | pointwise 6 stride 2] relu, globalavgpool, dense 3"
    )
    check_same(folded, model)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("residual [pointwise 1], batchnorm, dense 3", ""),
        (
            "conv 3x3x3, residual [batchnorm, pointwise 3], dense 3",
            "conv 3x3x3, residual [batchnorm, pointwise 3], dense 3",
        ),
        (
            "pointwise 4, depthwise 3x3 shared 2, batchnorm, dense 3",
            "pointwise 4, depthwise 3x3 shared 2, batchnorm, dense 3",
        ),
        ("residual [dropout 0.5], dense 3", ""),
        ("residual [prelu | dropout 0.5, batchnorm], dense 3", "residual [prelu | batchnorm], dense 3"),
        (
            "residual [repeat 2 [pointwise 1, batchnorm], pointwise 1, batchnorm relu], dense 3",
            "residual [repeat 2 [pointwise 1, batchnorm], pointwise 1 relu], dense 3",
        ),
    ],
)
def test_a_batch_norm_that_no_single_layer_can_absorb_stays(text: str, folded: str) -> None:
    model = a_model(text)
    made = fold_batch_norm(model)
    assert str(made.spec) == (folded or text)
    check_same(made, model)


def test_channels_that_are_added_belong_together() -> None:
    groups = channel_groups(a_model(RESNET).spec.plan(SHAPE))
    assert [(group.producers, group.readers, group.width, group.is_free) for group in groups] == [
        ((0, 4), (2, 7, 11), 4, True),
        ((2,), (4,), 4, True),
        ((7,), (9,), 6, True),
        ((9, 11), (16,), 6, True),
        ((16,), (), 3, False),
    ]


def muted(quantized: QuantizedModel, readers: tuple[int, ...], gone: list[int]) -> QuantizedModel:
    """The same layers, with all weights zero that read these channels."""
    plans, tensors = quantized.spec.plan(quantized.input_shape), dict(quantized.tensors)
    for reader in readers:
        tensor = tensors[f"{reader}.weight"]
        levels = tensor.levels.copy().reshape(len(tensor.levels), plans[reader].input_shape[0], -1)
        levels[:, gone] = 0
        tensors[f"{reader}.weight"] = replace(tensor, levels=levels.reshape(tensor.levels.shape))
    return replace(quantized, tensors=tensors)


@pytest.mark.parametrize("place", [0, 4])
def test_channels_are_removed_from_both_sides_of_an_add(place: int) -> None:
    quantized = levels_of(a_model(RESNET))
    smaller = without_channels(quantized, {place: (1, 3)})
    assert str(smaller.spec).startswith(
        "conv 2x3x3 same, batchnorm relu, residual [conv 4x3x3 same nobias, batchnorm relu, conv 2x3x3 same, batchnorm]"
    )
    check_same(smaller, muted(quantized, (2, 7, 11), [1, 3]))
    assert equal_networks(decode(encode(smaller)), smaller)


def test_channels_of_a_crelu_go_in_pairs() -> None:
    quantized = levels_of(a_model(CRELU))
    smaller = without_channels(quantized, {0: (1,)})
    assert str(smaller.spec) == (
        "conv 2x3x3 stride 2, crelu, depthwise 3x3 shared 1, residual [conv 4x3x3 same, prelu], pointwise 5, dense 3"
    )
    check_same(smaller, muted(quantized, (3, 6), [1, 4]))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("residual [pointwise 1], dense 3", 0),  # the input is added to them
        ("conv 4x3x3, depthwise 3x3 shared 2, dense 3", 0),  # channel c uses kernel c % 2
        ("dense 3, residual [dense 3]", 0),  # the logits are added to them
        ("residual [repeat 2 [pointwise 1]], dense 3", 0),
    ],
)
def test_channels_that_others_depend_on_stay(text: str, place: int) -> None:
    with pytest.raises(RequestError, match=r"has no hidden channels|repeats layers"):
        without_channels(as_quantized(a_model(text)), {place: (0,)})


def test_a_channel_that_is_dead_on_both_sides_of_an_add_goes() -> None:
    def silence(arrays: dict[str, np.ndarray]) -> None:
        for name in ("0.weight", "4.weight", "4.bias"):  # channel 2 of both sides is constant
            arrays[name][2] = 0
        for name in ("0.bias", "1.bias", "1.mean", "5.bias", "5.mean"):
            arrays[name][2] = 0

    model = edited(a_model(RESNET), silence)
    smaller = dequantize(without_dead_channels(as_quantized(model)))
    assert str(smaller.spec).startswith("conv 3x3x3 same, batchnorm relu, residual [conv 4x3x3 same nobias")
    check_same(smaller, model)
    one_side = edited(a_model(RESNET), lambda arrays: arrays["4.weight"].__setitem__(2, 0))
    assert without_dead_channels(as_quantized(one_side)).spec == one_side.spec


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Random networks of residuals whose channels are partly zero, and whose biases are partly zero."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(2, 6)))
    layers, value = [], shape
    for _ in range(draw(st.integers(1, 3))):
        layers.append(draw(residuals(value)))
        value = NetSpec(tuple(layers)).output_shape(shape)
    spec = NetSpec((*layers, Dense(4), Dense(3)))
    assume(spec.macs(shape) < 100_000)
    model = a_model(str(spec), draw(st.integers(0, 99)), shape)
    random = np.random.default_rng(draw(st.integers(0, 99)))

    def silence(arrays: dict[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            if name.endswith((".weight", ".bias")):
                array[random.random(len(array)) < 0.4] = 0
                if array.ndim > 1:
                    array[:, random.random(array.shape[1]) < 0.3] = 0

    return edited(model, silence)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_any_residual_network_stays_the_same_function(model: Model) -> None:
    check_same(fold_batch_norm(model), model)
    quantized = levels_of(model)
    check_same(without_dead_channels(quantized), quantized)
    check_same(without_dead_channels(as_quantized(model)), model)
    check_same(sort_channels(quantized), quantized)


def test_a_permutation_of_added_channels_is_the_same_function() -> None:
    quantized = as_quantized(a_model(RESNET))
    check_same(take_channels(quantized, 9, [5, 1, 0, 2, 4, 3]), quantized)
