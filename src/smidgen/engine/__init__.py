"""Engines: what trains a network and what runs it.

Both engines start from the same weights and see the images in the same order, so that one can
be held against the other. An engine is a module with five functions:

    available() -> str        "" when it can be used here, else what to install
    name() -> str             the engine and its arithmetic; part of a trial's key
    unsupported(spec) -> str  the first layer that it cannot run, or ""
    train(spec, recipe, examples, seed, watch, threads, start, after_epoch) -> Training
    predict(spec, weights, images, threads) -> logits
"""

from __future__ import annotations

from types import ModuleType

from smidgen.engine.interface import AfterEpoch, Examples, Training, Watch
from smidgen.engine.losses import cross_entropy, softmax
from smidgen.engine.start import Projection, Start, check_start
from smidgen.errors import EngineError
from smidgen.spec import NetSpec

__all__ = [
    "AfterEpoch",
    "Examples",
    "Projection",
    "Start",
    "Training",
    "Watch",
    "check_start",
    "choose",
    "cross_entropy",
    "engines",
    "softmax",
]


def engines() -> dict[str, ModuleType]:
    """Every engine by name, the default first."""
    from smidgen.engine import native, torch_engine

    return {"native": native, "torch": torch_engine}


def choose(spec: NetSpec, wanted: str = "auto") -> ModuleType:
    """The engine for a network: the one wanted, or the first that is here and can run every layer.

    Raises:
        EngineError: no such engine, or none that is installed can run the network.
    """
    table = engines()
    if wanted != "auto" and wanted not in table:
        raise EngineError(f"no engine '{wanted}'; use auto, {', '.join(table)}")
    reasons = []
    for name, engine in table.items():
        if wanted not in ("auto", name):
            continue
        reason = engine.available() or engine.unsupported(spec)
        if not reason:
            return engine
        reasons.append(f"{name}: {reason}")
    raise EngineError(f"no engine can train '{spec}'; " + "; ".join(reasons))
