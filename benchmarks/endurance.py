"""Does memory stay flat? Ten thousand trainings of small random networks in one process (Linux).

    python benchmarks/endurance.py
    python benchmarks/endurance.py --trainings 2000 --engine torch

The resident memory is read after a tenth of the trainings and at the end. 200 networks take turns, so that by
the tenth each has been trained and what is remembered of them (`NetSpec.plan`) has been: what grows after that
is lost. 500 bytes lost in each training would be 4 MiB in 9,000; the exit status is 1 where it grew by more.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from smidgen.engine import Engine, Examples, Start, TrainControl, engines
from smidgen.errors import SpecError
from smidgen.records import LOSSES, OPTIMIZERS, Augmentation, Recipe
from smidgen.spec import NetSpec, Shape, parse_spec
from smidgen.streams import initial_weights
from training_speed import machine

NETWORKS = 200
IMAGES, CLASSES = 40, 4
SHAPES: tuple[Shape, ...] = ((1, 12, 12), (3, 9, 7), (20, 1, 1))
PIECES = (
    "conv 5x3x3 relu",
    "conv 18x3x3 same leaky_relu(0.1)",
    "depthwise 3x3 same nobias",
    "pointwise 7 relu",
    "maxpool 2",
    "avgpool 2",
    "batchnorm relu",
    "prelu",
    "dropout 0.2",
    "dense 30 relu",
    "dense 150 relu",
    "repeat 3 [depthwise 3x3 same, batchnorm, prelu]",
)
GROWTH_LIMIT_BYTES = 4 * 2**20
M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


@dataclass(frozen=True, eq=False)
class Task:
    """A network with everything that a training of it needs."""

    spec: NetSpec
    recipe: Recipe
    examples: Examples
    start: Start | None
    threads: int


def task(number: int) -> Task:
    random = Random(number)
    shape = random.choice(SHAPES)
    spec = random_spec(random, shape)
    recipe = Recipe(
        loss=random.choice(LOSSES),
        optimizer=random.choice(list(OPTIMIZERS)),
        learning_rate=0.01,
        batch_size=random.choice((7, 16, 40)),
        average=random.choice((0.0, 0.9)),
        augment=Augmentation(shift=1.0) if random.random() < 0.3 else Augmentation(),
    )
    start = random_start(number, spec, shape) if random.random() < 0.3 else None
    return Task(spec, recipe, examples(number, shape), start, threads=random.choice((1, 2)))


def random_spec(random: Random, shape: Shape) -> NetSpec:
    """One to four of the pieces, those that fit, and a head."""
    pieces: list[str] = []
    for piece in random.choices(PIECES, k=random.randint(1, 4)):
        try:
            parse_spec(", ".join([*pieces, piece])).plan(shape)
        except SpecError:
            continue
        pieces.append(piece)
    return parse_spec(", ".join([*pieces, f"dense {CLASSES}"]))


def random_start(seed: int, spec: NetSpec, shape: Shape) -> Start:
    """The first weights, a third of which stay as they are."""
    weights = initial_weights(spec, shape, seed)
    return Start(weights, fixed=np.random.default_rng(seed).random(weights.size) < 1 / 3)


def examples(seed: int, shape: Shape) -> Examples:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (IMAGES, *shape)).astype(np.uint8)
    labels = random.integers(0, CLASSES, IMAGES).astype(np.int32)
    return Examples(images, labels, random.standard_normal((IMAGES, CLASSES)).astype(np.float32))


def train(engine: Engine, chosen: Task, seed: int) -> None:
    """What a trial does with an engine: train, look on, predict."""
    training = engine.train(
        chosen.spec,
        chosen.recipe,
        chosen.examples,
        seed,
        start=chosen.start,
        control=TrainControl(
            threads=chosen.threads, progress=lambda done, total: None, after_epoch=lambda epoch, weights: False
        ),
    )
    engine.predict(chosen.spec, training.weights, chosen.examples.images, chosen.threads)


def one_pool() -> None:
    """glibc keeps a pool of memory for each of several threads; how full each is differs by the megabyte."""
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(M_ARENA_MAX, 1)


def resident_bytes() -> int:
    """Of this process, now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Train, print the memory at every tenth, end with 1 where it grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=10_000)
    parser.add_argument("--engine", choices=list(engines()), default="native")
    parser.add_argument("--json", type=Path, metavar="PATH")
    wish = parser.parse_args()
    one_pool()
    engine = engines()[wish.engine]

    tasks = [task(number) for number in range(NETWORKS)]
    tenth, resident = max(1, wish.trainings // 10), []
    for done in range(1, wish.trainings + 1):
        train(engine, tasks[done % len(tasks)], seed=done)
        if done % tenth == 0:
            resident.append(resident_bytes())
            print(f"{done:>7,} trainings: {resident[-1] / 2**20:.1f} MiB resident", flush=True)
    growth = resident[-1] - resident[0]
    print(f"{len(tasks)} networks; grown by {growth / 2**20:.2f} MiB since the first tenth")
    if wish.json:
        wish.json.write_text(json.dumps({"machine": machine(), "resident_bytes": resident}, indent=1) + "\n")
    sys.exit(growth > GROWTH_LIMIT_BYTES)


if __name__ == "__main__":
    main()
