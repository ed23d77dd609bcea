"""A network whose weights are integer levels on a grid per tensor, which says what value a level stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import ModelFileError
from smidgen.model.coding.coders import CODERS, is_rising
from smidgen.model.coding.contexts import MAX_LEVEL, Levels, as_matrix
from smidgen.model.coding.input_coding import coded_input, is_first_version
from smidgen.model.model import Model, input_of_shape, named_arrays
from smidgen.records import Weights
from smidgen.spec import UNSTATED, InputSpec, NetSpec, Shape

Floats = npt.NDArray[np.float32]

MAX_CODEBOOK_ENTRIES = 2**12
COARSE_STEPS = np.array([math.ldexp(8 + code % 8, code // 8 - 24) for code in range(256)], np.float32)
"""Steps that take one byte in a file, from 4.8e-7 to 1920, at most 1/8 apart: step 8 e + m is (8 + m) * 2**(e - 24)."""


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A trained classifier with quantized weights, as a `.smidgen` file stores it.

    Attributes:
        spec: the layers.
        input_shape: (channels, height, width) of one input.
        class_names: name of the class of each output, in order.
        tensors: by the names and in the order of `model.tensor_shapes`.
        input: what the numbers of an input mean; the weights are for `input.to_network(values)`.
    """

    spec: NetSpec
    input_shape: Shape
    class_names: tuple[str, ...]
    tensors: dict[str, Tensor]
    input: InputSpec = UNSTATED

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", input_of_shape(self.input, self.input_shape))


def as_quantized(model: Model) -> QuantizedModel:
    """Wrap a model as a `QuantizedModel` whose tensors are all in full precision."""
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    tensors = {name: full_precision(array) for name, array in arrays.items()}
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors, model.input)


def dequantize(quantized: QuantizedModel) -> Model:
    """Return the same network with float32 weights."""
    weights = flat_weights(quantized)
    return Model(quantized.spec, quantized.input_shape, quantized.class_names, weights, input=quantized.input)


def flat_weights(quantized: QuantizedModel) -> Weights:
    """Return all weights as flat float32, as engines take them."""
    return np.concatenate([values_of(tensor).ravel() for tensor in quantized.tensors.values()], dtype=np.float32)


def equal_networks(a: QuantizedModel, b: QuantizedModel) -> bool:
    """Return whether two networks have the same layers, classes, levels and grids; their coders may differ."""
    heads = [(str(p.spec), tuple(p.input_shape), tuple(p.class_names), list(p.tensors)) for p in (a, b)]
    same_input = (is_first_version(a.input) and is_first_version(b.input)) or (
        coded_input(a.input) == coded_input(b.input)
    )
    return (
        same_input
        and heads[0] == heads[1]
        and all(
            np.array_equal(one.levels, other.levels) and _grid_key(one) == _grid_key(other)
            for one, other in zip(a.tensors.values(), b.tensors.values(), strict=True)
        )
    )


def _grid_key(tensor: Tensor) -> tuple[str, bytes, int]:
    match tensor.grid:
        case Uniform(steps):
            return "uniform", steps.tobytes(), 0
        case Codebook(entries, zero):
            return "codebook", entries.tobytes(), zero
    return "full", b"", 0


@dataclass(frozen=True, eq=False)
class Uniform:
    """A grid on which a level stands for level * step.

    Attributes:
        steps: float32 [1], or [rows] with a step per row (output channel) of the tensor.
    """

    steps: Floats


@dataclass(frozen=True, eq=False)
class Codebook:
    """A grid on which a level stands for a stored value.

    Attributes:
        entries: float32 [k].
        zero: the entry that level 0 stands for.
    """

    entries: Floats
    zero: int = 0


Grid = Uniform | Codebook


@dataclass(frozen=True, eq=False)
class Tensor:
    """Integer levels and the grid that gives their values.

    Attributes:
        levels: int32, in the tensor's own shape.
        grid: what a level stands for; None in full precision, where a level is the bit pattern of a float32.
        coder: a key of `coding.coders.CODERS`, or "auto" for the shortest.
    """

    levels: Levels = field(repr=False)
    grid: Grid | None
    coder: str = "auto"


def quantize_tensor(weights: Floats, step: float | Floats, largest: int = MAX_LEVEL) -> Tensor:
    """Round weights to the nearest levels of a uniform grid.

    Args:
        weights: float32 of any shape.
        step: the step of the grid, or float32 [rows] with a step per row (output channel).
        largest: levels are clipped to -largest and largest.
    """
    steps = np.array(step, np.float32, ndmin=1)
    levels = np.rint(weights / steps.reshape(-1, *[1] * (weights.ndim - 1)))
    return Tensor(np.clip(levels, -largest, largest).astype(np.int32), Uniform(steps))


def full_precision(weights: Floats) -> Tensor:
    """Wrap float32 weights as a tensor without a grid."""
    return Tensor(np.array(weights, np.float32, order="C").view(np.int32), None)


def nearest_step(step: float) -> np.float32:
    """Return the nearest of the 256 `COARSE_STEPS`, which take one byte in a file."""
    return np.float32(COARSE_STEPS[np.abs(COARSE_STEPS - np.float32(step)).argmin()])


def values_of(tensor: Tensor) -> Floats:
    """Return the tensor's values as float32: one product or look-up each, identical on every machine."""
    match tensor.grid:
        case None:
            return tensor.levels.view(np.float32)
        case Codebook(entries, zero):
            return entries[tensor.levels + zero]
        case Uniform(steps):
            values: Floats = tensor.levels.astype(np.float32) * steps.reshape(-1, *[1] * (tensor.levels.ndim - 1))
            return values


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ModelFileError unless a `.smidgen` file can store the tensor."""
    levels, fact = tensor.levels, ""
    if levels.dtype != np.int32 or levels.shape != shape:
        fact = f"is {levels.dtype} of shape {levels.shape}, and the network needs int32 of shape {shape}"
    elif tensor.coder != "auto" and tensor.coder not in CODERS:
        fact = f"has coder='{tensor.coder}'; use auto, {', '.join(CODERS)}"
    elif tensor.grid is not None and np.abs(levels.astype(np.int64)).max() > MAX_LEVEL:
        fact = f"has a level of {np.abs(levels.astype(np.int64)).max()}; the most is {MAX_LEVEL}"
    elif tensor.grid is not None and tensor.coder == "rising" and not is_rising(levels):
        fact = f"has coder='rising' and levels that fall, or rise by more than {MAX_LEVEL}"
    else:
        fact = _wrong_grid(tensor)
    if fact:
        raise ModelFileError(f"{name} {fact}; quantize the network again")


def _wrong_grid(tensor: Tensor) -> str:
    """Return what is wrong with the grid of a tensor; empty if nothing is."""
    match tensor.grid:
        case Uniform(steps):
            if steps.dtype != np.float32 or steps.shape not in ((1,), (len(as_matrix(tensor.levels)),)):
                return f"has steps of {steps.dtype} {steps.shape}, not of float32 [1] or one a row"
            if not (np.isfinite(steps) & (steps > 0)).all():
                return "has a step that is not a positive number"
            largest = float(steps.max()) * float(np.abs(tensor.levels.astype(np.int64)).max())
            return "" if largest <= float(np.finfo(np.float32).max) else "has values too large for float32"
        case Codebook(entries, zero):
            if entries.dtype != np.float32 or entries.ndim != 1 or not 1 <= len(entries) <= MAX_CODEBOOK_ENTRIES:
                return (
                    f"has a codebook of {entries.dtype} {entries.shape}, not of float32 [1 to {MAX_CODEBOOK_ENTRIES}]"
                )
            lowest, highest = int(tensor.levels.min()) + zero, int(tensor.levels.max()) + zero
            if not (0 <= zero < len(entries) and 0 <= lowest <= highest < len(entries)):
                return f"has entries {lowest} to {highest} of a codebook of {len(entries)}"
    return "" if np.isfinite(values_of(tensor)).all() else "has values that are not finite numbers"
