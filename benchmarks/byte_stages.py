"""What each stage of the search for bytes saves, on three networks of different size, on MNIST.

    python benchmarks/byte_stages.py --out results/2026-11-29-byte-stages

Each network is trained once; then its weights are rounded to a grid, trained on the grid without and with a price for
each bit, and stored by the best coder. The last column counts weights at level zero. Files that are given with --files
are read for the same count, and for what layers, grids and the learning of the coder's models take. Time: a minute of
processor time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evidence import csv_text, markdown, new_folder, write_readme
from smidgen.data import Dataset, load
from smidgen.engine import Examples, Start, choose
from smidgen.model import Model, QuantizedModel, as_quantized, decode, encode, flat_weights, inspect, load_smidgen
from smidgen.model.coding.coders import CODERS, counts_of
from smidgen.model.coding.contexts import zero_counts
from smidgen.model.coding.range_coder import BYPASS
from smidgen.records import Recipe, Score
from smidgen.search import byte_plans
from smidgen.spec import NetSpec, parse_spec
from smidgen.spec.families import family
from smidgen.transforms import (
    grid_steps,
    quantization_aware_start,
    quantize_model,
    shortest,
    with_coder,
    without_constant_inputs,
    without_dead_channels,
)

NETWORKS = {"cnn2(2)": family("cnn2", 2), "mlp2(32)": family("mlp2", 32), "mlp1(32)": family("mlp1", 32)}
TRAINED = Recipe(learning_rate=0.01, epochs=6)
ON_GRID_EPOCHS, SEED = 10, 0


@dataclass(frozen=True)
class Measured:
    """One stage of one network: the bytes of its file, its validation score, its weights at zero."""

    network: str
    stage: str
    size_bytes: int
    validation: Score
    zeros: int
    weights: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, nargs="*", default=sorted(Path("results").glob("**/*.smidgen")))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = load("mnist")
    rows = [row for name, spec in NETWORKS.items() for row in stages(name, spec, data)]
    out = new_folder(options.out)
    (out / "stages.csv").write_text(csv_text([as_row(row) for row in rows]))
    text = f"{stage_table(rows)}\n\nFiles of searches:\n\n{file_table(options.files)}"
    write_readme(out, "What each stage of the search for bytes saves", f"one training a stage, seed {SEED}", text)
    print((out / "README.md").read_text())


def stages(name: str, spec: NetSpec, data: Dataset) -> Iterator[Measured]:
    """Train a network and take it through the stages."""
    model = Model(spec, data.input_shape, data.class_names, train(spec, TRAINED, data).weights)
    model = without_constant_inputs(model, data.train.images)[0]
    yield measured(name, "float32", as_quantized(model), data)
    steps = grid_steps(model, byte_plans.step_share(model))
    rounded = quantize_model(model, steps)
    yield measured(name, "rounded to a grid, fixed length", with_coder(rounded, "fixed"), data)
    yield measured(name, "the same, best coder", rounded, data)
    recipe = Recipe(learning_rate=byte_plans.usual_rate(model), epochs=ON_GRID_EPOCHS)
    for stage, price in (
        ("trained on the grid, no price", 0.0),
        ("trained on the grid at a price", byte_plans.usual_price(model)),
    ):
        start = quantization_aware_start(model, steps, price / len(data.train))
        weights = train(spec, recipe, data, start).weights
        found = quantize_model(Model(spec, data.input_shape, data.class_names, weights), steps)
        yield measured(name, stage, found, data)
    yield measured(name, "dead channels out, channels sorted", shortest(without_dead_channels(found))[0], data)


def train(spec: NetSpec, recipe: Recipe, data: Dataset, start: Start | None = None):  # type: ignore[no-untyped-def]
    return choose().train(spec, recipe, Examples(data.train.images, data.train.labels), SEED, start=start)


def measured(name: str, stage: str, quantized: QuantizedModel, data: Dataset) -> Measured:
    """Encode, decode, and score the decoded network on both halves of the validation split."""
    content = encode(quantized)
    back = decode(content)
    scores = [score(back, split.images, split.labels) for split in (data.selection, data.confirmation)]
    zeros, weights = zeros_of(back)
    return Measured(name, stage, len(content), scores[0] + scores[1], zeros, weights)


def score(quantized: QuantizedModel, images: np.ndarray, labels: np.ndarray) -> Score:
    logits = choose().predict(quantized.spec, flat_weights(quantized), images)
    return Score(int((logits.argmax(axis=1) == labels).sum()), len(labels))


def zeros_of(quantized: QuantizedModel) -> tuple[int, int]:
    """Return how many weights are zero, and how many there are; biases are left out."""
    tensors = [tensor for name, tensor in quantized.tensors.items() if name.endswith(".weight")]
    return sum(int((tensor.levels == 0).sum()) for tensor in tensors), sum(tensor.levels.size for tensor in tensors)


def as_row(row: Measured) -> dict[str, object]:
    score = {"validation_correct": row.validation.correct, "validation_total": row.validation.total}
    return {"network": row.network, "stage": row.stage, "bytes": row.size_bytes, **score, "zeros": row.zeros,
            "weights": row.weights}  # fmt: skip


def stage_table(rows: list[Measured]) -> str:
    heads = ("network", "stage", "bytes", "of the stage before", "validation", "weights at zero")
    cells, last = [], None
    for row in rows:
        share = f"{100 * row.size_bytes / last.size_bytes:.0f} %" if last and last.network == row.network else ""
        rate = f"{100 * row.validation.rate:.2f} %"
        name = f"{row.network}, {parse_spec(str(NETWORKS[row.network])).parameters((1, 28, 28)):,}"
        cells.append((name, row.stage, f"{row.size_bytes:,}", share, rate, f"{row.zeros:,} of {row.weights:,}"))
        last = row
    return markdown(heads, cells)


def file_table(files: list[Path]) -> str:
    return markdown(
        ("file", "bytes", "of these for layers", "for grids", "that the models learn", "weights at zero"),
        [file_row(path) for path in files],
    )


def file_row(path: Path) -> tuple[str, ...]:
    parts, quantized = inspect(path).parts, load_smidgen(path)
    layers = sum(part.bits for part in parts if part.name == "input and layers") / 8
    grids = sum(part.bits for part in parts if part.name.endswith(" grid")) / 8
    zeros, weights = zeros_of(quantized)
    shares = (f"{layers:.1f}", f"{grids:.1f}", f"{learning_bytes(quantized):.1f}")
    name = path.name if path.stem != "winner" else f"{path.parent.parent.name}/{path.parent.name}"
    return name, f"{path.stat().st_size:,}", *shares, f"{zeros:,} of {weights:,}"


def learning_bytes(quantized: QuantizedModel) -> float:
    """What models that know nothing of these levels cost, beside models of exactly their shares.

    No prior can save more, whatever it was trained on. All tensors share the models of the coder "adaptive" here.
    """
    levels = np.concatenate([tensor.levels.ravel() for tensor in quantized.tensors.values()])
    counts = counts_of(levels)
    modelled = np.flatnonzero(counts.sum(axis=0))
    modelled = modelled[modelled != BYPASS]
    shares = counts[:, modelled] / counts[:, modelled].sum(axis=0)
    known = -(counts[:, modelled] * np.log2(np.maximum(shares, 1e-300))).sum() + counts[:, BYPASS].sum()
    return float(CODERS["adaptive"].bits(levels, zero_counts()) - known) / 8


if __name__ == "__main__":
    main()
