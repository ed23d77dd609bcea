"""Flash, RAM and instructions of one network on emulated processors: this project's C and others', in one run.

    python benchmarks/firmware.py winner.smidgen --data mnist --others VENV/bin --out results/DATE-firmware/table.csv

`--others` is the folder of programs of a virtual environment with emx-onnx-cgen and tflite-micro; what is not there
is left out. All read the same test input of bytes; RAM counts static memory, the input and the deepest stack, flash
what the program has more than an empty one. The input of emx-onnx-cgen's code is float32, brought there by the caller.
TFLite Micro runs on this host, so only its arena is known. Ends within two minutes.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from boards import BOARDS, Board, Cost, cost_of
from smidgen.data import Dataset, load
from smidgen.exporters import export_c, export_onnx, export_tflite
from smidgen.model import QuantizedModel, load_smidgen
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
_ARENA = """import sys
from tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1]).print_allocations()
"""
OPTIMIZE = ("-Os",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--others", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    quantized, dataset = load_smidgen(given.file), load(given.data)
    with tempfile.TemporaryDirectory() as folder, given.out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["processor", "compiler", "program", "flash_bytes", "ram_bytes", "instructions", "class"])
        for name, sources in programs(quantized, dataset, given.others, Path(folder)).items():
            for board in BOARDS:
                for optimize in OPTIMIZE:
                    write_row(table, board, optimize, name, sources, Path(folder))
                    file.flush()
        arena = micro_arena(quantized, dataset, given.others, Path(folder))
        print(arena)
        given.out.with_name("tflite-micro.txt").write_text(arena)


def write_row(table: object, board: Board, optimize: str, name: str, sources: list[Path], folder: Path) -> None:
    cost: Cost = cost_of(board, sources, folder, optimize)
    row = [board.name, optimize, name, cost.flash_bytes, cost.ram_bytes, cost.instructions, cost.found]
    table.writerow(row)  # type: ignore[attr-defined]
    print(*row, flush=True)


def programs(quantized: QuantizedModel, dataset: Dataset, others: Path, folder: Path) -> dict[str, list[Path]]:
    """Write each program's sources and return them by its name."""
    image = ", ".join(map(str, dataset.test.images[0].ravel().tolist()))
    made: dict[str, list[Path]] = {}
    for form in ("integer", "levels", "float"):
        place = folder / form
        place.mkdir()
        export_c(quantized, place / "net.c", form, dataset.train.images)
        (place / "infer.c").write_text(_OWN.replace("IMAGE", image))
        made[f"smidgen {form}"] = [place / "infer.c", place / "net.c"]
    if (others / "emx-onnx-cgen").exists():
        export_onnx(quantized, folder / "net.onnx")
        line = [str(others / "emx-onnx-cgen"), "compile", "net.onnx", "emx.c", "--input-dim", "n=1"]
        subprocess.run([*line, "--large-temp-threshold", "0"], cwd=folder, check=True, capture_output=True)
        sizes = {"INPUTS": product(quantized.input_shape), "CLASSES": len(quantized.class_names), "IMAGE": image}
        text = _EMX
        for word, value in sizes.items():
            text = text.replace(word, str(value))
        (folder / "emx-infer.c").write_text(text)
        made["emx-onnx-cgen float"] = [folder / "emx-infer.c", folder / "emx.c"]
    return made


def micro_arena(quantized: QuantizedModel, dataset: Dataset, others: Path, folder: Path) -> str:
    """Return what TFLite Micro says of its arena for the int8 and the float file."""
    found = []
    for form in ("int8", "float"):
        export_tflite(quantized, folder / f"{form}.tflite", form, dataset.train.images.astype(np.uint8))
        line = [str(others / "python"), "-c", _ARENA, f"{form}.tflite"]
        said = subprocess.run(line, cwd=folder, capture_output=True, text=True)
        length = (folder / f"{form}.tflite").stat().st_size
        found.append(f"{form}: file of {length} bytes\n{said.stdout}{said.stderr}")
    return "\n".join(found)


if __name__ == "__main__":
    main()
