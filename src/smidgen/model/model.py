"""A trained network in memory: layers, input shape, class names and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import ModelFileError, SpecError
from smidgen.records import Weights
from smidgen.spec import UNSTATED, InputSpec, NetSpec, Shape

MAX_ACTIVATIONS = 2**25
"""Most values alive at once for one image; the native core takes 16 images at a time, which is 2 GiB."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier in full precision.

    Attributes:
        spec: the layers.
        input_shape: (channels, height, width) of one input.
        class_names: name of the class of each output, in order; of one output z, whose logits are (0, z), two.
        weights: flat float32, layer by layer; see `records.Weights`.
        metadata: free text (data, digest, floor, scores). Keys that begin with `smidgen_` belong to the file format.
        input: what the numbers of an input mean; the weights are for `input.to_network(values)`.
    """

    spec: NetSpec
    input_shape: Shape
    class_names: tuple[str, ...]
    weights: Weights = field(repr=False)
    metadata: dict[str, str] = field(default_factory=dict)
    input: InputSpec = UNSTATED

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", input_of_shape(self.input, self.input_shape))


def input_of_shape(found: InputSpec, shape: Shape) -> InputSpec:
    """Return the description of a network's input; `UNSTATED` gets the network's shape.

    Raises:
        SpecError: the description is of another shape.
    """
    if not found.is_stated:
        return replace(found, shape=shape)
    if tuple(found.shape) != tuple(shape):
        raise SpecError(f"the network takes {tuple(shape)} and its input is described as {found.shape}; give one shape")
    return found


def named_arrays(spec: NetSpec, input_shape: Shape, weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Split flat weights into named tensors, in layer order; the arrays are views.

    Raises:
        ModelFileError: `weights` is not flat float32 of the network's length.
    """
    shapes = tensor_shapes(spec, input_shape)
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()], dtype=np.int64)
    count = int(ends[-1]) if shapes else 0
    if weights.dtype != np.float32 or weights.shape != (count,):
        raise ModelFileError(
            f"'{spec}' has float32 weights of shape ({count},) and was given "
            f"{weights.dtype} of shape {weights.shape}; give the weights of this network"
        )
    pieces = np.split(weights, ends[:-1])
    return {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=False)}


def flatten_arrays(spec: NetSpec, input_shape: Shape, arrays: Mapping[str, npt.NDArray[Any]]) -> Weights:
    """Join named tensors into flat float32 weights; the inverse of `named_arrays`.

    Raises:
        ModelFileError: a tensor is missing, unknown to the network, or of another shape or dtype.
    """
    found = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    check_tensors(spec, tensor_shapes(spec, input_shape), found, "the weights")
    pieces = [np.ravel(arrays[name]) for name in tensor_shapes(spec, input_shape)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


def tensor_shapes(spec: NetSpec, input_shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a network by name, in the order of the flat weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, plan in enumerate(spec.plan(input_shape)):
        if plan.parameters:
            shapes[f"{index}.weight"] = plan.weight_shape
        if plan.parameters and plan.bias_count:
            shapes[f"{index}.bias"] = (plan.bias_count,)
        if plan.running_stats:
            shapes[f"{index}.mean"] = shapes[f"{index}.variance"] = (plan.running_stats // 2,)
    return shapes


def check_tensors(
    spec: NetSpec, shapes: dict[str, tuple[int, ...]], found: dict[str, tuple[str, tuple[int, ...]]], where: str
) -> None:
    """Raise ModelFileError unless the tensors in `found`, as (dtype, shape) by name, are those in `shapes`."""
    if missing := sorted(shapes.keys() - found.keys()):
        raise ModelFileError(f"{where} of '{spec}' lack {', '.join(missing)}; save the whole network again")
    if unknown := sorted(found.keys() - shapes.keys()):
        raise ModelFileError(f"{where} have {', '.join(unknown)}, which '{spec}' has not; give the network's own spec")
    for name, shape in shapes.items():
        if found[name] != ("float32", shape):
            dtype, wrong = found[name]
            raise ModelFileError(
                f"{where}: {name} is {dtype} of shape {wrong}, and '{spec}' needs float32 of shape {shape}; "
                "give the weights of this network"
            )


def check_activations(spec: NetSpec, input_shape: Shape, where: str) -> None:
    """Raise ModelFileError if one image has more than `MAX_ACTIVATIONS` values, as a file of few bytes can ask for."""
    values = spec.activation_count(input_shape)
    if values > MAX_ACTIVATIONS:
        raise ModelFileError(
            f"{where}: the network has {values:,} values alive at once for one example, and a file's network may have "
            f"{MAX_ACTIVATIONS:,}; use a smaller input, or strides and pools before the large maps"
        )


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most `most_bytes`; a pipe or a device, which may never end, is not opened.

    Raises:
        ModelFileError: it is no regular file, or is longer. OSError: it cannot be read.
    """
    size_bytes = check_regular(path, most_bytes)
    with path.open("rb") as file:
        return file.read(size_bytes)  # which takes the memory of its argument, however short the file is


def check_regular(path: Path, most_bytes: int) -> int:
    """Return the length of a regular file of at most `most_bytes`.

    Raises:
        ModelFileError: it is something else, or longer. OSError: there is none.
    """
    found = path.stat()
    if not S_ISREG(found.st_mode):
        raise ModelFileError(f"{path} is not a regular file; give a model file")
    if found.st_size > most_bytes:
        raise ModelFileError(f"{path} has {found.st_size:,} bytes, and a model file has at most {most_bytes:,}")
    return found.st_size


def check_model(model: Model, where: str) -> None:
    """Raise ModelFileError unless the classes fit the layers and every weight is finite."""
    try:
        model.spec.check_head(model.input_shape, len(model.class_names))
    except SpecError as error:
        raise ModelFileError(f"{where}: {error}") from error
    check_activations(model.spec, model.input_shape, where)
    broken = int(np.count_nonzero(~np.isfinite(model.weights)))
    if broken:
        raise ModelFileError(
            f"{where}: {broken} of {model.weights.size} weights are not finite numbers; "
            "the training diverged: train again with a lower learning rate"
        )
