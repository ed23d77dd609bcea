"""A network file as a classifier of arrays: load, save."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import network_input
from smidgen.engine import choose, softmax
from smidgen.errors import RequestError
from smidgen.model import Model, as_quantized, open_model, save_safetensors, save_smidgen
from smidgen.spec import NetSpec
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
        return probabilities_of(self.model, inputs, "auto")

    def _say(self, note: str) -> None:
        """Warn once of each kind of fault; counts and ranges may differ from batch to batch."""
        kind = note.translate({ord(digit): None for digit in "0123456789.,-"})
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(note, InputWarning, stacklevel=3)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each image: [n], of the dtype of `classes`; X as in `predict_proba`."""
        return np.asarray(self.classes[self.predict_proba(X).argmax(axis=1)])


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


def probabilities_of(model: Model, images: npt.NDArray[Any], engine: str) -> npt.NDArray[np.float64]:
    """Return the softmax of the network's outputs: float64 [n, classes]."""
    logits = choose(engine).predict(model.spec, model.weights, images)
    return softmax(logits.astype(np.float64))
