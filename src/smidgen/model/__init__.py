"""Trained networks, in memory and in files.

model.py               `Model`: a network with full-precision weights
quantized.py           `QuantizedModel`: a network with integer weights and a grid for each tensor
safetensors_file.py    stores a `Model` as .safetensors
smidgen_file.py        stores a `QuantizedModel` as .smidgen, the file of fewest bytes
inspection.py          what a .smidgen file contains, and its weights in full precision
coding/                the entropy coders of the .smidgen file
"""

from __future__ import annotations

from smidgen.model.coding.coders import CODERS, encode_levels, level_costs
from smidgen.model.coding.contexts import MAX_LEVEL
from smidgen.model.inspection import Inspection, TensorSummary, inspect, unpack
from smidgen.model.model import Model, flatten_arrays, named_arrays, tensor_shapes
from smidgen.model.quantized import (
    Codebook,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    dequantize,
    equal_networks,
    flat_weights,
    full_precision,
    nearest_step,
    quantize_tensor,
    values_of,
)
from smidgen.model.safetensors_file import load_safetensors, save_safetensors
from smidgen.model.smidgen_file import (
    Part,
    decode,
    encode,
    encode_description,
    load_smidgen,
    open_model,
    save_smidgen,
    size_report,
)

__all__ = [
    "CODERS",
    "MAX_LEVEL",
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
    "encode_description",
    "encode_levels",
    "equal_networks",
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
    "quantize_tensor",
    "save_safetensors",
    "save_smidgen",
    "size_report",
    "tensor_shapes",
    "unpack",
    "values_of",
]
