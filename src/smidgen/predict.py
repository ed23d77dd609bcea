"""A network file and a picture -> a class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.compress import open_model
from smidgen.engine import choose
from smidgen.errors import DataError
from smidgen.losses import softmax
from smidgen.modelfile import Model


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
    logits = choose(model.spec, engine).predict(model.spec, model.weights, image[None])
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
