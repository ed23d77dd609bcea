"""Quantize a model to grids, and start quantization-aware training with a rate term.

The network computes with the nearest levels and the gradient moves the weights behind them (straight-through
estimator). The loss has a term for the bits that the levels take in the file, as in Oktay et al. 2020 (arXiv
1906.06624, section 2), who use noise instead of a grid. Common levels become cheap and cheap levels common, so that
training again with new rates makes the file smaller again. In tensors of `OWN_RATES` weights and more, where zero never
costs more than its neighbours, the term also prunes; in small ones any level may become the cheapest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.engine import Projection, Start
from smidgen.model import Model, QuantizedModel, encode, level_costs, named_arrays, nearest_step, quantize_tensor
from smidgen.transforms.channels import sort_channels
from smidgen.transforms.signs import quantized_with_positive_weights

Floats = npt.NDArray[np.float32]

Steps = Mapping[str, float]
"""The step of each tensor's grid, by the tensor's name."""

RUNNING_STATS = (".mean", ".variance")
RUNNING_STAT_LEVELS = 127
MIN_REACH, MAX_REACH = 31, 2**10
"""Bounds of the number of levels on each side of zero; within them, enough for twice the largest weight."""
OWN_RATES = 2**12
"""Tensors of at least this many weights have rates of their own; smaller ones share theirs, as they share bit models.
In a large tensor zero never costs more than its neighbours: otherwise the many weights that hardly matter would all
take the level that is cheapest by chance."""


def grid_steps(model: Model, share: float) -> dict[str, float]:
    """Choose a step for each tensor: a share of its root mean square, rounded to a step of one byte.

    The running statistics of a batch norm follow the data and are not trained on a grid; their step is 1/127 of the
    largest. A tensor of zeros takes the step of the tensor before it.
    """
    steps, last = {}, 1.0
    for name, values in _arrays(model).items():
        if name.endswith(RUNNING_STATS):
            size = float(np.abs(values).max(initial=0)) / RUNNING_STAT_LEVELS
        else:
            size = share * root_mean_square(values)
        last = float(nearest_step(size or last))
        steps[name] = last
    return steps


def root_mean_square(values: Floats) -> float:
    """The size of a tensor's values."""
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def quantize_model(model: Model, steps: Steps) -> QuantizedModel:
    """Round every weight to its nearest level; a variance is at least one step."""
    tensors = {name: quantize_tensor(values, steps[name]) for name, values in _arrays(model).items()}
    for name, tensor in tensors.items():
        if name.endswith(".variance"):
            tensors[name] = replace(tensor, levels=np.maximum(tensor.levels, 1))
    return QuantizedModel(model.spec, model.input_shape, model.class_names, tensors, model.input)


def quantization_aware_start(model: Model, steps: Steps, nats_per_bit: float) -> Start:
    """Start a training from the model's weights, constrained to their grids, with a rate term in the loss.

    Args:
        model: the network; its running statistics stay free.
        steps: the step of each tensor's grid, as `grid_steps` returns them.
        nats_per_bit: what each bit of the coded levels adds to the loss, in nats; 0 for no rate term.
    """
    arrays = _arrays(model)
    names = [name for name in arrays if not name.endswith(RUNNING_STATS)]
    reach = {name: _reach(arrays[name], np.float32(steps[name])) for name in names}
    levels = tuple(_levels(reach[name], np.float32(steps[name])) for name in names)
    costs = None
    if nats_per_bit:
        bits = _rates(quantize_model(model, steps), reach)
        costs = tuple((nats_per_bit * bits[name]).astype(np.float32) for name in names)
    grids = {name: number for number, name in enumerate(names)}
    codebook = [np.full(values.size, grids.get(name, -1), np.int32) for name, values in arrays.items()]
    return Start(model.weights, projection=Projection(np.concatenate(codebook), levels, costs))


def shortest(quantized: QuantizedModel) -> tuple[QuantizedModel, int]:
    """Return the network with most weights positive, and channels as they are or sorted, whichever file is shorter.

    Both compute the same as the network, but sorted channels are summed in another order.

    Returns:
        The network and the length of its file in bytes.
    """
    turned = quantized_with_positive_weights(quantized)
    return min(((form, len(encode(form))) for form in (turned, sort_channels(turned))), key=lambda pair: pair[1])


def with_coder(quantized: QuantizedModel, coder: str) -> QuantizedModel:
    """Return the same network with every tensor coded by this coder ("fixed", "huffman", ... or "auto")."""
    return replace(
        quantized, tensors={name: replace(tensor, coder=coder) for name, tensor in quantized.tensors.items()}
    )


def _reach(values: Floats, step: np.float32) -> int:
    largest = float(np.abs(values).max(initial=0))
    return min(max(math.ceil(2 * largest / float(step)), MIN_REACH), MAX_REACH)


def _levels(reach: int, step: np.float32) -> Floats:
    levels: Floats = np.arange(-reach, reach + 1).astype(np.float32) * step
    return levels


def _rates(quantized: QuantizedModel, reach: Mapping[str, int]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the bits of each level from -reach to reach, by tensor."""
    groups: dict[str, list[str]] = {}
    for name in reach:
        own = quantized.tensors[name].levels.size >= OWN_RATES
        groups.setdefault(name if own else f"small {name.endswith('.weight')}", []).append(name)
    rates: dict[str, npt.NDArray[np.float64]] = {}
    for names in groups.values():
        most = max(reach[name] for name in names)
        bits = level_costs(np.concatenate([quantized.tensors[name].levels.ravel() for name in names]), most)
        if quantized.tensors[names[0]].levels.size >= OWN_RATES:
            bits[most] = bits[most - 1 : most + 2].min()
        rates |= {name: bits[most - reach[name] : most + reach[name] + 1] for name in names}
    return rates


def _arrays(model: Model) -> dict[str, Floats]:
    return named_arrays(model.spec, model.input_shape, model.weights)
