"""Wrong requests end with exit code 2 and one line, before anything is trained or written."""

from __future__ import annotations

import gzip
import shlex
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import assert_refused
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.trials.store import SCHEMA, Store

Command = Callable[..., Any]

BAD_LINES = {
    "a floor in percent": ("shrink digits --floor 97", "floor=97 must lie between 0 and 1; give for example 0.97"),
    "a floor of nothing": ("shrink digits --floor 0", "floor=0 must lie between 0 and 1"),
    "a floor of all": ("shrink digits --floor 1", "floor=1 must lie between 0 and 1"),
    "a floor below nothing": ("shrink digits --floor=-0.5", "floor=-0.5 must lie between 0 and 1"),
    "a floor that is a word": (
        "shrink digits --floor x",
        "floor=x is not a number; give an accuracy, for",
    ),
    "a floor that is no number": ("shrink digits --floor nan", "floor=nan must lie between 0 and 1"),
    "a floor without end": ("shrink digits --floor inf", "floor=inf must lie between 0 and 1"),
    "a floor too high to show": ("shrink digits --floor 0.999", "359 examples for validation"),
    "unknown data": ("shrink mnits --floor 0.9", "no data set 'mnits' (did you mean 'mnist'?)"),
    "a missing file": ("shrink gone.npz --floor 0.9", "gone.npz does not exist"),
    "unknown effort": (
        "shrink digits --floor 0.9 --effort quik",
        "effort='quik' is not known; use one of glance, quick",
    ),
    "unknown engine": ("shrink digits --floor 0.9 --engine jax", "no engine 'jax'; use auto, native, torch"),
    "nothing asked for": (
        "shrink digits",
        "nothing is asked for; give --floor 0.97, --within",
    ),
    "points of two meanings": (
        "shrink digits --within 0.5",
        "within=0.5 would be 50 points; write 0.5% for",
    ),
    "a class floor alone": ("shrink digits --params 90 --class-floor 80%", "add for example --floor 0.8"),
    "a rule alone": ("shrink digits --params 90 --rule strict", "rule='strict' says how an accuracy is met"),
    "a class floor of too much": ("shrink digits --floor 90% --class-floor 180%", "class_floor=1.8 must be at least 0"),
    "a limit of nothing": ("shrink digits --params 0", "params=0 must be at least 1; leave it out for no limit"),
    "a size that is none": ("shrink . --floor 0.9 --resize 32", "resize=32 cannot be read"),
    "unknown rule": ("shrink digits --floor 0.9 --rule t", "rule='t' is not known; use one of wilson, rate"),
    "a split below nothing": ("shrink digits --floor 0.9 --split-seed=-1", "split_seed=-1 must be at least 0"),
    "workers below nothing": ("shrink digits --floor 0.9 --workers=-1", "workers=-1 must be at least 1"),
    "a seed below nothing": ("shrink digits --floor 0.9 --seed=-1", "seed=-1 must be at least 0"),
    "a store in no folder": ("shrink digits --floor 0.9 --store gone/s.sqlite", "gone"),
    "a store of an unknown kind": ("shrink digits --floor 0.9 --store odd://s", "odd"),
    "unknown family": ("sweep digits --family cnn3", "no family 'cnn3' (did you mean 'cnn"),
    "a family that does not fit": ("sweep digits --family cnn2", "a kernel of 3x3 and is given a map of 2x2"),
    "no widths": ("sweep digits --widths ,", "widths=, cannot be read; give whole numbers of at least 1"),
    "a width of nothing": ("sweep digits --widths 4,0", "widths=4,0 cannot be read"),
    "a width of a word": ("sweep digits --widths four", "widths=four cannot be read"),
    "no seeds": ("sweep digits --family mlp1 --seeds 0", "seeds=0 must be at least 1; leave it out for 3"),
    "an unknown optimizer": ("sweep digits --optimizer lion", "optimizer='lion' is not known; use one of adam"),
    "epochs below nothing": ("sweep digits --family mlp1 --epochs=-1", "epochs=-1 must be at least 1; leave it out"),
    "an unknown layer": ("show 'convv 2x3x3 relu, dense 10'", "convv"),
    "a kernel larger than the map": ("show 'conv 2x5x5, dense 10' --input 1x4x4", "a kernel of 5x5 and is given a map"),
    "a missing head": ("show 'conv 2x3x3 relu, maxpool 2'", "the network has no head"),
    "a network that is none of three": (
        "show cnn3",
        "'cnn3' is neither a network file (.safetensors, .smidgen), a fam",
    ),
    "an empty network": ("show ''", "network"),
    "an input that is none": ("show cnn2 --input 28x28", "input=28x28 cannot be read"),
    "a family of no width": ("show cnn2 --width 0", "width=0 must be at least 1; leave it out for 2"),
    "a network file that is missing": ("show gone.safetensors", "gone.safetensors"),
    "a picture without a network": ("predict gone.safetensors digit.png", "gone.safetensors"),
    "a data set that has no name": ("data fetch mnits", "mnits"),
    "data to show that is unknown": ("data show mnits", "no data set 'mnits' (did you mean 'mnist'?)"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=list(BAD_LINES))
def test_a_wrong_line_is_refused_in_a_line(command: Command, work: Path, line: str, message: str) -> None:
    assert_refused(command(*shlex.split(line)), message)
    assert list(work.iterdir()) == [], "nothing is left behind"


def npz(**arrays: Any) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        np.savez(folder / "own.npz", **arrays)
        return "own.npz"

    return make


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def truncated_idx(folder: Path) -> str:
    """Four files in MNIST's names, the first cut off in the middle."""
    images, labels = np.zeros((100, 6, 6), np.uint8), np.arange(100, dtype=np.uint8) % 10
    for name in IDX_NAMES:
        (folder / name).write_bytes(idx(images if "images" in name else labels))
    whole = (folder / IDX_NAMES[0]).read_bytes()
    (folder / IDX_NAMES[0]).write_bytes(whole[: len(whole) // 2])
    return "."


def truncated_gzip(folder: Path) -> str:
    truncated_idx(folder)
    (folder / IDX_NAMES[0]).write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 4, 0]) + bytes(1_024))[:-12])
    return "."


def text_as_npz(folder: Path) -> str:
    (folder / "own.npz").write_text("no arrays")
    return "own.npz"


X, Y = np.arange(400, dtype=np.float32).reshape(100, 2, 2), np.arange(100) % 2
WITH_NAN = np.where(X == 17, np.nan, X)

BAD_DATA: dict[str, tuple[Callable[[Path], str], str]] = {
    "no labels": (npz(X=X), "it needs arrays X and y"),
    "values that are not numbers": (npz(X=WITH_NAN, y=Y), "1 values that are not finite"),
    "one class": (npz(X=X, y=np.zeros(100, int)), "the number of classes is 1"),
    "three images": (npz(X=X[:3], y=Y[:3]), "of the 3 examples to train on; give at least 5 examples of each class"),
    "no images": (npz(X=X[:0], y=Y[:0]), "and are empty"),
    "labels of another number": (npz(X=X, y=Y[:50]), "100 examples and 50 labels"),
    "labels in halves": (npz(X=X, y=Y / 4), "labels are not whole numbers"),
    "objects": (npz(X=X, y=np.array([{}] * 100)), "cannot read own.npz"),
    "no arrays": (text_as_npz, "not a whole .npz file"),
    "a truncated IDX file": (truncated_idx, "the file is truncated or overlong"),
    "a truncated gzip file": (truncated_gzip, "is a damaged gzip file"),
}


@pytest.mark.parametrize(("make", "message"), BAD_DATA.values(), ids=list(BAD_DATA))
@pytest.mark.parametrize("line", ["shrink {} --floor 0.9 --out out", "sweep {} --out out", "data show {}"])
def test_bad_data_is_refused_in_a_line(
    command: Command, work: Path, line: str, make: Callable[[Path], str], message: str
) -> None:
    data = make(work)
    before = sorted(work.iterdir())
    assert_refused(command(*line.format(data).split()), message)
    assert sorted(work.iterdir()) == before, "nothing is left behind"


@pytest.mark.parametrize("line", ["shrink digits --floor 0.9 --out file/out", "sweep digits --out file"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_trained(
    command: Command, work: Path, own_store: Path, line: str
) -> None:
    (work / "file").write_text("here")
    assert_refused(command(*line.split()), "file is not a folder that you may write to; give another --out")
    assert (work / "file").read_text() == "here"
    assert not own_store.exists()


def test_a_store_from_a_newer_version_is_refused(command: Command, work: Path, own_store: Path) -> None:
    Store(own_store).close()
    with closing(sqlite3.connect(own_store)) as database, database:
        database.execute("update meta set value = ? where key = 'schema'", (SCHEMA + 1,))
    for line in ("shrink digits --floor 0.9", "sweep digits --family mlp1"):
        assert_refused(command(*line.split()), f"has schema {SCHEMA + 1} and this Smidgen knows {SCHEMA}")
    assert list(work.iterdir()) == []


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(command: Command, work: Path) -> None:
    (work / "notes.txt").write_text("mine " * 300)
    assert_refused(command("sweep", "digits", "--family", "mlp1", "--store", "notes.txt"), "notes.txt")
    assert (work / "notes.txt").read_text() == "mine " * 300
    assert [path.name for path in work.iterdir()] == ["notes.txt"]
