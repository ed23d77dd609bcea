"""Starts, weight constraints, averages and augmentation of the torch engine, against NumPy loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.engine import Examples, Projection, Start, TrainControl, check_start, torch_engine
from smidgen.engine.losses import loss_and_gradient, prepare
from smidgen.engine.start import is_running_stat
from smidgen.engine.torch_engine.constraints import weight_constraints
from smidgen.errors import EngineError
from smidgen.records import OPTIMIZERS, Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps, epoch_order, initial_weights

torch = pytest.importorskip("torch")

SHAPE = (1, 4, 4)
LINEAR = parse_spec("dense 3")
WEIGHTS = 51
NORMED = parse_spec(
    "conv 2x3x3 same, batchnorm relu, prelu, dropout 0.1, repeat 2 [pointwise 2 relu, batchnorm], dense 3"
)
LEVELS = tuple(np.array(levels, np.float32) for levels in ([-0.5, -0.25, 0, 0.25, 0.5], [-0.125, 0.375], [0.0]))
COSTS = tuple(np.array(costs, np.float32) for costs in ([0.3, 0.2, 0, 0.2, 0.4], [0.0, 0.5], [1.0]))


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")


def examples(images=50, shape=SHAPE):
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, images).astype(np.int32)
    return Examples(random.integers(0, 256, (images, *shape)).astype(np.uint8), labels)


def start_of(spec=LINEAR, seed=0, **constraints):
    return Start(initial_weights(spec, SHAPE, seed), **constraints)


# --- a training by hand -----------------------------------------------------------------------


def nearest(weights, projection):
    """Each weight's nearest level, the lower of two at equal distance, by a loop."""
    if projection is None:
        return weights
    levels = [
        projection.levels[book] if book >= 0 else [w] for w, book in zip(weights, projection.codebook, strict=True)
    ]
    return np.array(
        [min(own, key=lambda level, w=w: (abs(w - level), level)) for w, own in zip(weights, levels, strict=True)]
    )


def cost_slope(weight, levels, costs):
    for i in range(len(levels) - 1):
        if levels[i] <= weight < levels[i + 1]:
            return (costs[i + 1] - costs[i]) / (levels[i + 1] - levels[i])
    return 0.0


def constrained_gradient(weights, gradient, start):
    """The gradient that the optimizer gets: costs added, then tied weights summed, then fixed ones zeroed."""
    projection = start.projection
    if projection is not None and projection.costs is not None:
        for place, book in enumerate(projection.codebook):
            if book >= 0:
                gradient[place] += cost_slope(weights[place], projection.levels[book], projection.costs[book])
    if start.tied is not None:
        sums = {group: gradient[start.tied == group].sum() for group in set(start.tied.tolist()) - {-1}}
        gradient = np.array([sums.get(group, own) for group, own in zip(start.tied.tolist(), gradient, strict=True)])
    return gradient if start.fixed is None else np.where(start.fixed, 0, gradient)


def by_hand(recipe, data, seed, start):
    """One linear layer trained with momentum: the losses, and the weights to keep after each epoch."""
    weights, average = start.weights.astype(np.float64), start.weights.astype(np.float64)
    velocity, step, losses, kept = np.zeros(WEIGHTS), 0, [], []
    rates = recipe.learning_rates(len(data.labels))
    for epoch in range(recipe.epochs):
        order, total = epoch_order(len(data.labels), seed, epoch), 0.0
        for chosen in np.split(order, range(recipe.batch_size, len(order), recipe.batch_size)):
            used, inputs = nearest(weights, start.projection), data.images[chosen].reshape(len(chosen), -1) / 255
            logits = inputs @ used[:48].reshape(3, 16).T + used[48:]
            value, slope = loss_and_gradient(recipe, logits, data.labels[chosen], prepare(recipe, None))
            gradient = np.concatenate([(slope.T @ inputs).ravel(), slope.sum(0)])
            velocity = 0.9 * velocity + constrained_gradient(weights, gradient, start)
            weights = weights - rates[step] * velocity
            step, total = step + 1, total + value * len(chosen)
            decay = min(recipe.average, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * weights
        losses.append(total / len(order))
        kept.append(nearest(average if recipe.average else weights, start.projection))
    return losses, kept


RANDOM = np.random.default_rng(8)
FIXED = RANDOM.random(WEIGHTS) < 0.3
TIED = RANDOM.integers(-1, 6, WEIGHTS).astype(np.int32)
CODEBOOK = np.where(FIXED, -1, RANDOM.integers(-1, 3, WEIGHTS)).astype(np.int32)
STARTS = {
    "nothing": {},
    "fixed": {"fixed": FIXED},
    "tied": {"tied": TIED},
    "levels": {"projection": Projection(CODEBOOK, LEVELS)},
    "costs": {"projection": Projection(CODEBOOK, LEVELS, COSTS)},
    "all": {"fixed": FIXED, "tied": TIED, "projection": Projection(CODEBOOK, LEVELS, COSTS)},
}


@pytest.mark.parametrize("average", [0.0, 0.8])
@pytest.mark.parametrize("constraints", STARTS.values(), ids=STARTS)
def test_a_training_from_a_start_by_hand(constraints, average):
    recipe = Recipe(optimizer="sgd", learning_rate=0.3, epochs=3, batch_size=16, average=average)
    start, seen = start_of(seed=9, **constraints), []

    def after_epoch(epoch, weights):
        seen.append((epoch, weights))
        return False

    training = torch_engine.train(
        LINEAR, recipe, examples(), 5, start=start, control=TrainControl(after_epoch=after_epoch)
    )
    losses, kept = by_hand(recipe, examples(), 5, start)
    np.testing.assert_allclose(training.losses, losses, rtol=1e-5)
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    np.testing.assert_allclose([weights for _, weights in seen], kept, atol=1e-6)
    np.testing.assert_array_equal(training.weights, seen[-1][1])
    assert np.abs(training.weights - start.weights).max() > 0.01


def test_without_a_start_training_begins_at_the_seeds_weights():
    recipe = Recipe(epochs=2, batch_size=16)
    fresh = torch_engine.train(NORMED, recipe, examples(), 5)
    given = torch_engine.train(NORMED, recipe, examples(), 5, start=start_of(NORMED, seed=5))
    assert fresh.weights.tobytes() == given.weights.tobytes() and fresh.losses == given.losses
    other = torch_engine.train(NORMED, recipe, examples(), 5, start=start_of(NORMED, seed=6))
    assert fresh.losses != other.losses


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fixed_weights_keep_every_bit(optimizer, average):
    """Zeros of either sign too. Running statistics follow the data even if they are marked as fixed."""
    weights = initial_weights(NORMED, SHAPE, 1)
    weights[:4], weights[4:8] = 0, -0.0
    fixed = np.random.default_rng(2).random(weights.size) < 0.5
    fixed[:8] = True
    fixed[20:28] = True  # all of the first batch norm: two scales, two shifts, and four moments
    recipe = Recipe(optimizer=optimizer, learning_rate=0.05, epochs=2, batch_size=5, average=average)
    ended = torch_engine.train(NORMED, recipe, examples(), 1, start=Start(weights, fixed)).weights
    held = fixed & ~is_running_stat(NORMED, SHAPE)
    assert ended[held].tobytes() == weights[held].tobytes()
    assert (ended[24:28] != weights[24:28]).all()
    assert (ended[~held] != weights[~held]).mean() > 0.8


def test_tied_weights_that_begin_equal_stay_equal():
    weights = initial_weights(NORMED, SHAPE, 1)
    tied = np.full(weights.size, -1, np.int32)
    tied[:18] = np.arange(18) % 4 + 7
    weights[:18] = weights[tied[:18]]
    ended = torch_engine.train(NORMED, Recipe(epochs=3, batch_size=16), examples(), 1, start=Start(weights, tied=tied))
    assert len(np.unique(ended.weights[:18])) == 4
    assert (ended.weights[:4] != weights[:4]).all()


# --- levels -----------------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=20, unique=True), min_size=1, max_size=4),
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30),
    st.integers(0, 2**32),
)
def test_levels_are_found_as_in_a_sorted_list(books, weights, seed):
    """The first level whose midpoint to the next is not below the weight; midpoints themselves among the weights."""
    levels = tuple(np.sort(np.array(book, np.float32)) for book in books)
    midpoints = [np.float32(0.5) * (own[1:] + own[:-1]) for own in levels]
    weights = np.concatenate([np.array(weights, np.float32), *midpoints, *levels])
    codebook = np.random.default_rng(seed).integers(-1, len(books), weights.size).astype(np.int32)
    wanted = [
        w if book < 0 else levels[book][np.searchsorted(midpoints[book], w, side="left")]
        for w, book in zip(weights, codebook, strict=True)
    ]
    spec = parse_spec(f"dense {weights.size} nobias")
    constraints = constraints_of(Start(weights, projection=Projection(codebook, levels)), spec)
    found = constraints.forward_weights(torch.tensor(weights)).numpy()
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


def constraints_of(start, spec):
    check_start(spec, (1, 1, 1), start)
    return weight_constraints(start, is_running_stat(spec, (1, 1, 1)), torch.device("cpu"))


def test_costs_have_slopes_between_levels_and_none_outside():
    weights = np.array([-0.6, -0.5, -0.3, -0.25, 0, 0.1, 0.49, 0.5, 0.7], np.float32)
    constraints = constraints_of(
        Start(weights, projection=Projection(np.zeros(9, np.int32), LEVELS, COSTS)), parse_spec("dense 9 nobias")
    )
    gradient = torch.zeros(9)
    constraints.constrain_gradient(torch.tensor(weights), gradient)
    np.testing.assert_allclose(gradient, [0, -0.4, -0.4, -0.8, 0.8, 0.8, 0.8, 0, 0], atol=1e-6)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_final_weights_are_levels(average):
    count = initial_weights(NORMED, SHAPE, 1).size
    codebook = np.full(count, -1, np.int32)
    codebook[:18], codebook[-50:] = 0, 1
    recipe = Recipe(epochs=3, batch_size=16, average=average)
    start = start_of(NORMED, 1, projection=Projection(codebook, LEVELS[:2]))
    ended = torch_engine.train(NORMED, recipe, examples(), 1, start=start).weights
    assert set(ended[:18].tolist()) <= set(LEVELS[0].tolist()) and len(set(ended[:18].tolist())) > 1
    assert set(ended[-50:].tolist()) == set(LEVELS[1].tolist())
    assert not set(ended[18:-50].tolist()) & {-0.5, -0.25, -0.125, 0.375}


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("constraint", ["fixed and tied", "levels"])
@pytest.mark.parametrize(
    "spec",
    [NORMED, parse_spec("conv 2x3x3 relu, maxpool 2, dense 3"), parse_spec("depthwise 2x3 same, avgpool 2, dense 3")],
    ids=str,
)
def test_a_gpu_trains_as_a_cpu_does(spec, constraint, monkeypatch):
    count = initial_weights(spec, SHAPE, 0).size
    random, trained = np.random.default_rng(1), ~is_running_stat(spec, SHAPE)
    codebook, tied = (np.where(trained, random.integers(-1, 2, count), -1).astype(np.int32) for _ in range(2))
    start = {
        "fixed and tied": start_of(spec, 1, fixed=random.random(count) < 0.2, tied=tied),
        "levels": start_of(spec, 2, projection=Projection(codebook, LEVELS, COSTS)),
    }[constraint]
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=32, augment=Augmentation(1, 20), average=0.9
    )
    here = torch_engine.train(spec, recipe, examples(), 1, start=start)
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cuda")
    there, again = (torch_engine.train(spec, recipe, examples(), 1, start=start) for _ in range(2))
    np.testing.assert_allclose(here.losses, there.losses, rtol=1e-3)
    assert there.weights.tobytes() == again.weights.tobytes()


# --- the end of a training --------------------------------------------------------------------


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_after_epoch_can_end_a_training_with_the_weights_that_it_saw(average):
    recipe, seen = Recipe(epochs=9, batch_size=16, average=average), []

    def after_epoch(epoch, weights):
        seen.append(weights)
        return epoch == 2

    training = torch_engine.train(NORMED, recipe, examples(), 1, control=TrainControl(after_epoch=after_epoch))
    assert len(seen) == len(training.losses) == 3 and training.diverged_at == 0
    np.testing.assert_array_equal(training.weights, seen[2])
    assert (seen[1] != seen[2]).any()  # and what was seen does not change afterwards


def test_a_training_that_diverges_returns_its_first_weights():
    start = start_of(NORMED, 3)
    images = examples().images.astype(np.float32)
    images[7] = np.inf
    training = torch_engine.train(NORMED, Recipe(), Examples(images, examples().labels), 1, start=start)
    assert training.diverged_at == 1 and training.losses == ()
    np.testing.assert_array_equal(training.weights, start.weights)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_last_step_that_overshoots_is_seen(average):
    """One step of an infinite size: its loss was fine, and no other follows."""
    recipe = Recipe(optimizer="sgd", learning_rate=3e38, schedule="constant", epochs=1, batch_size=50, average=average)
    data = Examples(np.full((50, *SHAPE), 1e3, np.float32), examples().labels)
    training = torch_engine.train(LINEAR, recipe, data, 1)
    assert training.diverged_at == 1 and training.losses == ()
    np.testing.assert_array_equal(training.weights, initial_weights(LINEAR, SHAPE, 1))


def test_a_start_of_another_network_is_refused():
    with pytest.raises(EngineError, match=r"the start's weights is float32 \[51\]; 'dense 4' needs float32 \[68\]"):
        torch_engine.train(parse_spec("dense 4"), Recipe(), examples(), 1, start=start_of())


# --- averages ---------------------------------------------------------------------------------


def test_the_average_is_that_of_the_steps():
    """An epoch of one step shows the weights of every step, and an average does not change the training."""
    plain = Recipe(epochs=12, batch_size=50)
    averaged = Recipe(epochs=12, batch_size=50, average=0.5)  # 2/11, 3/12, ... reach a half at step 8
    steps, averages = [], []
    first = torch_engine.train(
        NORMED, plain, examples(), 1, control=TrainControl(after_epoch=lambda _, w: bool(steps.append(w)))
    )
    other = torch_engine.train(
        NORMED, averaged, examples(), 1, control=TrainControl(after_epoch=lambda _, w: bool(averages.append(w)))
    )
    assert first.losses == other.losses
    average = initial_weights(NORMED, SHAPE, 1).astype(np.float64)
    for t, (weights, found) in enumerate(zip(steps, averages, strict=True), 1):
        decay = min(0.5, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * weights
        np.testing.assert_allclose(found, average, atol=1e-6)
    assert np.abs(steps[-1] - averages[-1]).max() > 1e-4


# --- augmentation -----------------------------------------------------------------------------


def resampled(image, matrix):
    """Image [channels, height, width] in float64, each pixel read where the matrix says, by loops."""
    channels, height, width = image.shape
    result = np.zeros((channels, height, width))
    for y, x in np.ndindex(height, width):
        at_y, at_x = matrix.astype(np.float64) @ (y, x, 1)
        top, left = int(np.floor(at_y)), int(np.floor(at_x))
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if 0 <= row < height and 0 <= column < width:
                share = (1 - abs(at_y - row)) * (1 - abs(at_x - column))
                result[:, y, x] += share * image[:, row, column]
    return result


def warped(images, *matrices):
    maps = torch.tensor(np.array(matrices, np.float32))
    return torch_engine.warp(torch.tensor(np.asarray(images, np.float32)), maps).numpy()


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 5, 9), (2, 1, 4), (1, 1, 1)])
def test_images_are_read_between_four_pixels(shape):
    random = np.random.default_rng(4)
    images = random.random((20, *shape)).astype(np.float32)
    maps = affine_maps(Augmentation(2, 90, 0.5, 0.5), 20, shape[1:], 1, 2)
    wanted = [resampled(image, matrix) for image, matrix in zip(images, maps, strict=True)]
    np.testing.assert_allclose(warped(images, *maps), wanted, atol=1e-5)


def test_maps_to_whole_pixels_are_exact():
    image = np.random.default_rng(4).random((2, 6, 6)).astype(np.float32)
    down = np.concatenate([np.zeros((2, 2, 6), np.float32), image[:, :4]], axis=1)
    right = np.concatenate([np.zeros((2, 6, 1), np.float32), image[:, :, :5]], axis=2)
    found = warped(
        [image] * 5,
        [[1, 0, 0], [0, 1, 0]],
        [[1, 0, -2], [0, 1, 0]],
        [[1, 0, 0], [0, 1, -1]],
        [[0, 1, 0], [-1, 0, 5]],
        [[1, 0, 1e6], [0, 1, 0]],
    )
    np.testing.assert_array_equal(found, [image, down, right, np.rot90(image, axes=(1, 2)), 0 * image])


def test_a_training_warps_each_image_by_its_own_map():
    """Two epochs of batches of 16 of 50, by hand, from images that NumPy warped."""
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.3, epochs=2, batch_size=16, augment=Augmentation(1.5, 30, 0.2, 0.2)
    )
    data = examples()
    training = torch_engine.train(LINEAR, recipe, data, 5)
    start = start_of(seed=5)
    losses, kept = by_hand(recipe, Moving(data, recipe, seed=5), 5, start)
    np.testing.assert_allclose(training.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(training.weights, kept[-1], atol=1e-5)


class Moving:
    """Examples whose images are other ones in each epoch: `images` is read once for each batch of four."""

    def __init__(self, data, recipe, seed):
        self.labels, self.reads = data.labels, 0
        self.epochs = [
            np.stack([255 * resampled(image / 255, matrix) for image, matrix in zip(data.images, maps, strict=True)])
            for maps in (affine_maps(recipe.augment, len(data.labels), SHAPE[1:], seed, epoch) for epoch in range(2))
        ]

    @property
    def images(self):
        self.reads += 1
        return self.epochs[(self.reads - 1) // 4]
