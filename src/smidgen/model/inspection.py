"""What a `.smidgen` file contains, and its weights in full precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smidgen.errors import RequestError
from smidgen.model.quantized import Codebook, Tensor, Uniform, dequantize, values_of
from smidgen.model.safetensors_file import save_safetensors
from smidgen.model.smidgen_file import Part, load_smidgen, load_with_parts
from smidgen.spec import UNSTATED, InputSpec, NetSpec, Shape


@dataclass(frozen=True)
class TensorSummary:
    """One tensor of a `.smidgen` file.

    Attributes:
        name: layer and part, for example "0.weight".
        weights: number of values.
        zeros: how many of them are 0.
        grid: what an integer level stands for: "step 0.25", "8 steps", "codebook of 31" or "full precision".
        coder: name of the entropy coder; empty in full precision.
        lowest: smallest integer level; None in full precision.
        highest: largest integer level; None in full precision.
    """

    name: str
    weights: int
    zeros: int
    grid: str
    coder: str = ""
    lowest: int | None = None
    highest: int | None = None


@dataclass(frozen=True)
class Inspection:
    """What a `.smidgen` file contains.

    Attributes:
        spec: the layers.
        input_shape: (channels, height, width) of one input.
        class_names: names of the classes, in the order of the outputs.
        parameters: number of trainable parameters.
        size_bytes: length of the file.
        parts: the bits of each part in the file's order; together they are the whole file.
        tensors: a summary of each tensor, in the file's order.
        input: what the numbers of an input mean.
    """

    spec: NetSpec
    input_shape: Shape
    class_names: tuple[str, ...]
    parameters: int
    size_bytes: int
    parts: tuple[Part, ...] = field(repr=False)
    tensors: tuple[TensorSummary, ...] = field(repr=False)
    input: InputSpec = UNSTATED


def inspect(file: str | Path) -> Inspection:
    """Report what a `.smidgen` file contains and where each of its bits went.

    Args:
        file: path of a `.smidgen` file.

    Raises:
        ModelFileError: the file does not exist, cannot be read or is not a `.smidgen` file.
    """
    quantized, parts = load_with_parts(Path(file))
    return Inspection(
        spec=quantized.spec,
        input_shape=quantized.input_shape,
        class_names=quantized.class_names,
        parameters=quantized.spec.parameters(quantized.input_shape),
        size_bytes=round(sum(part.bits for part in parts) / 8),
        parts=tuple(parts),
        tensors=tuple(_summary(name, tensor) for name, tensor in quantized.tensors.items()),
        input=quantized.input,
    )


def unpack(file: str | Path, to: str | Path) -> int:
    """Write the weights of a `.smidgen` file in full precision.

    Args:
        file: path of a `.smidgen` file.
        to: path of the `.safetensors` file to write.

    Returns:
        The length of the written file in bytes.

    Raises:
        RequestError: `to` does not end in .safetensors.
        ModelFileError: `file` is not a `.smidgen` file, or `to` cannot be written.
    """
    path = Path(to)
    if path.suffix != ".safetensors":
        raise RequestError(f"--to {to} must end in .safetensors; give for example {path.with_suffix('.safetensors')}")
    return save_safetensors(dequantize(load_smidgen(Path(file))), path)


def _summary(name: str, tensor: Tensor) -> TensorSummary:
    zeros = int(np.count_nonzero(values_of(tensor) == 0))
    match tensor.grid:
        case None:
            return TensorSummary(name, tensor.levels.size, zeros, "full precision")
        case Uniform(steps):
            grid = f"step {steps[0]:g}" if len(steps) == 1 else f"{len(steps)} steps"
        case Codebook(entries, _):
            grid = f"codebook of {len(entries)}"
    lowest, highest = int(tensor.levels.min()), int(tensor.levels.max())
    return TensorSummary(name, tensor.levels.size, zeros, grid, tensor.coder, lowest, highest)
