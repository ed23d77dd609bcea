"""Border weights: the inputs that never change over the training images, and the weights that see nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.candidate import Lessons, score
from smidgen.records import Score, Weights
from smidgen.reproduce.features import feature_maps
from smidgen.reproduce.trainings import Bench, Runs
from smidgen.spec import NetSpec, parse_spec

Ranges = npt.NDArray[np.float32]


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


def border_of(bench: Bench, lessons: Lessons, teacher: Runs, student: Runs | None, convs: str) -> Border | None:
    """The border of a student whose head stands on the teacher's frozen layers; None where it was left out.

    convs: those layers' text
    """
    if student is None:
        return None
    layers, place = parse_spec(convs), teacher.best
    ranges = feature_ranges(bench, lessons, teacher, layers)
    constant = ranges[0] == ranges[1]
    images = lessons.dataset.train.images
    shape = lessons.dataset.input_shape
    bottom = teacher.outcomes[place].weights[: layers.parameters(shape)]
    top = student.outcomes[student.middle].weights
    head = student.job.spec
    spec = NetSpec((*layers.layers, *head.layers))
    pruned = without_constant(head, top, constant, ranges[0])
    scores = [
        score(lessons, spec, np.concatenate([bottom, w]), lessons.dataset.test, bench.study.workers)
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


def feature_ranges(bench: Bench, lessons: Lessons, teacher: Runs, layers: NetSpec) -> Ranges:
    """The least and the greatest value of each feature over the training images: float32 [2, features], remembered."""
    store, place = bench.study.store, teacher.best
    key = f"{teacher.trials[place].key} {layers} {lessons.dataset.digest} feature ranges"
    found = store.get_logits(key)
    if found is None:
        images, weights = lessons.dataset.train.images, teacher.outcomes[place].weights
        found = np.stack(_extremes(layers, weights, images, bench.study.workers))
        store.put_logits(key, found)
    return found


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


def _extremes(
    layers: NetSpec, weights: Weights, images: npt.NDArray[np.uint8] | Ranges, workers: int, part: int = 2000
) -> tuple[Ranges, Ranges]:
    """In parts, so that only one part's features are in memory."""
    features = int(np.prod(layers.output_shape((images.shape[1], images.shape[2], images.shape[3]))))
    least, greatest = np.full(features, np.inf, np.float32), np.full(features, -np.inf, np.float32)
    for first in range(0, len(images), part):
        maps = feature_maps(layers, weights, images[first : first + part], workers)
        rows = maps.reshape(len(maps), -1)
        least, greatest = np.minimum(least, rows.min(axis=0)), np.maximum(greatest, rows.max(axis=0))
    return least, greatest
