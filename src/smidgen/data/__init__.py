"""Data for a classifier, in the four splits that every stage of a search relies on.

    >>> data = load("mnist")                                # doctest: +SKIP
    >>> len(data.train), len(data.selection), len(data.confirmation), len(data.test)    # doctest: +SKIP
    (50000, 5000, 5000, 10000)

The validation split is cut from the training data, never from the test data, and has two halves: networks are chosen
on `selection`, and `confirmation`, which takes no part in choosing, is the check. Cuts are random within each class
and depend on the labels and `split_seed` alone. Data without a test split has a fifth cut off for one first.

    dataset.py               Split and Dataset
    loading.py               published names, files and folders -> Dataset
    build.py                 arrays, torch and Hugging Face data sets -> Dataset
    augment.py               copies of the training images, each shifted, rotated and scaled
    facts.py                 what a user should know of a data set, in sentences
    catalogue.py             what the commands `smidgen data list`, `fetch` and `show` print
    readers/                 one file format a module
    layout.py                which axis is time, rows, channels
    scaling.py               the offset and scale of each column, from the training split
    for_networks.py          a user's arrays and pictures -> what a trained network reads
    checks.py                raw arrays -> images and labels, or an error that says what is wrong
    copies.py                exact copies are found, counted and kept in one split
    splits.py                which images belong to which split
    framework_datasets.py    data sets of torch and Hugging Face -> arrays
    published.py             the data sets that load by name; sources.py and cache.py fetch and keep them
"""

from __future__ import annotations

from smidgen.data.augment import can_be_moved, usual_copies, with_copies
from smidgen.data.build import as_images, from_arrays, from_dataset, oversampled, repeated, without_test_split
from smidgen.data.cache import CachedDataset
from smidgen.data.catalogue import DataSummary, fetch, list, show, summary
from smidgen.data.dataset import Dataset, Split
from smidgen.data.facts import facts_of
from smidgen.data.for_networks import network_input, picture_values
from smidgen.data.loading import load, load_with
from smidgen.data.origin import Origin
from smidgen.data.published import NAMES
from smidgen.data.readers import NO_OPTIONS, ReadOptions
from smidgen.data.splits import MAX_REPEATS

__all__ = [
    "MAX_REPEATS",
    "NAMES",
    "NO_OPTIONS",
    "CachedDataset",
    "DataSummary",
    "Dataset",
    "Origin",
    "ReadOptions",
    "Split",
    "as_images",
    "can_be_moved",
    "facts_of",
    "fetch",
    "from_arrays",
    "from_dataset",
    "list",
    "load",
    "load_with",
    "network_input",
    "oversampled",
    "picture_values",
    "repeated",
    "show",
    "summary",
    "usual_copies",
    "with_copies",
    "without_test_split",
]
