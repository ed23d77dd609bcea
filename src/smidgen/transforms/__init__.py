"""Pure functions from a model to a model: pruning, quantization, weight sharing, simplification."""

from __future__ import annotations

from smidgen.transforms.channels import sort_channels, weakest_channels, without_channels
from smidgen.transforms.prune import (
    Sensitivity,
    below_deviations,
    gradual_shares,
    prunable,
    pruned_start,
    sensitivity,
    smallest,
    smallest_overall,
    tensor_places,
)
from smidgen.transforms.quantize import (
    Steps,
    channel_steps,
    grid_steps,
    quantization_aware_start,
    quantize_model,
    shortest,
    with_coder,
)
from smidgen.transforms.sharing import k_means, shared_start, with_codebooks
from smidgen.transforms.simplify import fold_batch_norm, without_constant_inputs, without_dead_channels

__all__ = [
    "Sensitivity",
    "Steps",
    "below_deviations",
    "channel_steps",
    "fold_batch_norm",
    "gradual_shares",
    "grid_steps",
    "k_means",
    "prunable",
    "pruned_start",
    "quantization_aware_start",
    "quantize_model",
    "sensitivity",
    "shared_start",
    "shortest",
    "smallest",
    "smallest_overall",
    "sort_channels",
    "tensor_places",
    "weakest_channels",
    "with_codebooks",
    "with_coder",
    "without_channels",
    "without_constant_inputs",
    "without_dead_channels",
]
