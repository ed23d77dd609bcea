"""Weights that share few values: k-means on each tensor, then training with what is shared held together.

After Han, Mao & Dally 2016 (arXiv 1510.00149, section 3): the weights of a tensor that are not zero are put into
clusters, which begin evenly spread from the lowest weight to the highest (section 3.2), and each cluster is one
number from then on. In training its gradient is the sum of its weights' (section 3.3). Zeros stay zero.

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
from smidgen.model.quantized import MOST_ENTRIES
from smidgen.transforms.prune import tensor_places

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MOST_ROUNDS = 1000
"""Of k-means, which ends earlier when no value changes its cluster."""


def shared_start(model: Model, entries: Mapping[str, int], rounds: int = MOST_ROUNDS) -> Start:
    """Where training goes on with shared weights: each at its cluster's centre and tied to it, zeros fixed.

    entries: of each tensor, by its name, how many values it may have beside zero; the others stay free
    rounds: of k-means at most. Few leave the centres evenly spread, and then fewer bits tell a weight's cluster

    Raises:
        RequestError: a tensor that the network has not, or a number of values that a codebook cannot hold.
    """
    places = tensor_places(model.spec, model.input_shape, entries)
    weights = model.weights.copy()
    fixed, tied, clusters = np.zeros(weights.shape, np.bool_), np.full(weights.shape, -1, np.int32), 0
    for name, place in places.items():
        _check_entries(name, entries[name])
        some = np.flatnonzero(weights[place]) + place.start
        fixed[place] = True
        if len(some):
            centres, numbers = k_means(weights[some], entries[name], rounds)
            weights[some], fixed[some], tied[some] = centres[numbers], False, clusters + numbers
            clusters += len(centres)
    return Start(weights, fixed, tied)


def with_codebooks(model: Model, names: Collection[str], *, half: bool = False) -> QuantizedModel:
    """The network with a codebook for each of the named tensors, of the values that it has; the rest as it is.

    half: round the values to 16 bits, which is what each then takes in the file

    Raises:
        RequestError: a tensor that the network has not, or of more values than a codebook holds.
    """
    tensor_places(model.spec, model.input_shape, names)
    tensors = {}
    for name, array in named_arrays(model.spec, model.input_shape, model.weights).items():
        values = array.astype(np.float16).astype(np.float32) if half else array
        tensors[name] = _coded(name, values) if name in names else full_precision(array)
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors)


def k_means(values: Floats, entries: int, rounds: int = MOST_ROUNDS) -> tuple[Floats, npt.NDArray[np.int32]]:
    """At most `entries` centres, ascending, and the number of each value's: float32 [centres], int32 [n].

    The centres begin evenly spread from the lowest value to the highest (linear initialisation). Lloyd's rounds on
    sorted values: a cluster is all that lies between two midpoints. Clusters that end empty are left out.
    """
    ordered = np.sort(values.astype(np.float64))
    distinct = np.unique(ordered)
    centres = distinct if len(distinct) <= entries else _lloyd(ordered, entries, rounds)
    numbers = _nearest(centres, values)
    used, numbers = np.unique(numbers, return_inverse=True)
    return centres[used].astype(np.float32), numbers.reshape(values.shape).astype(np.int32)


def _lloyd(ordered: Doubles, entries: int, rounds: int) -> Doubles:
    centres = np.linspace(ordered[0], ordered[-1], entries)
    sums, before = np.concatenate([[0.0], np.cumsum(ordered)]), None
    for _ in range(rounds):
        inner = np.searchsorted(ordered, _midpoints(centres))
        ends = np.concatenate([[0], inner, [len(ordered)]])
        if before is not None and np.array_equal(ends, before):
            break
        counts = np.diff(ends)
        some, before = counts > 0, ends
        centres[some] = np.diff(sums[ends])[some] / counts[some]
    return centres


def _midpoints(centres: Doubles) -> Doubles:
    middles: Doubles = (centres[1:] + centres[:-1]) / 2
    return middles


def _nearest(centres: Doubles, values: Floats) -> npt.NDArray[np.intp]:
    """Of two that are as near, the higher."""
    return np.searchsorted(_midpoints(centres), values.astype(np.float64), side="right")


def _coded(name: str, values: Floats) -> Tensor:
    """Level 0 is the value zero, or what is nearest to it."""
    entries, numbers = np.unique(values, return_inverse=True)
    if len(entries) > MOST_ENTRIES:
        raise RequestError(
            f"{name} has {len(entries)} values and a codebook holds {MOST_ENTRIES}; share its weights first"
        )
    zero = int(np.abs(entries).argmin())
    return Tensor((numbers.reshape(values.shape) - zero).astype(np.int32), Codebook(entries, zero))


def _check_entries(name: str, entries: int) -> None:
    if not 1 <= entries < MOST_ENTRIES:
        raise RequestError(f"{name} is to have {entries} values; give from 1 to {MOST_ENTRIES - 1}")
