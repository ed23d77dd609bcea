"""Train the networks that the shortest files on MNIST begin with, and write them as safetensors.

    python benchmarks/byte_networks.py --out runs/byte-networks

All learn from the teacher `strong` by KL at T = 2: a (510 parameters) and b (657) for a floor of 97 %; c (1,678) for
99 % and d, a LeNet-5 of 18,530 parameters, see four copies of each image. Time: three minutes of processor time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from smidgen.data import load
from smidgen.model import Model, save_safetensors
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.studies.shortest_files import AIMS
from smidgen.studies.teachers import on_copies, teacher
from smidgen.studies.trainings import EFFORTS, Bench, Job, Runs
from smidgen.trials.store import open_store
from smidgen.trials.study import Study

NETWORKS = {
    "a": "depthwise 3x3 nobias, conv 4x3x3 relu, avgpool 2, conv 3x3x3 same relu, maxpool 2, "
    "conv 5x3x3 relu, avgpool 2, dense 10",
    "b": "conv 2x3x3 relu, conv 3x3x3 relu, maxpool 2, conv 5x3x3 relu, conv 5x3x3 relu, "
    "avgpool 2, avgpool 2, dense 10",
}
SEPARABLE = ", ".join(f"depthwise 3x3 nobias, pointwise {width} leaky_relu(0.1)" for width in (10, 16, 20, 16))
ON_COPIES = {"c": f"conv 8x3x3 same leaky_relu(0.1), maxpool 2, {SEPARABLE}, globalavgpool, dense 10"}
LENET = {"d": AIMS["LeNet-5"].text}
SMALL = Recipe("kl", 2.0, epochs=60)
MOVED = Recipe("kl", 2.0, epochs=15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="where trainings are kept; the default store if left out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with open_store(options.store) as store:
        bench = Bench(Study(store, None), EFFORTS["full"])
        context = bench.context(load("mnist"))
        strong, taught = teacher(bench, context)
        found = {"strong": strong, **bench.train(taught, jobs(NETWORKS, SMALL))}
        moved = jobs(ON_COPIES, MOVED) | jobs(LENET, AIMS["LeNet-5"].recipe)
        found |= on_copies(bench, context, strong, moved, "")
    for name, runs in found.items():
        write(name, runs, options.out, context.dataset.input_shape, context.dataset.class_names)


def jobs(networks: dict[str, str], recipe: Recipe) -> dict[str, Job]:
    return {name: Job(parse_spec(text), recipe, 1, needed=True) for name, text in networks.items()}


def write(name: str, runs: Runs, out: Path, shape: tuple[int, int, int], names: tuple[str, ...]) -> None:
    """Write the best seed of a network, and print its scores."""
    outcome = runs.best[1]
    save_safetensors(Model(runs.job.spec, shape, names, outcome.weights), out / f"{name}.safetensors")
    halves = f"selection {outcome.selection}, confirmation {outcome.confirmation}"
    print(f"{name}: {outcome.parameters:,} parameters, {halves}, test {runs.text}: {runs.job.spec}")


if __name__ == "__main__":
    main()
