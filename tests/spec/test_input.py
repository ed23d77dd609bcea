"""What an input's numbers mean: units to network and back, what cannot be described, the text in a file."""

import numpy as np
import pytest

from smidgen.errors import SpecError
from smidgen.spec import UNSTATED, InputSpec

SIGNAL = InputSpec("signal", (2, 1, 3), (0.5, 0.0), (2.0, 0.25), (-1.0, 0.0), (4.0, 8.0), "time-channels")


def test_values_in_the_users_units_become_what_the_layers_read():
    values = np.array([[[[1, 0, 2.5]], [[4, -8, 2]]]])
    inputs = SIGNAL.to_network(values)
    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[[[1, -1, 4]], [[1, -2, 0.5]]]]
    assert np.array_equal(SIGNAL.to_units(inputs), values)


def test_bytes_are_left_to_the_engine_and_numbers_in_the_same_units_give_the_same():
    image = InputSpec("image-bytes", (1, 1, 2))
    values = np.array([[[[0, 255]]]])
    assert image.to_network(values.astype(np.uint8)).dtype == np.uint8
    assert image.to_network(values).tolist() == [[[[0, 1]]]]


def test_one_number_serves_all_channels():
    vector = InputSpec("vector", (3, 1, 1), scale=(0.5,))
    assert vector.to_network(np.array([2.0, 4.0, 6.0]).reshape(1, 3, 1, 1)).ravel().tolist() == [1, 2, 3]
    assert (vector.kept_numbers, SIGNAL.kept_numbers) == (1, 3)


@pytest.mark.parametrize("described", [SIGNAL, InputSpec("vector", (4, 1, 1)), InputSpec("image-bytes", (3, 5, 7))])
def test_the_text_of_a_description_reads_back(described):
    read = InputSpec.from_json(described.to_json())
    assert (read, read.low, read.high) == (described, described.low, described.high)


def test_the_range_takes_no_part_in_equality():
    assert InputSpec("vector", (1, 1, 1), low=(0.0,)) == InputSpec("vector", (1, 1, 1), low=(5.0,))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "sound"}, "kind='sound'"),
        ({"scale": (1.0, 2.0)}, "2 numbers in scale"),
        ({"scale": (0.0,)}, "above 0"),
        ({"offset": (float("nan"),)}, "not finite"),
        ({"axes": "channels"}, "axes='channels'"),
        ({"kind": "image-bytes", "scale": (2.0,)}, "value / 255"),
    ],
)
def test_what_cannot_be_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        InputSpec(**{"kind": "vector", "shape": (3, 1, 1)} | change)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "vector"}', '{"kind": "vector", "shape": [1, 1]}', '{"a": 1}'])
def test_a_text_that_describes_nothing_is_refused(text):
    with pytest.raises(SpecError, match="describes no input"):
        InputSpec.from_json(text)


def test_a_line_says_what_is_read():
    assert str(SIGNAL) == "signal of 2 channels and 3 steps, read as (value - offset) * scale, in each channel"
    assert str(InputSpec("image-bytes", (1, 28, 28))) == "image of 1x28x28 in bytes, read as value / 255"
    assert "as far as the file says" in str(UNSTATED)
