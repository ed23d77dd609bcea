"""Small teachers that the tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smidgen.data import Dataset
from smidgen.reporter import SilentReporter
from smidgen.teacher import Teacher, TeacherOutputs, run_teacher
from smidgen.teacher.input_format import input_formats
from smidgen.trials.store import Store


class Told(SilentReporter):
    """Hands on what it is told to the functions that are given."""

    def __init__(self, **to: Callable[..., object]) -> None:
        vars(self).update(to)


def outputs_of(store: Store, data: Dataset, source: object, **more: Any) -> TeacherOutputs:
    return run_teacher(store, data, Teacher(source, **more), SilentReporter())


def prototypes(data: Dataset, text: str) -> Callable[[np.ndarray], np.ndarray]:
    """A teacher that knows the mean image of each class, in one layout and one range: logits are distances."""
    (input_format,) = input_formats(text, data.train, None, "prototypes", data.input)
    images, labels = input_format(data.train.images), data.train.labels
    means = np.stack([images[labels == place].mean(axis=0) for place in range(data.classes)])

    def run(batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != means.shape[1:]:
            raise ValueError(f"shape {batch.shape[1:]}")
        return -((batch[:, None] - means[None]) ** 2).reshape(len(batch), data.classes, -1).sum(axis=2)

    return run


def all_logits(data: Dataset) -> np.ndarray:
    """A row for each image as the data came: 5 for its class, plus noise that tells rows apart."""
    rows = np.random.default_rng(0).normal(0, 0.5, (data.total_images, data.classes))
    for split in (data.train, data.selection, data.confirmation, data.test):
        rows[split.rows, split.labels] += 5
    return rows.astype(np.float32)


def expected(weights: tuple[np.ndarray, np.ndarray], data: Dataset) -> np.ndarray:
    return data.train.images.reshape(-1, 64) / 255 @ weights[0].T + weights[1]
