"""Keras 3 models: .keras files, read in Keras's safe mode, and models in memory."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import Batch, Network, Outputs, digest_of, first_line, import_extra


def load_keras(path: Path) -> Network:
    """Open a .keras file; `safe_mode=True` refuses files with code in them.

    Raises:
        TeacherError: Keras is not installed, or the file is damaged or needs code of its own.
    """
    keras = import_extra("keras", "keras", str(path))
    try:
        model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, zipfile's and its backend's own
        raise TeacherError(
            f"cannot read {path} as a Keras model: {first_line(error)}; pass a model with Lambda layers or classes of "
            "its own from Python, as teacher=model"
        ) from error
    return _network(model, path.name, digest_of(path))


def from_keras(source: object, _: tuple[str, ...]) -> Network | None:
    """Wrap a Keras model in memory; None if the object is something else."""
    keras = sys.modules.get("keras")  # if nobody imported Keras, the object is not of Keras
    if keras is None or not isinstance(source, keras.Model):
        return None
    return _network(source, str(getattr(source, "name", "model")), "")


def _network(model: Any, name: str, digest: str) -> Network:
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise TeacherError(f"{name} takes several inputs; a teacher must take one")
    keras = import_module("keras")

    def run(images: Batch) -> Outputs:
        return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))

    return Network(name, run, tuple(shape[1:]), int(model.count_params()), digest, shape[0] or 0)
