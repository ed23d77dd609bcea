"""The random streams of trainings: pinned values, and the distributions that they promise."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import DataError
from smidgen.records import Augmentation
from smidgen.spec import parse_spec
from smidgen.spec.families import family
from smidgen.streams import (
    INDEX_BITS,
    MAX_IMAGES,
    affine_maps,
    dropout_key,
    epoch_order,
    initial_weights,
    split_words,
)

MNIST = (1, 28, 28)


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


# --- the first weights ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seed", "pinned"),
    [
        ("dense 10", 0, "1b8534758fdd8bec"),
        ("dense 10", 1, "b160226334318889"),
        ("conv 2x3x3 relu, maxpool 2, depthwise 3x3, pointwise 4, globalavgpool, dense 10", 7, "55cadc00f144d0aa"),
        ("conv 2x3x3, batchnorm relu, dense 10", 7, "2b7b43d2a108117e"),
        ("conv 2x3x3, prelu, repeat 3 [conv 2x3x3 same, batchnorm, prelu], dense 10", 7, "ce947056e4471763"),
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


def test_a_batch_norm_starts_as_the_identity():
    weights = initial_weights(parse_spec("batchnorm, dense 1"), (2, 1, 1), 0)
    np.testing.assert_array_equal(weights[:8], [1, 1, 0, 0, 0, 0, 1, 1])


def test_a_prelu_starts_at_0_25_and_a_repeat_has_its_weights_once():
    spec = parse_spec("repeat 3 [pointwise 2, batchnorm, prelu], dense 1")
    weights = initial_weights(spec, (2, 1, 1), 0)
    assert weights.size == 4 + 2 + 3 * 8 + 2 + 3
    once = initial_weights(parse_spec("pointwise 2, batchnorm, prelu, dense 1"), (2, 1, 1), 0)
    np.testing.assert_array_equal(weights[:16], once[:16])
    np.testing.assert_array_equal(weights[14:16], [0.25, 0.25])
    np.testing.assert_array_equal(weights[16:32].reshape(2, 8), [[1, 1, 0, 0, 0, 0, 1, 1]] * 2)


def test_layers_and_seeds_have_uncorrelated_weights():
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


def test_epochs_and_seeds_have_different_orders():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    same = [(one == other).sum() for index, one in enumerate(orders) for other in orders[:index]]
    assert max(same) < 10  # about one image in a thousand stays in place by chance


# --- augmentation -------------------------------------------------------------------------------

SIZE = (28, 20)
MIDDLE = np.array([13.5, 9.5])


def maps(images=4000, seed=1, epoch=0, **augment):
    found = affine_maps(Augmentation(**augment), images, SIZE, seed, epoch)
    assert found.dtype == np.float32 and found.shape == (images, 2, 3)
    return found.astype(np.float64)


def spread(values, least, most):
    """Whether all values are within the bounds, and some are near each bound."""
    tenth = (most - least) / 10
    inside = values.min() >= least - 1e-6 and values.max() <= most + 1e-6
    return inside and values.min() < least + tenth and values.max() > most - tenth


def test_no_augmentation_is_the_identity():
    np.testing.assert_array_equal(maps(10), np.broadcast_to(np.eye(2, 3), (10, 2, 3)))


def test_a_shift_is_uniform_in_both_directions():
    found = maps(shift=3)
    np.testing.assert_array_equal(found[:, :, :2], np.broadcast_to(np.eye(2), (4000, 2, 2)))
    assert spread(found[:, 0, 2], -3, 3) and spread(found[:, 1, 2], -3, 3)
    assert abs(np.corrcoef(found[:, :, 2].T)[0, 1]) < 0.05


@pytest.mark.parametrize("moves", [{"rotation": 70}, {"scale": 0.4}, {"shear": 0.6}, {"rotation": 70, "scale": 0.4}])
def test_only_a_shift_moves_the_middle(moves):
    found = maps(**moves)
    np.testing.assert_allclose(found @ [*MIDDLE, 1], np.broadcast_to(MIDDLE, (4000, 2)), atol=1e-5)
    assert (np.abs(found[:, :, :2] - np.eye(2)).max(axis=(1, 2)) > 0).all()
    shifted = maps(shift=2, **moves) @ [*MIDDLE, 1] - MIDDLE
    np.testing.assert_allclose(shifted, maps(shift=2)[:, :, 2], atol=1e-5)


def test_a_rotation_turns_and_a_scale_enlarges():
    matrices = maps(rotation=30)[:, :, :2]
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (4000, 2, 2)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-6)
    assert spread(np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -30, 30)
    zooms = maps(scale=0.25)[:, :, :2]
    np.testing.assert_array_equal(zooms, zooms[:, :1, :1] * np.eye(2))
    assert spread(1 / zooms[:, 0, 0], 0.75, 1.25)


def test_a_shear_slants_and_keeps_the_area():
    matrices = maps(shear=0.5)[:, :, :2]
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-6)
    slants = matrices - np.eye(2)
    assert spread(slants[:, 1, 0], -0.5, 0.5)
    slants[:, 1, 0] = 0
    np.testing.assert_array_equal(slants, 0)


def test_the_maps_never_change():
    found = affine_maps(Augmentation(2, 15, 0.1, 0.2), 100, SIZE, 7, 3)
    # Sines may differ in the last bit from one machine to another.
    pinned = [[0.92868358, 0.22675939, -0.99275714], [-0.30771154, 0.90891725, 6.9238658]]
    np.testing.assert_allclose(found[5], pinned, rtol=1e-6)
    every = [affine_maps(Augmentation(2), 100, SIZE, seed, epoch)[:, 0, 2] for seed in (1, 2) for epoch in (0, 1)]
    assert np.abs(np.corrcoef(every)[np.triu_indices(4, 1)]).max() < 0.4


# --- dropout and splits -------------------------------------------------------------------------


def test_the_words_of_dropout_and_splits_never_change():
    assert dropout_key(7) == 3771778541474685616
    assert split_words(3, 7, 3).tolist() == [17986194428743177670, 16317385439118320161, 4279099214398288542]


def test_more_images_than_an_order_can_hold_are_refused() -> None:
    with pytest.raises(DataError, match="67,108,865 training examples are too many; an epoch takes at most 67,108,864"):
        epoch_order(MAX_IMAGES + 1, 0, 0)


def test_an_order_holds_the_last_index_that_fits() -> None:
    """Checked at a smaller limit: the indices of the largest order take every low bit of a key."""
    order = epoch_order(2**16, 0, 0)
    assert np.array_equal(np.sort(order), np.arange(2**16, dtype=np.uint32))
    assert MAX_IMAGES == 2**INDEX_BITS
