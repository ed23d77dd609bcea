"""The classes that a network file gives to files: pictures, folders of them, tables and arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import cannot_write, write_whole
from smidgen.data import network_input, picture_values
from smidgen.data.readers.image_file import read_image
from smidgen.data.readers.unlabelled import array_of, picture_files, rows_of
from smidgen.errors import DataError, ModelFileError, RequestError
from smidgen.foreign_text import in_csv
from smidgen.model import Model, open_model
from smidgen.predictor import probabilities_of
from smidgen.spec.input import SIGNAL, VECTOR
from smidgen.text_forms import path_of

TABLES = (".csv", ".tsv", ".parquet")
CHUNK = 256
"""Pictures that are in memory at once."""

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The class of one example.

    Attributes:
        name: The most probable class.
        probabilities: (class name, softmax) of every class, the most probable first.
        input: The path of the picture, or the row of the table or array, from 1.
    """

    name: str
    probabilities: tuple[tuple[str, float], ...]
    input: str = ""


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """The classes of several examples, in the order of the files and of their rows.

    Attributes:
        inputs: The path of each picture, or the row of the table or array, from 1.
        class_names: The name of each class, in the order of the outputs.
        table: float64 [n, classes], the softmax of each example.
        notes: What looks wrong with the values, one sentence each.
        written_to: The CSV file; None if none was written.
    """

    inputs: tuple[str, ...]
    class_names: tuple[str, ...]
    table: Probabilities = field(repr=False)
    notes: tuple[str, ...] = ()
    written_to: Path | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Prediction, ...]: ...

    def __getitem__(self, index: int | slice) -> Prediction | tuple[Prediction, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        row = self.table[index]
        ranked = tuple((self.class_names[k], float(row[k])) for k in np.argsort(-row, kind="stable"))
        return Prediction(ranked[0][0], ranked, self.inputs[index])

    def __repr__(self) -> str:
        return f"<Predictions: {len(self):,} examples, {len(self.class_names)} classes>"

    @property
    def names(self) -> tuple[str, ...]:
        """The most probable class of each example."""
        return tuple(self.class_names[k] for k in self.table.argmax(axis=1))

    @property
    def name(self) -> str:
        """The most probable class of the only example."""
        return self._only.name

    @property
    def probabilities(self) -> tuple[tuple[str, float], ...]:
        """(class name, softmax) of every class of the only example, the most probable first."""
        return self._only.probabilities

    @property
    def _only(self) -> Prediction:
        if len(self) != 1:
            raise RequestError(f"there are {len(self):,} predictions; take one of them, such as predictions[0]")
        return self[0]

    def to_csv(self) -> str:
        """Return a table as CSV: input, class, and the probability of each class in the order of the outputs."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(in_csv, ("input", "class", *self.class_names)))
        for place, row, name in zip(self.inputs, self.table, self.names, strict=True):
            writer.writerow((in_csv(place), in_csv(name), *(f"{value:.6g}" for value in row)))
        return text.getvalue()


def predict(
    model: Model | Path | str,
    inputs: Path | str | Sequence[Path | str],
    engine: str = "auto",
    *,
    drop: Sequence[str] | None = None,
    out: str | Path | None = None,
) -> Predictions:
    """Classify the examples of files: pictures, folders of pictures, tables, arrays.

    A picture is converted to the network's channels, size and range of values, and is otherwise read as it is: a
    network that was trained on light digits on a dark ground needs such pictures. A table has a feature in each column,
    in the order in which the network was trained; a column that is named as a label, or that only numbers the rows, is
    left out. An array is read as `smidgen.load(file).predict` reads it.

    Args:
        model: The network, or a network file.
        inputs: A picture (.png, .jpg, .bmp, .webp, .tif), a folder of them, .csv, .tsv, .parquet or .npz; or several.
        engine: "auto", "native" or "torch".
        drop: Columns of a table to leave out.
        out: CSV file to write, with the class and the probabilities of each example.

    Raises:
        ModelFileError: `model` is not a network file, or `out` cannot be written.
        RequestError: `inputs` is not a path.
        DataError: A file cannot be read, or the network does not take such examples.
    """
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    if not isinstance(given, list | tuple) or not all(isinstance(each, str | Path) for each in given):
        raise RequestError("predict takes files; for arrays use smidgen.load(file).predict(X)")
    if not given:
        raise RequestError("inputs=[] has no file; give at least one")
    network = model if isinstance(model, Model) else open_model(path_of(model, "model"))
    path = None if out is None else path_of(out, "out")
    parts = [_of_file(network, Path(each), tuple(drop or ()), engine) for each in given]
    found = Predictions(
        inputs=tuple(name for part in parts for name in _named(part, len(parts) > 1)),
        class_names=network.class_names,
        table=np.concatenate([part.table for part in parts]),
        notes=tuple(f"{part.path}: {note}" for part in parts for note in part.notes),
        written_to=path,
    )
    if path is not None:
        _write(found, path)
    return found


@dataclass(frozen=True, eq=False)
class _Part:
    """What one file or folder gives; `pictures` is empty if it has rows."""

    path: Path
    table: Probabilities
    pictures: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def _named(part: _Part, is_one_of_several: bool) -> list[str]:
    if part.pictures:
        return list(map(str, part.pictures))
    before = f"{part.path}:" if is_one_of_several else ""
    return [f"{before}{row + 1}" for row in range(len(part.table))]


def _write(found: Predictions, path: Path) -> None:
    try:
        write_whole(path, found.to_csv().encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ModelFileError(cannot_write(path, error)) from error


def _of_file(model: Model, path: Path, drop: tuple[str, ...], engine: str) -> _Part:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in (".npz", *TABLES):
        files = tuple(picture_files(path)) if path.is_dir() else (path,)
        return _Part(path, _of_pictures(model, files, engine), files)
    if not path.is_file():
        raise DataError(f"no file at {path}; give a picture, a folder, or a file ending in .npz, {', '.join(TABLES)}")
    values = array_of(path) if suffix == ".npz" else rows_of(path, _features(model, path), drop)
    images, notes = network_input(values, model.input)
    return _Part(path, probabilities_of(model, images, engine), (), notes)


def _features(model: Model, path: Path) -> int:
    """How many columns a row of a table must have."""
    features, height, width = model.input_shape
    if (height, width) != (1, 1):
        raise DataError(
            f"the network takes {features}x{height}x{width} values and {path} has rows; give them as array X of a .npz "
            "file"
        )
    return features


def _of_pictures(model: Model, files: Sequence[Path], engine: str) -> Probabilities:
    def tables() -> Iterator[Probabilities]:
        for start in range(0, len(files), CHUNK):
            pixels = np.stack([read_picture(file, model) for file in files[start : start + CHUNK]])
            yield probabilities_of(model, picture_values(pixels, model.input), engine)

    return np.concatenate(list(tables()))


def read_picture(path: Path, model: Model) -> npt.NDArray[np.uint8]:
    """Read a picture file as input of a network: uint8 [channels, height, width].

    Raises:
        DataError: The file is not a picture, or the network does not take pictures.
    """
    channels, height, width = model.input_shape
    if channels not in (1, 3) or min(height, width) < 2 or model.input.kind in (SIGNAL, VECTOR):
        shape = "x".join(map(str, model.input_shape))
        raise DataError(
            f"the network takes {shape} values and not pictures; give a table or a .npz file, or use smidgen.load from "
            "Python"
        )
    if not path.exists():
        raise DataError(f"no picture at {path}; give the path of a PNG or JPEG file")
    picture: npt.NDArray[Any] = read_image(path, (height, width), channels)
    if picture.dtype != np.uint8:
        raise DataError(f"{path} has more than 8 bits a channel; save it with 8 bits, or use smidgen.load from Python")
    pixels = picture.reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
