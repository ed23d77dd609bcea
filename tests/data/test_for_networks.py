"""A user's arrays and pictures reach a network as in training: type, units, axes; what looks wrong is said."""

import numpy as np
import pytest

from smidgen.data import from_arrays, network_input, picture_values
from smidgen.errors import DataError
from smidgen.spec import UNSTATED, InputSpec

RANDOM = np.random.default_rng(0)
Y = np.arange(60) % 2
PICTURES = RANDOM.integers(0, 256, (60, 6, 6))
SIGNAL = RANDOM.normal(1, 3, (60, 30, 2))
TABLE = RANDOM.normal(100, 7, (60, 4))
FLOATS = PICTURES / 127.5 - 1


@pytest.mark.parametrize("X", [PICTURES, SIGNAL, TABLE, FLOATS, RANDOM.integers(0, 9, (60, 5))])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_the_array_that_was_trained_from_gives_what_was_trained_on(X: np.ndarray, dtype: type) -> None:
    given = X.astype(dtype)
    if not np.array_equal(given, X) and dtype != np.float32:
        pytest.skip("this type does not hold the values")
    data = from_arrays(given, Y)
    rows = data.train.rows
    inputs, notes = network_input(given[rows], data.input)
    assert inputs.dtype == data.train.images.dtype and notes == ()
    np.testing.assert_array_equal(inputs, data.train.images)


def test_bytes_that_were_divided_before_are_read_and_said() -> None:
    inputs, notes = network_input(PICTURES / 255, from_arrays(PICTURES, Y).input)
    np.testing.assert_allclose(inputs[:, 0], PICTURES / 255, atol=1e-6)
    assert notes == ("X has numbers from 0 to 1, read as bytes that are divided by 255 already",)


def test_bytes_reach_a_network_for_numbers_from_minus_one_to_one() -> None:
    data = from_arrays(FLOATS, Y)
    inputs, notes = network_input(PICTURES.astype(np.uint8), data.input)
    np.testing.assert_allclose(inputs[:, 0], FLOATS, atol=1e-6)
    assert notes == ("X has bytes, brought to -1..1, the range in training",)


def test_values_in_another_unit_are_counted() -> None:
    data = from_arrays(SIGNAL, Y)
    (note,) = network_input(9.81 * SIGNAL[:5], data.input)[1]
    assert "of 300 values of X lie far outside those in training" in note and note.endswith("check the units")
    assert "  " not in note
    assert network_input(SIGNAL * 1.01, data.input)[1] == ()


def test_what_does_not_fit_is_refused() -> None:
    data = from_arrays(SIGNAL, Y)
    with pytest.raises(DataError, match=r"examples of 29x2 and the network takes 2x1x30 .* of that size"):
        network_input(SIGNAL[:, 1:], data.input)
    with pytest.raises(DataError, match=r"give X\.reshape\(-1, 30, 2\)"):
        network_input(SIGNAL.reshape(60, 60), data.input)
    with pytest.raises(DataError, match="not finite"):
        network_input(np.full((1, 30, 2), np.nan), data.input)
    with pytest.raises(DataError, match="of type"):
        network_input(np.array([["a"]]), data.input)


def test_a_file_that_does_not_say_reads_as_before() -> None:
    unstated = InputSpec("image-bytes", (1, 6, 6), is_stated=False)
    for given, wanted in ((PICTURES, PICTURES.astype(np.uint8)), (PICTURES / 255, np.float32(PICTURES / 255))):
        inputs, notes = network_input(given, unstated)
        np.testing.assert_array_equal(inputs[:, 0], wanted)
        assert notes == ()
    inputs, (note,) = network_input(FLOATS, unstated)
    np.testing.assert_allclose(inputs[:, 0], FLOATS, atol=1e-6)
    assert note.startswith("the file does not say what the network reads") and not UNSTATED.is_stated


@pytest.mark.parametrize(("black", "white"), [(0, 1), (-1, 1), (0, 254.5)])
def test_a_picture_is_brought_to_the_range_in_training(black: float, white: float) -> None:
    values = PICTURES / 255 * (white - black) + black
    pixels = PICTURES.astype(np.uint8)[:, None]
    data = from_arrays(values, Y)
    found = data.input.to_units(picture_values(pixels, data.input))
    np.testing.assert_allclose(found[:, 0], values, atol=0.6 if white > 1 else 1e-6)


def test_a_picture_for_standardised_numbers_is_refused() -> None:
    data = from_arrays((PICTURES - 120) / 70, Y)
    with pytest.raises(DataError, match=r"trained on numbers from -1\.71.* to 1\.92.*, and how a picture's bytes"):
        picture_values(PICTURES.astype(np.uint8)[:, None], data.input)
