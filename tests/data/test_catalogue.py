"""What `smidgen data list`, `fetch` and `show` print."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sample_data import folder_of_files, idx_files, tiny_publisher

from smidgen import data
from smidgen.data import Dataset, published, sources
from smidgen.errors import DataError


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    return tiny_publisher(tmp_path, monkeypatch)


def test_status_counts_what_is_cached(tmp_path, tiny):
    tiny(sources.Folder(folder_of_files(tmp_path / "origin")))
    before = {cached.name: cached for cached in data.list()}
    assert not before["tiny"].complete
    assert before["tiny"].size_bytes == 0
    data.fetch("tiny")
    after = {cached.name: cached for cached in data.list()}
    assert after["tiny"].complete
    assert after["tiny"].folder == tmp_path / "cache" / "data" / "tiny"
    assert after["tiny"].size_bytes == sum(map(len, idx_files().values()))
    assert not after["mnist"].complete


def test_names_are_the_published_ones():
    assert data.NAMES == ("mnist", "fashion-mnist", "digits")
    hashes = [sha for name in data.NAMES for sha in published.PUBLISHED[name].sha256.values()]
    assert len(set(hashes)) == 9
    assert all(len(sha) == 64 and int(sha, 16) for sha in hashes)
    assert (
        json.dumps(published.PUBLISHED["fashion-mnist"].class_names[::3])
        == '["T-shirt/top", "Dress", "Shirt", "Ankle boot"]'
    )


def test_a_summary_says_what_the_splits_contain(digits: Dataset) -> None:
    found = data.show("digits")
    assert (found.name, found.input_shape, found.dtype, found.value_range) == ("digits", (1, 8, 8), "uint8", (0, 255))
    assert found.split_sizes == {"train": 1079, "selection": 180, "confirmation": 179, "test": 359}
    for name, split in digits.splits.items():
        assert found.class_counts[name] == tuple(np.bincount(split.labels))
    assert (found.class_names, found.digest) == (digits.class_names, digits.digest)
    assert found == data.summary(digits)
    assert data.show("digits", split_seed=1).digest != digits.digest


def test_a_name_that_is_not_published_cannot_be_fetched() -> None:
    with pytest.raises(DataError, match="no data set 'mnits' is published; use one of mnist, fashion-mnist, digits"):
        data.fetch("mnits")
