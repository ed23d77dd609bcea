"""Heads trained on the outputs of frozen layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawings import SHAPE, drawings
from smidgen.engine import Start, torch_engine
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.studies.border import without_constant
from smidgen.studies.datasets import feature_digest, features_of
from smidgen.studies.trainings import Bench, Job
from smidgen.trials.evaluate import TrainingContext

LAYERS = parse_spec("conv 3x3x3 relu, maxpool 2, conv 4x4x2 leaky_relu(0.1)")


def test_a_head_on_features_learns_as_the_whole_with_its_layers_fixed(bench: Bench) -> None:
    """Same order of images, same first weights: the two trainings differ by rounding alone."""
    context = TrainingContext(drawings("mnist"), "torch")
    whole = parse_spec(f"{LAYERS}, dense 5 relu, dense 10")
    weights = np.random.default_rng(2).normal(0, 0.2, whole.parameters(SHAPE)).astype(np.float32)
    below = LAYERS.parameters(SHAPE)
    fixed = np.arange(len(weights)) < below
    recipe = Recipe(epochs=3, learning_rate=0.01, batch_size=32)
    held = Job(whole, recipe, 1, start=lambda seed: Start(weights, fixed))
    features = features_of(context, LAYERS, weights, "a trial")
    assert features.digest == feature_digest(context.dataset, LAYERS, "a trial") != context.dataset.digest
    for name, split in features.splits.items():
        shape, dtype = split.shape, split.dtype
        assert "images" not in vars(split), f"{name}: known before it is computed"
        assert (split.images.shape, split.images.dtype) == (shape, dtype)
    head = Job(parse_spec("dense 5 relu, dense 10"), recipe, 1, start=lambda seed: Start(weights[below:]))
    first = bench.train(context, {"held": held})["held"].outcomes[0]
    second = bench.train(replace(context, dataset=features), {"head": head})["head"].outcomes[0]
    np.testing.assert_allclose(first.weights[below:], second.weights, atol=2e-4)
    assert np.abs(second.weights - weights[below:]).max() > 0.01, "it has learned"


def test_constant_features_move_into_the_biases() -> None:
    head = parse_spec("dropout 0.2, dense 3 relu, dense 2")
    generator = np.random.default_rng(3)
    features = generator.normal(size=(20, 6, 1, 1)).astype(np.float32)
    features[:, [1, 4]] = np.array([0.5, 0.0], np.float32).reshape(2, 1, 1)
    constant = np.isin(np.arange(6), (1, 4))
    weights = generator.normal(size=head.parameters((6, 1, 1))).astype(np.float32)
    pruned = without_constant(head, weights, constant, features[0].reshape(-1))
    assert (pruned[:18].reshape(3, 6)[:, constant] == 0).all()
    assert (weights[:18].reshape(3, 6)[:, constant] != 0).all(), "the original is as it was"
    before, after = (torch_engine.predict(head, w, features) for w in (weights, pruned))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
