"""Engines: what trains a network and what runs it.

Both engines start from the same weights and see the images in the same order, so that one can
be held against the other. An engine is a module with five functions:

    available() -> str        "" when it can be used here, else what to install
    name() -> str             the engine and its arithmetic; part of a trial's key
    unsupported(spec) -> str  the first layer that it cannot run, or ""
    train(spec, recipe, examples, seed, watch, threads) -> Training
    predict(spec, weights, images, threads) -> logits
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from smidgen.errors import EngineError
from smidgen.records import Weights
from smidgen.spec import NetSpec, Shape

Watch = Callable[[int, int], None]
"""Called as watch(steps done, steps in all) a few times a second; what it raises stops the training."""


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from.

    images: uint8 (read as value / 255) or float32 [n, channels, height, width]
    labels: int32 [n]
    teacher_logits: float32 [n, classes], row i for image i; None when the loss is on labels alone
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def input_shape(self) -> Shape:
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class Training:
    """Trained weights, the mean loss of each epoch, and the epoch that diverged (from 1), or 0."""

    weights: Weights
    losses: tuple[float, ...]
    diverged_at: int = 0


def initial_weights(spec: NetSpec, input_shape: Shape, seed: int) -> Weights:
    """Glorot uniform weights (Glorot & Bengio 2010, eq. 16) and zero biases, flat float32.

    A batch norm starts at scale 1, shift 0, mean 0, variance 1. The generator's raw words are used,
    which NumPy promises never to change (NEP 19), so the same seed gives the same weights for ever.
    """
    pieces = []
    for index, plan in enumerate(spec.plan(input_shape)):
        if plan.moments:
            channels = plan.bias_count
            pieces.append(np.repeat(np.array([1, 0, 0, 1], np.float32), channels))
        elif plan.parameters:
            limit = math.sqrt(6 / sum(plan.fan))
            raw = np.random.PCG64([seed, index, 1]).random_raw(plan.weight_count)
            uniform = (raw >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
            pieces += [(2 * uniform - 1) * np.float32(limit), np.zeros(plan.bias_count, np.float32)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


def epoch_order(images: int, seed: int, epoch: int) -> npt.NDArray[np.uint32]:
    """The order in which an epoch sees the images: a permutation, uint32 [images]."""
    raw = np.random.PCG64([seed, epoch, 2]).random_raw(images)
    return np.argsort(raw).astype(np.uint32)


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
