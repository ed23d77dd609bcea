"""torch modules: built by a function of a Python file, with weights from another file, or modules in memory."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import Batch, Network, Outputs, digest_of, first_line, import_extra, type_name


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
    module = _build(path, factory)
    if not isinstance(module, torch.nn.Module):
        raise TeacherError(f"{path}:{factory} returns {type_name(module)}; it must return a torch.nn.Module")
    if weights is None:
        raise TeacherError(f"{path}:{factory} is untrained; give its trained weights with --weights w.safetensors")
    weights = weights.expanduser()
    _load_weights(module, weights)
    return _network(module, f"{path.name}:{factory}", digest_of(path, weights))


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


def _load_weights(module: Any, path: Path) -> None:
    try:
        state = _read_weights(path)
        state = state.get("state_dict", state) if isinstance(state, dict) else state
        module.load_state_dict(state)
    except FileNotFoundError:
        raise TeacherError(f"no weights at {path}; give a .safetensors or .pt file") from None
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        raise TeacherError(
            f"the weights in {path} are of another network: {first_line(error)}; write them with "
            "torch.save(model.state_dict(), path) from the same network"
        ) from error


def _read_weights(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        return import_module("safetensors.torch").load_file(path)
    try:
        return import_module("torch").load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path} contains more than tensors, which could run any code, and is not read; write the weights alone "
            "with torch.save(model.state_dict(), path), or as .safetensors"
        ) from error


def _network(module: Any, name: str, digest: str) -> Network:
    torch = import_module("torch")
    module.eval()
    parameter = next(module.parameters(), torch.zeros(0))

    def run(images: Batch) -> Outputs:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images).to(parameter.device, parameter.dtype))
            # Models of Hugging Face return an object with the logits in it.
            return np.asarray(getattr(outputs, "logits", outputs).float().cpu().numpy())

    return Network(name, run, None, sum(p.numel() for p in module.parameters()), digest)
