"""Run an exported file on images, and measure the size of its program on a microcontroller."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError, RunError
from smidgen.foreign_text import c_identifier

Images = npt.NDArray[Any]
Classes = npt.NDArray[np.intp]

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
ARM = "arm-none-eabi-gcc"
ARM_TARGET = ("-mcpu=cortex-m0plus", "-mthumb")
MEASURED = "measured: arm-none-eabi-gcc -Os for a Cortex-M0+, with what it needs of the compiler's library"
BATCH = 256

_MAIN = """#include <stdio.h>
#include "HEADER"
int main(void)
{
    static NAME_input input[SIZE_INPUTS];
    while (fread(input, 1, sizeof input, stdin) == sizeof input)
        putchar(NAME_class(input));
    return 0;
}
"""

_BARE_MAIN = """#include "HEADER"
static NAME_input input[SIZE_INPUTS];
int main(void) { return NAME_class(input); }
void start(void);
void start(void) { for (;;) main(); }
"""


_TIMED_MAIN = """#include <stdio.h>
#include <time.h>
#include "HEADER"
static NAME_input input[SIZE_INPUTS];
int main(void)
{
    volatile int found = 0;
    long rounds = 1, i;
    clock_t spent = 0;
    while (spent < CLOCKS_PER_SEC / 50) {
        clock_t begin = clock();
        rounds *= 2;
        for (i = 0; i < rounds; i++) {
            input[i % SIZE_INPUTS] = (NAME_input)(i % 100);
            found = NAME_class(input);
        }
        spent = clock() - begin;
    }
    printf("%.1f", (double)spent / (double)CLOCKS_PER_SEC / (double)rounds * 1e9);
    return found < 0;
}
"""

_NODE_MAIN = """import { readFileSync } from "node:fs";
import { classify, shape } from "./network.mjs";
const bytes = readFileSync(0), size = shape[0] * shape[1] * shape[2];
const pixels = process.argv[2] === "bytes" ? bytes : new Float32Array(Uint8Array.from(bytes).buffer);
const classes = new Uint8Array(pixels.length / size);
for (let i = 0; i < classes.length; i++) classes[i] = classify(pixels.subarray(i * size, (i + 1) * size)).index;
process.stdout.write(classes);
"""


@dataclass(frozen=True)
class ProgramSize:
    """Size of a linked program that contains nothing but the network.

    Attributes:
        flash_bytes: text and data.
        ram_bytes: data, bss and one image.
    """

    flash_bytes: int
    ram_bytes: int


def classes_by_onnx(path: Path, images: Images) -> Classes:
    """Classify images with onnxruntime.

    Args:
        path: the .onnx file.
        images: uint8, or numbers in the user's units, [n, channels, height, width].

    Returns:
        The class of each image: intp [n].

    Raises:
        RequestError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RequestError("running an ONNX file needs the package onnxruntime; pip install 'smidgen[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pieces = []
    for first in range(0, len(images), BATCH):
        given = {session.get_inputs()[0].name: images[first : first + BATCH].astype(np.float32)}
        pieces.append(np.asarray(session.run(["logits"], given)[0]).argmax(axis=1))
    return np.concatenate(pieces)


def classes_by_tflite(path: Path, images: Images) -> Classes:
    """Classify images with the interpreter of TensorFlow Lite (LiteRT).

    Args:
        path: the .tflite file.
        images: uint8, or numbers in the user's units, [n, channels, height, width].

    Returns:
        The class of each image: intp [n].

    Raises:
        RequestError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise RequestError(
            "running a TensorFlow Lite file needs the package ai-edge-litert; pip install ai-edge-litert, or leave out "
            "--data"
        ) from None
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    moved, found = 128 if given["dtype"] == np.int8 else 0, []
    for image in images.astype(np.float32):
        interpreter.set_tensor(given["index"], (image.transpose(1, 2, 0)[None] - moved).astype(given["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"])[0].argmax())
    return np.array(found, np.intp)


def classes_by_c(
    path: Path,
    images: Images,
    flags: tuple[str, ...] = ("-Os",),
    compiler: str = "",
    runner: tuple[str, ...] = (),
) -> Classes:
    """Compile a C source and classify images with it on this machine.

    Args:
        path: the .c file; its header is beside it.
        images: uint8, or numbers in the user's units, [n, channels, height, width].
        flags: options of the compiler.
        compiler: a compiler for another processor; "" for this machine's.
        runner: the command that runs its programs, an emulator; () for none.

    Returns:
        The class of each image: intp [n].

    Raises:
        RequestError: no C compiler is installed.
        RunError: the source does not compile, or the program fails.
    """
    content = as_entry(path, images).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(compiler or _tool("cc"), path, _MAIN, Path(folder), flags)
        finished = subprocess.run([*runner, program], input=content, capture_output=True)
    if finished.returncode or len(finished.stdout) != len(images):
        raise RunError(f"the program of {path} failed: {finished.stderr.decode(errors='replace')[-400:]}; report it")
    return np.frombuffer(finished.stdout, np.uint8).astype(np.intp)


def nanoseconds_by_c(path: Path) -> float:
    """Compile a C source on this machine and return the nanoseconds of processor time that an inference takes.

    Args:
        path: The .c file with its header beside it, or a single header.

    Raises:
        RequestError: No C compiler is installed.
        RunError: The source does not compile, or the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(_tool("cc"), path, _TIMED_MAIN, Path(folder), ("-Os",))
        finished = subprocess.run([program], capture_output=True, text=True)
    if finished.returncode:
        raise RunError(f"the program of {path} failed with status {finished.returncode}; report it")
    return float(finished.stdout)


def as_entry(path: Path, images: Images) -> npt.NDArray[Any]:
    """Return inputs as the numbers that a C source takes, of the type that its header names."""
    found = re.search(r"typedef (\w+) \w+_input;", path.with_suffix(".h").read_text())
    kind = {"uint8_t": "u1", "int16_t": "<i2"}.get(found[1] if found else "", "<f4")
    return (images if kind == "<f4" else np.rint(images)).astype(kind)


def classes_by_js(module: str, images: Images) -> Classes:
    """Classify images with Node.

    Args:
        module: The text of a module that `smidgen.exporters.javascript` writes.
        images: uint8, or numbers in the user's units, [n, channels, height, width].

    Returns:
        The class of each image: intp [n].

    Raises:
        RequestError: Node is not installed.
        RunError: The program fails.
    """
    node = shutil.which("node")
    if not node:
        raise RequestError(
            "running a JavaScript export needs Node, and 'node' is not installed; on Debian: apt-get install nodejs"
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.mjs").write_text(module, "utf-8")
        (Path(folder) / "main.mjs").write_text(_NODE_MAIN, "utf-8")
        line = [node, "main.mjs", "bytes" if images.dtype == np.uint8 else "floats"]
        finished = subprocess.run(line, cwd=folder, input=_content(images), capture_output=True)
    if finished.returncode or len(finished.stdout) != len(images):
        said = finished.stderr.decode(errors="replace")
        reason = next((line for line in said.splitlines() if line.startswith("Error")), said[-400:])
        raise RunError(f"the JavaScript program failed: {reason}; report it")
    return np.frombuffer(finished.stdout, np.uint8).astype(np.intp)


def _content(images: Images) -> bytes:
    """Return what a program reads: bytes, or float32 numbers."""
    return images.tobytes() if images.dtype == np.uint8 else images.astype("<f4").tobytes()


def program_size(path: Path) -> ProgramSize | None:
    """Measure a C source as a program for a Cortex-M0+, with what it needs of the compiler's library.

    Returns:
        The size, or None if arm-none-eabi-gcc is not installed.
    """
    if not shutil.which(ARM):
        return None
    with tempfile.TemporaryDirectory() as folder:
        bare = ("-Os", *ARM_TARGET, "-nostartfiles", "-Wl,--gc-sections,-e,start", "-ffunction-sections")
        program = _compiled(ARM, path, _BARE_MAIN, Path(folder), (*bare, "--specs=nosys.specs"))
        finished = subprocess.run(["arm-none-eabi-size", program], capture_output=True, text=True, check=True)
    text, data, bss = map(int, finished.stdout.splitlines()[1].split()[:3])
    return ProgramSize(text + data, data + bss)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise RequestError(
            f"running a C export needs a compiler, and '{name}' is not installed; on Debian: apt-get install gcc"
        )
    return found


def _compiled(compiler: str, path: Path, main: str, folder: Path, flags: tuple[str, ...]) -> Path:
    header = path.with_suffix(".h")
    name = c_identifier(path.stem)
    source, program = folder / "main.c", folder / "program"
    words = {"HEADER": header.name, "NAME": name, "SIZE": name.upper()}
    source.write_text(re.sub("HEADER|NAME|SIZE", lambda part: words[part[0]], main))
    # Absolute: the compiler would take a name that begins with - or @ for an option or a file of options.
    place = path.absolute()
    sources = [str(source)] + ([str(place)] if path.suffix == ".c" else [])
    line = [compiler, *WARNINGS, *flags, f"-I{place.parent}", *sources, "-o", str(program)]
    finished = subprocess.run(line, capture_output=True, text=True)
    if finished.returncode:
        raise RunError(f"{path} does not compile: {finished.stderr[-400:]}; report it")
    return program
