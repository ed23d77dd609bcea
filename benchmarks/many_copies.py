"""Networks a second when many copies of one are trained at once, by the torch engine on whatever device is here.

    python benchmarks/many_copies.py                                 1, 32 and 1024 copies of cnn2(2)
    python benchmarks/many_copies.py --copies 1,32 --rounds 5 --json copies.json
    SMIDGEN_TORCH_DEVICE=cpu python benchmarks/many_copies.py        not on the GPU that is here

What is timed is the whole call of `train_many`: first weights, the order of the images, their way to the device,
every step at batch 128 by Adam. The pixels are random: what they show does not change the work. A network is the
default recipe's training on 60,000 images, two epochs; a round trains on fewer (`--images`), and its images a
second are divided by 120,000.

A first call that is not timed loads and chooses kernels. A size is left out when it would take longer than
`--limit-seconds` a round, going by the size before it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from smidgen.engine import Examples, TrainControl, torch_engine
from smidgen.records import Recipe
from smidgen.spec import NetSpec, Shape
from smidgen.spec.families import family

INPUT_SHAPE: Shape = (1, 28, 28)
CLASSES = 10
IMAGES_OF_A_NETWORK = 2 * 60_000
RECIPE = Recipe(epochs=1)


@dataclass(frozen=True)
class Result:
    """Some copies, and the seconds of every round."""

    copies: int
    images: int
    seconds: tuple[float, ...]

    @property
    def images_a_second(self) -> float:
        return self.copies * self.images / median(self.seconds)

    @property
    def networks_a_second(self) -> float:
        return self.images_a_second / IMAGES_OF_A_NETWORK


def measure(spec: NetSpec, copies: int, wish: argparse.Namespace) -> Result:
    """Two batches to warm up, then the rounds."""
    train(spec, copies, 2 * RECIPE.batch_size, wish.threads)
    seconds = tuple(train(spec, copies, wish.images, wish.threads) for _ in range(wish.rounds))
    return Result(copies, wish.images, seconds)


def train(spec: NetSpec, copies: int, images: int, threads: int) -> float:
    """Seconds of one call. Its results are in the machine's memory, so the device has ended."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, *INPUT_SHAPE), np.uint8)
    examples = Examples(pixels, random.integers(0, CLASSES, images, np.int32))
    began = time.perf_counter()
    torch_engine.train_many(spec, RECIPE, examples, range(copies), control=TrainControl(threads))
    return time.perf_counter() - began


def too_long(results: list[Result], copies: int, limit_seconds: float) -> bool:
    """Whether a round of so many copies would pass the limit, if each took what it took in the last size."""
    if not results:
        return False
    last = results[-1]
    return median(last.seconds) * copies / last.copies > limit_seconds


# --- telling ----------------------------------------------------------------------------------

COLUMNS = "{:>8}{:>12}{:>14}{:>13}{:>9}"


def row(result: Result, first: Result) -> str:
    return COLUMNS.format(
        f"{result.copies:,}",
        f"{median(result.seconds):.2f}",
        f"{result.images_a_second:,.0f}",
        f"{result.networks_a_second:.3g}",
        f"{result.images_a_second / first.images_a_second:.1f}",
    )


def device_name() -> str:
    import torch

    on_gpu = torch_engine.name().endswith("cuda")
    return torch.cuda.get_device_name() if on_gpu else f"{platform.machine()}, {os.cpu_count()} processors"


def write_json(wish: argparse.Namespace, load_before: float, results: list[Result]) -> None:
    record = {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": torch_engine.name(),
        "device": device_name(),
        "system": platform.platform(),
        "threads": wish.threads,
        "load_before": load_before,
        "net": str(family("cnn2", wish.width)),
        "results": [asdict(result) | {"networks_a_second": result.networks_a_second} for result in results],
    }
    wish.json.parent.mkdir(parents=True, exist_ok=True)
    wish.json.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwritten: {wish.json}")


# --- the command ------------------------------------------------------------------------------


def main() -> None:
    wish = parse_arguments()
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    spec, results = family("cnn2", wish.width), list[Result]()
    print(f"cnn2({wish.width}) by {torch_engine.name()} on {device_name()}; load {load_before:.2f}")
    print(COLUMNS.format("copies", "seconds", "images/s", "networks/s", "x first"), flush=True)
    for copies in wish.copies:
        if too_long(results, copies, wish.limit_seconds):
            print(f"{copies:>8,}  left out: it would take over {wish.limit_seconds:g} s a round; --limit-seconds")
            continue
        results.append(measure(spec, copies, wish))
        print(row(results[-1], results[0]), flush=True)
    if wish.json:
        write_json(wish, load_before, results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Networks a second of many copies trained at once.")
    parser.add_argument("--copies", type=counts, default=[1, 32, 1024], help="default 1,32,1024")
    parser.add_argument("--width", type=int, default=2, help="of the family cnn2; default 2")
    parser.add_argument("--images", type=int, default=6_400, help="of a round; default 6400")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of a CPU; default all")
    parser.add_argument("--limit-seconds", type=float, default=60.0, help="of a round; default 60")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything there, round by round")
    return parser.parse_args()


def counts(text: str) -> list[int]:
    try:
        found = [int(count) for count in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of counts; give for example 1,32")
    return found


if __name__ == "__main__":
    main()
