"""The splits that the documents' authors used, for comparison: nothing of ours is chosen on them.

Each has its own digest, so that no trial on it is taken for one on the original splits.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from smidgen.data import Dataset, Split


def all_training_images(data: Dataset) -> Dataset:
    """Return the data with the validation split in the training split too; its validation scores mean nothing."""
    splits = (data.train, data.selection, data.confirmation)
    whole = Split(
        np.concatenate([split.images for split in splits]), np.concatenate([split.labels for split in splits])
    )
    return replace(data, train=whole, digest=_digest(data, "all training images"))


def selecting_on_test(data: Dataset) -> Dataset:
    """Return the data with the test split as the selection half, so that the test loss chooses the epoch."""
    return replace(data, selection=data.test, digest=_digest(data, "test as selection"))


def _digest(data: Dataset, name: str) -> str:
    return hashlib.sha256(f"{data.digest} {name}".encode()).hexdigest()
