"""Augmentation: each image is moved by its own affine map, and the engines agree on where it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import CNN, LAYERED, MNIST, correct_rate, patterns, random_examples, torch

from smidgen.data.augment import transformed
from smidgen.engine import Examples, TrainControl, native, torch_engine
from smidgen.engine.torch_engine.affine import warp
from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps

NORMED = parse_spec("conv 4x3x3, batchnorm relu, maxpool 2, prelu, dense 30, batchnorm relu, dense 4")
MOVED = Augmentation(shift=2.0, rotation=15, scale=0.1, shear=0.1)


def moved(images, maps):
    """A reference: images read where their maps point, bilinear and zero outside, float64 in the shape of `images`."""
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
@pytest.mark.parametrize("shape", [MNIST, (3, 7, 12), (1, 1, 5), (16, 4, 3)])
@pytest.mark.parametrize("name", AUGMENTS)
def test_training_sees_each_image_where_its_map_says(name, shape, pixels, instruction_set):
    """An augmented epoch equals an epoch on images that were moved before."""
    spec, data = parse_spec("dense 6 relu, dense 4"), random_examples(shape, 4, 37, 2, pixels)
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, epochs=1, batch_size=16)
    maps = affine_maps(AUGMENTS[name], 37, shape[1:], seed=3, epoch=0)
    before = Examples(moved(data.images, maps).astype(np.float32), data.labels)
    wanted = native.train(spec, recipe, before, seed=3)
    found = native.train(spec, replace(recipe, augment=AUGMENTS[name]), data, seed=3)
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-5)
    np.testing.assert_allclose(found.weights, wanted.weights, atol=1e-5)


def test_each_epoch_moves_anew(instruction_set):
    """With a learning rate of almost zero, the losses of two epochs differ by the images alone."""
    data, recipe = patterns(images=50), Recipe(epochs=3, learning_rate=1e-12, batch_size=50)
    still = native.train(CNN, recipe, data, seed=1).losses
    moving = native.train(CNN, replace(recipe, augment=MOVED), data, seed=1).losses
    assert np.ptp(still) < 1e-6
    assert min(abs(moving[0] - moving[1]), abs(moving[1] - moving[2])) > 1e-5


@pytest.mark.parametrize("spec", [CNN, NORMED, LAYERED], ids=["by chunk", "normed", "by layer"])
def test_augmented_trainings_start_as_torchs_do(spec, instruction_set):
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


def test_an_augmented_training_learns():
    data = patterns()
    training = native.train(CNN, Recipe(epochs=20, batch_size=32, augment=Augmentation(shift=1)), data, seed=1)
    assert correct_rate(CNN, training.weights, data) > 0.9


# Maps that are not finite, or whose coordinates overflow to inf - inf = NaN.
BAD_MAPS = {
    "nan": np.full((3, 2, 3), np.nan, np.float32),
    "inf": np.full((3, 2, 3), np.inf, np.float32),
    "-inf": np.full((3, 2, 3), -np.inf, np.float32),
    "huge": np.tile(np.array([[3e38, -3e38, 3e38], [-3e38, 3e38, 3e38]], np.float32), (3, 1, 1)),
}


@pytest.mark.parametrize("copy", ["numpy", "torch"])
@pytest.mark.parametrize("name", BAD_MAPS)
def test_coordinates_that_are_not_numbers_read_zero_in_the_other_copies_too(name, copy):
    """The same arithmetic in NumPy (copies of a data set) and in torch; test_refusals.py has the core's."""
    images, maps = np.full((3, 2, 5, 4), 255, np.uint8), BAD_MAPS[name]
    if copy == "numpy":
        found = transformed(images, maps)
    else:
        found = warp(torch.tensor(images).float(), torch.tensor(maps)).numpy()
    assert np.isfinite(found).all() and not found[:, :, 1:, 1:].any()
