"""The commands on network files: what is in one, its weights for other tools, itself as other programs' files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli.options import load_data
from smidgen.cli.screen import console, table
from smidgen.errors import RequestError, RunError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from smidgen.data import Dataset
    from smidgen.model import QuantizedModel

INSPECT_EPILOG = "Example:\n\nsmidgen inspect winner.smidgen"
UNPACK_EPILOG = "Example:\n\nsmidgen unpack winner.smidgen --to winner.safetensors"
EXPORT_EPILOG = (
    "Examples:\n\nsmidgen export winner.smidgen --to onnx --data mnist\n\n"
    "smidgen export winner.smidgen --to c --form integer --data mnist"
)
TARGETS = {"onnx": ".onnx", "c": ".c", "safetensors": ".safetensors"}

FileArgument = Annotated[Path, typer.Argument(help="A .smidgen file, as compress writes it.")]


def inspect(file: FileArgument) -> None:
    """Print what a .smidgen file holds, and where each of its bits went."""
    from smidgen.model import load_smidgen, size_report

    quantized = load_smidgen(file)
    content = file.read_bytes()
    rows = table("part", ">bits", ">bytes", ">share")
    for part in size_report(content):
        share = part.bits / (8 * len(content))
        rows.add_row(part.name, f"{part.bits:,.1f}", f"{part.bits / 8:,.1f}", f"{100 * share:.1f} %")
    shape, parameters = "x".join(map(str, quantized.input_shape)), quantized.spec.parameters(quantized.input_shape)
    screen = console()
    screen.print(f"{quantized.spec}")
    screen.print(
        f"input {shape}; {len(quantized.class_names)} classes; {parameters:,} parameters; {len(content):,} bytes"
    )
    screen.print(rows)
    screen.print(_levels_table(quantized))


def unpack(
    file: FileArgument,
    to: Annotated[Path, typer.Option("--to", help="The .safetensors file to write.")],
) -> None:
    """Decode a .smidgen file into full-precision weights."""
    from smidgen.model import dequantize, load_smidgen, save_safetensors

    size_bytes = save_safetensors(dequantize(load_smidgen(file)), to)
    console().print(f"{to}: {size_bytes:,} bytes", soft_wrap=True)


def export(
    file: Annotated[Path, typer.Argument(help="A .smidgen or .safetensors file.")],
    to: Annotated[str, typer.Option("--to", help="onnx, c or safetensors.")],
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; default: beside it.")] = None,
    form: Annotated[str, typer.Option("--form", help="Of c: float, levels, levels4, coded or integer.")] = "levels",
    data: Annotated[str, typer.Option("--data", help="Run the export on the test images of this data set.")] = "",
    split_seed: Annotated[int, typer.Option("--split-seed", help="The split that the network was trained on.")] = 0,
) -> None:
    """Write a network for other programs, and prove it on a data set's test images."""
    if to not in TARGETS:
        raise RequestError(f"--to {to} is not known; use one of {', '.join(TARGETS)}")
    quantized, path = _quantized(file), out or file.with_suffix(TARGETS[to])
    dataset = load_data(data, split_seed) if data else None
    _write(quantized, path, to, form, dataset)
    if dataset is not None and to != "safetensors":
        _prove(quantized, path, to, form, dataset)


def _write(quantized: QuantizedModel, path: Path, to: str, form: str, dataset: Dataset | None) -> None:
    from smidgen.exporters import export_c, export_onnx, program_size
    from smidgen.model import dequantize, save_safetensors

    if to == "onnx":
        size_bytes = export_onnx(quantized, path)
    elif to == "c":
        size_bytes = export_c(quantized, path, form, _bytes(dataset.train.images) if dataset is not None else None)
    else:
        size_bytes = save_safetensors(dequantize(quantized), path)
    console().print(f"{path}: {size_bytes:,} bytes", soft_wrap=True)
    size = program_size(path) if to == "c" else None
    if size is not None:
        console().print(
            f"On a Cortex-M0+: {size.flash_bytes:,} bytes of flash, {size.ram_bytes:,} of RAM, image and all."
        )


def _prove(quantized: QuantizedModel, path: Path, to: str, form: str, dataset: Dataset) -> None:
    """Every image must get the class that the decoded network gives it; the integer form says how many do."""
    from smidgen.engine import choose
    from smidgen.exporters import classes_by_c, classes_by_onnx
    from smidgen.model import flat_weights

    images, labels = _bytes(dataset.test.images), dataset.test.labels
    wanted = choose(quantized.spec).predict(quantized.spec, flat_weights(quantized), images, 1).argmax(axis=1)
    found = classes_by_onnx(path, images) if to == "onnx" else classes_by_c(path, images)
    same, right, expected = int((found == wanted).sum()), int((found == labels).sum()), int((wanted == labels).sum())
    console().print(f"{same:,} of {len(images):,} test images get the decoded network's class.")
    console().print(f"Right: {right:,}; the decoded network: {expected:,}.")
    if same < len(images) and form != "integer":
        raise RunError(f"{path} differs from the decoded network on {len(images) - same} images; report it")


def _bytes(images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    import numpy as np

    if images.dtype != np.uint8:
        raise RequestError("the exports read bytes, and these data are floating-point numbers; leave --data out")
    return images.astype(np.uint8, copy=False)


def _quantized(file: Path) -> QuantizedModel:
    from smidgen.model import as_quantized, load_safetensors, load_smidgen

    return as_quantized(load_safetensors(file)) if file.suffix == ".safetensors" else load_smidgen(file)


def _levels_table(quantized: QuantizedModel) -> object:
    """Each tensor: its grid, its coder, its levels."""
    from smidgen.model import Codebook, Uniform

    rows = table("tensor", ">weights", ">zeros", "grid", "coder", "levels")
    for name, tensor in quantized.tensors.items():
        levels, grid = tensor.levels, tensor.grid
        match grid:
            case Uniform(steps):
                text = f"step {steps[0]:g}" if len(steps) == 1 else f"{len(steps)} steps"
            case Codebook(entries, _):
                text = f"codebook of {len(entries)}"
            case None:
                rows.add_row(name, f"{levels.size:,}", "", "full precision", "", "")
                continue
        zeros = f"{100 * float((levels == 0).mean()):.1f} %"
        rows.add_row(name, f"{levels.size:,}", zeros, text, tensor.coder, f"{levels.min()} to {levels.max()}")
    return rows
