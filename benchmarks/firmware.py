"""Flash, RAM and instructions of two networks on emulated processors: this project's C and others', in one run.

    python benchmarks/firmware.py winner.smidgen --data mnist --others VENV/bin --out results/DATE-firmware

The networks are a picture's, from the file, and a dense one of the digits, trained here. `--others` is the folder of
programs of a virtual environment with emx-onnx-cgen and tflite-micro; emlearn is used if Python finds it; what is not
there is left out. All have the same weights and read the same test input of bytes. RAM counts static memory, the input
and the deepest stack; flash what the program has more than an empty one, with the input. The inputs of emx-onnx-cgen's
and emlearn's code are float32, brought there by the caller. TFLite Micro runs on this host, so only its arena is known.
Ends within three minutes.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import chdir
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from boards import BOARDS, cost_of
from evidence import markdown, write_readme
from parity import case
from smidgen.data import Dataset, load
from smidgen.engine import choose
from smidgen.exporters import classes_by_c, export_c, export_onnx, export_tflite
from smidgen.model import QuantizedModel, flat_weights, load_smidgen, values_of
from smidgen.spec.shapes import product

_OWN = """#include "net.h"
int infer(void);
static const uint8_t image[] = {IMAGE};
static net_input input[NET_INPUTS];
int infer(void)
{
    int i;
    for (i = 0; i < NET_INPUTS; i++)
        input[i] = image[i];
    return net_class(input);
}
"""
_EMX = """void model(const float *input, float *logits);
int infer(void);
static const unsigned char image[] = {IMAGE};
static float input[INPUTS], logits[CLASSES];
int infer(void)
{
    int i, best = 0;
    for (i = 0; i < INPUTS; i++)
        input[i] = (float)image[i] / 255.0f;
    model(input, logits);
    for (i = 1; i < CLASSES; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}
"""
_EMLEARN = """#include <stdint.h>
#include "em.h"
int infer(void);
static const unsigned char image[] = {IMAGE};
static float input[INPUTS];
int infer(void)
{
    int i;
    for (i = 0; i < INPUTS; i++)
        input[i] = (float)image[i] / 255.0f;
    return (int)em_predict(input, INPUTS);
}
"""
_ARENA = """import sys
from tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1]).print_allocations()
"""
FORMS = ("integer", "levels", "float")
DENSE = "dense 16 relu, dense {classes}"
HEADS = ("network", "processor", "program", "flash_bytes", "ram_bytes", "instructions", "class")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--others", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    dense = case("digits", load("digits"), DENSE, None)
    networks = {"picture": (load_smidgen(given.file), load(given.data)), "dense": (dense.quantized, load("digits"))}
    rows, said = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, (quantized, dataset) in networks.items():
            place = Path(folder) / name
            place.mkdir()
            rows += list(measured(name, quantized, dataset, given.others, place))
            said.append(f"{name}: {quantized.spec}\n{agreement(quantized, dataset, place)}")
            said.append(micro_arena(quantized, dataset, given.others, place))
    with (given.out / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADS, *rows])
    (given.out / "tflite-micro.txt").write_text("\n".join(said))
    text = f"{_TEXT}\n{markdown(HEADS, rows)}\n\n```\n{chr(10).join(said)}\n```"
    write_readme(
        given.out, "Flash, RAM and instructions", "8 inferences in a measurement", text, ("numpy", "onnx", "emlearn")
    )


_TEXT = """
One input, the first test image, which is in flash; its copy in RAM, the deepest stack and what a program needs of the
compiler's library count. Compiled with `-Os`; instructions are counted by QEMU (`-icount shift=0`) and are no cycles.
"""


def measured(
    name: str, quantized: QuantizedModel, dataset: Dataset, others: Path, folder: Path
) -> Iterator[tuple[object, ...]]:
    """Yield a row for each program and processor."""
    for program, sources in programs(quantized, dataset, others, folder).items():
        for board in BOARDS:
            cost = cost_of(board, sources, folder)
            row = (name, board.name, program, cost.flash_bytes, cost.ram_bytes, cost.instructions, cost.found)
            print(*row, flush=True)
            yield row


def agreement(quantized: QuantizedModel, dataset: Dataset, folder: Path) -> str:
    """Say on how many test images each form gives the network's class, and how many it classifies correctly."""
    images, labels = dataset.test.images, dataset.test.labels
    wanted = choose().predict(quantized.spec, flat_weights(quantized), images, 1).argmax(axis=1)
    lines = [f"network: {int((wanted == labels).sum()):,} of {len(labels):,} right"]
    for form in FORMS:
        found = classes_by_c(folder / form / "net.c", images)
        right = int((found == labels).sum())
        lines.append(f"{form}: {int((found == wanted).sum()):,} of {len(labels):,} agree, {right:,} right")
    return "\n".join(lines)


def programs(quantized: QuantizedModel, dataset: Dataset, others: Path, folder: Path) -> dict[str, list[Path]]:
    """Write each program's sources and return them by its name."""
    image = ", ".join(map(str, dataset.test.images[0].ravel().tolist()))
    sizes = {"INPUTS": product(quantized.input_shape), "CLASSES": len(quantized.class_names), "IMAGE": image}
    made: dict[str, list[Path]] = {}
    for form in FORMS:
        place = folder / form
        place.mkdir()
        export_c(quantized, place / "net.c", form, dataset.train.images)
        (place / "infer.c").write_text(_OWN.replace("IMAGE", image))
        made[f"smidgen {form}"] = [place / "infer.c", place / "net.c"]
    if (others / "emx-onnx-cgen").exists():
        export_onnx(quantized, folder / "net.onnx")
        divide_outside(folder / "net.onnx")
        line = [str(others / "emx-onnx-cgen"), "compile", "net.onnx", "emx.c", "--input-dim", "n=1"]
        subprocess.run([*line, "--large-temp-threshold", "0"], cwd=folder, check=True, capture_output=True)
        (folder / "emx-infer.c").write_text(_filled(_EMX, sizes))
        made["emx-onnx-cgen float"] = [folder / "emx-infer.c", folder / "emx.c"]
    if find_spec("emlearn") is not None and str(quantized.spec).startswith("dense"):
        write_emlearn(quantized, folder)
        (folder / "em-infer.c").write_text(_filled(_EMLEARN, sizes))
        made["emlearn float"] = [folder / "em-infer.c"]
    return made


def divide_outside(path: Path) -> None:
    """Take the division by 255 out of an ONNX file: emx-onnx-cgen would spend a second map of floats on it."""
    import onnx

    model = onnx.load(path)
    division = model.graph.node.pop(0)
    assert division.op_type == "Div"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = "image" if name == division.output[0] else name
    onnx.save(model, path)


def _filled(text: str, words: dict[str, object]) -> str:
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


def write_emlearn(quantized: QuantizedModel, folder: Path) -> None:
    """Convert a network of two dense layers by emlearn: a perceptron of scikit-learn gets its weights."""
    from sklearn.neural_network import MLPClassifier

    emlearn: Any = import_module("emlearn")
    arrays = {name: values_of(tensor).astype(np.float64) for name, tensor in quantized.tensors.items()}
    inputs, classes = product(quantized.input_shape), len(quantized.class_names)
    model = MLPClassifier((len(arrays["0.bias"]),), max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(np.eye(inputs)[np.arange(classes) % inputs], np.arange(classes))
    model.coefs_ = [arrays["0.weight"].T, arrays["1.weight"].T]
    model.intercepts_ = [arrays["0.bias"], arrays["1.bias"]]
    with chdir(folder):  # it compiles the network in the current folder
        emlearn.convert(model, method="inline", dtype="float").save(file="em.h", name="em")
    for header in Path(emlearn.includedir).glob("*.h"):
        shutil.copy(header, folder)


def micro_arena(quantized: QuantizedModel, dataset: Dataset, others: Path, folder: Path) -> str:
    """Return what TFLite Micro says of its arena for the int8 and the float file."""
    found = []
    for form in ("int8", "float"):
        export_tflite(quantized, folder / f"{form}.tflite", form, dataset.train.images.astype(np.uint8))
        line = [str(others / "python"), "-c", _ARENA, f"{form}.tflite"]
        said = subprocess.run(line, cwd=folder, capture_output=True, text=True)
        length = (folder / f"{form}.tflite").stat().st_size
        found.append(f"TFLite Micro, {form}: file of {length} bytes\n{said.stdout}{said.stderr}")
    return "\n".join(found)


if __name__ == "__main__":
    main()
