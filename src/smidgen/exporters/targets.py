"""Export a network file to another program's format, run the result and compare the classes."""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, load
from smidgen.engine import choose
from smidgen.errors import ModelFileError, RequestError, RunError
from smidgen.exporters.c_input import entry_of
from smidgen.exporters.c_source import c_program, export_c
from smidgen.exporters.examples import arduino_zip, write_arduino
from smidgen.exporters.forward import reads_bytes
from smidgen.exporters.javascript import HTML_MARK, JS_MARK, export_html, export_js, js_module
from smidgen.exporters.onnx_file import add_notes, export_onnx
from smidgen.exporters.prove import (
    MEASURED,
    ProgramSize,
    classes_by_c,
    classes_by_js,
    classes_by_onnx,
    classes_by_tflite,
    program_size,
)
from smidgen.exporters.tflite_file import export_tflite
from smidgen.foreign_text import c_identifier
from smidgen.model import (
    QuantizedModel,
    as_quantized,
    dequantize,
    flat_weights,
    load_safetensors,
    load_smidgen,
    save_safetensors,
)
from smidgen.reporter import Reporter
from smidgen.text_forms import shortened

TARGETS = {
    "onnx": ".onnx",
    "tflite": ".tflite",
    "c": ".c",
    "arduino": ".zip",
    "js": ".mjs",
    "html": ".html",
    "safetensors": ".safetensors",
}
"""Target formats, and the suffix of the file that each writes by default."""

_MARKS = {
    "onnx": b"smidgen",
    "tflite": b"TFL3",
    "arduino": b"/library.properties",
    "c": b"/* Made by Smidgen",
    "js": JS_MARK.encode(),
    "html": HTML_MARK.encode(),
}
"""Bytes near the start of every file that an export writes."""

_RUNNERS = {"onnx": "onnxruntime", "tflite": "ai-edge-litert", "c": "cc -Os", "arduino": "cc -Os"}
_RUNNERS |= {"js": "node", "html": "node"}

_ROUNDING = ("integer", "int8")
"""Forms whose classes may differ from the network's."""

Inputs = npt.NDArray[Any]


@dataclass(frozen=True)
class Proof:
    """How an exported file classified the test images.

    Attributes:
        images: number of test images.
        agreeing: images to which the export and the decoded network give the same class.
        correct: images that the export classifies correctly.
        network_correct: images that the decoded network classifies correctly.
        runner: what ran the export: "onnxruntime", "ai-edge-litert", "cc -Os" or "node".
    """

    images: int
    agreeing: int
    correct: int
    network_correct: int
    runner: str


@dataclass(frozen=True)
class Export:
    """An exported file.

    Attributes:
        path: the file that was written.
        size_bytes: its length; for C that of the source and its header together.
        program_size: flash and RAM on a Cortex-M0+; None unless C was written and arm-none-eabi-gcc is installed.
        proof: how it classified the test images; None if no data was given, and for safetensors.
    """

    path: Path
    size_bytes: int
    program_size: ProgramSize | None = None
    proof: Proof | None = None


def export(
    file: str | Path,
    *,
    to: str,
    form: str | None = None,
    entry: str | None = None,
    data: Dataset | str | None = None,
    split_seed: int = 0,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Export:
    """Write a network file in another program's format; with `data`, run the result on the test images.

    Args:
        file: a `.smidgen` or `.safetensors` file.
        to: "onnx", "tflite", "c", "arduino", "js", "html" or "safetensors".
        form: how C and Arduino store the weights, a key of `FORMS`; None is "levels". Of "tflite" and "onnx" "float",
            the default, or "int8". Other targets take no form.
        entry: the type of the numbers that C takes, in the user's units: "float", "int16" (as an ADC counts) or
            "uint8"; None is "uint8" for images in bytes, else "float".
        data: data set, or its name or path, whose test images the export must classify as the network does.
            The C form "integer" also calibrates on its training split.
        split_seed: seed of the split that the network was trained on; used if `data` is a name or path.
        out: the file to write, which is replaced if it exists; default: beside `file`, with the target's suffix. For C
            a name that ends in .h makes a single header.
        reporter: told where published data is fetched from.

    Returns:
        The file that was written, and what was found when it was run.

    Raises:
        RequestError: the target or form is unknown, the data or the form do not fit the network's input, or the target
            is `file` itself or, without `out`, a file that no export wrote.
        ModelFileError: `file` cannot be read or the target cannot be written.
        RunError: the export gives an image another class than the decoded network does. The C form "integer"
            rounds, so its differences are counted and not an error.
    """
    if to not in TARGETS:
        raise RequestError(f"--to {to} is not known; use one of {', '.join(TARGETS)}")
    for option, value, takers in (
        ("--form", form, ("c", "arduino", "tflite", "onnx")),
        ("--entry", entry, ("c", "arduino")),
    ):
        if value is not None and to not in takers:
            raise RequestError(f"{option} {value} is for --to c, and --to {to} takes none; leave out {option}")
    path, form = Path(file), form or ("float" if to in ("tflite", "onnx") else "levels")
    quantized, place = _load(path), Path(out or path.with_suffix(TARGETS[to]))
    _check_place(place, path, to, quantized, chosen=out is not None)
    if to == "safetensors":
        return Export(place, save_safetensors(dequantize(quantized), place))
    dataset = load(data, split_seed, reporter=reporter) if isinstance(data, str) else data
    if dataset is not None:
        _check_data(quantized, dataset)
        _check_entry(dataset, entry)
    size_bytes = _write(quantized, place, to, form, entry, dataset)
    proof = _prove(quantized, place, to, form, dataset) if dataset is not None else None
    if to == "onnx" and dataset is not None and proof is not None:
        size_bytes = add_notes(place, _notes(dataset, proof))
    return Export(place, size_bytes, program_size(place) if to == "c" else None, proof)


def _check_entry(dataset: Dataset, entry: str | None) -> None:
    """Refuse data that the function of a C export could not take as whole numbers."""
    low, high = {"int16": (-32768, 32767), "uint8": (0, 255)}.get(entry or "", (-np.inf, np.inf))
    given = dataset.input.to_units(dataset.test.images)
    if entry in ("int16", "uint8") and ((np.abs(given - np.rint(given)) > 1e-3) | (given < low) | (given > high)).any():
        raise RequestError(
            f"--entry {entry} takes whole numbers from {low} to {high}, and {dataset.name} has {given.min():g} to "
            f"{given.max():g}, not all whole; use --entry float, or scale the data"
        )


def _check_data(quantized: QuantizedModel, dataset: Dataset) -> None:
    """Refuse data of another kind, shape or classes than the network's.

    Raises:
        RequestError: what differs, with both values.
    """
    kinds = ("floating-point numbers", "bytes")
    pairs = [
        ("reads", *(kinds[is_bytes] for is_bytes in (reads_bytes(quantized), dataset.train.images.dtype == np.uint8))),
        ("reads", *("x".join(map(str, shape)) for shape in (quantized.input_shape, dataset.input_shape))),
        ("has the classes", *(", ".join(names) for names in (quantized.class_names, dataset.class_names))),
    ]
    for verb, own, other in pairs:
        if own != other:
            raise RequestError(
                f"the network {verb} {shortened(own)}, and {dataset.name} has {shortened(other)}; "
                "give the network's own data"
            )


def _load(path: Path) -> QuantizedModel:
    return as_quantized(load_safetensors(path)) if path.suffix == ".safetensors" else load_smidgen(path)


def _check_place(place: Path, file: Path, to: str, quantized: QuantizedModel, *, chosen: bool) -> None:
    """Refuse to replace the network file, and, unless the user chose the name, any file that no export wrote."""
    if place.exists() and place.samefile(file):
        raise RequestError(f"the export would replace its input {file}; give another --out")
    if chosen:
        return
    for target in {place, place.with_suffix(".h")} if to == "c" else {place}:
        if target.exists() and not _is_export(target, to, quantized):
            raise RequestError(f"{target} exists and is not this export; give another name by --out")


def _is_export(path: Path, to: str, quantized: QuantizedModel) -> bool:
    """Return whether an earlier export wrote the file; any training writes safetensors, so their weights must agree."""
    if not path.is_file():
        return False
    if to == "safetensors":
        return _equals(path, quantized)
    with path.open("rb") as file:
        return _MARKS[to] in file.read(200)


def _equals(path: Path, quantized: QuantizedModel) -> bool:
    try:
        found, wanted = load_safetensors(path), dequantize(quantized)
    except ModelFileError:
        return False
    return found.spec == wanted.spec and found.weights.tobytes() == wanted.weights.tobytes()


def _write(
    quantized: QuantizedModel, path: Path, to: str, form: str, entry: str | None, dataset: Dataset | None
) -> int:
    writers = {"js": export_js, "html": export_html}
    if to in writers:
        return writers[to](quantized, path)
    inputs = _training_inputs(quantized, dataset)
    if to in ("tflite", "onnx"):
        return (export_tflite if to == "tflite" else export_onnx)(quantized, path, form, inputs)
    if to == "arduino":
        return _write_arduino(quantized, path, form, entry, dataset)
    size_bytes = export_c(quantized, path, form, inputs, entry)
    measured = program_size(path)
    if measured is None:
        return size_bytes
    return export_c(quantized, path, form, inputs, entry, f"{measured.flash_bytes} {MEASURED}")


def _notes(dataset: Dataset, proof: Proof) -> dict[str, str]:
    """Return the accuracy of an export for its metadata: counts, and what they were counted on."""
    counts = {"data": dataset.name, "split": "test", "correct": proof.correct, "n": proof.images}
    return {"accuracy": json.dumps(counts | {"runner": proof.runner})}


def _training_inputs(quantized: QuantizedModel, dataset: Dataset | None) -> Inputs | None:
    return None if dataset is None else network_inputs(quantized, dataset, dataset.train.images)


def _write_arduino(quantized: QuantizedModel, path: Path, form: str, entry: str | None, dataset: Dataset | None) -> int:
    """Write an Arduino library whose sketch classifies the first test input."""
    inputs = _training_inputs(quantized, dataset)
    made = c_program(quantized, c_identifier(path.stem), form, inputs, entry=entry)
    sample = None if dataset is None else dataset.input.to_units(dataset.test.images[:1])
    expected = 0 if dataset is None else int(dataset.test.labels[0])
    if sample is not None and entry_of(quantized, entry) != "float":
        sample = np.rint(sample).astype(int)
    return write_arduino(path, arduino_zip(made, str(quantized.spec), sample, expected))


def network_inputs(quantized: QuantizedModel, dataset: Dataset, images: Inputs) -> Inputs:
    """Return inputs of a data set as the layers of a network read them."""
    given = dataset.input.to_units(images)
    return given if reads_bytes(quantized) else quantized.input.to_network(given)


def _prove(quantized: QuantizedModel, path: Path, to: str, form: str, dataset: Dataset) -> Proof:
    given, labels = dataset.input.to_units(dataset.test.images), dataset.test.labels
    inputs = network_inputs(quantized, dataset, dataset.test.images)
    logits = choose().predict(quantized.spec, flat_weights(quantized), inputs, 1)
    wanted, found = logits.argmax(axis=1), _classes(quantized, path, to, given)
    proof = Proof(
        images=len(given),
        agreeing=int((found == wanted).sum()),
        correct=int((found == labels).sum()),
        network_correct=int((wanted == labels).sum()),
        runner=_RUNNERS[to],
    )
    differing = found != wanted if reads_bytes(quantized) else (found != wanted) & _are_clear(logits)
    if differing.any() and form not in _ROUNDING:
        raise RunError(
            f"{path} differs from the decoded network on {differing.sum()} of {proof.images} examples; report it"
        )
    return proof


def _are_clear(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return the inputs whose class does not hang on rounding: scaling in float32 moves logits in the sixth digit."""
    two = np.sort(logits, axis=1)[:, -2:]
    clear: npt.NDArray[np.bool_] = two[:, 1] - two[:, 0] > 1e-4 * np.abs(logits).max()
    return clear


def _classes(quantized: QuantizedModel, path: Path, to: str, given: Inputs) -> npt.NDArray[np.intp]:
    """Classify inputs in the user's units with what was exported; of a page, with the module that it contains."""
    if to == "tflite":
        return classes_by_tflite(path, given)
    if to == "arduino":
        return _classes_by_arduino(path, given)
    if to == "onnx":
        return classes_by_onnx(path, given)
    return classes_by_c(path, given) if to == "c" else classes_by_js(js_module(quantized), given)


def _classes_by_arduino(path: Path, given: Inputs) -> npt.NDArray[np.intp]:
    """Compile the source of an Arduino library on this machine and classify inputs with it."""
    name = c_identifier(path.stem)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        for suffix in (".c", ".h"):
            (Path(folder) / f"{name}{suffix}").write_bytes(archive.read(f"{name}/src/{name}{suffix}"))
        return classes_by_c(Path(folder) / f"{name}.c", given)
