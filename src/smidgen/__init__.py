"""Smidgen: the smallest neural network that still holds your accuracy floor.

    import smidgen
    answer = smidgen.search.shrink("mnist", floor=0.97)
    print(answer.winner.spec, answer.test)

What is named here is loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PUBLIC = {
    "load_data": ("smidgen.data", "load"),
    "from_arrays": ("smidgen.data", "from_arrays"),
    "from_dataset": ("smidgen.data", "from_dataset"),
    "parse_spec": ("smidgen.spec", "parse_spec"),
    "Recipe": ("smidgen.records", "Recipe"),
    "Score": ("smidgen.records", "Score"),
    "Store": ("smidgen.trials.store", "Store"),
    "SmidgenError": ("smidgen.errors", "SmidgenError"),
    "shrink": ("smidgen.search.shrink", "shrink"),
    "Goal": ("smidgen.search.goal", "Goal"),
    "Teacher": ("smidgen.teacher", "Teacher"),
    "SmallestClassifier": ("smidgen.estimator", "SmallestClassifier"),
    "load": ("smidgen.predictor", "load"),
    "save": ("smidgen.predictor", "save"),
    "sweep": ("smidgen.search.sweep", "sweep"),
    "predict": ("smidgen.predictor", "predict"),
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
