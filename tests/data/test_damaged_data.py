"""Damaged files of every format are errors of the data and never tracebacks."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_data import folder_of_files

from smidgen.data import load
from smidgen.errors import DataError

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 3)).round(3), np.arange(40) % 2


def npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", X=X, y=Y)
    return folder / "x.npz"


def csv(folder: Path) -> Path:
    rows = "".join(f"{a},{b},{c},{'ab'[k]}\n" for (a, b, c), k in zip(X, Y, strict=True))
    (folder / "x.csv").write_text("p,q,r,label\n" + rows)
    return folder / "x.csv"


def parquet(folder: Path) -> Path:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame(X, columns=["p", "q", "r"]).assign(label=Y).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def picture(suffix: str) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        for number in range(12):
            path = folder / "ab"[number % 2] / f"{number}{suffix}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(RANDOM.integers(0, 256, (12, 9, 3), np.uint8)).save(path)
        return folder / "a" / f"0{suffix}"

    return save


def idx(folder: Path) -> Path:
    return folder_of_files(folder / "idx") / "train-images-idx3-ubyte"


MAKERS = {
    "npz": npz,
    "csv": csv,
    "parquet": parquet,
    "idx": idx,
    **{f"picture{suffix}": picture(suffix) for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif")},
}


def damaged(content: bytes, seed: int) -> bytes:
    """Change some bytes or four bytes to large numbers, cut the end off, or repeat a part."""
    random = np.random.default_rng(seed)
    found = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        place = int(random.integers(0, min(len(found), 400) if random.random() < 0.5 else len(found)))
        match int(random.integers(0, 4)):
            case 0:
                found[place] ^= int(random.integers(1, 256))
            case 1:
                found[place : place + 4] = struct.pack("<I", int(random.integers(2**31, 2**32)))
            case 2:
                found[place:place] = found[place : place + 30]
            case _:
                del found[max(place, 1) :]
    return bytes(found)


@pytest.mark.parametrize("maker", MAKERS)
def test_damaged_bytes_load_or_are_an_error_that_names_the_data(tmp_path: Path, maker: str) -> None:
    file = MAKERS[maker](tmp_path)
    data = file if maker in ("npz", "csv", "parquet") else file.parent if maker == "idx" else tmp_path
    content = file.read_bytes()
    refused = 0
    for seed in range(60):
        file.write_bytes(damaged(content, seed))
        with warnings.catch_warnings(), suppress(DataError):
            warnings.simplefilter("ignore")
            refused += 1
            load(data)
            refused -= 1
    assert refused > 5
