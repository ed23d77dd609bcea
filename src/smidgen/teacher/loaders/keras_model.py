"""Keras 3 models: .keras files, read in Keras's safe mode, and models in memory.

Keras computes with TensorFlow unless it is told otherwise, and fails where that is not installed. So a file is opened
with torch or JAX there.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from smidgen import environment
from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import Batch, Network, Outputs, cause_of, digest_of, import_extra

BACKENDS = ("tensorflow", "torch", "jax")
"""What Keras can compute with, its own choice first."""


def load_keras(path: Path) -> Network:
    """Open a .keras file; `safe_mode=True` refuses files with code in them.

    Raises:
        TeacherError: Keras or its backend is not installed, or the file is damaged or needs code of its own.
    """
    notes = choose_backend(path)
    keras = import_extra("keras", "keras", str(path))
    try:
        model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, zipfile's and its backend's own
        raise TeacherError(
            f"cannot read {path} as a Keras model: {cause_of(error)}; pass a model with Lambda layers or classes of "
            "its own from Python, as teacher=model"
        ) from error
    return _network(model, path.name, digest_of(path), notes)


def choose_backend(path: Path) -> tuple[str, ...]:
    """Have Keras compute with a backend that is installed, unless Keras is loaded already or KERAS_BACKEND is set.

    Returns:
        A note that says which one, where it is not the one that Keras would take.

    Raises:
        TeacherError: Keras is installed, and no backend is.
    """
    if "keras" in sys.modules or environment.keras_backend() or find_spec("keras") is None:
        return ()
    wanted = _configured_backend()
    if wanted not in BACKENDS or find_spec(wanted) is not None:
        return ()
    for backend in BACKENDS:
        if find_spec(backend) is not None:
            environment.set_keras_backend(backend)
            return (f"{path.name} is run by Keras on {backend}, because {wanted} is not installed",)
    raise TeacherError(
        f"{path} needs Keras with a backend, and none is installed; pip install torch, jax or tensorflow"
    )


def _configured_backend() -> str:
    """The backend in Keras's own settings; TensorFlow without them."""
    try:
        return str(json.loads((environment.keras_directory() / "keras.json").read_text()).get("backend", BACKENDS[0]))
    except (OSError, ValueError, AttributeError):
        return BACKENDS[0]


def from_keras(source: object, _: tuple[str, ...]) -> Network | None:
    """Wrap a Keras model in memory; None if the object is something else."""
    keras = sys.modules.get("keras")  # if nobody imported Keras, the object is not of Keras
    if keras is None or not isinstance(source, keras.Model):
        return None
    return _network(source, str(getattr(source, "name", "model")), "")


def _network(model: Any, name: str, digest: str, notes: tuple[str, ...] = ()) -> Network:
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise TeacherError(f"{name} takes several inputs; a teacher must take one")
    keras = import_module("keras")

    def run(images: Batch) -> Outputs:
        return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))

    return Network(name, run, tuple(shape[1:]), int(model.count_params()), digest, shape[0] or 0, notes)
