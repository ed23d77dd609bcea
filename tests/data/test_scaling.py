"""The offset and scale that a training split asks for, and what networks then read."""

import numpy as np
import pytest

from smidgen.data import Dataset, from_arrays

RANDOM = np.random.default_rng(0)
Y = np.arange(400) % 2


def columns(*values: np.ndarray) -> Dataset:
    return from_arrays(np.stack(values, axis=1), Y)


def test_columns_of_very_different_units_are_brought_to_one() -> None:
    pressure, share, count = RANDOM.normal(101_325, 60, 400), RANDOM.normal(0.02, 0.003, 400), RANDOM.poisson(300, 400)
    data = columns(pressure, share, count)
    read = data.train.images[:, :, 0, 0]
    assert (np.abs(read.mean(axis=0)) < 0.45).all() and ((read.std(axis=0) > 0.65) & (read.std(axis=0) < 1.5)).all()
    np.testing.assert_array_equal(np.log2(data.input.scale) % 1, 0)
    np.testing.assert_allclose(np.array(data.input.offset) * data.input.scale * 2 % 1, 0, atol=1e-9)


def test_only_the_training_split_is_asked() -> None:
    X = RANDOM.normal(size=(400, 2))
    rest = from_arrays(X, Y).test.rows
    shifted = X.copy()
    shifted[rest] += 1000
    assert from_arrays(shifted, Y).input == from_arrays(X, Y).input


def test_what_is_standardised_already_stays_as_it_is() -> None:
    X = RANDOM.normal(size=(400, 3)).astype(np.float32)
    data = from_arrays(X, Y)
    assert not data.input.is_scaled
    np.testing.assert_array_equal(data.train.images[:, :, 0, 0], X[data.train.rows])


def test_a_constant_column_reads_zero() -> None:
    data = columns(np.full(400, 37.5), RANDOM.normal(5, 2, 400))
    assert (data.input.offset[0], (data.input.scale or (1.0, 1.0))[0]) == (37.5, 1)
    assert not data.train.images[:, 0].any()


def test_a_few_wild_values_do_not_press_all_others_together() -> None:
    wild = RANDOM.normal(20, 0.5, 400)
    wild[::40] = -9999
    data = columns(wild, RANDOM.normal(size=400))
    read = data.train.images[:, 0, 0, 0]
    usual = read[np.abs(data.input.to_units(data.train.images)[:, 0, 0, 0] - 20) < 5]
    assert usual.std() > 1e-3 and np.abs(read).max() <= 1.5 * 256
    plain = RANDOM.normal(20, 0.5, 400)
    plain[::40] = 120
    read = columns(plain, plain).train.images[:, 0, 0, 0]
    assert 0.5 < read[np.abs(read) < 20].std() < 2


def test_rare_columns_are_not_divided_by_nothing() -> None:
    rare = np.zeros(400)
    rare[:8] = 1
    read = columns(rare, RANDOM.normal(size=400)).train.images[:, 0]
    assert np.isfinite(read).all() and np.abs(read).max() < 20


def test_numbers_too_fine_for_float32_keep_their_differences() -> None:
    seconds = 1.6e9 + RANDOM.integers(0, 100, 400)
    data = columns(seconds, RANDOM.normal(size=400))
    assert len(np.unique(data.train.images[:, 0])) > 50


def test_pixels_in_a_table_are_of_one_unit() -> None:
    pixels = RANDOM.integers(0, 17, (400, 64))
    low = from_arrays(pixels, Y)
    assert low.input.kind == "vector" and len(low.input.scale) == 1 and not low.input.offset
    bright = from_arrays(pixels * 15, Y)
    assert bright.input.kind == "image-bytes" and bright.train.images.dtype == np.uint8


def test_each_channel_of_a_signal_has_its_own_scale() -> None:
    X = RANDOM.normal(size=(400, 40, 2)) * (0.01, 200) + (1, 0)
    data = from_arrays(X, Y)
    assert data.input.scale[0] > 1000 * data.input.scale[1] and data.input.offset[1] == 0 < data.input.offset[0]
    read = data.train.images.std(axis=(0, 2, 3))
    assert ((read > 0.65) & (read < 1.5)).all()


@pytest.mark.parametrize(
    ("low", "high", "is_scaled"), [(0, 1, False), (-1, 1, False), (-3, 4, False), (0.5, 255, True), (2e4, 3e4, True)]
)
def test_pictures_stay_in_a_sensible_range_and_are_scaled_as_one_otherwise(
    low: float, high: float, is_scaled: bool
) -> None:
    X = RANDOM.uniform(low, high, (400, 5, 5, 3))
    data = from_arrays(X, Y)
    assert data.input.kind == "image-floats" and data.input.is_scaled == is_scaled
    assert len(data.input.scale) <= 1 and len(data.input.offset) <= 1
    assert np.abs(data.train.images).max() < 5 and data.train.images.std() > 0.1


def test_the_digest_tells_the_units_apart() -> None:
    X = RANDOM.normal(size=(400, 3))
    assert from_arrays(X, Y).digest != from_arrays(1024 * X, Y).digest
