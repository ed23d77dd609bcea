"""Loaders of external teachers, one kind a module: each turns what the user gives into a `Network` that can be run.

    model.onnx                    run by onnxruntime (pip install 'smidgen[onnx]')
    model.keras                   Keras 3, in its safe mode (pip install 'smidgen[keras]' and a backend)
    net.safetensors, net.smidgen  a network that Smidgen wrote
    module.py:factory, weights    a torch module; weights from .safetensors or .pt
    in memory                     a Keras model, a torch module, a scikit-learn classifier, a function of a batch

Python code runs only if the user names a Python file. Nothing is unpickled: a .pt file is read with
`weights_only=True`, which refuses everything but tensors, and a .keras file with `safe_mode=True`, which refuses code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.keras_model import from_keras, load_keras
from smidgen.teacher.loaders.network import Network, type_name
from smidgen.teacher.loaders.onnx_file import load_onnx
from smidgen.teacher.loaders.sklearn_classifier import from_sklearn
from smidgen.teacher.loaders.smidgen_file import load_smidgen
from smidgen.teacher.loaders.torch_module import from_torch, load_torch

__all__ = ["FILE_LOADERS", "OBJECT_LOADERS", "Network", "open_network"]

FILE_LOADERS: dict[str, Callable[[Path], Network]] = {
    ".onnx": load_onnx,
    ".keras": load_keras,
    ".safetensors": load_smidgen,
    ".smidgen": load_smidgen,
}
"""The loader of a file by its suffix."""

OBJECT_LOADERS: tuple[Callable[[object, tuple[str, ...]], Network | None], ...] = (from_keras, from_torch, from_sklearn)
"""The loaders of objects, in the order in which they are tried: a Keras model on the torch backend is a module too."""


def open_network(source: object, weights: Path | None, class_names: tuple[str, ...]) -> Network:
    """Open a teacher.

    Args:
        source: The path of a file, module.py:factory, or an object in memory.
        weights: The weights of module.py:factory.
        class_names: The classes of the data, in the order of the labels.

    Raises:
        TeacherError: It is not found, of an unknown kind, unsafe, or needs a package that is not installed.
    """
    if isinstance(source, str | Path):
        return _from_file(str(source), weights)
    if weights is not None:
        raise TeacherError(f"weights={weights} are for module.py:factory; a teacher in memory has its own")
    for loader in OBJECT_LOADERS:
        network = loader(source, class_names)
        if network is not None:
            return network
    if callable(source):
        return Network(getattr(source, "__name__", type(source).__name__), source)
    raise TeacherError(
        f"cannot use {type_name(source)} as a teacher; pass a file, a torch module, a Keras model, a scikit-learn "
        "classifier or a function of a batch of images"
    )


def _from_file(name: str, weights: Path | None) -> Network:
    file, colon, factory = name.rpartition(":")
    if colon and file.endswith(".py"):
        return load_torch(Path(file).expanduser(), factory, weights)
    path = Path(name).expanduser()
    loader = FILE_LOADERS.get(path.suffix.lower())
    if loader is None:
        raise TeacherError(f"cannot use {name} as a teacher: {_advice(path.suffix.lower())}")
    if weights is not None:
        raise TeacherError(f"{name} has its own weights; --weights is for a teacher of the form module.py:factory")
    if not path.is_file():
        raise TeacherError(f"no teacher at {path}; give the path of a file")
    return loader(path)


def _advice(suffix: str) -> str:
    """Why a file with this suffix is not read, and what to give instead."""
    formats = "give .onnx, .keras, or module.py:factory with --weights"
    match suffix:
        case ".pkl" | ".pickle" | ".joblib":
            return f"a pickle can run any code, and is never read; {formats}; pass a scikit-learn model from Python"
        case ".pt" | ".pth" | ".ckpt":
            return "it contains weights without a network; give --teacher module.py:factory --weights this file"
        case ".h5" | ".hdf5":
            return "HDF5 has no safe mode; open it in Keras and write it with model.save('model.keras')"
        case "":
            return f"{formats}, or logits with --teacher-logits (a Python file needs ':factory')"
        case _:
            return f"its format is unknown; {formats}, or logits with --teacher-logits"
