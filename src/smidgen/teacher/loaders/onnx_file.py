"""ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

import mmap
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import Batch, Network, Outputs, digest_of, first_line, import_extra

_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
"""The types of inputs and outputs that a teacher may have."""

_LOCATION = re.compile(rb"\n\x08location\x12")
"""How an entry of a tensor's `external_data` begins whose key is "location" (onnx.proto, StringStringEntryProto: field
1 is the key, field 2 the value)."""


def load_onnx(path: Path) -> Network:
    """Open an ONNX file with one input of floats.

    Raises:
        TeacherError: onnxruntime is not installed, or the file is damaged or has other inputs or outputs.
    """
    runtime = import_extra("onnxruntime", "onnx", str(path))
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each cause, and no common one
        raise TeacherError(f"cannot read {path} as ONNX: {first_line(error)}; export it again") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _DTYPES:
        found = ", ".join(f"{entry.name} {entry.type}" for entry in inputs)
        raise TeacherError(f"{path} takes {found}; a teacher must take one input of floats")
    output, dtype = _output_name(session, path), _DTYPES[inputs[0].type]
    batch, *shape = (axis if isinstance(axis, int) else None for axis in inputs[0].shape)

    def run(images: Batch) -> Outputs:
        return np.asarray(session.run([output], {inputs[0].name: images.astype(dtype)})[0])

    return Network(
        path.name, run, tuple(shape), _count_parameters(path), digest_of(path, *external_files(path)), batch or 0
    )


def external_files(path: Path) -> list[Path]:
    """The files beside an ONNX file that hold its larger tensors, by name.

    The entries are found by their bytes, so that neither the package `onnx` nor the whole file in memory is needed.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        names = {_text_at(content, found.end()) for found in _LOCATION.finditer(content)}
    return [path.parent / name for name in sorted(names) if (path.parent / name).is_file()]


def _text_at(content: mmap.mmap, place: int) -> str:
    """The text whose length stands at `place` as a base-128 number, lowest digits first (protobuf's varint)."""
    length, shift = 0, 0
    while True:
        byte = content[place]
        length |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return content[place : place + length].decode(errors="replace")


def _output_name(session: Any, path: Path) -> str:
    """The last output of floats: scikit-learn's exports have the label first and then the probabilities."""
    names = [entry.name for entry in session.get_outputs() if entry.type in _DTYPES]
    if not names:
        found = ", ".join(f"{entry.name} {entry.type}" for entry in session.get_outputs())
        raise TeacherError(f"{path} gives {found} and no floats; export it with its probabilities (zipmap=False)")
    return str(names[-1])


def _count_parameters(path: Path) -> int:
    """The number of floats among the constants; 0 if the package `onnx`, which reads them, is not installed."""
    try:
        onnx = import_module("onnx")
    except ImportError:
        return 0
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    graph = onnx.load(str(path), load_external_data=False).graph
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.data_type in floats)
