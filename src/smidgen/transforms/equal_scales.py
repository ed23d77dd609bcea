"""Give the layers of a network weights of the same size, so that their tensors can share one grid in a file.

Where an activation passes a positive factor on, as a relu does, one layer's weights can be multiplied by it and the
next layer's divided (cross-layer equalization: Nagel et al. 2019, arXiv 1906.04721, section 4.1). Theirs makes the
ranges of channels equal; ours is one factor a layer, because a file has one grid a tensor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.elementary import exponential, logarithm
from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.spec import NO_CEILING, BatchNorm, Layer, Repeat, Residual
from smidgen.transforms.prune import prunable
from smidgen.transforms.quantize import root_mean_square

Floats = npt.NDArray[np.float32]


def with_equal_scales(model: Model) -> Model:
    """Multiply each layer's weights by a factor, so that all have the same root mean square.

    The factors' product is 1, so the network computes the same but for rounding.

    Returns:
        The network; unchanged if a layer does not pass a factor on, or has no weight but zeros.
    """
    if not all(map(_passes_factors_on, model.spec.layers)):
        return model
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    sizes = {name: root_mean_square(arrays[name]) for name in prunable(model.spec, model.input_shape)}
    if len(sizes) < 2 or not all(sizes.values()):
        return model
    common = float(exponential(sum(logarithm([*sizes.values()]).tolist()) / len(sizes)))
    so_far = 1.0
    for name, size in sizes.items():
        so_far *= common / size
        arrays |= _scaled(arrays, name, common / size, so_far)
    return replace(model, weights=flatten_arrays(model.spec, model.input_shape, arrays))


def _passes_factors_on(layer: Layer) -> bool:
    """Whether a positive factor of what the layer reads becomes one of what it gives, its biases apart."""
    return not isinstance(layer, Repeat | Residual | BatchNorm) and getattr(layer, "ceiling", NO_CEILING) == NO_CEILING


def _scaled(arrays: dict[str, Floats], name: str, own: float, so_far: float) -> dict[str, Floats]:
    """One layer's tensors: its weights by its own factor, its biases by those of all layers up to it."""
    factors = {name: own, name.replace("weight", "bias"): so_far}
    return {each: np.float32(factor) * arrays[each] for each, factor in factors.items() if each in arrays}
