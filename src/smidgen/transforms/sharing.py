"""Weight sharing: k-means on each tensor, then training with tied weights.

Han, Mao & Dally 2016 (arXiv 1510.00149, section 3): the nonzero weights of a tensor are clustered, from centres evenly
spread between the lowest and the highest weight (section 3.2). Each cluster is one parameter from then on, whose
gradient is the sum of its weights' gradients (section 3.3). Zeros stay zero.

    start = shared_start(model, {"0.weight": 63, "1.weight": 63})
    training = engine.train(model.spec, recipe, examples, seed, start=start)
    quantized = with_codebooks(replace(model, weights=training.weights), ("0.weight", "1.weight"))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from smidgen.engine import Start
from smidgen.errors import RequestError
from smidgen.model import Codebook, Model, QuantizedModel, Tensor, full_precision, named_arrays
from smidgen.model.quantized import MAX_CODEBOOK_ENTRIES
from smidgen.transforms.prune import tensor_places

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MAX_ROUNDS = 1000
"""Limit of the rounds of k-means, which ends as soon as no value changes its cluster."""


def shared_start(model: Model, entries: Mapping[str, int], rounds: int = MAX_ROUNDS) -> Start:
    """Start a training with shared weights: each is at its cluster's centre and tied to it; zeros are fixed.

    Args:
        model: the network.
        entries: number of nonzero values of each tensor, by the tensor's name; other tensors stay free.
        rounds: limit of the rounds of k-means. After few rounds the centres are still evenly spread, and the indices
            of the clusters take fewer bits.

    Raises:
        RequestError: the network has no such tensor, or a codebook cannot store that many values.
    """
    places = tensor_places(model.spec, model.input_shape, entries)
    weights = model.weights.copy()
    fixed, tied, clusters = np.zeros(weights.shape, np.bool_), np.full(weights.shape, -1, np.int32), 0
    for name, place in places.items():
        _check_entries(name, entries[name])
        nonzero = np.flatnonzero(weights[place]) + place.start
        fixed[place] = True
        if len(nonzero):
            centres, numbers = k_means(weights[nonzero], entries[name], rounds)
            weights[nonzero], fixed[nonzero], tied[nonzero] = centres[numbers], False, clusters + numbers
            clusters += len(centres)
    return Start(weights, fixed, tied)


def with_codebooks(model: Model, names: Collection[str], *, half: bool = False) -> QuantizedModel:
    """Quantize the named tensors to codebooks of their distinct values; the others stay in full precision.

    Args:
        model: the network.
        names: names of the tensors.
        half: round the values to float16, so that each takes 16 bits in the file instead of 32.

    Raises:
        RequestError: the network has no such tensor, or it has more values than a codebook can store.
    """
    tensor_places(model.spec, model.input_shape, names)
    tensors = {}
    for name, array in named_arrays(model.spec, model.input_shape, model.weights).items():
        values = array.astype(np.float16).astype(np.float32) if half else array
        tensors[name] = _as_codebook(name, values) if name in names else full_precision(array)
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors, model.input)


def k_means(values: Floats, entries: int, rounds: int = MAX_ROUNDS) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Cluster values by Lloyd's algorithm from evenly spread centres (linear initialization).

    Args:
        values: float32 of any shape.
        entries: largest number of clusters; those that end empty are left out.
        rounds: limit of the rounds.

    Returns:
        The centres in ascending order (float32 [centres]), and the index of each value's centre (int32).
    """
    ordered = np.sort(values.astype(np.float64))
    distinct = np.unique(ordered)
    centres = distinct if len(distinct) <= entries else _lloyd(ordered, entries, rounds)
    numbers = _nearest(centres, values)
    used, numbers = np.unique(numbers, return_inverse=True)
    return centres[used].astype(np.float32), numbers.reshape(values.shape).astype(np.int32)


def _lloyd(ordered: Doubles, entries: int, rounds: int) -> Doubles:
    centres = np.linspace(ordered[0], ordered[-1], entries)
    sums, previous = np.concatenate([[0.0], np.cumsum(ordered)]), None
    for _ in range(rounds):
        inner = np.searchsorted(ordered, _midpoints(centres))
        ends = np.concatenate([[0], inner, [len(ordered)]])
        if previous is not None and np.array_equal(ends, previous):
            break
        counts = np.diff(ends)
        filled, previous = counts > 0, ends
        centres[filled] = np.diff(sums[ends])[filled] / counts[filled]
    return centres


def _midpoints(centres: Doubles) -> Doubles:
    middles: Doubles = (centres[1:] + centres[:-1]) / 2
    return middles


def _nearest(centres: Doubles, values: Floats) -> npt.NDArray[np.intp]:
    """Return the index of the nearest centre, the higher of two at the same distance."""
    return np.searchsorted(_midpoints(centres), values.astype(np.float64), side="right")


def _as_codebook(name: str, values: Floats) -> Tensor:
    """Store values as levels of a codebook; level 0 is the value nearest to zero."""
    entries, numbers = np.unique(values, return_inverse=True)
    if len(entries) > MAX_CODEBOOK_ENTRIES:
        raise RequestError(
            f"{name} has {len(entries)} values and a codebook stores {MAX_CODEBOOK_ENTRIES}; share its weights first"
        )
    zero = int(np.abs(entries).argmin())
    return Tensor((numbers.reshape(values.shape) - zero).astype(np.int32), Codebook(entries, zero))


def _check_entries(name: str, entries: int) -> None:
    if not 1 <= entries < MAX_CODEBOOK_ENTRIES:
        raise RequestError(f"{name} is to have {entries} values; give from 1 to {MAX_CODEBOOK_ENTRIES - 1}")
