"""Trained networks, in memory and in files.

smidgen.model.model               `Model`: a network with full-precision weights
smidgen.model.quantized           `Packed`: a network whose weights are integers with a grid for each tensor
smidgen.model.safetensors_file    `Model` <-> .safetensors
smidgen.model.smidgen_file        `Packed` <-> .smidgen, the file of fewest bytes
smidgen.model.coding              the entropy coders of the .smidgen file"""

from __future__ import annotations

from smidgen.model.coding.coders import CODERS, coded, estimate_bits, level_costs
from smidgen.model.coding.contexts import MOST_LEVEL
from smidgen.model.model import Model, flat_weights, named_arrays, tensor_shapes
from smidgen.model.quantized import (
    Codebook,
    Packed,
    Tensor,
    Uniform,
    full_precision,
    nearest_step,
    packed_model,
    same,
    uniform,
    unpacked,
    values,
    values_of,
)
from smidgen.model.safetensors_file import load_safetensors, save_safetensors
from smidgen.model.smidgen_file import Part, decode, encode, load_smidgen, open_model, save_smidgen, size_report

__all__ = [
    "CODERS",
    "MOST_LEVEL",
    "Codebook",
    "Model",
    "Packed",
    "Part",
    "Tensor",
    "Uniform",
    "coded",
    "decode",
    "encode",
    "estimate_bits",
    "flat_weights",
    "full_precision",
    "level_costs",
    "load_safetensors",
    "load_smidgen",
    "named_arrays",
    "nearest_step",
    "open_model",
    "packed_model",
    "same",
    "save_safetensors",
    "save_smidgen",
    "size_report",
    "tensor_shapes",
    "uniform",
    "unpacked",
    "values",
    "values_of",
]
