"""A network whose weights are integer levels, with a grid for each tensor that says what a level stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import ModelFileError
from smidgen.model.coding.coders import CODERS, is_rising
from smidgen.model.coding.contexts import MOST_LEVEL, Levels, as_matrix
from smidgen.model.model import Model, named_arrays
from smidgen.records import Weights
from smidgen.spec import NetSpec, Shape

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A classifier as the file holds it; `tensors` by the names and in the order of `modelfile`."""

    spec: NetSpec
    input_shape: Shape
    class_names: tuple[str, ...]
    tensors: dict[str, Tensor]


def as_quantized(model: Model) -> QuantizedModel:
    """A model in full precision, for what takes a `QuantizedModel`."""
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    tensors = {name: full_precision(array) for name, array in arrays.items()}
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors)


def dequantize(quantized: QuantizedModel) -> Model:
    """The network that the file stands for, in full precision."""
    return Model(quantized.spec, quantized.input_shape, quantized.class_names, flat_weights(quantized))


def flat_weights(quantized: QuantizedModel) -> Weights:
    """All weights, flat, as the engines take them."""
    return np.concatenate([values_of(tensor).ravel() for tensor in quantized.tensors.values()], dtype=np.float32)


def same(a: QuantizedModel, b: QuantizedModel) -> bool:
    """Whether two are one network, level by level and step by step; how they are coded does not matter."""
    heads = [(str(p.spec), tuple(p.input_shape), tuple(p.class_names), list(p.tensors)) for p in (a, b)]
    return heads[0] == heads[1] and all(
        np.array_equal(one.levels, other.levels) and _grid_key(one) == _grid_key(other)
        for one, other in zip(a.tensors.values(), b.tensors.values(), strict=True)
    )


def _grid_key(tensor: Tensor) -> tuple[str, bytes, int]:
    match tensor.grid:
        case Uniform(steps):
            return "uniform", steps.tobytes(), 0
        case Codebook(entries, zero):
            return "codebook", entries.tobytes(), zero
    return "full", b"", 0


MOST_ENTRIES = 2**12


@dataclass(frozen=True, eq=False)
class Uniform:
    """A level stands for level * step. steps: float32 [1], or one a row (channel out) of the tensor."""

    steps: Floats


@dataclass(frozen=True, eq=False)
class Codebook:
    """A level stands for an entry, level 0 for entry `zero`. entries: float32 [k]."""

    entries: Floats
    zero: int = 0


Grid = Uniform | Codebook


@dataclass(frozen=True, eq=False)
class Tensor:
    """Whole numbers, and what they stand for.

    levels: int32, in the tensor's own shape
    grid: None for values in full precision; the levels are then the bits of float32
    coder: a name of `entropy.CODERS`, or "auto" for whichever is the shortest
    """

    levels: Levels = field(repr=False)
    grid: Grid | None
    coder: str = "auto"


def uniform(weights: Floats, step: float | Floats, largest: int = MOST_LEVEL) -> Tensor:
    """Each weight at its nearest level, at most `largest` from zero. step: of all, or float32 [rows], one a row."""
    steps = np.array(step, np.float32, ndmin=1)
    levels = np.rint(weights / steps.reshape(-1, *[1] * (weights.ndim - 1)))
    return Tensor(np.clip(levels, -largest, largest).astype(np.int32), Uniform(steps))


def full_precision(weights: Floats) -> Tensor:
    """The weights as they are."""
    return Tensor(np.array(weights, np.float32, order="C").view(np.int32), None)


def nearest_step(step: float) -> np.float32:
    """The nearest of the 256 steps that take one byte in the file: from 4.8e-7 to 1920, an eighth apart or less."""
    return np.float32(_COARSE[np.abs(_COARSE - np.float32(step)).argmin()])


def values_of(tensor: Tensor) -> Floats:
    """float32, in the tensor's shape: one multiplication or one look-up each, the same on every machine."""
    match tensor.grid:
        case None:
            return tensor.levels.view(np.float32)
        case Codebook(entries, zero):
            return entries[tensor.levels + zero]
        case Uniform(steps):
            values: Floats = tensor.levels.astype(np.float32) * steps.reshape(-1, *[1] * (tensor.levels.ndim - 1))
            return values


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ModelFileError unless the file can hold the tensor."""
    levels, fact = tensor.levels, ""
    if levels.dtype != np.int32 or levels.shape != shape:
        fact = f"is {levels.dtype} of shape {levels.shape}, and the network needs int32 of shape {shape}"
    elif tensor.coder != "auto" and tensor.coder not in CODERS:
        fact = f"has coder='{tensor.coder}'; use auto, {', '.join(CODERS)}"
    elif tensor.grid is not None and np.abs(levels.astype(np.int64)).max() > MOST_LEVEL:
        fact = f"has a level of {np.abs(levels.astype(np.int64)).max()}; the most is {MOST_LEVEL}"
    elif tensor.grid is not None and tensor.coder == "rising" and not is_rising(levels):
        fact = f"has coder='rising' and levels that fall, or rise by more than {MOST_LEVEL}"
    else:
        fact = _wrong_grid(tensor)
    if fact:
        raise ModelFileError(f"{name} {fact}; quantize the network again")


def _wrong_grid(tensor: Tensor) -> str:
    """What is wrong with the grid of a tensor, or ""."""
    match tensor.grid:
        case Uniform(steps):
            if steps.dtype != np.float32 or steps.shape not in ((1,), (len(as_matrix(tensor.levels)),)):
                return f"has steps of {steps.dtype} {steps.shape}, not of float32 [1] or one a row"
            if not (np.isfinite(steps) & (steps > 0)).all():
                return "has a step that is no number above 0"
            largest = float(steps.max()) * float(np.abs(tensor.levels.astype(np.int64)).max())
            return "" if largest <= float(np.finfo(np.float32).max) else "has values that float32 does not hold"
        case Codebook(entries, zero):
            if entries.dtype != np.float32 or entries.ndim != 1 or not 1 <= len(entries) <= MOST_ENTRIES:
                return f"has a codebook of {entries.dtype} {entries.shape}, not of float32 [1 to {MOST_ENTRIES}]"
            lowest, highest = int(tensor.levels.min()) + zero, int(tensor.levels.max()) + zero
            if not (0 <= zero < len(entries) and 0 <= lowest <= highest < len(entries)):
                return f"has entries {lowest} to {highest} of a codebook of {len(entries)}"
    return "" if np.isfinite(values_of(tensor)).all() else "has values that are not finite numbers"


_COARSE = np.array([math.ldexp(8 + code % 8, code // 8 - 24) for code in range(256)], np.float32)
"""Step number 8 e + m is (8 + m) * 2**(e - 24)."""
