"""Offset and scale move into the first layer's weights and out again without changing what a network computes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.engine import choose
from smidgen.errors import RequestError
from smidgen.model import Model
from smidgen.spec import InputSpec, parse_spec
from smidgen.streams import initial_weights
from smidgen.transforms import fold_input, kept_numbers, parameters_with_input, with_input

SCALED = InputSpec("image-floats", (2, 6, 6), (3.0, -100.0), (0.5, 8.0))
FOLDS = (
    "dense 3",
    "conv 4x3x3 relu, dense 3",
    "conv 4x2x3 stride 2 relu, dense 3",
    "pointwise 3 relu, globalavgpool, dense 3",
    "depthwise 3x3, pointwise 4 relu, dense 3",
    "maxpool 2, conv 4x2x2 relu, dense 3",
    "avgpool 2, dropout 0.3, dense 3",
    "globalavgpool, dense 3",
    "pointwise 2 nobias, conv 4x3x3 relu, dense 3",
    "pointwise 4 nobias, maxpool 2, avgpool 2, dense 3",
    "depthwise 3x3 nobias, pointwise 2 nobias, depthwise 3x1, dense 3",
)
KEEPS = (
    "conv 4x3x3 same relu, dense 3",
    "conv 4x3x3 nobias relu, dense 3",
    "pointwise 4 nobias relu, dense 3",
    "pointwise 4 nobias, conv 2x3x3 same, dense 3",
    "pointwise 4 nobias, prelu, dense 3",
    "batchnorm, dense 3",
    "prelu, dense 3",
    "depthwise 3x3 shared 1, dense 3",
    "residual [conv 2x3x3 same], dense 3",
    "repeat 2 [pointwise 2], dense 3",
)


def model_of(text: str, input: InputSpec = SCALED, seed: int = 0) -> Model:
    spec = parse_spec(text)
    weights = initial_weights(spec, input.shape, seed)
    weights += np.random.default_rng(seed).normal(0, 0.1, len(weights)).astype(np.float32)
    return Model(spec, input.shape, ("a", "b", "c"), weights, input=input)


def logits(model: Model, values: np.ndarray) -> np.ndarray:
    return choose().predict(model.spec, model.weights, model.input.to_network(values))


@pytest.mark.parametrize("text", FOLDS)
@given(seed=st.integers(0, 5))
def test_a_folded_network_reads_the_users_values(text: str, seed: int) -> None:
    model = model_of(text, seed=seed)
    values = SCALED.to_units(np.random.default_rng(seed).normal(size=(7, 2, 6, 6)))
    folded = fold_input(model)
    assert not folded.input.is_scaled and kept_numbers(model.spec, SCALED) == 0
    np.testing.assert_allclose(logits(folded, values), logits(model, values), atol=2e-3)
    back = with_input(folded, SCALED)
    np.testing.assert_allclose(back.weights, model.weights, atol=1e-3)


@pytest.mark.parametrize("text", KEEPS)
def test_a_first_layer_that_cannot_take_it_up_keeps_it_and_it_counts(text: str) -> None:
    model = model_of(text)
    assert fold_input(model).input == SCALED
    assert parameters_with_input(model.spec, SCALED) == model.spec.parameters(SCALED.shape) + 4
    with pytest.raises(RequestError, match="cannot take up the difference"):
        with_input(model, replace(SCALED, offset=(), scale=()))


@pytest.mark.parametrize("text", KEEPS[:2])
def test_a_scale_alone_goes_where_an_offset_cannot(text: str) -> None:
    scale_alone = replace(SCALED, offset=())
    model = model_of(text, scale_alone)
    values = np.random.default_rng(0).normal(size=(7, 2, 6, 6))
    np.testing.assert_allclose(logits(fold_input(model), values), logits(model, values), atol=1e-3)
    assert not fold_input(model).input.is_scaled


def test_offsets_that_would_cost_digits_are_kept() -> None:
    far = InputSpec("vector", (2, 1, 1), (1e6, 0.0), (1.0, 2.0))
    assert kept_numbers(parse_spec("dense 3"), far) == 2


def test_nothing_to_fold_changes_nothing() -> None:
    plain = model_of("dense 3", InputSpec("image-bytes", (2, 6, 6)))
    assert fold_input(plain) is plain
