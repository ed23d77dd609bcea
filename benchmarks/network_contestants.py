"""What `network_speed.py` holds against each other, one process each: this core, and torch on networks written by hand.

`python network_contestants.py NAME` answers lines of JSON, after one line that says which version is at work:

    {"name": "time-cnn", "net": "conv ...", "shape": [3, 1, 128], "classes": 6, "variant": "2 trainings", "batches": 4}
        ->  {"images": 1024, "seconds": 0.01}

Everyone trains by Adam at batch 128 on the same random images, bytes, which lie in memory. No answer depends on them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from contestants import BATCH, LEARNING_RATE, THREADS, TWO_THREADS, TWO_TRAININGS, multiply_add_peak
from torch_networks import NETWORKS

RESIDENT_BATCHES = 4
COPY_BYTES = 1 << 19
"""A copy of half a megabyte stays in a second-level cache."""

VARIANTS = {
    "smidgen": (TWO_TRAININGS, TWO_THREADS),
    "torch": tuple(
        f"{processes}, {layout}" for processes in ("1 process", "2 processes") for layout in ("NCHW", "channels_last")
    ),
}

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


def random_images(shape: tuple[int, ...], classes: int) -> tuple[Images, Labels]:
    """Images uint8 [4 * 128, *shape] and labels."""
    random, count = np.random.default_rng(0), RESIDENT_BATCHES * BATCH
    labels = random.integers(0, classes, count).astype(np.int32)
    return random.integers(0, 256, (count, *shape), np.uint8), labels


def train_smidgen(request: dict[str, Any]) -> Callable[[int], int]:
    """`native.train` on two threads: two trainings at once, or one on both."""
    from smidgen.engine import Examples
    from smidgen.spec import parse_spec

    spec, examples = parse_spec(request["net"]), Examples(*random_images(request["shape"], request["classes"]))
    if request["variant"] == TWO_THREADS:
        return lambda batches: _train(spec, examples, batches, threads=THREADS)

    def two(batches: int) -> int:
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(lambda _: _train(spec, examples, batches, threads=1), range(THREADS)))

    return two


def _train(spec: Any, examples: Any, batches: int, threads: int) -> int:
    from smidgen.engine import TrainControl, native
    from smidgen.records import Recipe

    epochs = max(1, batches // RESIDENT_BATCHES)
    recipe = Recipe(learning_rate=LEARNING_RATE, schedule="constant", epochs=epochs, batch_size=BATCH)
    native.train(spec, recipe, examples, 0, control=TrainControl(threads=threads))
    return len(examples.labels) * epochs


def train_torch(request: dict[str, Any]) -> Callable[[int], int]:
    """Eager torch with fused Adam: floats in memory in the layout of the network, batches without a copy."""
    import torch
    from torch.nn import functional

    processes, layout = request["variant"].split(", ")
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    pixels, classes = random_images(request["shape"], request["classes"])
    images = (torch.from_numpy(pixels).float() / 255).contiguous(memory_format=memory)
    labels = torch.from_numpy(classes.astype(np.int64))
    module = NETWORKS[request["name"]].torch().to(memory_format=memory).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)
    torch.set_num_threads(THREADS if processes == "1 process" else 1)

    def train(batches: int) -> int:
        for batch in range(batches):
            chosen = slice(batch % RESIDENT_BATCHES * BATCH, (batch % RESIDENT_BATCHES + 1) * BATCH)
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(module(images[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return batches * BATCH

    return train


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of copies within the second-level cache, on two threads at once."""

    def copy(_: int) -> float:
        source, target = np.ones(COPY_BYTES, np.uint8), np.ones(COPY_BYTES, np.uint8)
        start, rounds = time.perf_counter(), 4000
        for _ in range(rounds):
            np.copyto(target, source)
        return 2 * COPY_BYTES * rounds / (time.perf_counter() - start)

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(copy, range(THREADS)))


CONTESTANTS = {"smidgen": train_smidgen, "torch": train_torch}


def versions(name: str) -> str:
    from importlib.metadata import version

    return f"torch {version('torch')}" if name == "torch" else "smidgen"


def answer(name: str, prepared: dict[tuple[str, str], Callable[[int], int]], request: dict[str, Any]) -> dict[str, Any]:
    if "peak" in request:
        return {"peak": multiply_add_peak(), "copy": copy_bandwidth()}
    wanted = request["name"], request["variant"]
    if any(network != request["name"] for network, _ in prepared):
        prepared.clear()
    if wanted not in prepared:
        prepared[wanted] = CONTESTANTS[name](request)
    start = time.perf_counter()
    images = prepared[wanted](request["batches"])
    return {"images": images, "seconds": time.perf_counter() - start}


def serve(name: str) -> None:
    """Answer requests until the pipe closes. What frameworks print must not look like an answer."""
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"versions": versions(name)}), file=answers, flush=True)
    prepared: dict[tuple[str, str], Callable[[int], int]] = {}
    for line in sys.stdin:
        print(json.dumps(answer(name, prepared, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
