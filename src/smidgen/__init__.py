"""Smidgen finds the smallest neural network that meets your accuracy floor.

    import smidgen
    result = smidgen.shrink("mnist", floor=0.97)
    print(result.winner.spec, result.test)

Each public name is loaded when it is first used, so that importing the package stays cheap. Editors and type checkers
read the imports below, which never run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen import data
    from smidgen.api import (
        compress,
        doctor,
        export,
        import_model,
        inspect,
        load,
        predict,
        reproduce,
        save,
        show,
        shrink,
        sweep,
        unpack,
    )
    from smidgen.data import from_arrays, from_dataset
    from smidgen.errors import SmidgenError
    from smidgen.estimator import SmallestClassifier
    from smidgen.records import Recipe, Score
    from smidgen.spec import parse_spec
    from smidgen.teacher import Teacher
    from smidgen.trials.store import Store

    __version__: str

__all__ = [
    "Recipe",
    "Score",
    "SmallestClassifier",
    "SmidgenError",
    "Store",
    "Teacher",
    "__version__",
    "compress",
    "data",
    "doctor",
    "export",
    "from_arrays",
    "from_dataset",
    "import_model",
    "inspect",
    "load",
    "parse_spec",
    "predict",
    "reproduce",
    "save",
    "show",
    "shrink",
    "sweep",
    "unpack",
]

_HOMES = {
    "Recipe": "smidgen.records",
    "Score": "smidgen.records",
    "SmallestClassifier": "smidgen.estimator",
    "SmidgenError": "smidgen.errors",
    "Store": "smidgen.trials.store",
    "Teacher": "smidgen.teacher",
    "from_arrays": "smidgen.data",
    "from_dataset": "smidgen.data",
    "parse_spec": "smidgen.spec",
}
"""Public names and their modules; `data` is a module itself, and all others are in `smidgen.api`."""


def _version() -> str:
    """Read the version of the installed package, which takes longer than everything else that is imported here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("smidgen")
    except PackageNotFoundError:  # run from a source tree
        return "0+source"


# A type checker would take any misspelt name for one that this function knows.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'smidgen' has no attribute '{name}'")
        if name == "__version__":
            return _version()
        if name == "data":
            return import_module("smidgen.data")
        return getattr(import_module(_HOMES.get(name, "smidgen.api")), name)


def __dir__() -> list[str]:
    return __all__
