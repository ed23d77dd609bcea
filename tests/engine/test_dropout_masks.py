"""The dropout masks of the torch engine: their generator, their statistics, and what a training makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import Examples, torch_engine
from smidgen.engine.losses import loss_and_gradient, prepare
from smidgen.engine.torch_engine.dropout_masks import keep_mask, key_of, mix, step_key
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

torch = pytest.importorskip("torch")

CPU = torch.device("cpu")
SHAPE = (2, 8, 8)


def examples():
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, 30).astype(np.int32)
    return Examples(random.integers(0, 256, (30, *SHAPE)).astype(np.uint8), labels)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")


WORD = 2**64


def split_mix(state):
    """The last step of SplitMix64 in Python integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WORD
    return state ^ (state >> 31)


def test_words_are_mixed_as_by_split_mix():
    """The first value of the published stream of seed 0, and other words against Python integers."""
    assert split_mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    words = np.random.PCG64(5).random_raw(1000)
    words[0] = 0x9E3779B97F4A7C15
    found = mix(torch.tensor(words.view(np.int64))).numpy().view(np.uint64)
    assert found.tolist() == [split_mix(word) for word in words.tolist()]


def test_a_mask_drops_its_rate_and_depends_on_key_place_and_step():
    key, other_key = key_of(1, CPU), key_of(2, CPU)
    values = torch.zeros(100, 20, 20)
    first = keep_mask(key, 3, values, 0.25)
    assert first.shape == values.shape and first.float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(first, keep_mask(key, 3, values, 0.25))
    changed = ((key, 4), (other_key, 3), (step_key(key, 7), 3))
    others = [keep_mask(key, place, values, 0.25) for key, place in changed]
    correlations = np.corrcoef(np.array([first.numpy().ravel(), *(other.numpy().ravel() for other in others)]))
    assert np.abs(correlations[np.triu_indices(4, 1)]).max() < 0.02
    assert keep_mask(key, 3, values, 0).all()


def test_neighbours_in_a_mask_are_independent():
    """No rows, no columns: two neighbours are dropped together as often as any two values."""
    mask = keep_mask(key_of(5, CPU), 0, torch.zeros(400, 400), 0.5).numpy() - 0.5
    assert abs(mask.mean()) < 0.01
    for other in (mask[1:, :] * mask[:-1, :], mask[:, 1:] * mask[:, :-1], mask[:, 16:] * mask[:, :-16]):
        assert abs(other.mean()) < 0.25 * 0.02
    assert np.abs(mask.mean(axis=0)).max() < 0.15 and np.abs(mask.mean(axis=1)).max() < 0.15


def test_a_training_uses_the_masks():
    """One step of a linear layer behind a dropout, by hand."""
    spec, data = parse_spec("dropout 0.4, dense 4"), examples()
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, schedule="constant", epochs=1, batch_size=30)
    training = torch_engine.train(spec, recipe, data, seed=2)
    # The order of the images does not matter to the loss, but the masks are by place in the batch.
    order = np.argsort(np.random.PCG64([2, 0, 2]).random_raw(30))
    key = step_key(key_of(2, CPU), 0)
    inputs = data.images[order] / 255 * keep_mask(key, 0, torch.zeros(30, *SHAPE), 0.4).numpy() / 0.6
    inputs = inputs.reshape(30, -1)
    start = initial_weights(spec, SHAPE, 2).astype(np.float64)
    logits = inputs @ start[:512].reshape(4, 128).T + start[512:]
    value, slope = loss_and_gradient(recipe, logits, data.labels[order], prepare(recipe, None))
    assert training.losses[0] == pytest.approx(value, rel=1e-5)
    wanted = start - 0.1 * np.concatenate([(slope.T @ inputs).ravel(), slope.sum(0)])
    np.testing.assert_allclose(training.weights, wanted, atol=1e-6)
