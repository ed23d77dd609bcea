"""torch modules: built by a function of a Python file, with weights from another file, or modules in memory.

Training scripts write weights in several ways: inside a larger checkpoint, and with the name of a wrapper before each
tensor's name. Both are undone, and said.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import (
    Batch,
    Network,
    Outputs,
    cause_of,
    digest_of,
    first_line,
    import_extra,
    type_name,
)

NESTED_IN = ("state_dict", "model_state_dict", "model")
"""Names under which a checkpoint may hold the weights, beside the optimizer's and others."""

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What DataParallel, Lightning and torch.compile put before the name of each tensor."""


def load_torch(path: Path, factory: str, weights: Path | None) -> Network:
    """Build a module and load its weights.

    Args:
        path: A Python file, which is run; it may import its neighbours.
        factory: The name in it of a function that returns the module, or of a module.
        weights: A .safetensors file, or a .pt file, which is read with `weights_only=True`.

    Raises:
        TeacherError: torch is not installed, the code fails, or the weights are missing, unsafe or of another network.
    """
    torch = import_extra("torch", "torch", str(path))
    if not path.is_file():
        raise TeacherError(f"no Python file at {path}; give module.py:factory")
    before = set(sys.modules)
    module = _build(path, factory)
    if not isinstance(module, torch.nn.Module):
        raise TeacherError(f"{path}:{factory} returns {type_name(module)}; it must return a torch.nn.Module")
    if weights is None:
        raise TeacherError(f"{path}:{factory} is untrained; give its trained weights with --weights w.safetensors")
    weights = weights.expanduser()
    notes = _load_weights(module, weights)
    digest = digest_of(path, weights, *imported_files(path, before))
    return _network(module, f"{path.name}:{factory}", digest, notes)


def from_torch(source: object, _: tuple[str, ...]) -> Network | None:
    """Wrap a torch module in memory; None if the object is something else."""
    torch = sys.modules.get("torch")  # if nobody imported torch, the object is not of torch
    if torch is None or not isinstance(source, torch.nn.Module):
        return None
    return _network(source, type(source).__name__, "")


def _build(path: Path, factory: str) -> Any:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        found.loader.exec_module(module)
        made = getattr(module, factory)
        return made if isinstance(made, import_module("torch").nn.Module) else made()
    except Exception as error:  # the user's own code may raise anything
        raise TeacherError(f"{path}:{factory} failed: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))


def imported_files(path: Path, before: set[str]) -> list[Path]:
    """The Python files that a teacher's code imports: its neighbours, and others that are not installed packages.

    An update of an installed package seldom changes what a network computes.

    Args:
        path: The file with the factory.
        before: The names of the modules that were imported before it was run.

    Returns:
        The files in the order of their modules' names.
    """
    folder = path.parent.resolve()
    return [
        file
        for name, file in sorted(_files_of_modules())
        if (name not in before or file.is_relative_to(folder)) and not _is_installed(file) and file != path.resolve()
    ]


def _files_of_modules() -> Iterator[tuple[str, Path]]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and Path(file).is_file():
            yield name, Path(file).resolve()


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to Python, to an installed package or to Smidgen."""
    ours = Path(__file__).resolve().parents[2]
    python = Path(sysconfig.get_path("stdlib")).resolve()
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    return bool(installed) or file.is_relative_to(python) or file.is_relative_to(ours)


def _load_weights(module: Any, path: Path) -> tuple[str, ...]:
    """Load the weights, and return a note if they were nested or had a prefix."""
    state, notes = plain_state(_read_weights(path), set(module.state_dict()))
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        raise TeacherError(
            f"the weights in {path} are of another network: {cause_of(error)}; write them with "
            "torch.save(model.state_dict(), path) from the same network"
        ) from error
    return (f"the weights were taken from {path.name} " + " and ".join(notes),) if notes else ()


def plain_state(state: Any, wanted: set[str]) -> tuple[Any, list[str]]:
    """Undo what training scripts wrap weights in.

    Args:
        state: What the file holds.
        wanted: The names of the network's tensors.

    Returns:
        The weights by the network's own names, as far as they can be found, and what was undone.
    """
    notes = []
    nested = next((key for key in NESTED_IN if isinstance(state, dict) and isinstance(state.get(key), dict)), None)
    if nested is not None:
        state = state[nested]
        notes.append(f"under '{nested}'")
    removed = ""
    while isinstance(state, dict) and not wanted & set(state):
        prefix = next((each for each in PREFIXES if any(str(key).startswith(each) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items() if str(key).startswith(prefix)}
        removed += prefix
    return state, notes + ([f"without the prefix '{removed}'"] if removed else [])


def _read_weights(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".safetensors":
            return import_module("safetensors.torch").load_file(path)
        return import_module("torch").load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TeacherError(f"no weights at {path}; give a .safetensors or .pt file") from None
    except pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path} contains more than tensors, which could run any code, and is not read ({_refused(error)}); write "
            "the weights alone with torch.save(model.state_dict(), path), or as .safetensors"
        ) from error
    except Exception as error:  # a damaged file: zipfile's, safetensors's and torch's own errors
        raise TeacherError(f"cannot read the weights in {path}: {cause_of(error)}; write them again") from error


def _refused(error: Exception) -> str:
    """The line in which torch says what it refuses to unpickle."""
    lines = [line.strip() for line in str(error).splitlines()]
    found = next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), first_line(error))
    return found.removeprefix("WeightsUnpickler error: ")[:200].rstrip(".")


def _network(module: Any, name: str, digest: str, notes: tuple[str, ...] = ()) -> Network:
    torch = import_module("torch")
    module.eval()
    parameter = next(module.parameters(), torch.zeros(0))

    def run(images: Batch) -> Outputs:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images).to(parameter.device, parameter.dtype))
            # Models of Hugging Face return an object with the logits in it.
            return np.asarray(getattr(outputs, "logits", outputs).float().cpu().numpy())

    return Network(name, run, None, sum(p.numel() for p in module.parameters()), digest, notes=notes)
