"""A network file and a picture -> a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import as_images
from smidgen.engine import choose, softmax
from smidgen.errors import DataError, RequestError
from smidgen.model import Model, as_quantized, open_model, save_safetensors, save_smidgen


@dataclass(frozen=True)
class Prediction:
    """The class that a network gives a picture, and the softmax of every class, likeliest first."""

    name: str
    probabilities: tuple[tuple[str, float], ...]


def predict(model: Model | Path | str, picture: Path | str, engine: str = "auto") -> Prediction:
    """Classify one picture file by a network file.

    The picture is turned to the network's channels and size. It is read as it is: a network trained on light
    digits on a dark ground wants such pictures.

    Raises:
        ModelFileError: not a network file. DataError: not a picture, or the network does not take pictures.
    """
    model = model if isinstance(model, Model) else open_model(Path(model))
    image = read_picture(Path(picture), model)
    logits = choose(engine).predict(model.spec, model.weights, image[None])
    shares = softmax(logits.astype(np.float64))[0]
    order = np.argsort(-shares, kind="stable")
    ranked = tuple((model.class_names[k], float(shares[k])) for k in order)
    return Prediction(ranked[0][0], ranked)


def read_picture(path: Path, model: Model) -> npt.NDArray[np.uint8]:
    """A picture file as the network's input: uint8 [channels, height, width]."""
    from PIL import Image

    channels, height, width = model.input_shape
    if channels not in (1, 3) or min(height, width) < 2:
        shape = "x".join(map(str, model.input_shape))
        raise DataError(f"the network takes {shape} values and not pictures; use smidgen.load_model from Python")
    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if channels == 1 else "RGB")
            if picture.size != (width, height):
                picture = picture.resize((width, height), Image.Resampling.BOX)
            pixels = np.asarray(picture, np.uint8).reshape(height, width, channels)
    except FileNotFoundError:
        raise DataError(f"no picture at {path}; give the path of a PNG or JPEG file") from None
    # Pillow raises SyntaxError for broken PNG chunks.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}; give a PNG or JPEG file") from error
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


SUFFIXES = (".smidgen", ".safetensors")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network that takes arrays.

    classes: what its outputs stand for [classes]: whole numbers where all names are such, else text
    """

    model: Model = field(repr=False)
    classes: npt.NDArray[Any]

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The softmax of its outputs: float64 [n, classes].

        Raises:
            DataError: images of another shape than the network takes.
        """
        images, model = as_images(X), self.model
        if images.shape[1:] != model.input_shape:
            given, wanted = ("x".join(map(str, shape)) for shape in (images.shape[1:], model.input_shape))
            raise DataError(f"X has images of {given} (channels, height, width) and the network takes {wanted}")
        logits = choose().predict(model.spec, model.weights, images)
        return softmax(logits.astype(np.float64))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The likeliest class of each image: [n], of the type of `classes`."""
        return np.asarray(self.classes[self.predict_proba(X).argmax(axis=1)])


def load(path: str | Path) -> Network:
    """A network file (.smidgen or .safetensors) as a classifier.

    Raises:
        ModelFileError: no such file, or not such a file.
    """
    model = open_model(Path(path))
    names = np.array(model.class_names)
    whole = all(name.removeprefix("-").isdigit() and str(int(name)) == name for name in model.class_names)
    return Network(model, names.astype(np.int64) if whole else names)


def save(model: Model, path: str | Path) -> int:
    """Write a network without loss, as the suffix says; the length of the file, which was decoded again, in bytes.

    Raises:
        RequestError: another suffix. ModelFileError: a place that cannot hold it.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise RequestError(f"cannot tell what {path} is to be; give a name that ends in {' or '.join(SUFFIXES)}")
    return save_smidgen(as_quantized(model), path) if path.suffix == ".smidgen" else save_safetensors(model, path)
