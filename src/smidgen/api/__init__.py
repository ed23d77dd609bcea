"""The public functions: one for each command of the command line, which calls it once.

A function has the name of its command, and each parameter the name and the default of an option: `--class-floor` is
`class_floor`. A parameter takes a value or the text of the command line: `within=0.005` is `within="0.5%"`,
`resize=(32, 32)` is `resize="32x32"`.

A function writes its results to a file or folder only where `out` names one; True stands for the place that the command
line uses.

Each function is loaded when it is first used, so that `show` and `predict` do not wait for the search.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.api.descriptions import doctor, show
    from smidgen.api.files import export, import_model
    from smidgen.api.searches import compress, reproduce, shrink, sweep
    from smidgen.model import inspect, unpack
    from smidgen.predictions import predict
    from smidgen.predictor import load, save

__all__ = [
    "compress",
    "doctor",
    "export",
    "import_model",
    "inspect",
    "load",
    "predict",
    "reproduce",
    "save",
    "show",
    "shrink",
    "sweep",
    "unpack",
]

_HOMES = {
    "doctor": "smidgen.api.descriptions",
    "export": "smidgen.api.files",
    "import_model": "smidgen.api.files",
    "inspect": "smidgen.model",
    "load": "smidgen.predictor",
    "predict": "smidgen.predictions",
    "save": "smidgen.predictor",
    "show": "smidgen.api.descriptions",
    "unpack": "smidgen.model",
}
"""Functions and their modules; all others are in `smidgen.api.searches`."""

# A type checker would take any misspelt name for one that this function knows.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'smidgen.api' has no attribute '{name}'")
        return getattr(import_module(_HOMES.get(name, "smidgen.api.searches")), name)
