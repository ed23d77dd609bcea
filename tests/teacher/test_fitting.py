"""The layout and the range that a teacher was trained with are found by trying."""

from __future__ import annotations

import numpy as np
import pytest
from sample_teachers import outputs_of, prototypes

from smidgen.data import Dataset, from_arrays
from smidgen.trials.store import Store


@pytest.mark.parametrize("values", ["0..1", "0..255", "-1..1", "standardised"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "nhw", "flat"])
def test_layout_and_range_of_grey_images_are_found(digits: Dataset, store: Store, layout: str, values: str) -> None:
    outputs = outputs_of(store, digits, prototypes(digits, f"{layout} {values}"))
    assert f"takes its images as '{layout} {values}'" in outputs.notes[0]
    assert outputs.validation.rate > 0.85


@pytest.mark.parametrize("values", ["0..255", "standardised", "imagenet"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "flat", "flat-hwc"])
def test_layout_and_range_of_colour_images_are_found(colours: Dataset, store: Store, layout: str, values: str) -> None:
    outputs = outputs_of(store, colours, prototypes(colours, f"{layout} {values}"))
    assert f"'{layout} {values}'" in outputs.notes[0]
    assert outputs.validation.rate > 0.7, "chance is a third"


def test_a_vector_of_numbers_is_taken_as_it_is_or_standardised(store: Store) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    X = (3 * np.eye(3, 6)[labels] + generator.normal(0, 0.4, (400, 6))) * [1, 100, 1, 1, 0.01, 1] + 7
    data = from_arrays(X, labels)
    for text in ("flat as-is", "flat standardised"):
        assert f"'{text}'" in outputs_of(store, data, prototypes(data, text)).notes[0]


def test_of_formats_that_cannot_be_told_apart_the_commonest_is_taken_and_another_named(
    digits: Dataset, store: Store
) -> None:
    """The sign of a weighted sum is the same for 0..1 and 0..255."""
    flat = digits.train.images.reshape(-1, 64) / 255
    weights = np.stack([flat[digits.train.labels == place].mean(axis=0) - flat.mean(axis=0) for place in range(10)])
    outputs = outputs_of(store, digits, lambda batch: batch @ weights.T, input="flat")
    assert "'flat 0..1'" in outputs.notes[0]
    assert "'flat 0..255' is as good, so state the right one with --teacher-input" in outputs.notes[0]


def test_what_is_given_is_not_tried(digits: Dataset, store: Store) -> None:
    outputs = outputs_of(store, digits, prototypes(digits, "nhwc -3..2"), input="nhwc -3..2")
    assert "'nhwc -3..2'" in outputs.notes[0] and "as stated" in outputs.notes[0]
    half_given = outputs_of(store, digits, prototypes(digits, "nhwc 0..1"), input="nhwc")
    assert "found by trying 4 input formats" in half_given.notes[0]
