"""Constraints on weights (`engine.Start`): against steps in NumPy, against the torch engine, and their promises."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from oracle import CNN, LAYERED, MNIST, RATES, correct_rate, patterns, random_examples, random_weights

from smidgen.engine import Examples, Projection, Start, TrainControl, native, torch_engine
from smidgen.engine.losses import loss_and_gradient, prepare
from smidgen.engine.start import is_running_stat
from smidgen.errors import EngineError
from smidgen.records import OPTIMIZERS, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

EVERY_KIND = parse_spec(
    "conv 4x3x3, batchnorm relu, maxpool 2, repeat 2 [depthwise 3x3 same, pointwise 4], prelu, maxpool 3, "
    "dense 9 relu, dense 4"
)
LEVELS = np.array([-0.4, -0.15, -0.02, 0.0, 0.1, 0.35], np.float32)
COSTS = np.array([0.03, 0.02, 0.01, 0.0, 0.01, 0.02], np.float32)


def trained(spec, start, recipe, images=90, seed=4, engine=native, threads=1):
    return engine.train(spec, recipe, patterns(images=images), seed, start=start, control=TrainControl(threads))


def at_random(spec, seed=4, **constraints):
    """A start from the seed's own weights."""
    return Start(initial_weights(spec, MNIST, seed), **constraints)


def some(spec, share, seed=1):
    """A mask, bool [weights]: True for about this share of the trained weights."""
    running_stats = is_running_stat(spec, MNIST)
    return (np.random.default_rng(seed).random(running_stats.size) < share) & ~running_stats


def groups(spec, count, seed=2):
    """Group numbers, int32 [weights]: half of the weights are in `count` groups."""
    numbers = np.random.default_rng(seed).integers(0, count, is_running_stat(spec, MNIST).size)
    return np.where(some(spec, 0.5), numbers, -1).astype(np.int32)


def tied_start(spec, **constraints):
    """A start with half of the weights in 20 groups, whose members begin equal."""
    tied, weights = groups(spec, 20), initial_weights(spec, MNIST, 4)
    for number in range(20):
        weights[tied == number] = weights[tied == number][0]
    return Start(weights, tied=tied, **constraints)


def books(spec, costs=None):
    """A projection of two thirds of the weights onto two codebooks."""
    number = np.where(some(spec, 0.5), 0, 1)
    codebook = np.where(some(spec, 2 / 3, seed=3), number, -1).astype(np.int32)
    levels = (LEVELS, np.linspace(-0.5, 0.5, 16).astype(np.float32))
    return Projection(codebook, levels, None if costs is None else (costs * COSTS, np.zeros(16, np.float32)))


CONSTRAINTS = {
    "weights alone": at_random,
    "fixed": lambda spec: at_random(spec, fixed=some(spec, 0.6)),
    "tied": tied_start,
    "projected": lambda spec: at_random(spec, projection=books(spec)),
    "projected at a cost": lambda spec: at_random(spec, projection=books(spec, costs=3)),
    "tied and fixed": lambda spec: tied_start(spec, fixed=some(spec, 0.2, seed=5)),
    "tied and projected": lambda spec: tied_start(spec, projection=books(spec, costs=1)),
}
SPECS = {"plain": CNN, "every kind": EVERY_KIND}

# --- steps by hand ----------------------------------------------------------------------------

LINEAR, SHAPE = parse_spec("dense 3"), (6, 1, 1)
STEPS = Recipe(optimizer="sgd", learning_rate=0.2, schedule="constant", epochs=6, batch_size=30)


def by_hand(start, steps=6):
    """Six steps of gradient descent with momentum 0.9 on one linear layer, in float64: (weights, losses)."""
    data = random_examples(SHAPE, 3, 30, 7, "floats")
    pixels, latent, velocity = data.images.reshape(30, 6).astype(np.float64), start.weights.astype(np.float64), 0.0
    losses = []
    for _ in range(steps):
        used = projected(start, latent)
        logits = pixels @ used[:18].reshape(3, 6).T + used[18:]
        loss, slope = loss_and_gradient(STEPS, logits, data.labels, prepare(STEPS, None))
        losses.append(loss)
        velocity = 0.9 * velocity + constrained_gradient(
            start, latent, np.concatenate([(slope.T @ pixels).ravel(), slope.sum(0)])
        )
        latent = latent - 0.2 * velocity
    return projected(start, latent), losses


def projected(start, latent):
    if start.projection is None:
        return latent
    used = latent.copy()
    for number, levels in enumerate(start.projection.levels):
        mine = start.projection.codebook == number
        used[mine] = levels[np.abs(latent[mine, None] - levels).argmin(axis=1)]
    return used


def constrained_gradient(start, latent, gradient):
    """Add the slope of the costs, sum over ties, clear the gradient of fixed weights; in this order."""
    gradient = gradient.copy()
    for number, levels in enumerate(start.projection.levels if start.projection else ()):
        if start.projection.costs is not None:
            mine = (start.projection.codebook == number) & (latent > levels[0]) & (latent < levels[-1])
            below = np.searchsorted(levels, latent[mine]) - 1
            slopes = np.diff(start.projection.costs[number]) / np.diff(levels)
            gradient[mine] += slopes[below]
    for number in range(0 if start.tied is None else start.tied.max() + 1):
        gradient[start.tied == number] = gradient[start.tied == number].sum()
    return gradient if start.fixed is None else np.where(start.fixed, 0, gradient)


def linear_start(seed, **constraints):
    return Start(random_weights(LINEAR, SHAPE, seed), **constraints)


CODEBOOK = np.where(np.arange(21) % 3 == 0, -1, 0).astype(np.int32)
TIED = np.where(np.arange(21) % 4 == 0, -1, np.arange(21) % 4 + 5).astype(np.int32)


@pytest.mark.parametrize(
    "start",
    [
        linear_start(1),
        linear_start(2, fixed=np.arange(21) % 2 == 0),
        linear_start(3, tied=TIED),
        linear_start(4, projection=Projection(CODEBOOK, (LEVELS,))),
        linear_start(5, projection=Projection(CODEBOOK, (LEVELS,), (10 * COSTS,))),
        linear_start(6, projection=Projection(CODEBOOK, (np.zeros(1, np.float32),), (np.ones(1, np.float32),))),
        linear_start(7, tied=TIED, fixed=np.arange(21) % 5 == 0, projection=Projection(CODEBOOK, (LEVELS,), (COSTS,))),
    ],
    ids=["nothing", "fixed", "tied", "levels", "costs", "one level", "all"],
)
def test_six_steps_equal_those_in_numpy(start, instruction_set):
    if start.fixed is not None and start.projection is not None:  # fixed weights are not quantized
        start = replace(start, projection=replace(start.projection, codebook=np.where(start.fixed, -1, CODEBOOK)))
    data = random_examples(SHAPE, 3, 30, 7, "floats")
    training = native.train(LINEAR, STEPS, data, seed=0, start=start)
    kept, losses = by_hand(start)
    np.testing.assert_allclose(training.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(training.weights, kept, atol=1e-5)


# --- against the torch engine -----------------------------------------------------------------


@cache
def torchs(net, constraint, recipe):
    """The training by torch, which every instruction set is compared with."""
    return trained(SPECS[net], CONSTRAINTS[constraint](SPECS[net]), recipe, engine=torch_engine)


@pytest.mark.parametrize("optimizer", ["adam", "nesterov", "adadelta"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("net", SPECS)
def test_constrained_trainings_start_as_torchs_do(net, constraint, optimizer, instruction_set):
    """Five steps, each an epoch of one batch."""
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer] / 10, epochs=5, batch_size=90)
    ours, theirs = trained(SPECS[net], CONSTRAINTS[constraint](SPECS[net]), recipe), torchs(net, constraint, recipe)
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    assert np.mean(np.abs(ours.weights - theirs.weights) > 1e-4) < 0.01  # one near a midpoint may go either way


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_a_hundred_constrained_steps_lead_where_torchs_lead(constraint):
    start, recipe = CONSTRAINTS[constraint](CNN), Recipe(learning_rate=0.01, epochs=10, batch_size=64)
    ours, theirs = (trained(CNN, start, recipe, images=600, engine=engine) for engine in (native, torch_engine))
    data = patterns()
    rates = [correct_rate(CNN, training.weights, data) for training in (ours, theirs)]
    assert min(rates) > 0.9 and abs(rates[0] - rates[1]) < 0.02
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=0.1, atol=0.02)


# --- promises ----------------------------------------------------------------------------------

QUICK = Recipe(learning_rate=0.01, epochs=4, batch_size=30)


def test_a_start_from_the_seeds_own_weights_changes_nothing(instruction_set):
    for spec in (CNN, LAYERED, EVERY_KIND):
        plain, started = trained(spec, None, QUICK), trained(spec, at_random(spec), QUICK)
        assert plain.weights.tobytes() == started.weights.tobytes() and plain.losses == started.losses


def test_a_training_continues_from_its_start(instruction_set):
    first = trained(CNN, None, replace(QUICK, epochs=8), images=300)
    again = trained(CNN, Start(first.weights), QUICK, images=300)
    assert again.losses[0] < first.losses[0] / 2


def test_a_start_is_only_read():
    start = tied_start(
        CNN, fixed=some(CNN, 0.2), projection=Projection(np.full(CNN.parameters(MNIST), -1, np.int32), ())
    )
    digest = start.digest
    for array in (start.weights, start.fixed, start.tied, start.projection.codebook):
        array.flags.writeable = False
    trained(CNN, start, QUICK)
    assert start.digest == digest


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("spec", [EVERY_KIND, LAYERED], ids=["every kind", "by layer"])
def test_fixed_weights_stay_and_the_others_move(spec, optimizer, instruction_set):
    start = at_random(spec, fixed=some(spec, 0.6))
    found = trained(spec, start, replace(QUICK, optimizer=optimizer, learning_rate=RATES[optimizer])).weights
    np.testing.assert_array_equal(found[start.fixed], start.weights[start.fixed])
    assert (found[~start.fixed] != start.weights[~start.fixed]).mean() > 0.3


def test_if_all_is_fixed_only_running_statistics_change(instruction_set):
    running_stats = is_running_stat(EVERY_KIND, MNIST)
    start = at_random(EVERY_KIND, fixed=np.ones(running_stats.size, bool))
    found = trained(EVERY_KIND, start, QUICK).weights
    np.testing.assert_array_equal(found[~running_stats], start.weights[~running_stats])
    assert (found[running_stats] != start.weights[running_stats]).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_tied_weights_that_begin_equal_stay_equal(optimizer, instruction_set):
    start = tied_start(EVERY_KIND)
    found = trained(EVERY_KIND, start, replace(QUICK, optimizer=optimizer, learning_rate=RATES[optimizer] / 10)).weights
    for number in range(20):
        assert len(np.unique(found[start.tied == number])) == 1
    assert (found != start.weights).mean() > 0.5


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("spec", [EVERY_KIND, LAYERED], ids=["every kind", "by layer"])
def test_trained_weights_are_at_their_levels(spec, average, instruction_set):
    start = at_random(spec, projection=books(spec))
    training = trained(spec, start, replace(QUICK, average=average))
    for number, levels in enumerate(start.projection.levels):
        found = training.weights[start.projection.codebook == number]
        assert np.isin(found, levels).all() and len(np.unique(found)) > 2
    free = start.projection.codebook < 0
    assert not np.isin(training.weights[free], start.projection.levels[0]).all()
    assert training.losses[-1] < training.losses[0]


def test_costs_push_weights_to_the_cheap_level():
    cheap, dear = (
        trained(CNN, at_random(CNN, projection=books(CNN, costs=costs)), replace(QUICK, epochs=10)).weights
        for costs in (0, 30)
    )
    on_book = books(CNN).codebook == 0
    assert (dear[on_book] == 0).mean() > (cheap[on_book] == 0).mean() + 0.2


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_a_constrained_training_has_the_same_bits_on_any_number_of_threads(constraint, instruction_set):
    start = CONSTRAINTS[constraint](LAYERED)
    one, other = (trained(LAYERED, start, QUICK, threads=threads) for threads in (1, 3))
    assert one.weights.tobytes() == other.weights.tobytes() and one.losses == other.losses


def test_a_constrained_training_that_diverges_returns_its_start(instruction_set):
    start = Start(random_weights(CNN, MNIST, 9), fixed=some(CNN, 0.3))
    recipe = Recipe("logits", optimizer="sgd", learning_rate=1e30, schedule="constant", epochs=5, batch_size=60)
    training = trained(CNN, start, recipe)
    assert training.diverged_at >= 1
    np.testing.assert_array_equal(training.weights, start.weights)


# --- starts that do not fit -------------------------------------------------------------------

COUNT = CNN.parameters(MNIST)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.zeros(3, np.float32)}, "weights"),
        ({"weights": np.zeros(COUNT)}, "weights"),
        ({"weights": np.full(COUNT, np.nan, np.float32)}, "not finite"),
        ({"fixed": np.zeros(COUNT - 1, bool)}, "fixed"),
        ({"tied": np.zeros(COUNT, np.int64)}, "tied"),
        ({"tied": np.full(COUNT, COUNT, np.int32)}, "tied"),
        ({"tied": np.full(COUNT, -2, np.int32)}, "tied"),
        ({"projection": Projection(np.zeros(COUNT + 1, np.int32), (LEVELS,))}, "codebook"),
        ({"projection": Projection(np.ones(COUNT, np.int32), (LEVELS,))}, "codebook"),
        ({"projection": Projection(np.zeros(COUNT, np.int32), (LEVELS[::-1].copy(),))}, "ascend"),
        ({"projection": Projection(np.zeros(COUNT, np.int32), (LEVELS,), (COSTS[:2],))}, "costs"),
        ({"projection": Projection(np.zeros(COUNT, np.int32), (LEVELS,), ())}, "costs"),
    ],
)
def test_a_start_that_does_not_fit_is_named(changes, message):
    start = replace(Start(np.zeros(COUNT, np.float32)), **changes)
    with pytest.raises(EngineError, match=message):
        native.train(CNN, QUICK, patterns(images=20), seed=1, start=start)


def test_one_image_and_one_step_are_enough():
    """A constrained training on a single image takes a single step."""
    data = patterns(images=1)
    start = at_random(CNN, fixed=some(CNN, 0.5))
    training = native.train(CNN, Recipe(epochs=1), Examples(data.images, data.labels), 4, start=start)
    assert training.diverged_at == 0
