"""Weights on grids, and the start of a training that holds them there, each level at its price in bits.

The network computes with the nearest levels, the gradient moves the weights behind them, and the loss has so many
nats more for every bit that the levels would take in the file: rate-distortion, as in Oktay et al. 2020 (arXiv
1906.06624, section 2), with a grid and the straight-through estimator in the place of their noise. Levels that
are common become cheap, cheap levels become common, and so a training from the last one's weights, with prices of
today, makes the file smaller again. Zero is cheap nearly always: the price prunes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.engine import Projection, Start
from smidgen.model import Model, QuantizedModel, encode, level_costs, named_arrays, nearest_step, uniform
from smidgen.transforms.channels import sort_channels

Floats = npt.NDArray[np.float32]

Steps = Mapping[str, float]
"""The step of each tensor's grid, by the tensor's name."""
RowSteps = Mapping[str, float | Floats]
"""The same, or float32 [rows]: one for each row (channel out) of a tensor."""

RUNNING_STATS = (".mean", ".variance")
RUNNING_STAT_LEVELS = 127
LEAST_REACH, MOST_REACH = 31, 2**10
"""Levels to either side of zero that a weight may take: enough for twice the largest, within these."""
OWN_PRICES = 2**12
"""Tensors of so many weights pay their own prices; smaller ones are priced together, as they are coded. In a large one
zero never costs more than its neighbours: weights that hardly matter would all become what is cheapest by chance."""


def grid_steps(model: Model, share: float) -> dict[str, float]:
    """A step for each tensor: this share of the root of its mean square, rounded to a step of one byte.

    The moments of a batch norm follow the data and are not held: theirs is a 127th of their largest.
    """
    steps, last = {}, 1.0
    for name, values in _arrays(model).items():
        if name.endswith(RUNNING_STATS):
            size = float(np.abs(values).max(initial=0)) / RUNNING_STAT_LEVELS
        else:
            size = share * float(np.sqrt(np.square(values, dtype=np.float64).mean()))
        last = float(nearest_step(size or last))
        steps[name] = last
    return steps


def channel_steps(model: Model, share: float) -> dict[str, float | Floats]:
    """`grid_steps`, and of the tensors of weights a step for each channel out, by that channel's own mean square.

    Each takes a byte of the file. A channel of zeros has its tensor's step.
    """
    whole = grid_steps(model, share)
    steps: dict[str, float | Floats] = dict(whole)
    for name, values in _arrays(model).items():
        if values.ndim > 1:
            roots = np.sqrt(np.square(values.reshape(len(values), -1), dtype=np.float64).mean(axis=1))
            steps[name] = np.array([nearest_step(share * root or whole[name]) for root in roots])
    return steps


def quantize_model(model: Model, steps: RowSteps) -> QuantizedModel:
    """Every weight at its nearest level; a variance is never less than one step."""
    tensors = {name: uniform(values, steps[name]) for name, values in _arrays(model).items()}
    for name, tensor in tensors.items():
        if name.endswith(".variance"):
            tensors[name] = replace(tensor, levels=np.maximum(tensor.levels, 1))
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors)


def quantization_aware_start(model: Model, steps: RowSteps, nats_per_bit: float) -> Start:
    """From the model's weights, held to the grids; every bit costs so much of the loss."""
    arrays = _arrays(model)
    names = [name for name in arrays if not name.endswith(RUNNING_STATS)]
    rows = {name: np.array(steps[name], np.float32, ndmin=1) for name in names}
    reach = {name: _reach(arrays[name], rows[name]) for name in names}
    levels = tuple(_levels(reach[name], step) for name in names for step in rows[name])
    costs = None
    if nats_per_bit:
        bits = _prices(quantize_model(model, steps), reach)
        costs = tuple((nats_per_bit * bits[name]).astype(np.float32) for name in names for _ in rows[name])
    codebook, first = [], 0
    for name, values in arrays.items():
        grids = len(rows.get(name, ()))
        numbers = np.arange(first, first + grids, dtype=np.int32) if grids else np.array([-1], np.int32)
        codebook.append(np.repeat(numbers, values.size // len(numbers)))
        first += grids
    return Start(model.weights, projection=Projection(np.concatenate(codebook), levels, costs))


def shortest(quantized: QuantizedModel) -> tuple[QuantizedModel, int]:
    """The network with its channels in whichever order makes the shorter file, and the file's length in bytes."""
    return min(((way, len(encode(way))) for way in (quantized, sort_channels(quantized))), key=lambda pair: pair[1])


def with_coder(quantized: QuantizedModel, coder: str) -> QuantizedModel:
    """The same levels, every tensor by this coder ("fixed", "huffman", ... or "auto")."""
    return replace(
        quantized, tensors={name: replace(tensor, coder=coder) for name, tensor in quantized.tensors.items()}
    )


def _reach(values: Floats, steps: Floats) -> int:
    largest = np.abs(values.reshape(len(steps), -1)).max(axis=1, initial=0)
    return min(max(math.ceil(float((2 * largest.astype(float) / steps).max())), LEAST_REACH), MOST_REACH)


def _levels(reach: int, step: np.float32) -> Floats:
    levels: Floats = np.arange(-reach, reach + 1).astype(np.float32) * step
    return levels


def _prices(quantized: QuantizedModel, reach: Mapping[str, int]) -> dict[str, npt.NDArray[np.float64]]:
    """Bits of each level that a tensor may take, from -reach to reach."""
    groups: dict[str, list[str]] = {}
    for name in reach:
        own = quantized.tensors[name].levels.size >= OWN_PRICES
        groups.setdefault(name if own else f"small {name.endswith('.weight')}", []).append(name)
    prices: dict[str, npt.NDArray[np.float64]] = {}
    for names in groups.values():
        most = max(reach[name] for name in names)
        bits = level_costs(np.concatenate([quantized.tensors[name].levels.ravel() for name in names]), most)
        if quantized.tensors[names[0]].levels.size >= OWN_PRICES:
            bits[most] = bits[most - 1 : most + 2].min()
        prices |= {name: bits[most - reach[name] : most + reach[name] + 1] for name in names}
    return prices


def _arrays(model: Model) -> dict[str, Floats]:
    return named_arrays(model.spec, model.input_shape, model.weights)
