"""The data sets that the documents train on besides those of the catalogue; each has a digest of its own.

The splits of the documents' authors are for comparison: nothing of ours is chosen on them. The outputs of a teacher's
frozen layers stand for images: a student on top of them trains as with the layers in place, at a hundredth of the work.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.records import Weights
from smidgen.spec import UNSTATED, NetSpec
from smidgen.trials.evaluate import TrainingContext, classify


def all_training_images(data: Dataset) -> Dataset:
    """Return the data with the validation split in the training split too; its validation scores mean nothing."""
    splits = (data.train, data.selection, data.confirmation)
    images, labels = ([getattr(split, name) for split in splits] for name in ("images", "labels"))
    whole = Split(np.concatenate(images), np.concatenate(labels))
    return replace(data, train=whole, digest=_digest(f"{data.digest} all training images"))


def selecting_on_test(data: Dataset) -> Dataset:
    """Return the data with the test split as the selection half, so that the test loss chooses the epoch."""
    return replace(data, selection=data.test, digest=_digest(f"{data.digest} test as selection"))


def feature_digest(data: Dataset, spec: NetSpec, trial: str) -> str:
    """Return the digest of the data set that `features_of` makes."""
    return _digest(f"{spec} of {trial} on {data.digest}")


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
    return replace(
        data, train=train, selection=selection, confirmation=confirmation, test=test, digest=digest, input=UNSTATED
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
