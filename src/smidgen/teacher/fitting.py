"""Which input format a network was trained with: every format that fits is tried on a sample of the training images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.errors import TeacherError
from smidgen.records import Score
from smidgen.teacher.class_order import class_order, order_note
from smidgen.teacher.input_format import TeacherInputFormat, input_formats
from smidgen.teacher.loaders.network import Network, first_line
from smidgen.teacher.logits import Logits, OutputKind, detect_kind, kind_note, to_logits

BATCH_IMAGES = 128
FIRST_SAMPLE_IMAGES, FIRST_MARGIN, SAMPLE_IMAGES = 200, 0.05, 2_000
"""Every format is tried on the first sample, and those within the margin of the best rate on the larger sample."""


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network with a known input format and a known kind of outputs.

    Attributes:
        network: The teacher as it was opened.
        input_format: How images become its input.
        kind: What its outputs are.
        order: The output of each class, where they are not in the order of the data's classes; else ().
        notes: What was found out about it, one sentence each.
    """

    network: Network
    input_format: TeacherInputFormat
    kind: OutputKind
    order: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What notes and errors call the network."""
        return self.network.name

    def logits(self, images: npt.NDArray[Any], first_image: int = 0) -> Logits:
        """Run a batch.

        Args:
            images: uint8 or float32 [n, channels, height, width].
            first_image: The index of the first image in its split, for an error.

        Returns:
            float32 [n, classes], in the order of the data's classes.
        """
        logits = to_logits(_run(self.network, self.input_format(images)), self.kind, self.name, first_image)
        return np.ascontiguousarray(logits[:, self.order]) if self.order else logits

    @property
    def key(self) -> str:
        """What the logits depend on beside the images, for the store."""
        order = f" order {self.order}" if self.order else ""
        return f"{self.network.digest} {self.input_format} {self.kind}{order}"


def batches(images: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Cut images into batches of `BATCH_IMAGES`."""
    return (images[start : start + BATCH_IMAGES] for start in range(0, len(images), BATCH_IMAGES))


def fit_input(network: Network, text: str, data: Dataset) -> FittedNetwork:
    """Find the input format with which the network classifies most images of a sample right.

    Formats that cannot be told apart are ranked by their place in the tables of `smidgen.teacher.input_format`, where
    common ones come first. The loss is not compared: a range that is too wide makes a network more confident, and its
    loss on what it knows lower.

    Args:
        network: The teacher as it was opened.
        text: What the user stated, such as "nhwc 0..1", "nhwc" or "".
        data: The data set; the sample comes from its training split.

    Raises:
        TeacherError: The network fails on every format, or its outputs do not fit the classes.
    """
    formats = input_formats(text, data.train, network.input_shape, network.name, data.input)
    failures: list[str] = []
    candidates = [fitted for each in formats if (fitted := _try(network, each, data, failures))]
    if not candidates:
        raise TeacherError(
            f"{network.name} fails on the data's images in every input format; {failures[0]}; give a teacher for "
            f"images of {'x'.join(map(str, data.input_shape))}, or resize the data to the teacher's size (--resize)"
        )
    candidates = _best_on_first_sample(candidates, data)
    sample = _sample(data, SAMPLE_IMAGES)
    candidates, right = map(list, zip(*(_ordered(fitted, sample) for fitted in candidates), strict=True))
    best = max(right, key=np.sum)
    equal = [place for place, each in enumerate(right) if not _is_better(best, each)]
    score = Score(int(right[equal[0]].sum()), len(best))
    fitted = candidates[equal[0]]
    how = f"found by trying {len(formats)} input formats" if len(formats) > 1 else "as stated"
    if len(equal) > 1:
        other = candidates[equal[1]].input_format
        how += f"; '{other}' is as good, so state the right one with --teacher-input"
    note = f"{fitted.name} takes its images as '{fitted.input_format}': {score} of a sample of training images; {how}"
    order = order_note(fitted.order, data.class_names, fitted.name)
    return replace(fitted, notes=(*network.notes, note, *order, *kind_note(fitted.kind, fitted.name)))


def _best_on_first_sample(candidates: list[FittedNetwork], data: Dataset) -> list[FittedNetwork]:
    sample = _sample(data, FIRST_SAMPLE_IMAGES)
    rates = [float(_ordered(fitted, sample)[1].mean()) for fitted in candidates]
    least = max(rates) - FIRST_MARGIN
    return [fitted for fitted, rate in zip(candidates, rates, strict=True) if rate >= least]


def _is_better(best: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> bool:
    """Whether `best` has more images right by over one standard error of the difference on the same images."""
    return bool(int(best.sum()) - int(other.sum()) > float((best != other).sum()) ** 0.5)


def _try(
    network: Network, input_format: TeacherInputFormat, data: Dataset, failures: list[str]
) -> FittedNetwork | None:
    """The network with this format; None if it fails, with the error appended to `failures`."""
    try:
        outputs = _run(network, input_format(_sample(data, FIRST_SAMPLE_IMAGES).images))
    except Exception as error:  # a network that is given a shape other than its own may raise anything
        failures.append(f"{input_format}: {first_line(error)[:160]}")
        return None
    return FittedNetwork(network, input_format, detect_kind(outputs, data.classes, network.name))


def _run(network: Network, batch: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The outputs for a batch; a network with a fixed batch size gets the batch in pieces, the last one padded."""
    size = network.batch_size
    if not size:
        return np.asarray(network.run(batch))
    pieces = []
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        padded = np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), axis=0)])
        pieces.append(np.asarray(network.run(padded))[: len(piece)])
    return np.concatenate(pieces)


def _sample(data: Dataset, count: int) -> Split:
    """At most `count` images, evenly spaced over the training split, which may be sorted by class."""
    rows = np.linspace(0, len(data.train) - 1, min(count, len(data.train)), dtype=np.int64)
    return Split(data.train.images[rows], data.train.labels[rows])


def _ordered(fitted: FittedNetwork, sample: Split) -> tuple[FittedNetwork, npt.NDArray[np.bool_]]:
    """Put the outputs in the order of the classes, as the sample shows it.

    Returns:
        The network with that order, and which images of the sample it classifies right: bool [n].
    """
    logits = np.concatenate([fitted.logits(batch) for batch in batches(sample.images)])
    order = class_order(logits, sample.labels)
    answers = (logits[:, order] if order else logits).argmax(axis=1)
    return replace(fitted, order=order), np.asarray(answers == sample.labels)
