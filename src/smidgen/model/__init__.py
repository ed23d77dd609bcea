"""Trained networks, in memory and in files.

smidgen.model.model               `Model`: a network with full-precision weights
smidgen.model.quantized           `QuantizedModel`: a network whose weights are integers with a grid for each tensor
smidgen.model.safetensors_file    `Model` <-> .safetensors
smidgen.model.smidgen_file        `QuantizedModel` <-> .smidgen, the file of fewest bytes
smidgen.model.inspection          what a .smidgen file contains, and its weights in full precision
smidgen.model.coding              the entropy coders of the .smidgen file"""

from __future__ import annotations

from smidgen.model.coding.coders import CODERS, encode_levels, estimate_bits, level_costs
from smidgen.model.coding.contexts import MOST_LEVEL
from smidgen.model.inspection import Inspection, TensorSummary, inspect, unpack
from smidgen.model.model import Model, flatten_arrays, named_arrays, tensor_shapes
from smidgen.model.quantized import (
    Codebook,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    dequantize,
    flat_weights,
    full_precision,
    nearest_step,
    same,
    uniform,
    values_of,
)
from smidgen.model.safetensors_file import load_safetensors, save_safetensors
from smidgen.model.smidgen_file import Part, decode, encode, load_smidgen, open_model, save_smidgen, size_report

__all__ = [
    "CODERS",
    "MOST_LEVEL",
    "Codebook",
    "Inspection",
    "Model",
    "Part",
    "QuantizedModel",
    "Tensor",
    "TensorSummary",
    "Uniform",
    "as_quantized",
    "decode",
    "dequantize",
    "encode",
    "encode_levels",
    "estimate_bits",
    "flat_weights",
    "flatten_arrays",
    "full_precision",
    "inspect",
    "level_costs",
    "load_safetensors",
    "load_smidgen",
    "named_arrays",
    "nearest_step",
    "open_model",
    "same",
    "save_safetensors",
    "save_smidgen",
    "size_report",
    "tensor_shapes",
    "uniform",
    "unpack",
    "values_of",
]
