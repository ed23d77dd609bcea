"""Reads a foreign network, compares it with the original on data, and writes it as a network file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.engine import choose
from smidgen.errors import RequestError, RunError
from smidgen.importers.assembling import assembled
from smidgen.importers.keras_file import open_keras, read_keras
from smidgen.importers.onnx_file import read_onnx
from smidgen.importers.steps import Steps
from smidgen.model import Model, as_quantized, save_safetensors, save_smidgen
from smidgen.spec import InputSpec, Shape, classes_of
from smidgen.spec.input import IMAGE_BYTES
from smidgen.teacher.loaders.keras_model import from_keras
from smidgen.teacher.loaders.network import Network
from smidgen.teacher.loaders.onnx_file import load_onnx

SUFFIXES = (".onnx", ".keras")

RANDOM_INPUTS = 64

TOLERANCE = 1e-4
"""Largest difference of outputs, as a share of the largest output; float32 sums in another order differ less."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ImportProof:
    """How the imported network compares with the original.

    Attributes:
        inputs: what both were given, for example "200 test examples of digits".
        count: how many inputs.
        largest_difference: of any two outputs, as a share of the largest output.
        agreeing: inputs to which both give the same class.
        correct: inputs that the imported network classifies correctly; None without labels.
    """

    inputs: str
    count: int
    largest_difference: float
    agreeing: int
    correct: int | None = None


@dataclass(frozen=True, eq=False)
class Imported:
    """An imported network.

    Attributes:
        model: the network.
        proof: how it compares with the original.
        notes: what was changed so that the spec language has it.
        written_to: the file that was written; None if none was.
        size_bytes: its length; 0 without one.
    """

    model: Model
    proof: ImportProof
    notes: tuple[str, ...] = ()
    written_to: Path | None = None
    size_bytes: int = 0


def import_network(file: Path, dataset: Dataset | None, out: Path | None) -> Imported:
    """Import a network file of another program.

    Args:
        file: an .onnx or .keras file.
        dataset: data whose test images both networks must classify alike; None for random inputs.
        out: the file to write: .smidgen, or else .safetensors; None writes nothing.

    Raises:
        RequestError: the file is of another kind or has a layer that cannot be imported; the message names it.
        ModelFileError: it is damaged, or `out` cannot be written.
        RunError: the imported network computes something else than the original.
    """
    steps, output, original = _read(file)
    spec, weights = assembled(steps, output)
    shape = steps.input_shape
    spec.check_head(shape)
    classes = classes_of(spec.output_shape(shape)[0])
    named = dataset is not None and dataset.classes == classes
    names = dataset.class_names if dataset is not None and named else tuple(map(str, range(classes)))
    described = {} if steps.described is None else {"input": steps.described}
    model = Model(spec, shape, names, weights, {"imported from": file.name}, **described)
    proof = _proof(model, original, steps, dataset)
    size_bytes = _write(model, out) if out is not None else 0
    return Imported(model, proof, tuple(steps.notes), out, size_bytes)


def _read(file: Path) -> tuple[Steps, str, Callable[[Floats], npt.NDArray[np.float64]]]:
    """Return the steps, the output's name, and the original, which takes maps [n, channels, height, width]."""
    if file.suffix == ".onnx":
        steps, output = read_onnx(file)
        network, axes = load_onnx(file), _first_axes
    elif file.suffix == ".keras":
        found = open_keras(file)
        steps, output = read_keras(found)
        wrapped = from_keras(found, ())
        assert wrapped is not None
        network, axes = wrapped, _last_axes
    else:
        raise RequestError(f"{file} is not a network that can be imported; give a file in {' or '.join(SUFFIXES)}")
    return steps, output, lambda maps: _run(network, axes(steps.in_units(maps), len(network.input_shape or ())))


def _run(network: Network, inputs: Floats) -> npt.NDArray[np.float64]:
    """Run the original, in batches of the size that it takes."""
    size = network.batch_size or 256
    batches = [inputs[place : place + size] for place in range(0, len(inputs), size)]
    outputs = [network.run(np.concatenate([batch, batch[:1].repeat(size - len(batch), 0)]))[: len(batch)]
               if network.batch_size else network.run(batch) for batch in batches]  # fmt: skip
    return np.concatenate(outputs).astype(np.float64).reshape(len(inputs), -1)


def _first_axes(maps: Floats, axes: int) -> Floats:
    """Maps as ONNX networks take them: channels first."""
    return maps.reshape(len(maps), -1) if axes == 1 else maps[:, :, 0] if axes == 2 else maps


def _last_axes(maps: Floats, axes: int) -> Floats:
    """Maps as Keras takes them: channels last."""
    last = maps.transpose(0, 2, 3, 1)
    return maps.reshape(len(maps), -1) if axes == 1 else last[:, 0] if axes == 2 else np.ascontiguousarray(last)


# --- the comparison ---------------------------------------------------------------------------


def _proof(
    model: Model, original: Callable[[Floats], npt.NDArray[np.float64]], steps: Steps, dataset: Dataset | None
) -> ImportProof:
    inputs, said, labels = _inputs(model.input_shape, steps.described, dataset)
    ours = choose().predict(model.spec, model.weights, inputs).astype(np.float64)
    theirs = _for_each_class(original(inputs), steps)
    found = ours
    if steps.is_softmax:
        found = _softmax(ours) if _are_probabilities(theirs) else np.log(_softmax(ours))
    if found.shape != theirs.shape:
        wrong = f"{found.shape[1]} outputs and the original {theirs.shape[1]}"
        raise RunError(f"the imported network gives {wrong}; report it")
    largest = float(np.abs(found - theirs).max() / max(float(np.abs(theirs).max()), 1e-30))
    if not largest <= TOLERANCE:
        raise RunError(f"the imported network differs from the original by {largest:.2g} on {said}; report it")
    agreeing = int((found.argmax(1) == theirs.argmax(1)).sum())
    correct = None if labels is None else int((found.argmax(1) == labels).sum())
    return ImportProof(said, len(inputs), largest, agreeing, correct)


def _for_each_class(outputs: npt.NDArray[np.float64], steps: Steps) -> npt.NDArray[np.float64]:
    """Return the original's outputs with one for each class; one output is the second class's of two."""
    if outputs.shape[1] > 1:
        return outputs
    return np.concatenate([1 - outputs if steps.is_softmax else 0 * outputs, outputs], axis=1)


def _inputs(
    shape: Shape, described: InputSpec | None, dataset: Dataset | None
) -> tuple[Floats, str, npt.NDArray[np.int32] | None]:
    """What both networks are given, as the network reads it, in words, and with labels if there are some."""
    if dataset is None:
        values = np.random.default_rng(0).random((RANDOM_INPUTS, *shape), np.float32)
        return values, f"{RANDOM_INPUTS} random inputs from 0 to 1", None
    if dataset.input_shape != shape:
        found, wanted = ("x".join(map(str, sizes)) for sizes in (dataset.input_shape, shape))
        raise RequestError(f"{dataset.name} has inputs of {found} and the network takes {wanted}; give other data")
    images = dataset.input.to_units(dataset.test.images)
    if described is not None and described.kind != IMAGE_BYTES:
        return described.to_network(images), f"{len(images):,} test examples of {dataset.name}", dataset.test.labels
    values = images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)
    return values, f"{len(values):,} test examples of {dataset.name}", dataset.test.labels


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    made: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return made


def _are_probabilities(outputs: npt.NDArray[np.float64]) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))


def _write(model: Model, out: Path) -> int:
    return save_smidgen(as_quantized(model), out) if out.suffix == ".smidgen" else save_safetensors(model, out)
