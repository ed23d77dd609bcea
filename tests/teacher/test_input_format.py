"""A teacher's input: what layouts and ranges do to images, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sample_teachers import outputs_of, prototypes

from smidgen.data import Dataset
from smidgen.errors import TeacherError
from smidgen.teacher import external
from smidgen.teacher.input_format import LAYOUTS, input_formats
from smidgen.teacher.loaders import Network
from smidgen.trials.store import Store


def test_ranges_are_what_they_say(digits: Dataset) -> None:
    images, train = digits.train.images, digits.train

    def values(text: str) -> np.ndarray:
        return input_formats(f"nchw {text}", train, None, "", digits.input)[0](images)

    np.testing.assert_allclose(values("0..1"), images / 255, atol=1e-6)
    np.testing.assert_allclose(values("-1..1"), images / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(values("0..255"), images)
    standardised = values("standardised")
    assert standardised.mean() == pytest.approx(0, abs=1e-4) and standardised.std() == pytest.approx(1, abs=1e-4)


def test_layouts_lose_nothing(colours: Dataset) -> None:
    images = colours.train.images.astype(np.float32)
    np.testing.assert_array_equal(LAYOUTS["nhwc"](images).transpose(0, 3, 1, 2), images)
    np.testing.assert_array_equal(LAYOUTS["flat-hwc"](images).reshape(-1, 7, 9, 3).transpose(0, 3, 1, 2), images)
    np.testing.assert_array_equal(LAYOUTS["flat"](images).reshape(images.shape), images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nchw nhwc", "too many words"),
        ("nchw 0-1", "'0-1' is no range"),
        ("nchw imagenet", "'imagenet' is no range for this data"),
        ("flat-hwx", "'flat-hwx' is no range"),
    ],
)
def test_an_input_that_cannot_be_is_refused(digits: Dataset, store: Store, text: str, message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        outputs_of(store, digits, prototypes(digits, "nchw 0..1"), input=text)


def test_a_network_for_images_of_another_size_is_refused(
    digits: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network("big.onnx", prototypes(digits, "nhwc 0..1"), (32, 32, 3))
    monkeypatch.setattr(external, "open_network", lambda *_: network)
    with pytest.raises(TeacherError, match=r"takes images of shape \[n, 32, 32, 3\], and the data's are 1x8x8"):
        outputs_of(store, digits, "big.onnx")
