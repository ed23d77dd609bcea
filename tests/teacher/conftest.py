"""Data, a store and a linear classifier for the tests of teachers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset, from_arrays
from smidgen.trials.store import Store


@pytest.fixture
def store(own_store: Path) -> Iterator[Store]:
    with Store(own_store) as opened:
        yield opened


@pytest.fixture
def colours() -> Dataset:
    """Colour images of three classes, of which each has its own place and colour, more or less bright."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 900)
    images = generator.normal(60, 40, (900, 7, 9, 3))
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 3, 3:, label] += 30
        image *= generator.uniform(0.4, 1.6)
    images = np.clip(images, 0, 255).astype(np.uint8)
    return from_arrays(images, labels, "colours")


@pytest.fixture
def weights(digits: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A linear classifier of 64 values from 0 to 1: the nearest class mean."""
    flat = digits.train.images.reshape(-1, 64) / 255
    means = np.stack([flat[digits.train.labels == place].mean(axis=0) for place in range(10)])
    return (2 * means).astype(np.float32), -(means**2).sum(axis=1).astype(np.float32)
