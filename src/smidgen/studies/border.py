"""Border weights: the inputs that never change over the training images, and the weights that see nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.records import Score, Weights
from smidgen.spec import NetSpec
from smidgen.studies.trainings import Bench, Runs
from smidgen.trials.evaluate import TrainingContext, score

Ranges = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

ROUNDING = 1e-5
"""A feature that differs by less is constant: Winograd's convolution rounds by the values beside the kernel, too."""


@dataclass(frozen=True, eq=False)
class Border:
    """What is constant and what it would save.

    Attributes:
        pixels: Whether a pixel is constant, bool [channels, height, width].
        features: Whether an output of the convolutions is constant, bool [features].
        hidden: The units of the head's hidden layer; each has a weight for every feature.
        parameters: Of the whole student.
        before: Its test score.
        after: Its test score without the weights of constant features, their constant sums moved into the biases.
    """

    pixels: Bools
    features: Bools
    hidden: int
    parameters: int
    before: Score
    after: Score


def border_of(
    bench: Bench, context: TrainingContext, teacher: Runs, layers: NetSpec, ranges: Ranges, student: Runs
) -> Border:
    """Measure the border of a student whose head stands on the teacher's frozen layers, from the features' ranges."""
    shape, images = context.dataset.input_shape, context.dataset.train.images
    head, top = student.job.spec, student.outcomes[student.middle].weights
    bottom = teacher.best[1].weights[: layers.parameters(shape)]
    spec = NetSpec((*layers.layers, *head.layers))
    constant = ranges[1] - ranges[0] < ROUNDING
    before, after = (
        score(context, spec, np.concatenate([bottom, weights]), context.dataset.test, bench.study.workers)
        for weights in (top, without_constant(head, top, constant, ranges[0]))
    )
    still = images.min(axis=0) == images.max(axis=0)
    return Border(still, constant, hidden_units(head), spec.parameters(shape), before, after)


def ranges_of(features: Dataset) -> Ranges:
    """Return the least and the greatest value of each feature over the training images: float32 [2, features]."""
    rows = features.train.images.reshape(len(features.train), -1)
    return np.stack([rows.min(axis=0), rows.max(axis=0)])


def without_constant(head: NetSpec, weights: Weights, constant: Bools, values: Ranges) -> Weights:
    """Return the head with zero weights from constant features, and what they added in its hidden biases."""
    hidden, pruned = hidden_units(head), weights.copy()
    matrix = pruned[: hidden * len(constant)].reshape(hidden, len(constant))
    bias = pruned[hidden * len(constant) :][:hidden]
    bias += matrix[:, constant] @ values[constant]
    matrix[:, constant] = 0
    return pruned


def hidden_units(head: NetSpec) -> int:
    return next(int(layer.units) for layer in head.layers if hasattr(layer, "units"))
