"""What the commands `smidgen data list`, `fetch` and `show` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smidgen.data.cache import CachedDataset, cached_dataset, cached_files
from smidgen.data.dataset import Dataset
from smidgen.data.facts import constant_features, facts_of, feature_ranges, majority_rate
from smidgen.data.loading import load_with
from smidgen.data.origin import NO_COPIES, Copies
from smidgen.data.published import NAMES, PUBLISHED
from smidgen.data.readers import ReadOptions
from smidgen.errors import DataError
from smidgen.reporter import Reporter
from smidgen.spec import Shape


@dataclass(frozen=True)
class DataSummary:
    """What is known about a data set.

    Attributes:
        name: The published name, or the name of the file or folder.
        class_names: The name of each class, in the order of the labels.
        input_shape: (channels, height, width) of an image.
        dtype: "uint8" or "float32".
        value_range: The least and the greatest value in any split, in the user's units.
        split_sizes: The number of images by split: train, selection, confirmation, test.
        class_counts: The number of images of each class by split, in the order of `class_names`.
        digest: SHA-256 in hex of the class names and the content of every split.
        dataset: The data set itself.
        label_source: The column of a table that has the labels, and why it was taken; "" for other data.
        features: (name, least value, greatest value) of each feature of vectors, over all splits; () for images.
        constant_features: The features that have one value in the whole training split.
        majority_rate: The accuracy of answering always with the commonest class.
        copies: How many images are exact copies of others.
        facts: What else was understood or can mislead, one sentence each.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: Shape
    dtype: str
    value_range: tuple[float, float]
    split_sizes: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    digest: str
    dataset: Dataset = field(repr=False, compare=False)
    label_source: str = ""
    features: tuple[tuple[str, float, float], ...] = ()
    constant_features: tuple[str, ...] = ()
    majority_rate: float = 0.0
    copies: Copies = NO_COPIES
    facts: tuple[str, ...] = ()


def show(
    data: str | Path,
    split_seed: int = 0,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    *,
    resize: Sequence[int] | str | None = None,
    group_column: str = "",
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    layout: str = "",
) -> DataSummary:
    """Load a data set and summarize it: classes, shapes, value range, split sizes and digest.

    Args:
        data: One of `NAMES`, or the path of a file or folder.
        split_seed: The seed of the cuts.
        cache: Where published data sets are kept; None is SMIDGEN_CACHE, else the user's own cache.
        reporter: It is told which files are fetched from where.
        resize: (height, width) or "32x32", in pixels, to which the images of a folder are resized.
        group_column: The column, or the array of a .npz file, with the group of each row.
        label: The column of a table with the labels; "" finds it.
        drop: Columns of a table to leave out.
        classes: The names of the classes in the order of the outputs: ("low", "high") or "low,high".
        window: Rows of a table in long form that make one window of a signal; None: each row is an example.
        step: Rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: The column of a table in long form that has the times; "" if rows are in order.
        layout: The axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.

    Raises:
        DataError: The data is not found, not readable, or does not fit a classifier.
    """
    options = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    return summary(load_with(data, options, split_seed, cache, reporter))


def summary(data: Dataset) -> DataSummary:
    """Summarize a data set that is loaded."""
    splits, names = data.splits, data.class_names
    counts = {name: np.bincount(split.labels, minlength=len(names)) for name, split in splits.items()}
    return DataSummary(
        name=data.name,
        class_names=names,
        input_shape=data.input_shape,
        dtype=str(data.train.dtype),
        value_range=_value_range(data),
        split_sizes={name: len(split) for name, split in splits.items()},
        class_counts={name: tuple(map(int, found)) for name, found in counts.items()},
        digest=data.digest,
        dataset=data,
        label_source=data.origin.label_source,
        features=feature_ranges(data),
        constant_features=constant_features(data),
        majority_rate=majority_rate(data),
        copies=data.origin.copies,
        facts=facts_of(data),
    )


def _value_range(data: Dataset) -> tuple[float, float]:
    values = [data.input.to_units(split.images) for split in data.splits.values()]
    return min(float(each.min()) for each in values), max(float(each.max()) for each in values)


def fetch(name: str, cache: Path | None = None, reporter: Reporter | None = None) -> dict[str, Path]:
    """Fetch a published data set into the cache, or check what is there by its SHA-256.

    Args:
        name: One of `NAMES`.
        cache: Where published data sets are kept; None is SMIDGEN_CACHE, else the user's own cache.
        reporter: It is told which files are fetched from where.

    Returns:
        The path of each file in the cache, by the file's name.

    Raises:
        DataError: No data set has this name, or no source has every file; the message names each source.
    """
    if name not in PUBLISHED:
        raise DataError(f"no data set '{name}' is published; use one of {', '.join(NAMES)}")
    return cached_files(name, cache, reporter)


def list(cache: Path | None = None) -> tuple[CachedDataset, ...]:
    """List the published data sets, and what the cache has of each.

    Args:
        cache: Where published data sets are kept; None is SMIDGEN_CACHE, else the user's own cache.
    """
    return tuple(cached_dataset(name, cache) for name in PUBLISHED)
