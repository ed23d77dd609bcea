"""Exports a network as a file of another program: ONNX, C, JavaScript, a web page or safetensors."""

from __future__ import annotations

from smidgen.exporters.c_source import FORMS, c_program, export_c
from smidgen.exporters.javascript import export_html, export_js
from smidgen.exporters.onnx_file import export_onnx, onnx_bytes
from smidgen.exporters.prove import (
    ProgramSize,
    classes_by_c,
    classes_by_js,
    classes_by_onnx,
    classes_by_tflite,
    nanoseconds_by_c,
    program_size,
)
from smidgen.exporters.targets import TARGETS, Export, Proof, export
from smidgen.exporters.tflite_file import TFLITE_FORMS, export_tflite, tflite_bytes

__all__ = [
    "FORMS",
    "TARGETS",
    "TFLITE_FORMS",
    "Export",
    "ProgramSize",
    "Proof",
    "c_program",
    "classes_by_c",
    "classes_by_js",
    "classes_by_onnx",
    "classes_by_tflite",
    "export",
    "export_c",
    "export_html",
    "export_js",
    "export_onnx",
    "export_tflite",
    "nanoseconds_by_c",
    "onnx_bytes",
    "program_size",
    "tflite_bytes",
]
