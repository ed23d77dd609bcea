"""Stores a `Model` in full precision as one safetensors file.

Each layer that has weights is one to four float32 tensors, named by the layer's index:

    0.weight 0.bias                     convolutions and dense layers
    2.weight 2.bias 2.mean 2.variance   a batch norm: scale, shift, running statistics

The flat `Weights` of an engine are the same arrays in the same order, each in C order. The file's metadata are the
spec (`smidgen_spec`), the input shape (`smidgen_input_shape`, for example "1x28x28"), the class names
(`smidgen_classes`, a JSON list), what the input's numbers mean (`smidgen_input`, JSON of an `InputSpec`; missing in
older files) and `Model.metadata`. The file contains no code, so a file of unknown origin is safe to
read. The same model always gives the same bytes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from smidgen.atomic_files import write_checked
from smidgen.errors import ModelFileError, SpecError
from smidgen.model.model import (
    Model,
    check_model,
    check_regular,
    check_tensors,
    flatten_arrays,
    named_arrays,
    tensor_shapes,
)
from smidgen.records import Weights
from smidgen.spec import UNSTATED, InputSpec, NetSpec, Shape, parse_spec

SPEC_KEY, SHAPE_KEY, CLASSES_KEY = "smidgen_spec", "smidgen_input_shape", "smidgen_classes"
INPUT_KEY = "smidgen_input"


def save_safetensors(model: Model, path: Path) -> int:
    """Write `model` to `path`; the file takes that name once it has been read back and compared.

    Returns:
        The length of the file in bytes.

    Raises:
        ModelFileError: the model cannot be stored or `path` cannot be written. A file that was at `path` is kept.
    """
    return write_checked(path, _encode(model), lambda draft: _check_equal(_read(draft, path), model, path))


def load_safetensors(path: Path) -> Model:
    """Read a model that `save_safetensors` wrote.

    Raises:
        ModelFileError: the file does not exist or is not such a file; the message says what was found.
    """
    try:
        if not path.exists():
            raise ModelFileError(f"{path} does not exist; give a model file")
        check_regular(path, MAX_FILE_BYTES)
        return _read(path, path)
    except MemoryError as error:
        raise ModelFileError(f"{path} needs more memory than there is; use a machine with more") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}; check that it may be read") from error


# --- model -> bytes --------------------------------------------------------------------------


def _encode(model: Model) -> bytes:
    from safetensors.numpy import save as serialize

    check_model(model, "the model")
    if taken := {SPEC_KEY, SHAPE_KEY, CLASSES_KEY, INPUT_KEY} & model.metadata.keys():
        raise ModelFileError(f"metadata key '{min(taken)}' is the file's own; use another name")
    header = {
        SPEC_KEY: str(model.spec),
        SHAPE_KEY: "x".join(map(str, model.input_shape)),
        CLASSES_KEY: json.dumps(model.class_names),
    }
    if model.input.is_stated:
        header[INPUT_KEY] = model.input.to_json()
    arrays = named_arrays(model.spec, model.input_shape, model.weights)
    try:
        return _in_fixed_order(serialize(arrays, {**model.metadata, **header}))
    except (TypeError, UnicodeEncodeError) as error:
        raise ModelFileError(f"metadata must be text that UTF-8 can hold: {error}; leave it out") from error


def _in_fixed_order(content: bytes) -> bytes:
    """Sort the metadata in a file's header, because safetensors writes them in a new order each time."""
    header_end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:header_end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[header_end:]


def _check_equal(decoded: Model, model: Model, path: Path) -> None:
    same = (decoded.spec, decoded.input_shape, decoded.class_names, decoded.metadata, decoded.input) == (
        model.spec,
        tuple(model.input_shape),
        tuple(model.class_names),
        model.metadata,
        model.input,
    )
    if not same or decoded.weights.tobytes() != model.weights.tobytes():
        raise ModelFileError(
            f"{path}: what was read back is not what was written ('{decoded.spec}' for '{model.spec}'); "
            "nothing was kept: check the disk, and that the network text is exact"
        )


# --- file -> model ---------------------------------------------------------------------------

MAX_FILE_BYTES = 2**30 + 2**26
"""Longest file that is read: the most parameters (`spec.MAX_PARAMETERS`) as float32, and the longest header."""
MAX_HEADER_BYTES = 2**23
LARGEST_HEADER_BYTES = 100_000_000
"""From here on, the package safetensors refuses a header itself: the first bytes are then of some other format."""

_DTYPE_NAMES = {"F32": "float32", "F16": "float16", "F64": "float64", "BF16": "bfloat16"}

_SIGNATURES = (
    (b"PK\x03\x04", "it looks like a zip archive (torch .pt, .npz and .keras files are)"),
    (b"\x89HDF", "it looks like HDF5 (Keras .h5 files are)"),
    (b"\x93NUMPY", "it looks like a NumPy array"),
    (b"\x80", "it looks like a Python pickle, which is never read: it can hold code"),
)


def _read(file_path: Path, path: Path) -> Model:
    """Read the model in `file_path`, a draft perhaps; messages name `path`, its final name."""
    from safetensors import SafetensorError, safe_open

    _check_header_length(file_path, path)
    try:
        with safe_open(file_path, framework="numpy") as file:  # typed Any below: it has no types of its own
            return _decode(file, path)
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} is not a model file: {_first_bytes(file_path)} ({error}); "
            "give a .safetensors or .smidgen file that Smidgen wrote"
        ) from error


def _check_header_length(file_path: Path, path: Path) -> None:
    """Raise ModelFileError if the header is longer than a network's; it is read into memory whole."""
    with file_path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if MAX_HEADER_BYTES < header_bytes < LARGEST_HEADER_BYTES:
        raise ModelFileError(
            f"{path} has a header of {header_bytes:,} bytes, and a network's has at most {MAX_HEADER_BYTES:,}; "
            "give a file that Smidgen wrote"
        )


def _decode(file: Any, path: Path) -> Model:
    metadata = dict(file.metadata() or {})
    header = {key: metadata.pop(key, None) for key in (SPEC_KEY, SHAPE_KEY, CLASSES_KEY)}
    if None in header.values():
        names = ", ".join(list(file.keys())[:4]) or "none"
        raise ModelFileError(f"{path} holds tensors ({names}) and no {SPEC_KEY}; give a file that Smidgen wrote")
    spec, input_shape, class_names = _parse_header(header, path)
    weights = _read_weights(file, spec, input_shape, path)
    model = _model(spec, input_shape, class_names, weights, metadata, path)
    check_model(model, str(path))
    return model


def _model(
    spec: NetSpec, shape: Shape, names: tuple[str, ...], weights: Weights, metadata: dict[str, str], path: Path
) -> Model:
    text = metadata.pop(INPUT_KEY, None)
    try:
        described = UNSTATED if text is None else InputSpec.from_json(text)
        return Model(spec, shape, names, weights, metadata, described)
    except (SpecError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(f"{path} has metadata that do not describe a network: {error}") from error


def _parse_header(header: dict[str, str], path: Path) -> tuple[NetSpec, Shape, tuple[str, ...]]:
    try:
        spec, input_shape = parse_spec(header[SPEC_KEY]), _parse_shape(header[SHAPE_KEY])
        spec.plan(input_shape)
        classes = json.loads(header[CLASSES_KEY])
    except (ValueError, RecursionError, SpecError) as error:
        raise ModelFileError(f"{path} has metadata that do not describe a network: {error}; save it again") from error
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise ModelFileError(f"{path} has {CLASSES_KEY}={header[CLASSES_KEY][:80]}; it must be a JSON list of names")
    return spec, input_shape, tuple(classes)


def _parse_shape(text: str) -> Shape:
    match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        raise ValueError(f"{SHAPE_KEY}='{text[:80]}' is not like 1x28x28")
    channels, height, width = map(int, match.groups())
    return channels, height, width


def _read_weights(file: Any, spec: NetSpec, input_shape: Shape, path: Path) -> Weights:
    """Read the weights; shapes are checked in the file's header, before any memory is taken."""
    shapes = tensor_shapes(spec, input_shape)
    names = list(file.keys())
    headers = {name: file.get_slice(name) for name in names}
    found = {
        name: (_DTYPE_NAMES.get(head.get_dtype(), str(head.get_dtype())), tuple(head.get_shape()))
        for name, head in headers.items()
    }
    check_tensors(spec, shapes, found, f"{path}: the weights")
    return flatten_arrays(spec, input_shape, {name: file.get_tensor(name) for name in shapes})


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    for signature, meaning in _SIGNATURES:
        if start.startswith(signature):
            return meaning
    return f"it starts with {start!r}" if start else "it is empty"
