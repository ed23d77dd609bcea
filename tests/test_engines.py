"""What both engines start from, and how one is chosen."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import engine
from smidgen.engine import choose, epoch_order, initial_weights, native, torch_engine
from smidgen.errors import EngineError
from smidgen.families import family
from smidgen.spec import parse_spec

MNIST = (1, 28, 28)
PLAIN = parse_spec("conv 2x3x3 relu, maxpool 2, dropout 0.1, depthwise 3x3, pointwise 4, globalavgpool, dense 10")
NORMED = parse_spec("conv 2x3x3, batchnorm relu, dense 10")


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


@pytest.fixture
def installed(monkeypatch):
    """Says which engines are here, whichever are."""

    def set_reasons(native_reason="", torch_reason=""):
        monkeypatch.setattr(native, "available", lambda: native_reason)
        monkeypatch.setattr(torch_engine, "available", lambda: torch_reason)

    return set_reasons


# --- choosing ---------------------------------------------------------------------------------


def test_native_comes_first_where_it_can_run_every_layer(installed):
    installed()
    assert choose(PLAIN) is native
    assert choose(PLAIN, "native") is native
    assert choose(PLAIN, "torch") is torch_engine


def test_a_layer_that_the_core_has_not_goes_to_torch(installed):
    installed()
    assert choose(NORMED) is torch_engine
    with pytest.raises(EngineError, match=r"native: the native core has no 'batchnorm relu' yet"):
        choose(NORMED, "native")


def test_without_the_core_torch_trains(installed):
    installed(native_reason="not built")
    assert choose(PLAIN) is torch_engine


def test_without_any_engine_each_reason_is_given(installed):
    installed(native_reason="not built", torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match=r"native: not built; torch: pip install 'smidgen\[torch\]'"):
        choose(PLAIN)
    installed(torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match=r"batchnorm relu' yet; torch: pip install"):
        choose(NORMED)


def test_an_unknown_engine_is_named():
    with pytest.raises(EngineError, match="no engine 'jax'; use auto, native, torch"):
        choose(PLAIN, "jax")


def test_a_core_that_was_not_built_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "smidgen._core", None)
    with pytest.raises(EngineError, match=r"install a C\+\+ compiler .* and run: pip install"):
        choose(PLAIN, "native")


@pytest.mark.parametrize("name", engine.engines())
def test_an_engine_is_a_module_with_five_functions(name):
    for function in ("available", "name", "unsupported", "train", "predict"):
        assert callable(getattr(engine.engines()[name], function))


# --- the first weights ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seed", "pinned"),
    [
        ("dense 10", 0, "1b8534758fdd8bec"),
        ("dense 10", 1, "b160226334318889"),
        ("conv 2x3x3 relu, maxpool 2, depthwise 3x3, pointwise 4, globalavgpool, dense 10", 7, "55cadc00f144d0aa"),
        ("conv 2x3x3, batchnorm relu, dense 10", 7, "2b7b43d2a108117e"),
    ],
)
def test_the_first_weights_never_change(text, seed, pinned):
    assert digest(initial_weights(parse_spec(text), MNIST, seed)) == pinned


def test_a_few_weights_by_value():
    weights = initial_weights(parse_spec("dense 2"), (3, 1, 1), 0)
    expected = [-0.11121227, -0.23871583, 0.16863005, -0.46118477, -0.73869896, -0.6931888, 0.0, 0.0]
    np.testing.assert_array_equal(weights, np.array(expected, np.float32))


def test_weights_are_glorots():
    """Uniform within sqrt(6 / (fan in + fan out)), mean 0; biases are 0."""
    spec, shape = parse_spec("conv 30x5x5, dense 40"), (4, 12, 12)
    weights = initial_weights(spec, shape, 3)
    start = 0
    for plan, fans in zip(spec.plan(shape), (4 * 25 + 30 * 25, 30 * 64 + 40), strict=True):
        matrix, limit = weights[start : start + plan.weight_count], np.sqrt(6 / fans)
        assert 0.99 * limit < np.abs(matrix).max() <= limit
        assert abs(matrix.mean()) < 5 * limit / np.sqrt(3 * matrix.size)
        assert abs(matrix.std() / (limit / np.sqrt(3)) - 1) < 0.05
        start += plan.parameters
        assert not weights[start - plan.bias_count : start].any()
    assert start == weights.size


def test_a_batch_norm_starts_as_nothing():
    weights = initial_weights(parse_spec("batchnorm, dense 1"), (2, 1, 1), 0)
    np.testing.assert_array_equal(weights[:8], [1, 1, 0, 0, 0, 0, 1, 1])


def test_layers_and_seeds_have_weights_of_their_own():
    spec, shape = parse_spec("dense 20, dense 20"), (20, 1, 1)
    first, second = initial_weights(spec, shape, 0).reshape(2, 420)
    other = initial_weights(spec, shape, 1)[:420]
    assert np.abs(np.corrcoef([first, second, other])[np.triu_indices(3, 1)]).max() < 0.2


def test_a_network_without_parameters_has_no_weights():
    assert initial_weights(parse_spec("maxpool 2, globalavgpool"), MNIST, 0).shape == (0,)


@pytest.mark.parametrize("name", ["mlp1", "mlp2", "cnn1", "cnn2"])
def test_there_are_as_many_weights_as_the_spec_counts(name):
    spec = family(name, 3)
    weights = initial_weights(spec, MNIST, 0)
    assert weights.dtype == np.float32 and weights.shape == (spec.parameters(MNIST),)


# --- the order of the images ------------------------------------------------------------------


def test_the_order_never_changes():
    assert epoch_order(8, seed=0, epoch=0).tolist() == [5, 1, 7, 0, 6, 4, 2, 3]
    assert digest(epoch_order(10_000, seed=3, epoch=5)) == "a5f83a6b341b3872"


@given(images=st.integers(0, 400), seed=st.integers(0, 2**64), epoch=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_an_order_is_a_permutation(images, seed, epoch):
    order = epoch_order(images, seed, epoch)
    assert order.dtype == np.uint32
    np.testing.assert_array_equal(np.sort(order), np.arange(images))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    same = [(one == other).sum() for index, one in enumerate(orders) for other in orders[:index]]
    assert max(same) < 10  # about one image in a thousand stays in place by chance
