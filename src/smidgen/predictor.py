"""A network file as a classifier: load, save, predict."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import network_input, picture_values
from smidgen.data.readers.image_file import read_image
from smidgen.engine import choose, softmax
from smidgen.errors import DataError, RequestError
from smidgen.model import Model, as_quantized, open_model, save_safetensors, save_smidgen
from smidgen.spec import NetSpec
from smidgen.spec.input import SIGNAL, VECTOR
from smidgen.text_forms import path_of

SUFFIXES = (".smidgen", ".safetensors")


class InputWarning(UserWarning):
    """Values are read otherwise than they came, or lie outside what the network saw in training."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network that classifies arrays, with the interface of a scikit-learn classifier.

    Attributes:
        model: The network and its weights.
        classes: The class of each output, [classes]: int64 if all class names are whole numbers, else text.
    """

    model: Model = field(repr=False)
    classes: npt.NDArray[Any]
    _said: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def spec(self) -> NetSpec:
        """The layers of the network."""
        return self.model.spec

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the outputs."""
        return self.model.class_names

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the softmax of the outputs for each image.

        Args:
            X: Arrays in the units, the type and the axes of the data that the network was trained from
                (`self.model.input` says which). What looks wrong is said once, as an `InputWarning`.

        Returns:
            float64 [n, classes]; each row sums to 1.

        Raises:
            DataError: The arrays have another shape than the network takes, or values that are not finite.
        """
        inputs, notes = network_input(np.asarray(X), self.model.input)
        for note in notes:
            self._say(note)
        return _probabilities(self.model, inputs, "auto")

    def _say(self, note: str) -> None:
        """Warn once of each kind of fault; counts and ranges may differ from batch to batch."""
        kind = note.translate({ord(digit): None for digit in "0123456789.,-"})
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(note, InputWarning, stacklevel=3)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each image: [n], of the dtype of `classes`; X as in `predict_proba`."""
        return np.asarray(self.classes[self.predict_proba(X).argmax(axis=1)])


@dataclass(frozen=True)
class Prediction:
    """The class of one picture.

    Attributes:
        name: The most probable class.
        probabilities: (class name, softmax) of every class, the most probable first.
    """

    name: str
    probabilities: tuple[tuple[str, float], ...]


def load(path: str | Path) -> Classifier:
    """Open a network file (.smidgen or .safetensors) as a classifier.

    Raises:
        ModelFileError: There is no such file, or it is not a network file.
    """
    model = open_model(path_of(path, "path"))
    names = np.array(model.class_names)
    whole = all(name.removeprefix("-").isdigit() and str(int(name)) == name for name in model.class_names)
    return Classifier(model, names.astype(np.int64) if whole else names)


def save(model: Model, path: str | Path) -> int:
    """Write a network without loss, in the format that the file name's suffix names, and read it back as a check.

    Args:
        model: The network.
        path: A file name that ends in .smidgen or .safetensors.

    Returns:
        The length of the file in bytes.

    Raises:
        RequestError: The file name has another suffix.
        ModelFileError: The file cannot be written.
    """
    path = path_of(path, "path")
    if path.suffix not in SUFFIXES:
        raise RequestError(f"{path} names no file format; give a name that ends in {' or '.join(SUFFIXES)}")
    return save_smidgen(as_quantized(model), path) if path.suffix == ".smidgen" else save_safetensors(model, path)


def predict(model: Model | Path | str, picture: Path | str, engine: str = "auto") -> Prediction:
    """Classify one picture file.

    The picture is converted to the network's channels, size and range of values, and is otherwise read as it is: a
    network that was trained on light digits on a dark ground needs such pictures.

    Args:
        model: The network, or a network file.
        picture: A PNG or JPEG file.
        engine: "auto", "native" or "torch".

    Raises:
        ModelFileError: `model` is not a network file.
        RequestError: `picture` is not a path.
        DataError: `picture` is not a picture, or the network does not take pictures.
    """
    if not isinstance(picture, str | Path):
        raise RequestError("predict takes a picture file; for arrays use smidgen.load(file).predict(X)")
    model = model if isinstance(model, Model) else open_model(path_of(model, "model"))
    pixels = read_picture(Path(picture), model)[None]
    probabilities = _probabilities(model, picture_values(pixels, model.input), engine)[0]
    order = np.argsort(-probabilities, kind="stable")
    ranked = tuple((model.class_names[k], float(probabilities[k])) for k in order)
    return Prediction(ranked[0][0], ranked)


def read_picture(path: Path, model: Model) -> npt.NDArray[np.uint8]:
    """Read a picture file as input of a network: uint8 [channels, height, width].

    Raises:
        DataError: The file is not a picture, or the network does not take pictures.
    """
    channels, height, width = model.input_shape
    if channels not in (1, 3) or min(height, width) < 2 or model.input.kind in (SIGNAL, VECTOR):
        shape = "x".join(map(str, model.input_shape))
        raise DataError(f"the network takes {shape} values and not pictures; use smidgen.load from Python")
    if not path.exists():
        raise DataError(f"no picture at {path}; give the path of a PNG or JPEG file")
    picture = read_image(path, (height, width), channels)
    if picture.dtype != np.uint8:
        raise DataError(f"{path} has more than 8 bits a channel; save it with 8 bits, or use smidgen.load from Python")
    pixels = picture.reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _probabilities(model: Model, images: npt.NDArray[Any], engine: str) -> npt.NDArray[np.float64]:
    """The softmax of the network's outputs: float64 [n, classes]."""
    logits = choose(engine).predict(model.spec, model.weights, images)
    return softmax(logits.astype(np.float64))
