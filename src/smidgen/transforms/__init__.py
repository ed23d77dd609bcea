"""Pure functions from a model to a model: pruning, quantization, weight sharing, simplification."""

from __future__ import annotations

from smidgen.transforms.channels import sort_channels, take_channels, with_channel_twice, without_channels
from smidgen.transforms.dead_channels import without_dead_channels
from smidgen.transforms.equal_scales import with_equal_scales
from smidgen.transforms.input_scale import fold_input, kept_numbers, parameters_with_input, with_input
from smidgen.transforms.prune import (
    gradual_shares,
    prunable,
    pruned_start,
    smallest,
    tensor_places,
)
from smidgen.transforms.quantize import (
    Steps,
    grid_steps,
    quantization_aware_start,
    quantize_model,
    shortest,
    with_coder,
)
from smidgen.transforms.sharing import k_means, shared_start, with_codebooks
from smidgen.transforms.shifts import spec_without_idle_biases, without_biases, without_idle_biases
from smidgen.transforms.signs import with_positive_weights
from smidgen.transforms.simplify import fold_batch_norm, without_constant_inputs

__all__ = [
    "Steps",
    "fold_batch_norm",
    "fold_input",
    "gradual_shares",
    "grid_steps",
    "k_means",
    "kept_numbers",
    "parameters_with_input",
    "prunable",
    "pruned_start",
    "quantization_aware_start",
    "quantize_model",
    "shared_start",
    "shortest",
    "smallest",
    "sort_channels",
    "spec_without_idle_biases",
    "take_channels",
    "tensor_places",
    "with_channel_twice",
    "with_codebooks",
    "with_coder",
    "with_equal_scales",
    "with_input",
    "with_positive_weights",
    "without_biases",
    "without_channels",
    "without_constant_inputs",
    "without_dead_channels",
    "without_idle_biases",
]
