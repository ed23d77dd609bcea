"""The teacher as the page holds it: its weights on grids of 8 or 4 bits, so that it takes at most 2 MB of the page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from smidgen.model import (
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    flat_weights,
    named_arrays,
    quantize_tensor,
)
from smidgen.records import Score
from smidgen.report.page_networks import THREADS
from smidgen.search.result import ShrinkResult
from smidgen.trials.evaluate import score

MOST_BYTES = 1_500_000
"""Most bytes of its weights: as base64 they take 2 MB of the page."""

BITS = (8, 4)


@dataclass(frozen=True, eq=False)
class PageTeacher:
    """A teacher with quantized weights.

    Attributes:
        quantized: The network; a tensor of more than one axis is on a grid with a step a row, others are float32.
        bits: Bits of a level: 8 or 4.
        score: Its score on the selection images with these weights.
    """

    quantized: QuantizedModel = field(repr=False)
    bits: int
    score: Score


def page_teacher(result: ShrinkResult) -> PageTeacher | None:
    """Return the teacher if it was trained here and fits; None otherwise."""
    teacher, data = result.teacher, result.data
    if teacher is None or teacher.trial is None or teacher.outcome is None:
        return None
    spec = teacher.trial.spec
    model = Model(spec, data.input_shape, data.class_names, teacher.outcome.weights, input=data.input)
    bits = next((bits for bits in BITS if model.weights.size * bits <= 8 * MOST_BYTES), None)
    if bits is None:
        return None
    quantized = _on_grids(model, bits)
    found = score(result.context, spec, flat_weights(quantized), data.selection, THREADS)
    return PageTeacher(quantized, bits, found)


def _on_grids(model: Model, bits: int) -> QuantizedModel:
    """Put the tensors of more than one axis on grids, a step a row, whose levels fit the bits."""
    largest = 2 ** (bits - 1) - 1
    tensors = as_quantized(model).tensors
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    tensors |= {name: _on_grid(array, largest) for name, array in arrays.items() if array.ndim > 1}
    return replace(as_quantized(model), tensors=tensors)


def _on_grid(array: npt.NDArray[np.float32], largest: int) -> Tensor:
    most = np.abs(array).reshape(len(array), -1).max(axis=1)
    steps = np.where(most > 0, most / largest, 1.0).astype(np.float32)
    return quantize_tensor(array, steps, largest)


def tensor_bytes(tensor: Tensor, bits: int) -> dict[str, bytes]:
    """Return a tensor as the page's program reads it: float32 values, or levels and the step of each row.

    A level of 8 bits is an int8. Levels of 4 bits are stored plus 8, two a byte, the first in the low half.
    """
    match tensor.grid:
        case Uniform(steps):
            return {"levels": _packed(tensor.levels.ravel(), bits), "steps": _little(steps)}
        case _:
            return {"values": _little(tensor.levels.ravel().view(np.float32))}


def _packed(levels: npt.NDArray[np.int32], bits: int) -> bytes:
    if bits == 8:
        return levels.astype(np.int8).tobytes()
    halves = np.append(levels, 0)[: 2 * ((len(levels) + 1) // 2)].reshape(-1, 2) + 8
    packed: npt.NDArray[np.uint8] = (halves[:, 0] | halves[:, 1] << 4).astype(np.uint8)
    return packed.tobytes()


def _little(values: npt.NDArray[np.float32]) -> bytes:
    return values.astype("<f4").tobytes()
