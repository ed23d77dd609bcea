"""What a user should know of a data set before anything is trained, in sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from smidgen.data.dataset import Dataset
from smidgen.data.layout import ROWS
from smidgen.data.readers.columns import MOST_NAMES
from smidgen.spec.input import IMAGE_BYTES, IMAGE_FLOATS, SIGNAL, VECTOR
from smidgen.text_forms import counted

RARE_TIMES = 5
"""Classes are called unequal if the commonest has this many times as many images as the rarest."""


def facts_of(data: Dataset) -> tuple[str, ...]:
    """Say how the data was understood and what in it can mislead: one sentence each, none for what is as usual."""
    if data.origin.facts:
        return data.origin.facts
    source = data.origin.label_source
    other = "; --label names another" if "," in source else ""
    told = [f"labels are {source}{other}"] if source else []
    return (*_input(data), *told, *data.origin.notes, *data.origin.copies.facts, *_constant(data), *_majority(data))


def with_facts(data: Dataset) -> Dataset:
    """Keep what is said of a data set, so that it stays true of copies with repeated or augmented images."""
    return replace(data, origin=replace(data.origin, facts=facts_of(data)))


def _input(data: Dataset) -> list[str]:
    """What networks read, where it is not an image in bytes, and how to say that it is laid out otherwise."""
    other = {SIGNAL: "; --layout states other axes", IMAGE_FLOATS: "; if it is a signal, --layout time-channels"}
    could_be_signal = not data.origin.has_stated_axes and (data.input.kind == SIGNAL or data.input.axes == ROWS)
    hint = other.get(data.input.kind, "") if could_be_signal else ""
    usual = data.input.kind == IMAGE_BYTES or (data.input.kind == VECTOR and not data.input.is_scaled)
    return [] if usual else [f"input: {data.input}{hint}"]


def class_counts(data: Dataset) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of images of each class in all splits, as they were given: int64 [classes]."""
    counts = [np.bincount(split.labels, minlength=data.classes) for split in data.splits.values()]
    return np.asarray(np.sum(counts, axis=0), np.int64)


def majority_rate(data: Dataset) -> float:
    """The accuracy of answering always with the commonest class."""
    counts = class_counts(data)
    return float(counts.max() / counts.sum())


def feature_ranges(data: Dataset) -> tuple[tuple[str, float, float], ...]:
    """(name, least value, greatest value) of each feature of vectors in the user's units; () for images."""
    if data.input_shape[1:] != (1, 1):
        return ()
    lows = np.min([split.images.min(axis=(0, 2, 3)) for split in data.splits.values()], axis=0)
    highs = np.max([split.images.max(axis=(0, 2, 3)) for split in data.splits.values()], axis=0)
    ends = data.input.to_units(np.stack([lows, highs])[:, :, None, None])[:, :, 0, 0]
    return tuple(zip(_names(data), *ends.tolist(), strict=True))


def constant_features(data: Dataset) -> tuple[str, ...]:
    """The features of vectors that have one value in the whole training split; () for images."""
    if data.input_shape[1:] != (1, 1):
        return ()
    values = data.train.images[:, :, 0, 0]
    return tuple(name for name, same in zip(_names(data), (values == values[0]).all(axis=0), strict=True) if same)


def _names(data: Dataset) -> tuple[str, ...]:
    """The names of the features of vectors; those without names are "1", "2" and so on."""
    return data.origin.feature_names or tuple(str(place + 1) for place in range(data.input_shape[0]))


def _constant(data: Dataset) -> list[str]:
    names = constant_features(data)
    if not names:
        return []
    shown = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return [f"{counted(len(names), 'feature')} with one value in the whole training split: {shown}"]


def _majority(data: Dataset) -> list[str]:
    counts = class_counts(data)
    if counts.max() < RARE_TIMES * counts.min():
        return []
    common, rare = data.class_names[int(counts.argmax())], data.class_names[int(counts.argmin())]
    return [
        f"class '{common}' has {counts.max():,} examples and '{rare}' {counts.min():,}: answering always '{common}' is "
        f"{majority_rate(data):.1%} accurate; --balanced asks for the mean over the classes"
    ]
