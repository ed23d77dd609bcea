"""Border weights: the inputs that never change over the training images, and the weights that see nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.records import Score, Weights
from smidgen.spec import NetSpec, parse_spec
from smidgen.studies.features import feature_digest
from smidgen.studies.trainings import Bench, Runs
from smidgen.trials.evaluate import TrainingContext, score

Ranges = npt.NDArray[np.float32]

ROUNDING = 1e-5
"""A feature that differs by less is constant: Winograd's way rounds by what stands beside the kernel, too."""


@dataclass(frozen=True)
class Border:
    """What is constant and what it would save.

    pixels, constant_pixels: of an image; features, constant_features: of what the convolutions give
    weights, blind: of the head's hidden layer, and those of them that see constant features alone
    before, after: test scores with them, and with them zero and their constant sums moved into the biases
    """

    pixels: int
    constant_pixels: int
    features: int
    constant_features: int
    parameters: int
    weights: int
    blind: int
    before: Score
    after: Score


def border_of(bench: Bench, context: TrainingContext, teacher: Runs, student: Runs | None, convs: str) -> Border | None:
    """The border of a student whose head stands on the teacher's frozen layers; None where it was left out.

    convs: those layers' text, whose features' ranges are in the store
    """
    if student is None:
        return None
    layers, place = parse_spec(convs), teacher.best
    digest = feature_digest(context.dataset, layers, teacher.trials[place].key)
    ranges = bench.study.store.get_array(ranges_key(digest))
    assert ranges is not None, "what computes features remembers their ranges"
    constant = ranges[1] - ranges[0] < ROUNDING
    images = context.dataset.train.images
    shape = context.dataset.input_shape
    bottom = teacher.outcomes[place].weights[: layers.parameters(shape)]
    top = student.outcomes[student.middle].weights
    head = student.job.spec
    spec = NetSpec((*layers.layers, *head.layers))
    pruned = without_constant(head, top, constant, ranges[0])
    scores = [
        score(context, spec, np.concatenate([bottom, w]), context.dataset.test, bench.study.workers)
        for w in (top, pruned)
    ]
    hidden = hidden_units(head)
    return Border(
        pixels=int(np.prod(shape)),
        constant_pixels=int((images.min(axis=0) == images.max(axis=0)).sum()),
        features=len(constant),
        constant_features=int(constant.sum()),
        parameters=spec.parameters(shape),
        weights=hidden * len(constant),
        blind=hidden * int(constant.sum()),
        before=scores[0],
        after=scores[1],
    )


def ranges_key(digest: str) -> str:
    """The store's key for the ranges of a data set of features, by its digest."""
    return f"{digest} ranges"


def ranges_of(features: Dataset) -> Ranges:
    """The least and the greatest value of each feature over the training images: float32 [2, features]."""
    rows = features.train.images.reshape(len(features.train), -1)
    return np.stack([rows.min(axis=0), rows.max(axis=0)])


def without_constant(head: NetSpec, weights: Weights, constant: npt.NDArray[np.bool_], values: Ranges) -> Weights:
    """The head with the weights from constant features zero, and what they added in its hidden biases."""
    hidden = hidden_units(head)
    pruned = weights.copy()
    matrix = pruned[: hidden * len(constant)].reshape(hidden, len(constant))
    bias = pruned[hidden * len(constant) :][:hidden]
    bias += matrix[:, constant] @ values[constant]
    matrix[:, constant] = 0
    return pruned


def hidden_units(head: NetSpec) -> int:
    return next(int(layer.units) for layer in head.layers if hasattr(layer, "units"))
