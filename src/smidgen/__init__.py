"""Smidgen finds the smallest neural network that meets your accuracy floor.

    import smidgen
    result = smidgen.shrink("mnist", floor=0.97)
    print(result.winner.spec, result.test)

Each public name is loaded when it is first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PUBLIC = {
    "compress": ("smidgen.api", "compress"),
    "doctor": ("smidgen.api", "doctor"),
    "export": ("smidgen.api", "export"),
    "import_model": ("smidgen.api", "import_model"),
    "inspect": ("smidgen.api", "inspect"),
    "load": ("smidgen.api", "load"),
    "predict": ("smidgen.api", "predict"),
    "reproduce": ("smidgen.api", "reproduce"),
    "save": ("smidgen.api", "save"),
    "show": ("smidgen.api", "show"),
    "shrink": ("smidgen.api", "shrink"),
    "sweep": ("smidgen.api", "sweep"),
    "unpack": ("smidgen.api", "unpack"),
    "Recipe": ("smidgen.records", "Recipe"),
    "Score": ("smidgen.records", "Score"),
    "SmallestClassifier": ("smidgen.estimator", "SmallestClassifier"),
    "SmidgenError": ("smidgen.errors", "SmidgenError"),
    "Store": ("smidgen.trials.store", "Store"),
    "Teacher": ("smidgen.teacher", "Teacher"),
    "data": ("smidgen.data", ""),
    "from_arrays": ("smidgen.data", "from_arrays"),
    "from_dataset": ("smidgen.data", "from_dataset"),
    "parse_spec": ("smidgen.spec", "parse_spec"),
}
"""Public name -> its module and its name there; "" is the module itself."""

try:
    __version__ = version("smidgen")
except PackageNotFoundError:  # run from a source tree
    __version__ = "0+source"

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'smidgen' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute) if attribute else import_module(module)


def __dir__() -> list[str]:
    return __all__
