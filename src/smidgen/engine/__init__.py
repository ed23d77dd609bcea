"""Engines train networks and run them. `Engine` is their interface, `choose` selects one.

Both engines start from the same weights and see the images in the same order, so that each can be tested against the
other. An engine is a module that has the functions of `Engine`:

    native          the C++ core of `native/`, for CPUs; the default
    torch_engine    torch, on a CPU or a GPU
"""

from __future__ import annotations

from smidgen.engine.interface import DEFAULT_CONTROL, Engine, Examples, TrainControl, Trained
from smidgen.engine.losses import cross_entropy, softmax
from smidgen.engine.start import Projection, Start, check_start
from smidgen.errors import EngineError

__all__ = [
    "DEFAULT_CONTROL",
    "Engine",
    "Examples",
    "Projection",
    "Start",
    "TrainControl",
    "Trained",
    "check_start",
    "choose",
    "cross_entropy",
    "engines",
    "softmax",
]


def engines() -> dict[str, Engine]:
    """Return every engine by name, the default first."""
    from smidgen.engine import native, torch_engine

    return {"native": native, "torch": torch_engine}


def choose(wanted: str = "auto") -> Engine:
    """Return an engine that can be used on this machine.

    Args:
        wanted: "native", "torch", or "auto" for the first of these that is installed.

    Raises:
        EngineError: There is no such engine, or it is not installed.
    """
    table = engines()
    if wanted != "auto" and wanted not in table:
        raise EngineError(f"no engine '{wanted}'; use auto, {', '.join(table)}")
    reasons = []
    for name, engine in table.items():
        if wanted in ("auto", name):
            if not (reason := engine.available()):
                return engine
            reasons.append(f"{name}: {reason}")
    raise EngineError("no engine can be used here; " + "; ".join(reasons))
