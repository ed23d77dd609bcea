"""Which kernels take the time of a training step, beside their share of its multiply-accumulates.

    python benchmarks/kernel_profile.py --csv profile.csv

Trains the networks of `torch_networks.py` on one thread under `perf record` (Linux), with the batches of
`network_speed.py`, and adds up the samples of each kernel of the core. The core must have its symbols:

    pip install . --no-deps -C cmake.build-type=None -C install.strip=false

A kernel's multiply-accumulates are those of the layer that it computes, of which Winograd's algorithm does 4 for 9.
"of the peak" is their rate as a share of what one thread reaches on registers alone, measured in the same process. The
gradient of a convolution with respect to its input counts as a convolution. "other" is what is no kernel.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from network_contestants import RESIDENT_BATCHES, random_images
from smidgen.spec import Conv, Dense, Depthwise, LayerPlan, Pointwise, parse_spec
from torch_networks import NETWORKS

FREQUENCY = 997
"""Samples a second of processor time."""

WINOGRAD_CHANNELS = 16
"""Channels from which on 3x3 convolutions use Winograd's algorithm (native/layer_request.cpp)."""

KERNELS = {
    "Winograd weight gradient": r"winograd_gradient|gradient_product|transform_gradients|gradients_of_|add_kernels",
    "Winograd convolution": r"winograd|transform_(inputs|outputs|band|tile|kernels)|product(s|_of)?\b|outputs_of_band",
    "depthwise convolution": r"depthwise|convolve_channels|ordinary_channel",
    "convolution": r"\b(tile|stream|find_tile|choose_\w+|convolve\w*)\b",
    "pointwise weight gradient": r"pointwise_",
    "depthwise weight gradient": r"(kernel_sums|window_sums|kernel_\w+)<1\b",
    "weight gradient": r"kernel_(sums|rows|columns|tile|of)|window_sums|weight_gradient|out_tile",
    "bias gradient": r"bias_gradient",
    "dense gradient": r"dense_|transpose",
    "batch norm": r"channel_(sums|squares)|normalize|map_sum",
    "pools": r"pool|windows",
    "additions": r"\badd(_backward)?\b|each_triple",
    "activations": r"prelu|relu|dropout",
    "bytes to floats": r"load_|warp",
    "optimizer": r"optimize|each<",
    "loss": r"loss|softmax",
}
"""Kernels by the names of their functions; the first pattern that fits counts."""


@dataclass(frozen=True)
class Row:
    """One kernel in the training of one network; shares are of the core's time and of all multiply-accumulates."""

    network: str
    kernel: str
    samples: int
    time_share: float
    macs_share: float
    peak: float


def kernels_of(plan: LayerPlan) -> tuple[str, str] | None:
    """The kernels of a layer's convolutions, forward and back, and of its weight gradient."""
    layer = plan.layer
    if isinstance(layer, Dense):
        return "convolution", "dense gradient"
    if isinstance(layer, Depthwise):
        return "depthwise convolution", "depthwise weight gradient"
    if isinstance(layer, Pointwise):
        return "convolution", "pointwise weight gradient"
    if not isinstance(layer, Conv):
        return None
    channels = min(plan.input_shape[0], plan.output_shape[0])
    pays = layer.kernel == (3, 3) and layer.stride == (1, 1) and channels >= WINOGRAD_CHANNELS
    return ("Winograd convolution", "Winograd weight gradient") if pays else ("convolution", "weight gradient")


def macs_of_kernels(name: str) -> Counter[str]:
    """Multiply-accumulates of one image's training step by kernel: the first layer's input has no gradient."""
    macs: Counter[str] = Counter()
    network = NETWORKS[name]
    for index, plan in enumerate(parse_spec(network.text).plan(network.shape)):
        if kernels := kernels_of(plan):
            macs[kernels[0]] += plan.macs * (1 if index == 0 else 2)
            macs[kernels[1]] += plan.macs
    return macs


def train(name: str, seconds: float) -> dict[str, float]:
    """Train for about so many seconds on one thread, and return images a second and the peak of multiply-adds."""
    from smidgen import _core
    from smidgen.engine import Examples, TrainControl, native
    from smidgen.records import Recipe

    network = NETWORKS[name]
    examples = Examples(*random_images(network.shape, network.classes))
    spec, began, passes = parse_spec(network.text), perf_counter(), 0
    while perf_counter() - began < seconds:
        recipe = Recipe(schedule="constant", learning_rate=0.001, epochs=4, batch_size=128)
        native.train(spec, recipe, examples, 0, control=TrainControl(threads=1))
        passes += 4
    taken = perf_counter() - began
    return {"rate": passes * RESIDENT_BATCHES * 128 / taken, "peak": _core.multiply_add_peak("", 20_000_000)}


def samples_of(recording: Path) -> Iterator[tuple[int, str]]:
    """Samples and function of each line of a recording, in the core alone."""
    command = ["perf", "report", "-i", str(recording), "--stdio", "--no-children", "-F", "sample,dso,sym", "-t", ";"]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        cells = line.split(";", 2)
        if len(cells) == 3 and "_core" in cells[1] and "multiply_add_peak" not in cells[2]:
            yield int(cells[0]), cells[2].strip()


def kernel_of(function: str) -> str:
    """The kernel of a function of the core."""
    plain = re.sub(r"\(anonymous namespace\)::|\(.*", "", function.removeprefix("[.] "))
    return next((kernel for kernel, pattern in KERNELS.items() if re.search(pattern, plain)), "other")


def profile(name: str, seconds: float, functions: Counter[str]) -> list[Row]:
    """Record the training of one network, and add up its samples."""
    with TemporaryDirectory() as folder:
        recording = Path(folder) / "perf.data"
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", str(recording), "--"]
        trains = [sys.executable, __file__, "--train", name, "--seconds", str(seconds)]
        said = json.loads(subprocess.run([*record, *trains], stdout=subprocess.PIPE, check=True).stdout)
        samples: Counter[str] = Counter()
        for count, function in samples_of(recording):
            samples[kernel_of(function)] += count
            functions[f"{name}: {kernel_of(function)}: {function}"] += count
    macs, total = macs_of_kernels(name), sum(samples.values())
    return [
        Row(
            network=name,
            kernel=kernel,
            samples=count,
            time_share=round(count / total, 4),
            macs_share=round(macs[kernel] / sum(macs.values()), 4),
            peak=round(macs[kernel] * said["rate"] / (count / total) / said["peak"], 4),
        )
        for kernel, count in samples.most_common()
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown; what takes less than half a percent is left out."""
    lines = ["| network | kernel | time | multiply-accumulates | of the peak |", "|---|---|---|---|---|"]
    for row in rows:
        if row.time_share >= 0.005:
            arithmetic = [f"{100 * share:.0f} %" if row.macs_share else "" for share in (row.macs_share, row.peak)]
            lines.append(f"| {row.network} | {row.kernel} | {100 * row.time_share:.0f} % | {' | '.join(arithmetic)} |")
    return "\n".join(lines)


def main() -> None:
    """Profile every network, print the table, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=lambda text: text.split(","), default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=10.0, help="of training each")
    parser.add_argument("--csv", type=Path, metavar="PATH", help="write every row there")
    parser.add_argument("--functions", action="store_true", help="print the samples of each function too")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.train:
        print(json.dumps(train(wish.train, wish.seconds)))
        return
    functions: Counter[str] = Counter()
    rows = [row for name in wish.nets for row in profile(name, wish.seconds, functions)]
    print(table(rows))
    if wish.functions:
        print(*(f"{count:7} {function}" for function, count in functions.most_common(150)), sep="\n")
    if wish.csv:
        with wish.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, rows))


if __name__ == "__main__":
    main()
