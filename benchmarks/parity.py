"""Compare the classes of every export with the decoded network's on whole test sets, on every target.

    python benchmarks/parity.py --out results/DATE-parity --opencv SITE4 --opencv SITE5

A network is trained for each data set, stored as a `.smidgen` file of 4 bits, exported in every form, and run:
C compiled for x86-64 (also with sanitizers), for a Cortex-M0+ and a Cortex-M4 on emulated boards, and for RISC-V under
qemu-user; compiled for AVR; TensorFlow Lite by LiteRT; ONNX by onnxruntime and by each OpenCV whose folder of packages
is named. What is not installed is said in its row; rows that the folder has are kept. A float program that adds up in
another order may decide a draw otherwise: inputs whose two largest logits differ by less than 1e-4 of the largest are
counted apart.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from boards import BOARDS, classes_on_board
from evidence import markdown, write_readme
from own_data_sets import source_of
from smidgen.data import Dataset, load
from smidgen.engine import Examples, choose
from smidgen.errors import SmidgenError
from smidgen.exporters import (
    FORMS,
    classes_by_c,
    classes_by_js,
    classes_by_onnx,
    classes_by_tflite,
    export_c,
    export_onnx,
    export_tflite,
)
from smidgen.exporters.c_input import entry_of
from smidgen.exporters.javascript import js_module
from smidgen.exporters.prove import WARNINGS, as_entry
from smidgen.exporters.targets import network_inputs
from smidgen.model import QuantizedModel, Tensor, Uniform, decode, encode, flat_weights, named_arrays, nearest_step
from smidgen.records import Recipe
from smidgen.spec import parse_spec

Classes = npt.NDArray[np.intp]

MAPS = (
    "conv 4x3x3 stride 2 same relu, depthwise 3x3 stride 2 same relu, pointwise 8, batchnorm relu, maxpool 2, "
    "dense {classes}"
)
SIGNAL = "conv 6x1x5 relu, maxpool 1x2, depthwise 1x3 same relu, pointwise 8 relu, globalavgpool, dense {classes}"
TABLE = "dense 12 relu, prelu, dense {classes}"
SENSOR = "accelerometer"
SETTINGS = (
    ("digits", "digits", "conv 6x3x3 relu, maxpool 2, dense 12 leaky_relu(0.1), dense {classes}", None, 1),
    ("a sensor, floats", SENSOR, SIGNAL, None, 1),
    ("a sensor, int16", SENSOR, SIGNAL, "int16", 2000),
    ("a table", "breast_cancer", TABLE, None, 1),
    ("Fashion-MNIST", "fashion-mnist", MAPS, None, 1),
)
"""Name, data set, network, type of the numbers, and what a value is multiplied by before it is a whole number."""

LARGEST = 7
"""Levels of weights, so that every form can store them."""
RISCV = ("-Os", "-static"), "riscv64-linux-gnu-gcc", ("qemu-riscv64",)
SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Case:
    """A network of a data set.

    Attributes:
        name: As rows show it.
        entry: The type of the numbers that C takes.
        quantized: The network.
        given: The test inputs in the user's units.
        training: Training inputs as the layers read them.
        wanted: The decoded network's classes.
        labels: The true classes.
        clear: Whether the class does not hang on rounding.
    """

    name: str
    entry: str
    quantized: QuantizedModel
    given: npt.NDArray[Any]
    training: npt.NDArray[Any]
    wanted: Classes
    labels: Classes
    clear: npt.NDArray[np.bool_]


def cases(folder: Path, only: str = "") -> Iterator[Case]:
    """Train a network for each setting; with `only` for the one of that name."""
    for name, key, text, entry, times in SETTINGS:
        if only not in ("", name):
            continue
        place = folder / key
        place.mkdir(exist_ok=True)
        yield case(name, whole_numbers(source_of(key, place / key), times), text, entry)


def whole_numbers(source: str, times: int) -> Dataset:
    """Read a data set; with a factor, that of a file of arrays whose values are rounded after it, as an ADC counts."""
    if times == 1:
        return load(source)
    with np.load(source) as arrays:
        known = dict(arrays)
    path = Path(source).with_name("counts.npz")
    np.savez(path, X=np.rint(known["X"] * times).astype(np.float32), y=known["y"])
    return load(str(path))


def case(name: str, data: Dataset, text: str, entry: str | None) -> Case:
    """Train, store and decode a network, and classify the test inputs with it."""
    spec = parse_spec(text.format(classes=data.classes))
    examples = Examples(data.train.images, data.train.labels)
    few = len(data.train.labels) < 5_000
    trained = choose("native").train(spec, Recipe(epochs=60 if few else 3, learning_rate=0.01), examples, 0)
    tensors = {}
    for part, array in named_arrays(spec, data.input_shape, trained.weights).items():
        largest = LARGEST if array.ndim > 1 else 127
        step = nearest_step(float(np.abs(array).max() or 1) / largest)
        tensors[part] = Tensor(np.rint(array / step).astype(np.int32), Uniform(np.array([step])))
    made = QuantizedModel(spec, data.input_shape, data.class_names, tensors, data.input)
    quantized = decode(encode(made))
    given = data.input.to_units(data.test.images)
    logits = choose().predict(spec, flat_weights(quantized), network_inputs(quantized, data, data.test.images), 1)
    two = np.sort(logits, axis=1)[:, -2:]
    return Case(
        name=name,
        entry=entry_of(quantized, entry),
        quantized=quantized,
        given=given,
        training=network_inputs(quantized, data, data.train.images),
        wanted=logits.argmax(axis=1),
        labels=data.test.labels.astype(np.intp),
        clear=two[:, 1] - two[:, 0] > 1e-4 * np.abs(logits).max(),
    )


def rows_of(each: Case, folder: Path, opencv: list[str]) -> Iterator[tuple[str, str, Callable[[], Classes]]]:
    """Yield the target and the form of each export, and a function that runs it."""
    given = each.given
    for form in FORMS:
        path = folder / form / "net.c"
        path.parent.mkdir(exist_ok=True)
        export_c(each.quantized, path, form, each.training, each.entry)
        yield "x86-64", form, partial(classes_by_c, path, given)
        yield "x86-64, sanitizers", form, partial(classes_by_c, path, given, SANITIZED)
        yield "RISC-V 64, qemu-user", form, partial(classes_by_c, path, given, *RISCV)
        for board in BOARDS[:2]:
            yield board.name, form, partial(classes_on_board, board, path, as_entry(path, given))
        yield "AVR, compiled", form, partial(compiled_for_avr, path)
    for form in ("float", "int8"):
        onnx, tflite = folder / f"{form}.onnx", folder / f"{form}.tflite"
        export_onnx(each.quantized, onnx, form, each.training)
        export_tflite(each.quantized, tflite, form, each.training)
        yield "ONNX, onnxruntime", form, partial(classes_by_onnx, onnx, given)
        for site in opencv:
            name = f"ONNX, OpenCV {version_of(site)}"
            yield name, form, partial(classes_by_opencv, onnx, given, site, folder)
        yield "TensorFlow Lite, LiteRT", form, partial(classes_by_tflite, tflite, given)
    yield "JavaScript, Node", "", partial(classes_by_js, js_module(each.quantized), given)


def compiled_for_avr(path: Path) -> Classes:
    """Compile for an ATmega328P with all warnings, and return no classes."""
    line = ["avr-gcc", "-mmcu=atmega328p", *WARNINGS, "-Os", "-c", str(path), "-o", str(path.with_suffix(".avr"))]
    subprocess.run(line, check=True, capture_output=True)
    return np.zeros(0, np.intp)


def version_of(site: str) -> str:
    line = [sys.executable, "-c", "import cv2; print(cv2.__version__)"]
    environment = os.environ | {"PYTHONPATH": site}
    return subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def classes_by_opencv(path: Path, given: npt.NDArray[Any], site: str, folder: Path) -> Classes:
    """Classify inputs with the OpenCV of a folder of packages, in a process of its own."""
    np.save(folder / "given.npy", given.astype(np.float32))
    environment = os.environ | {"PYTHONPATH": site}
    line = [sys.executable, "-c", _OPENCV, str(path), str(folder / "given.npy"), str(folder / "found.npy")]
    subprocess.run(line, env=environment, check=True, capture_output=True, text=True)
    found: Classes = np.load(folder / "found.npy")
    return found


_OPENCV = """import sys
import cv2, numpy
net, given = cv2.dnn.readNetFromONNX(sys.argv[1]), numpy.load(sys.argv[2])
found = []
for one in given:
    net.setInput(one[None])
    found.append(net.forward().argmax())
numpy.save(sys.argv[3], numpy.array(found))
"""


def counted(each: Case, run: Callable[[], Classes]) -> tuple[object, ...]:
    """Run an export and return inputs, agreements, inputs that hang on rounding among the others, and right ones."""
    try:
        found = run()
    except (subprocess.SubprocessError, OSError, SmidgenError) as error:
        said = getattr(error, "stderr", None) or str(error)
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return 0, 0, 0, 0, f"not run: {' '.join(text.split())[-160:]}"
    n = len(found)
    differs = found != each.wanted[:n]
    unclear = int((differs & ~each.clear[:n]).sum())
    said = "" if n in (0, len(each.wanted)) else f"the first {n} inputs"
    return n, n - int(differs.sum()), unclear, int((found == each.labels[:n]).sum()), said


HEADS = ("data", "numbers", "target", "form", "inputs", "same class", "of the others draws", "right", "note")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--opencv", action="append", default=[], help="a folder with OpenCV's and NumPy's packages")
    parser.add_argument("--only", default="", help="the name of one data set")
    parser.add_argument("--without", action="append", default=[], help="the name of a target to leave out")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "parity.csv"
    run_all(path, given.only, given.without, given.opencv)
    rows = read(path)
    write_readme(
        given.out,
        "Classes of every export on whole test sets",
        f"{len(rows)} exports",
        f"{_TEXT}\n{markdown(HEADS, rows)}",
        ("numpy", "onnx", "onnxruntime"),
    )


def run_all(path: Path, only: str, without: list[str], opencv: list[str]) -> None:
    """Write a row for each export that has none yet."""
    known = {tuple(row[:4]) for row in read(path)}
    with tempfile.TemporaryDirectory() as folder, path.open("a", newline="") as file:
        table = csv.writer(file)
        if not known:
            table.writerow(HEADS)
        for number, each in enumerate(cases(Path(folder), only)):
            place = Path(folder) / f"case{number}"
            place.mkdir()
            for target, form, run in rows_of(each, place, opencv):
                head = (each.name, each.entry, target, form)
                if head not in known and target not in without:
                    row = (*head, *counted(each, run))
                    table.writerow(row)
                    file.flush()
                    print(*row, flush=True)


def read(path: Path) -> list[list[str]]:
    """Return the rows of a file that `run_all` wrote."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


_TEXT = """
"Same class" counts the test inputs to which the export and the decoded network give the same class, "of the others
draws" those among the rest whose two largest logits differ by less than 1e-4 of the largest.
"""


if __name__ == "__main__":
    main()
