"""A network in a file of as few bytes as we can: whole numbers on grids, their coders, and the `.smidgen` file."""

from __future__ import annotations

from smidgen.compress.entropy import CODERS, coded, estimate_bits, level_costs
from smidgen.compress.fold import fold_batch_norm
from smidgen.compress.levels import MOST_LEVEL
from smidgen.compress.order import sort_channels
from smidgen.compress.prune import (
    Sensitivity,
    below_deviations,
    gradual_shares,
    prunable,
    pruned_start,
    sensitivity,
    smallest,
    smallest_overall,
    tensor_places,
    weakest_channels,
    without_channels,
    without_constant_inputs,
    without_dead_channels,
)
from smidgen.compress.quantize import Steps, channel_steps, grid_steps, held, quantized, shortest, with_coder
from smidgen.compress.sharing import k_means, shared_start, with_codebooks
from smidgen.compress.smidgen_file import (
    Packed,
    Part,
    decode,
    encode,
    load,
    open_model,
    packed_model,
    same,
    save,
    size_report,
    unpacked,
    values,
)
from smidgen.compress.tensors import Codebook, Tensor, Uniform, full_precision, nearest_step, uniform, values_of

__all__ = [
    "CODERS",
    "MOST_LEVEL",
    "Codebook",
    "Packed",
    "Part",
    "Sensitivity",
    "Steps",
    "Tensor",
    "Uniform",
    "below_deviations",
    "channel_steps",
    "coded",
    "decode",
    "encode",
    "estimate_bits",
    "fold_batch_norm",
    "full_precision",
    "gradual_shares",
    "grid_steps",
    "held",
    "k_means",
    "level_costs",
    "load",
    "nearest_step",
    "open_model",
    "packed_model",
    "prunable",
    "pruned_start",
    "quantized",
    "same",
    "save",
    "sensitivity",
    "shared_start",
    "shortest",
    "size_report",
    "smallest",
    "smallest_overall",
    "sort_channels",
    "tensor_places",
    "uniform",
    "unpacked",
    "values",
    "values_of",
    "weakest_channels",
    "with_codebooks",
    "with_coder",
    "without_channels",
    "without_constant_inputs",
    "without_dead_channels",
]
