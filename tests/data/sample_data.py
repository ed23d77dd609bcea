"""Small data sets and files that the tests of data share."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smidgen.data import Dataset, Split, published, sources
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.reporter import SilentReporter


class Said(SilentReporter):
    """Keeps the lines that it is told."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, text: str) -> None:
        self.lines.append(text)


def numbered(n: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Images of bytes that are all different (the first two pixels of image i hold i) and labels that go round."""
    images = np.full((n, 2, 3), 7, np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return images, np.arange(n) % classes


def members(split: Split) -> list[int]:
    """Which of `numbered` images are in a split."""
    return [int(low) + 256 * int(high) for low, high in split.images[:, 0, 0, :2]]


def four(dataset: Dataset) -> tuple[Split, Split, Split, Split]:
    return dataset.train, dataset.selection, dataset.confirmation, dataset.test


GOOD_X, GOOD_Y = numbered(30)


def with_nan(value: float) -> np.ndarray:
    X = GOOD_X.astype(float)
    X[4, 1, 2] = X[9, 0, 0] = value
    return X


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(n: int = 30) -> dict[str, bytes]:
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 5), np.uint8)
    labels = (np.arange(n) % 3).astype(np.uint8)
    contents = (idx(images), idx(labels), idx(images[:6]), idx(labels[:6]))
    return dict(zip(IDX_NAMES, contents, strict=True))


def folder_of_files(folder: Path, suffix: str = "", names: tuple[str, ...] = IDX_NAMES) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        content = idx_files()[name]
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def grouped(groups_a_class: int, sizes: list[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X whose one value tells every image apart, labels of two classes, and groups of these sizes, turn by turn."""
    counts = [sizes[place % len(sizes)] for place in range(2 * groups_a_class)]
    groups = np.repeat(np.arange(len(counts)), counts)
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.arange(len(groups), dtype=float)[:, None] + 0.5, (groups % 2)[order], groups[order]


def paint(path: Path, colour: int | tuple[int, ...], size: tuple[int, int] = (4, 3), mode: str = "L") -> None:
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new(mode, size, colour).save(path)


def tiny_publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that publishes a data set `tiny` from the sources it is given; the cache is empty."""
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in idx_files().items()}

    size_bytes = {name: len(content) for name, content in idx_files().items()}

    def publish(*source: sources.Source) -> None:
        tiny = published.Published(sha256, source, ("red", "amber", "green"), size_bytes=size_bytes)
        monkeypatch.setitem(published.PUBLISHED, "tiny", tiny)

    return publish
