"""A network in a file of as few bytes as we can: whole numbers on grids, their coders, and the `.smidgen` file."""

from __future__ import annotations

from smidgen.compress.entropy import CODERS, coded, estimate_bits, level_costs
from smidgen.compress.fold import fold_batch_norm
from smidgen.compress.levels import MOST_LEVEL
from smidgen.compress.order import sort_channels
from smidgen.compress.quantize import Steps, grid_steps, held, quantized, shortest, with_coder
from smidgen.compress.smidgen_file import (
    Packed,
    Part,
    decode,
    encode,
    load,
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
    "Steps",
    "Tensor",
    "Uniform",
    "coded",
    "decode",
    "encode",
    "estimate_bits",
    "fold_batch_norm",
    "full_precision",
    "grid_steps",
    "held",
    "level_costs",
    "load",
    "nearest_step",
    "packed_model",
    "quantized",
    "same",
    "save",
    "shortest",
    "size_report",
    "sort_channels",
    "uniform",
    "unpacked",
    "values",
    "values_of",
    "with_coder",
]
