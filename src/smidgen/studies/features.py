"""A teacher's frozen layers, run once for each image; a student on top of them trains on their outputs.

This is the same training as with the layers in place and fixed, at a hundredth of the work.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.records import Weights
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext, classify


def feature_digest(data: Dataset, spec: NetSpec, trial: str) -> str:
    """The digest of the data set that `features_of` makes.

    Args:
        data: The images.
        spec: The frozen layers.
        trial: The key of the training that the layers' weights come from.
    """
    return hashlib.sha256(f"{spec} of {trial} on {data.digest}".encode()).hexdigest()


def features_of(context: TrainingContext, spec: NetSpec, weights: Weights, trial: str, workers: int = 1) -> Dataset:
    """Replace each image by the outputs of frozen layers; they are computed when a split is first read.

    Args:
        context: The images.
        spec: The frozen layers.
        weights: The weights of a network that begins with these layers.
        trial: The key of the training that the weights come from.
        workers: Threads that compute the outputs of a split.

    Returns:
        A data set of vectors, float32 [n, features, 1, 1].
    """
    data = context.dataset
    features = int(np.prod(spec.output_shape(data.input_shape)))
    layers = weights[: spec.parameters(data.input_shape)]

    def outputs(split: Split) -> npt.NDArray[np.float32]:
        return classify(context, spec, layers, split, workers)[:, :, None, None]

    train, selection, confirmation, test = (
        Split.lazy(partial(outputs, split), (len(split), features, 1, 1), np.float32, split.labels)
        for split in data.splits.values()
    )
    digest = feature_digest(data, spec, trial)
    return replace(data, train=train, selection=selection, confirmation=confirmation, test=test, digest=digest)
