"""A network for other programs: ONNX, C."""

from __future__ import annotations

from smidgen.export.c_source import FORMS, c_source, export_c
from smidgen.export.onnx_file import export_onnx, onnx_bytes
from smidgen.export.proof import ProgramSize, classes_by_c, classes_by_onnx, program_size

__all__ = [
    "FORMS",
    "ProgramSize",
    "c_source",
    "classes_by_c",
    "classes_by_onnx",
    "export_c",
    "export_onnx",
    "onnx_bytes",
    "program_size",
]
