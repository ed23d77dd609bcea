"""A teacher's frozen layers, run once for each image: a student on top of them trains on what they give.

That is the same training as with the layers in place and fixed, at a hundredth of the work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from smidgen.data import Dataset, Split
from smidgen.records import Weights
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext, classify


def promised(data: Dataset, spec: NetSpec, trial: str) -> Dataset:
    """The data set of what the layers of `spec` make of each image, not computed yet.

    It has the digest and the shapes, which is all that finding remembered trainings takes; its values are zeros
    that take no memory.
    trial: the key of the training that the layers' weights come from, part of the digest
    """
    features = int(np.prod(spec.output_shape(data.input_shape)))

    def of(split: Split) -> Split:
        return Split(np.broadcast_to(np.float32(0), (len(split), features, 1, 1)), split.labels)

    digest = hashlib.sha256(f"{spec} of {trial} on {data.digest}".encode()).hexdigest()
    return _mapped(data, of, digest)


def computed(promise: Dataset, context: TrainingContext, spec: NetSpec, weights: Weights, workers: int = 1) -> Dataset:
    """What was promised: vectors, float32. `weights` are of a network that begins with the layers of `spec`."""
    bottom = weights[: spec.parameters(context.dataset.input_shape)]

    def of(split: Split) -> Split:
        maps = classify(context, spec, bottom, split, workers)
        return Split(maps[:, :, None, None], split.labels)

    return _mapped(context.dataset, of, promise.digest)


def _mapped(data: Dataset, of: Callable[[Split], Split], digest: str) -> Dataset:
    train, selection, confirmation, test = map(of, (data.train, data.selection, data.confirmation, data.test))
    return replace(data, train=train, selection=selection, confirmation=confirmation, test=test, digest=digest)
