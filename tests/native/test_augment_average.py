"""Images that are moved, weights that are averaged, and who looks on after each epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import CNN, LAYERED, MNIST, RATES, correct_rate, patterns, random_examples

from smidgen.engine import Examples, TrainControl, native, torch_engine
from smidgen.records import OPTIMIZERS, Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps, initial_weights

NORMED = parse_spec("conv 4x3x3, batchnorm relu, maxpool 2, prelu, dense 30, batchnorm relu, dense 4")
MOVED = Augmentation(shift=2.0, rotation=15, scale=0.1, shear=0.1)

# --- augmentation -----------------------------------------------------------------------------


def moved(images, maps):
    """Each image read where its map says, linear between four pixels and zero outside: float64, like `images`."""
    _, _, height, width = images.shape
    values = images / 255 if images.dtype == np.uint8 else images
    padded = np.pad(values.astype(np.float64), ((0, 0), (0, 0), (1, 2), (1, 2)))
    y, x = np.mgrid[:height, :width]
    out = np.zeros(images.shape)
    for number, one in enumerate(maps.astype(np.float64)):
        fy = np.clip(one[0, 0] * y + one[0, 1] * x + one[0, 2] + 1, 0, height + 1)
        fx = np.clip(one[1, 0] * y + one[1, 1] * x + one[1, 2] + 1, 0, width + 1)
        top, left = fy.astype(int), fx.astype(int)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.abs(1 - dy - (fy - top)) * np.abs(1 - dx - (fx - left))
            out[number] += share * padded[number][:, top + dy, left + dx]
    return out


AUGMENTS = {
    "shift": Augmentation(shift=2.5),
    "rotation": Augmentation(rotation=40),
    "scale": Augmentation(scale=0.3),
    "shear": Augmentation(shear=0.4),
    "all": MOVED,
    "far": Augmentation(shift=40, rotation=180, scale=0.9, shear=0.9),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("shape", [MNIST, (3, 7, 12), (1, 1, 5)])
@pytest.mark.parametrize("name", AUGMENTS)
def test_training_sees_each_image_where_its_map_says(name, shape, pixels, instruction_set):
    """An epoch on moved images is an epoch on images that were moved before."""
    spec, data = parse_spec("dense 6 relu, dense 4"), random_examples(shape, 4, 37, 2, pixels)
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, epochs=1, batch_size=16)
    maps = affine_maps(AUGMENTS[name], 37, shape[1:], seed=3, epoch=0)
    before = Examples(moved(data.images, maps).astype(np.float32), data.labels)
    wanted = native.train(spec, recipe, before, seed=3)
    found = native.train(spec, replace(recipe, augment=AUGMENTS[name]), data, seed=3)
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-5)
    np.testing.assert_allclose(found.weights, wanted.weights, atol=1e-5)


def test_each_epoch_moves_anew(instruction_set):
    """At a rate of next to nothing the losses of two epochs differ by the images alone."""
    data, recipe = patterns(images=50), Recipe(epochs=3, learning_rate=1e-12, batch_size=50)
    still = native.train(CNN, recipe, data, seed=1).losses
    moving = native.train(CNN, replace(recipe, augment=MOVED), data, seed=1).losses
    assert np.ptp(still) < 1e-6
    assert min(abs(moving[0] - moving[1]), abs(moving[1] - moving[2])) > 1e-5


@pytest.mark.parametrize("spec", [CNN, NORMED, LAYERED], ids=["by chunk", "normed", "by layer"])
def test_moved_trainings_start_as_torchs_do(spec, instruction_set):
    spec = parse_spec(str(spec).replace("dropout 0.2, ", "").replace("dropout 0.5, ", ""))
    data, recipe = patterns(images=90), Recipe(learning_rate=0.001, epochs=5, batch_size=90, augment=MOVED)
    ours, theirs = (engine.train(spec, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)


@pytest.mark.parametrize("spec", [NORMED, LAYERED], ids=["normed", "by layer"])
def test_threads_and_a_second_time_do_not_change_a_bit(spec, instruction_set):
    recipe = Recipe(epochs=2, batch_size=50, augment=MOVED, average=0.9)
    one, again, other = (
        native.train(spec, recipe, patterns(images=170), 5, control=TrainControl(threads=threads))
        for threads in (1, 1, 3)
    )
    assert one.weights.tobytes() == again.weights.tobytes() == other.weights.tobytes()
    assert one.losses == again.losses == other.losses


def test_it_learns_from_moved_images():
    data = patterns()
    training = native.train(CNN, Recipe(epochs=20, batch_size=32, augment=Augmentation(shift=1)), data, seed=1)
    assert correct_rate(CNN, training.weights, data) > 0.9


# --- the average ------------------------------------------------------------------------------


def every_step(spec, recipe, data, seed):
    """The weights after each step: float32 [steps, weights]. Batches are of all images, so a step is an epoch."""
    seen = []
    native.train(
        spec, recipe, data, seed, control=TrainControl(after_epoch=lambda _, weights: seen.append(weights.copy()))
    )
    return np.array(seen)


@pytest.mark.parametrize("average", [0.2, 0.9, 0.999])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_average_is_that_of_the_steps(optimizer, average, instruction_set):
    data = patterns(images=40)
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer], epochs=25, batch_size=40)
    wanted = initial_weights(CNN, MNIST, 2).astype(np.float64)
    for step, weights in enumerate(every_step(CNN, recipe, data, 2), 1):
        decay = min(average, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * weights
    found = native.train(CNN, replace(recipe, average=average), data, 2)
    assert found.losses == native.train(CNN, recipe, data, 2).losses  # it takes no part in the training
    np.testing.assert_allclose(found.weights, wanted, atol=1e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("spec", [CNN, NORMED], ids=["plain", "normed"])
def test_the_average_is_torchs(spec, instruction_set):
    # Not Adam: what a batch norm follows has a bias whose gradient is zero but for rounding, and Adam divides by it.
    data = patterns(images=90)
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=6, batch_size=30, average=0.95)
    ours, theirs = (engine.train(spec, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-4)


def test_an_average_is_kept_where_the_last_weights_are_noise():
    """At a constant high rate the average of many steps is the better network."""
    data = patterns()
    recipe = Recipe(schedule="constant", learning_rate=0.02, epochs=10, batch_size=8)
    last, mean = (native.train(CNN, replace(recipe, average=average), data, seed=1).weights for average in (0.0, 0.99))
    assert correct_rate(CNN, mean, data) >= correct_rate(CNN, last, data)


# --- after each epoch -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [native, torch_engine], ids=["native", "torch"])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_after_each_epoch_is_shown_what_would_be_kept(average, engine):
    seen = []
    recipe = Recipe(epochs=4, batch_size=30, average=average)
    training = engine.train(
        CNN, recipe, patterns(images=90), 1, control=TrainControl(after_epoch=lambda *what: seen.append(what))
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    np.testing.assert_array_equal(seen[-1][1], training.weights)
    constant = replace(recipe, schedule="constant")
    one, two = (
        engine.train(CNN, replace(constant, epochs=epochs), patterns(images=90), 1).weights for epochs in (1, 2)
    )
    seen.clear()
    engine.train(
        CNN,
        constant,
        patterns(images=90),
        1,
        control=TrainControl(after_epoch=lambda *what: seen.append((what[0], what[1].copy()))),
    )
    np.testing.assert_array_equal(seen[0][1], one)
    np.testing.assert_array_equal(seen[1][1], two)


@pytest.mark.parametrize("engine", [native, torch_engine], ids=["native", "torch"])
@pytest.mark.parametrize("spec", [CNN, NORMED, LAYERED], ids=["by chunk", "normed", "by layer"])
def test_true_ends_the_training_and_looking_changes_nothing(spec, engine):
    data, recipe = patterns(images=90), Recipe(epochs=5, batch_size=30, learning_rate=0.005)
    whole = engine.train(spec, recipe, data, 1)
    watched = engine.train(spec, recipe, data, 1, control=TrainControl(after_epoch=lambda epoch, weights: False))
    assert watched.weights.tobytes() == whole.weights.tobytes() and watched.losses == whole.losses
    seen = []

    def stop(epoch, weights):
        seen.append(weights.copy())
        return epoch == 2

    ended = engine.train(spec, recipe, data, 1, control=TrainControl(after_epoch=stop))
    assert len(seen) == 3 and ended.losses == whole.losses[:3] and ended.diverged_at == 0
    np.testing.assert_array_equal(ended.weights, seen[-1])


def test_what_is_shown_is_not_the_trainings_own():
    def spoil(epoch, weights):
        weights[:] = 0
        return False

    data, recipe = patterns(images=90), Recipe(epochs=3, batch_size=30)
    spoilt, whole = (
        native.train(CNN, recipe, data, 1, control=TrainControl(after_epoch=spoil)),
        native.train(CNN, recipe, data, 1),
    )
    assert spoilt.losses == whole.losses and spoilt.weights.tobytes() == whole.weights.tobytes()


def test_an_epoch_that_diverges_is_not_shown():
    seen = []
    recipe = Recipe("logits", optimizer="sgd", learning_rate=1e30, schedule="constant", epochs=5, batch_size=20)
    training = native.train(
        CNN, recipe, patterns(images=60), 1, control=TrainControl(after_epoch=lambda *what: seen.append(what))
    )
    assert training.diverged_at == 1 and seen == []
