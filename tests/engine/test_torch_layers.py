"""Strides, shared kernels, crelu, relu6 and residuals in the torch engine, against plain loops and differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import naive_network
from smidgen.engine import Examples
from smidgen.errors import SpecError
from smidgen.records import Recipe
from smidgen.spec import Dense, NetSpec, parse_spec
from smidgen.streams import initial_weights
from spec_strategies import LAYERS, residuals, shrunk

torch = pytest.importorskip("torch")
from smidgen.engine import torch_engine  # noqa: E402

SHAPE = (3, 9, 8)
EVERY_NEW_LAYER = parse_spec(
    "conv 5x3x4 stride 2x1 same relu6, crelu, depthwise 3x3 shared 3 stride 1x2 same, "
    "residual [conv 10x3x3 same nobias, batchnorm relu, conv 10x1x3 same] relu, maxpool 3x2 stride 1, "
    "residual [pointwise 6 stride 2, prelu | conv 6x2x2 stride 2 same nobias, batchnorm], "
    "repeat 2 [residual [depthwise 1x2 shared 2 same, dropout 0.1]], avgpool 1x2 stride 2x1, dense 4, "
    "residual [dense 4 relu]"
)


def some_weights(spec, shape, seed=1):
    """Random weights of moderate size; variances are above zero."""
    random = np.random.default_rng(seed)
    plans = spec.plan(shape)
    pieces = [np.zeros(0)]
    for plan in plans:
        if plan.running_stats:
            channels = plan.bias_count
            pieces += [random.normal(1, 0.3, channels), random.normal(0, 0.5, (2, channels)).ravel()]
            pieces.append(random.uniform(0.3, 2, channels))
        elif plan.parameters:
            fan = max(1, plan.weight_count // plan.weight_shape[0])
            pieces += [random.normal(0, 1 / np.sqrt(fan), plan.weight_count), random.normal(0, 0.3, plan.bias_count)]
    return np.concatenate(pieces).astype(np.float32)


def predicted(spec, weights, images):
    """The logits of torch in float64."""
    module = torch_engine.module_of(spec, images.shape[1:], weights).double().eval()
    with torch.no_grad():
        return module(torch.tensor(images, dtype=torch.float64)).numpy()


def test_every_new_layer_computes_what_plain_loops_compute():
    images, weights = np.random.default_rng(0).normal(0, 3, (4, *SHAPE)), some_weights(EVERY_NEW_LAYER, SHAPE)
    expected = naive_network.logits(EVERY_NEW_LAYER, weights, images)
    np.testing.assert_allclose(predicted(EVERY_NEW_LAYER, weights, images), expected, rtol=1e-10, atol=1e-12)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data(), st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
def test_random_networks_compute_what_plain_loops_compute(data, shape):
    layers, value = [], shape
    for _ in range(data.draw(st.integers(1, 4))):
        layer = data.draw(residuals(value) | LAYERS.map(shrunk))
        try:
            value = NetSpec((*layers, layer)).output_shape(shape)
        except SpecError:
            assume(False)
        layers.append(layer)
    spec = NetSpec((*layers, Dense(3)))
    assume(spec.macs(shape) < 200_000)
    images, weights = np.random.default_rng(0).normal(0, 2, (2, *shape)), some_weights(spec, shape)
    expected = naive_network.logits(spec, weights, images)
    np.testing.assert_allclose(predicted(spec, weights, images), expected, rtol=1e-8, atol=1e-10)


def test_the_gradient_through_every_new_layer_is_the_difference():
    """Central differences in float64; a step that crosses a corner is left out."""
    spec, images = EVERY_NEW_LAYER, np.random.default_rng(3).normal(0, 2, (3, *SHAPE))
    weights = some_weights(spec, SHAPE).astype(np.float64)
    module = torch_engine.module_of(spec, SHAPE, weights.astype(np.float32)).double().eval()
    towards = torch.tensor(np.random.default_rng(4).normal(size=(3, 4)))
    module.requires_grad_(True)
    (module(torch.tensor(images)) * towards).sum().backward()
    parameters = list(module.parameters())
    picked = np.random.default_rng(5)
    for parameter in parameters:
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for place in picked.choice(flat.numel(), min(1, flat.numel()), replace=False):
            estimates = []
            for step in (1e-5, 1e-6):
                ends = []
                for sign in (1, -1):
                    flat[place] += sign * step
                    with torch.no_grad():
                        ends.append(float((module(torch.tensor(images)) * towards).sum()))
                    flat[place] -= sign * step
                estimates.append((ends[0] - ends[1]) / (2 * step))
            if abs(estimates[0] - estimates[1]) < 1e-4:
                assert float(gradient[place]) == pytest.approx(estimates[1], rel=1e-4, abs=1e-6)


def test_the_gradient_of_relu6_is_zero_from_zero_down_and_from_six_up():
    module = torch_engine.module_of(parse_spec("batchnorm relu6"), (1, 1, 5)).eval().double()
    scale = np.sqrt(1.001)
    values = torch.tensor([-1.0, 0.0, 3.0, 6.0, 7.0], dtype=torch.float64).view(1, 1, 1, 5) * scale
    values.requires_grad_(True)
    outputs = module(values)
    outputs.sum().backward()
    assert outputs.tolist()[0] == pytest.approx([0, 0, 3, 6, 6])
    slopes = (values.grad * scale).flatten().tolist()
    assert slopes[::2] == pytest.approx([0, 1, 0]) and slopes[1] == 0


def test_a_network_of_every_new_layer_trains():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 128).astype(np.int32)
    patterns = random.normal(0, 1, (4, *SHAPE))
    images = (patterns[labels] + random.normal(0, 0.3, (128, *SHAPE))).astype(np.float32)
    trained = torch_engine.train(EVERY_NEW_LAYER, Recipe(epochs=6, batch_size=16), Examples(images, labels), seed=1)
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    correct = torch_engine.predict(EVERY_NEW_LAYER, trained.weights, images).argmax(1) == labels
    assert correct.mean() > 0.9


def test_the_weights_of_a_residual_come_back_in_order():
    weights = some_weights(EVERY_NEW_LAYER, SHAPE)
    module = torch_engine.module_of(EVERY_NEW_LAYER, SHAPE, weights)
    np.testing.assert_array_equal(torch_engine.flat_weights(module), weights)
    assert initial_weights(EVERY_NEW_LAYER, SHAPE, 3).shape == weights.shape
