"""What people bring as a teacher -> one `Network`: numbers in, outputs out.

    model.onnx                    run by onnxruntime (pip install 'smidgen[onnx]')
    model.keras                   Keras 3, in its safe mode (pip install 'smidgen[keras]' and a backend)
    net.safetensors, net.smidgen  a network of Smidgen's own, as it writes them
    module.py:factory, weights    torch; weights from .safetensors, or .pt by torch's own safe reader
    a Keras model, a torch module, a scikit-learn classifier, any function of a batch

Python code runs only where the user names a Python file. Nothing is unpickled: a .pt is read with
`weights_only=True`, which refuses all but tensors, and a .keras with `safe_mode=True`, which refuses code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.engine import choose
from smidgen.errors import ModelFileError, TeacherError
from smidgen.model import open_model

Batch = npt.NDArray[np.float32]
Outputs = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """A teacher that can be run.

    run: float32 [n, ...] -> outputs [n, classes]
    input_shape: what it takes, without the axis of the batch; None for an axis of any length, and for all of
        it where nothing says so
    parameters: 0 where they cannot be counted
    digest: SHA-256, in hex, of the files that it came from; "" for an object in memory
    batch_size: the one number of images that it takes at once; 0 for any
    """

    name: str
    run: Callable[[Batch], Outputs]
    input_shape: tuple[int | None, ...] | None = None
    parameters: int = 0
    digest: str = ""
    batch_size: int = 0


def open_network(source: object, weights: Path | None, class_names: tuple[str, ...]) -> Network:
    """The teacher that `source` is, or that lies in the file that it names.

    Raises:
        TeacherError: not found, of no known kind, refused as unsafe, or what runs it is not installed.
    """
    if isinstance(source, str | Path):
        return _from_file(str(source), weights)
    if weights is not None:
        raise TeacherError(f"weights={weights} belong to a Python file; this teacher is an object and has its own")
    # Keras on the torch backend makes models that are torch modules too.
    for kind in (_keras_model, _torch_module, _classifier):
        network = kind(source, class_names)
        if network is not None:
            return network
    if callable(source):
        return Network(getattr(source, "__name__", type(source).__name__), source)
    raise TeacherError(
        f"a {type(source).__name__} is no teacher; give a file, a torch module, a Keras model, a scikit-learn "
        "classifier or a function of a batch of images"
    )


def _from_file(name: str, weights: Path | None) -> Network:
    file, colon, factory = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _torch_file(Path(file).expanduser(), factory, weights)
    path = Path(name).expanduser()
    reader = FILES.get(path.suffix.lower())
    if reader is None:
        raise TeacherError(f"{name} is no teacher that can be read: {_advice(path.suffix.lower())}")
    if weights is not None:
        raise TeacherError(f"{name} has its own weights; --weights is for a teacher of the form module.py:factory")
    if not path.is_file():
        raise TeacherError(f"no teacher at {path}; give the path of a file")
    return reader(path)


def _advice(suffix: str) -> str:
    kinds = "give .onnx, .keras, or module.py:factory with --weights"
    if suffix in (".pkl", ".pickle", ".joblib"):
        return f"a pickle can run any code, and is never read; {kinds}; a scikit-learn model goes in from Python"
    if suffix in (".pt", ".pth", ".safetensors", ".ckpt"):
        return "it holds weights without a network; give --teacher module.py:factory --weights this file"
    if suffix in (".h5", ".hdf5"):
        return "HDF5 has no safe mode; open it in Keras and write it with model.save('model.keras')"
    return f"{kinds}; logits go to --teacher-logits" + ("" if suffix else " (a Python file needs ':factory')")


def _digest(*paths: Path) -> str:
    sha = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def _needed(module: str, extra: str, what: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise TeacherError(f"{what} needs {module}: {error}; pip install 'smidgen[{extra}]'") from error


# --- ONNX -------------------------------------------------------------------------------------

_ONNX_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def _onnx(path: Path) -> Network:
    runtime = _needed("onnxruntime", "onnx", str(path))
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each cause, and no common one
        raise TeacherError(f"{path} cannot be read as ONNX: {_first_line(error)}; export it again") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _ONNX_TYPES:
        found = ", ".join(f"{entry.name} {entry.type}" for entry in inputs)
        raise TeacherError(f"{path} takes {found}; a teacher takes one input of floats")
    output, dtype = _onnx_output(session, path), _ONNX_TYPES[inputs[0].type]
    batch, *shape = (axis if isinstance(axis, int) else None for axis in inputs[0].shape)

    def run(images: Batch) -> Outputs:
        return np.asarray(session.run([output], {inputs[0].name: images.astype(dtype)})[0])

    return Network(path.name, run, tuple(shape), _onnx_parameters(path), _digest(path), batch or 0)


def _onnx_output(session: Any, path: Path) -> str:
    """The last output of floats: scikit-learn's exports give the label first, and then the probabilities."""
    names = [entry.name for entry in session.get_outputs() if entry.type in _ONNX_TYPES]
    if not names:
        found = ", ".join(f"{entry.name} {entry.type}" for entry in session.get_outputs())
        raise TeacherError(f"{path} gives {found} and no floats; export it with its probabilities (zipmap=False)")
    return str(names[-1])


def _onnx_parameters(path: Path) -> int:
    """Of floats among its constants; 0 where the package `onnx` is not installed to read them."""
    try:
        onnx = import_module("onnx")
    except ImportError:
        return 0
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    graph = onnx.load(str(path), load_external_data=False).graph
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.data_type in floats)


# --- our own ----------------------------------------------------------------------------------


def _own(path: Path) -> Network:
    try:
        model = open_model(path)
    except ModelFileError as error:
        raise TeacherError(f"{error}; {_advice(path.suffix.lower())}") from error
    engine = choose()

    def run(images: Batch) -> Outputs:
        return engine.predict(model.spec, model.weights, images, 1)

    parameters = model.spec.parameters(model.input_shape)
    return Network(str(model.spec), run, tuple(model.input_shape), parameters, _digest(path))


# --- Keras ------------------------------------------------------------------------------------


def _keras(path: Path) -> Network:
    keras = _needed("keras", "keras", str(path))
    try:
        model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, zipfile's and its backend's own
        raise TeacherError(
            f"{path} cannot be read as a Keras model: {_first_line(error)}; a model with Lambda layers or classes of "
            "its own goes in from Python, as teacher=model"
        ) from error
    return _keras_network(model, path.name, _digest(path))


def _keras_model(source: object, _: tuple[str, ...]) -> Network | None:
    keras = sys.modules.get("keras")  # an object of a package that nobody imported cannot be
    if keras is None or not isinstance(source, keras.Model):
        return None
    return _keras_network(source, str(getattr(source, "name", "model")), "")


def _keras_network(model: Any, name: str, digest: str) -> Network:
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise TeacherError(f"{name} takes several inputs; a teacher takes one")
    keras = import_module("keras")

    def run(images: Batch) -> Outputs:
        return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))

    return Network(name, run, tuple(shape[1:]), int(model.count_params()), digest, shape[0] or 0)


# --- torch ------------------------------------------------------------------------------------


def _torch_file(path: Path, factory: str, weights: Path | None) -> Network:
    torch = _needed("torch", "torch", str(path))
    if not path.is_file():
        raise TeacherError(f"no Python file at {path}; give module.py:factory")
    module = _built(path, factory)
    if not isinstance(module, torch.nn.Module):
        raise TeacherError(f"{path}:{factory} gave a {type(module).__name__}; it must give a torch.nn.Module")
    if weights is None:
        raise TeacherError(f"{path}:{factory} has fresh weights; give its trained ones by --weights w.safetensors")
    weights = weights.expanduser()
    _load_weights(module, weights)
    return _torch_network(module, f"{path.name}:{factory}", _digest(path, weights))


def _built(path: Path, factory: str) -> Any:
    """What the factory of a Python file gives; the file may import its neighbours."""
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        found.loader.exec_module(module)
        made = getattr(module, factory)
        return made if isinstance(made, import_module("torch").nn.Module) else made()
    except Exception as error:  # the user's own code may raise anything
        raise TeacherError(f"{path}:{factory} failed: {type(error).__name__}: {_first_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))


def _load_weights(module: Any, path: Path) -> None:
    try:
        state = _read_weights(path)
        state = state.get("state_dict", state) if isinstance(state, dict) else state
        module.load_state_dict(state)
    except FileNotFoundError:
        raise TeacherError(f"no weights at {path}; give a .safetensors or .pt file") from None
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        raise TeacherError(
            f"the weights in {path} are not this network's: {_first_line(error)}; write them with "
            "torch.save(model.state_dict(), path) from the same network"
        ) from error


def _read_weights(path: Path) -> Any:
    import pickle

    if path.suffix.lower() == ".safetensors":
        return import_module("safetensors.torch").load_file(path)
    try:
        return import_module("torch").load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path} holds more than tensors, which could run any code, and is not read; write the weights alone "
            "with torch.save(model.state_dict(), path), or as .safetensors"
        ) from error


def _torch_module(source: object, _: tuple[str, ...]) -> Network | None:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(source, torch.nn.Module):
        return None
    return _torch_network(source, type(source).__name__, "")


def _torch_network(module: Any, name: str, digest: str) -> Network:
    torch = import_module("torch")
    module.eval()
    home = next(module.parameters(), torch.zeros(0))

    def run(images: Batch) -> Outputs:
        with torch.inference_mode():
            given = module(torch.from_numpy(images).to(home.device, home.dtype))
            return np.asarray(getattr(given, "logits", given).float().cpu().numpy())

    return Network(name, run, None, sum(p.numel() for p in module.parameters()), digest)


# --- scikit-learn -----------------------------------------------------------------------------


def _classifier(source: object, class_names: tuple[str, ...]) -> Network | None:
    """Anything fitted with `predict_proba` and `classes_`, whose columns are put in the data's order."""
    model: Any = source
    if not hasattr(model, "predict_proba"):
        return None
    if not hasattr(model, "classes_"):
        raise TeacherError(f"the {type(model).__name__} has no classes yet; fit it first")
    known = {_plain(value): place for place, value in enumerate(model.classes_)}
    if set(known) != set(class_names):
        raise TeacherError(
            f"the {type(model).__name__} knows the classes {_some(known)} and the data has {_some(class_names)}; "
            "give a teacher of these classes"
        )
    columns = [known[name] for name in class_names]
    features = getattr(model, "n_features_in_", None)
    shape = None if features is None else (int(features),)

    def run(images: Batch) -> Outputs:
        return np.asarray(model.predict_proba(images))[:, columns]

    return Network(type(model).__name__, run, shape, _counted(model))


def _plain(value: Any) -> str:
    """A class as the data's names have it: 3.0 is "3"."""
    return str(int(value)) if isinstance(value, float) and float(value).is_integer() else str(value)


def _counted(model: Any) -> int:
    """The numbers of a linear model or a perceptron, also at the end of a pipeline; 0 for others."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    arrays = [*getattr(last, "coefs_", ()), *getattr(last, "intercepts_", ())]
    arrays = arrays or [getattr(last, name) for name in ("coef_", "intercept_") if hasattr(last, name)]
    return sum(int(np.size(array)) for array in arrays)


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


FILES: dict[str, Callable[[Path], Network]] = {
    ".onnx": _onnx,
    ".keras": _keras,
    ".safetensors": _own,
    ".smidgen": _own,
}
