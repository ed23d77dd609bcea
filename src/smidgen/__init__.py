"""Smidgen: the smallest neural network that still holds your accuracy floor.

    import smidgen
    answer = smidgen.shrink("mnist", floor=0.97)
    print(answer.winner.spec, answer.test)

What is named here is loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

_PUBLIC = {
    "load_data": ("smidgen.data", "load"),
    "from_arrays": ("smidgen.data", "from_arrays"),
    "from_dataset": ("smidgen.data", "from_dataset"),
    "parse_spec": ("smidgen.spec", "parse_spec"),
    "Recipe": ("smidgen.records", "Recipe"),
    "Score": ("smidgen.records", "Score"),
    "Store": ("smidgen.store", "Store"),
    "SmidgenError": ("smidgen.errors", "SmidgenError"),
    "shrink": ("smidgen.shrink", "shrink"),
    "Goal": ("smidgen.shrink", "Goal"),
    "Teacher": ("smidgen.teacher", "Teacher"),
    "SmallestClassifier": ("smidgen.estimator", "SmallestClassifier"),
    "load": ("smidgen.estimator", "load"),
    "save": ("smidgen.estimator", "save"),
    "sweep": ("smidgen.sweep", "sweep"),
    "load_model": ("smidgen.modelfile", "load"),
    "predict": ("smidgen.predict", "predict"),
}

try:
    __version__ = version("smidgen")
except PackageNotFoundError:  # run from a source tree
    __version__ = "0+source"

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'smidgen' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps the name `smidgen.shrink` for the function: importing the module of that name would take it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
