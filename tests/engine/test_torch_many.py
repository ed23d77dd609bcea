"""Many copies of a network at once against one at a time, and the masks of dropouts that both share."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import Examples, Projection, Start, TrainControl, torch_engine
from smidgen.engine.losses import loss_and_gradient, prepare
from smidgen.engine.start import is_running_stat
from smidgen.engine.torch_engine import dropout_masks as masks
from smidgen.errors import EngineError, RequestError
from smidgen.records import LOSSES, OPTIMIZERS, Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

torch = pytest.importorskip("torch")

SHAPE = (2, 8, 8)
SEEDS = (3, 4, 2**40)
PLAIN = parse_spec("conv 3x3x3 relu, maxpool 2, dense 4")
SPECS = {
    "plain": PLAIN,
    "one layer": parse_spec("dense 4"),
    "norms and dropout": parse_spec(
        "conv 4x3x3 same nobias, batchnorm relu, dropout 0.2, dense 6 nobias, batchnorm, dense 4"
    ),
    "every pool": parse_spec("maxpool 2, depthwise 2x3 same leaky_relu(0.1), avgpool 2, pointwise 4, globalavgpool"),
    "repeats": parse_spec(
        "pointwise 3, prelu, repeat 3 [conv 3x3x3 same, prelu], dense 5, prelu, repeat 2 [dense 5 relu], dense 4"
    ),
}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")


def examples(images=120):
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, images).astype(np.int32)
    logits = (4 * np.eye(4)[labels] + random.normal(0, 0.5, (images, 4))).astype(np.float32)
    return Examples(random.integers(0, 256, (images, *SHAPE)).astype(np.uint8), labels, logits)


def assert_each_is_its_own(spec, recipe, starts=None, data=None, weights_within=1e-4):
    """What many give is what each gives alone: losses, weights, and where it diverged."""
    data = examples() if data is None else data
    many = torch_engine.train_many(spec, recipe, data, SEEDS, starts=starts)
    assert len(many) == len(SEEDS)
    for copy, (seed, training) in enumerate(zip(SEEDS, many, strict=True)):
        alone = torch_engine.train(spec, recipe, data, seed, start=starts[copy] if starts else None)
        np.testing.assert_allclose(training.losses, alone.losses, rtol=1e-4)
        np.testing.assert_allclose(training.weights, alone.weights, atol=weights_within)
        assert training.diverged_at == alone.diverged_at
    return many


# --- copies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_copies_are_trained_as_one_is(spec):
    """The last batch is short. By momentum: Adam makes whole steps of a gradient that is zero but for rounding."""
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, epochs=3, batch_size=32)
    many = assert_each_is_its_own(spec, recipe)
    assert np.abs(many[0].weights - many[1].weights).max() > 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_copies_by_every_optimizer(optimizer):
    assert_each_is_its_own(PLAIN, Recipe(optimizer=optimizer, learning_rate=0.01, epochs=2, batch_size=32))


@pytest.mark.parametrize("loss", LOSSES)
def test_copies_from_every_loss(loss):
    recipe = Recipe(loss, 2.0, 0.3, "sgd", 0.02, epochs=2, batch_size=32)
    assert_each_is_its_own(PLAIN, recipe)


def test_copies_that_see_moved_images_and_are_averaged():
    recipe = Recipe(epochs=2, batch_size=32, average=0.9, augment=Augmentation(1, 20, 0.1, 0.1))
    assert_each_is_its_own(PLAIN, recipe)


def test_copies_may_be_held_each_to_something_else():
    count = initial_weights(PLAIN, SHAPE, 0).size
    random = np.random.default_rng(1)
    levels = tuple(np.sort(random.normal(0, 0.2, size)).astype(np.float32) for size in (4, 1, 9))
    codebook = random.integers(-1, 3, count).astype(np.int32)
    holds = [
        {"tied": random.integers(-1, 5, count).astype(np.int32)},
        {"fixed": random.random(count) < 0.5, "projection": Projection(np.full(count, -1, np.int32), levels)},
        {"tied": random.integers(-1, 5, count).astype(np.int32), "projection": Projection(codebook, levels, levels)},
    ]
    starts = [Start(initial_weights(PLAIN, SHAPE, seed), **hold) for seed, hold in enumerate(holds)]
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=32)
    many = assert_each_is_its_own(PLAIN, recipe, starts)
    fixed = holds[1]["fixed"]
    np.testing.assert_array_equal(many[1].weights[fixed], starts[1].weights[fixed])
    assert not set(many[2].weights[codebook < 0]) & set(np.concatenate(levels))


def test_a_copy_that_diverges_leaves_the_others_alone():
    starts = [Start(initial_weights(PLAIN, SHAPE, seed)) for seed in SEEDS]
    starts[1] = Start(np.full_like(starts[1].weights, 1e38))
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=32)
    many = assert_each_is_its_own(PLAIN, recipe, starts)
    assert [training.diverged_at for training in many] == [0, 1, 0]
    np.testing.assert_array_equal(many[1].weights, starts[1].weights)
    assert many[1].losses == () and len(many[2].losses) == 2


def test_the_same_seeds_give_the_same_bits_in_any_company_of_their_size():
    recipe = Recipe(epochs=2, batch_size=32)
    first, again = (torch_engine.train_many(SPECS["norms and dropout"], recipe, examples(), SEEDS) for _ in range(2))
    assert [training.weights.tobytes() for training in first] == [training.weights.tobytes() for training in again]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_gpu_trains_as_a_cpu_does(spec, monkeypatch):
    count = initial_weights(spec, SHAPE, 0).size
    random, trained = np.random.default_rng(1), ~is_running_stat(spec, SHAPE)
    levels = tuple(np.sort(random.normal(0, 0.2, size)).astype(np.float32) for size in (4, 9))
    codebook, tied = (np.where(trained, random.integers(-1, 2, count), -1).astype(np.int32) for _ in range(2))
    starts = [
        Start(initial_weights(spec, SHAPE, 1), random.random(count) < 0.2, tied),
        Start(initial_weights(spec, SHAPE, 2), projection=Projection(codebook, levels, levels)),
    ]
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=32, augment=Augmentation(1, 20), average=0.9
    )
    here = torch_engine.train_many(spec, recipe, examples(), [1, 2], starts=starts)
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cuda")
    there, again = (torch_engine.train_many(spec, recipe, examples(), [1, 2], starts=starts) for _ in range(2))
    for one, other, same in zip(here, there, again, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)
        assert other.weights.tobytes() == same.weights.tobytes()


def test_the_watch_is_told_the_steps():
    seen = []
    torch_engine.train_many(
        PLAIN, Recipe(epochs=6), examples(500), SEEDS, control=TrainControl(progress=lambda *steps: seen.append(steps))
    )
    assert seen == [(20, 24), (24, 24)]


def test_no_seeds_train_nothing_and_each_start_needs_one():
    assert torch_engine.train_many(PLAIN, Recipe(), examples(), []) == []
    start = Start(initial_weights(PLAIN, SHAPE, 0))
    with pytest.raises(EngineError, match="there are 1 starts and 2 seeds; give one start for each seed"):
        torch_engine.train_many(PLAIN, Recipe(), examples(), [1, 2], starts=[start])
    with pytest.raises(
        EngineError, match=r"float32 \[5\]; 'conv 3x3x3 relu, maxpool 2, dense 4' needs float32 \[169\]"
    ):
        torch_engine.train_many(PLAIN, Recipe(), examples(), [1, 2], starts=[start, Start(start.weights[:5])])
    with pytest.raises(RequestError, match="needs a teacher"):
        torch_engine.train_many(PLAIN, Recipe("kl"), Examples(examples().images, examples().labels), [1])


# --- masks ------------------------------------------------------------------------------------

WORD = 2**64


def split_mix(state):
    """The last step of SplitMix64 in whole numbers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WORD
    return state ^ (state >> 31)


def test_words_are_stirred_as_by_split_mix():
    """The published stream of seed 0 begins so; other words against whole numbers."""
    assert split_mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    words = np.random.PCG64(5).random_raw(1000)
    words[0] = 0x9E3779B97F4A7C15
    found = masks.mixed(torch.tensor(words.view(np.int64))).numpy().view(np.uint64)
    assert found.tolist() == [split_mix(word) for word in words.tolist()]


def test_masks_keep_their_share_and_are_of_one_key_place_and_step():
    keys = torch.tensor(masks.keys_of([1, 2]))
    values = torch.zeros(100, 20, 20)
    first = masks.kept(keys[0], 3, values, 0.25)
    assert first.shape == values.shape and first.float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(first, masks.kept(keys[0], 3, values, 0.25))
    later = masks.step_keys(keys, 7)
    others = [masks.kept(key, place, values, 0.25) for key, place in ((keys[0], 4), (keys[1], 3), (later[0], 3))]
    correlations = np.corrcoef(np.array([first.numpy().ravel(), *(other.numpy().ravel() for other in others)]))
    assert np.abs(correlations[np.triu_indices(4, 1)]).max() < 0.02
    assert masks.kept(keys[0], 3, values, 0).all()


def test_masks_have_no_rows_and_no_columns():
    """Neighbours are as likely to fall together as any two."""
    mask = masks.kept(torch.tensor(masks.keys_of([5]))[0], 0, torch.zeros(400, 400), 0.5).numpy() - 0.5
    assert abs(mask.mean()) < 0.01
    for other in (mask[1:, :] * mask[:-1, :], mask[:, 1:] * mask[:, :-1], mask[:, 16:] * mask[:, :-16]):
        assert abs(other.mean()) < 0.25 * 0.02
    assert np.abs(mask.mean(axis=0)).max() < 0.15 and np.abs(mask.mean(axis=1)).max() < 0.15


def test_a_training_drops_what_the_mask_says():
    """One step of a linear layer behind a dropout, by hand."""
    spec, data = parse_spec("dropout 0.4, dense 4"), examples(30)
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, schedule="constant", epochs=1, batch_size=30)
    training = torch_engine.train(spec, recipe, data, seed=2)
    # The order of the images does not matter to the loss, but the masks are by place in the batch.
    order = np.argsort(np.random.PCG64([2, 0, 2]).random_raw(30))
    key = masks.step_keys(torch.tensor(masks.keys_of([2])), 0)[0]
    inputs = data.images[order] / 255 * masks.kept(key, 0, torch.zeros(30, *SHAPE), 0.4).numpy() / 0.6
    inputs = inputs.reshape(30, -1)
    start = initial_weights(spec, SHAPE, 2).astype(np.float64)
    logits = inputs @ start[:512].reshape(4, 128).T + start[512:]
    value, slope = loss_and_gradient(recipe, logits, data.labels[order], prepare(recipe, None))
    assert training.losses[0] == pytest.approx(value, rel=1e-5)
    wanted = start - 0.1 * np.concatenate([(slope.T @ inputs).ravel(), slope.sum(0)])
    np.testing.assert_allclose(training.weights, wanted, atol=1e-6)
