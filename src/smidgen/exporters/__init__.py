"""Exports a network as a file of another program: ONNX, C, JavaScript, a web page or safetensors."""

from __future__ import annotations

from smidgen.exporters.c_source import FORMS, c_program, export_c
from smidgen.exporters.javascript import export_html, export_js
from smidgen.exporters.onnx_file import export_onnx, onnx_bytes
from smidgen.exporters.prove import ProgramSize, classes_by_c, classes_by_js, classes_by_onnx, program_size
from smidgen.exporters.targets import TARGETS, Export, Proof, export

__all__ = [
    "FORMS",
    "TARGETS",
    "Export",
    "ProgramSize",
    "Proof",
    "c_program",
    "classes_by_c",
    "classes_by_js",
    "classes_by_onnx",
    "export",
    "export_c",
    "export_html",
    "export_js",
    "export_onnx",
    "onnx_bytes",
    "program_size",
]
