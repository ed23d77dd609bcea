"""What is held against each other, one process each, so that no thread pool disturbs another's.

`training_speed.py` starts `python contestants.py NAME` and talks to it by lines of JSON, after one line
that says which versions are at work:

    {"net": "conv ...", "variant": "2 trainings", "batches": 40}  ->  {"images": 10240, "seconds": 0.01}

A contestant has `prepare(spec, variant)`, which is set-up and never timed, and `train(prepared, batches)`,
which is all that is timed and returns how many images it trained on. All do the same work: Adam at batch
128, cross-entropy with the labels, on the first 390 batches of MNIST's training split, which lie in memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from smidgen.spec import (
    LINEAR,
    RELU,
    AvgPool,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    parse_spec,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

INPUT_SHAPE = (1, 28, 28)
BATCH = 128
RESIDENT_BATCHES = 390
LEARNING_RATE = 0.001
THREADS = 2
PEAK_ROUNDS = 20_000_000
"""A fifth of a second of multiply-adds on each thread."""

TWO_TRAININGS, TWO_THREADS = "2 trainings", "1 training, 2 threads"

VARIANTS: dict[str, tuple[str, ...]] = {
    "smidgen": (TWO_TRAININGS, TWO_THREADS),
    "torch": tuple(
        f"{processes}, {layout}, {adam} Adam"
        for processes in ("1 process", "2 processes")
        for layout in ("NCHW", "channels_last")
        for adam in ("plain", "fused")
    ),
    "keras": tuple(
        f"{compiler}, {steps} steps an execution" for compiler in ("XLA", "no XLA") for steps in ("1", "10")
    ),
}
"""What a user of each could have chosen; the fastest is what it is held to."""

REQUIRED_MODULE = {"smidgen": "smidgen._core", "torch": "torch", "keras": "tensorflow"}


def processes_of(variant: str) -> int:
    """How many processes train at once, each on a network of its own."""
    return 2 if variant.startswith("2 processes") else 1


class Contestant(Protocol):
    def versions(self) -> str: ...

    def prepare(self, spec: NetSpec, variant: str) -> Any: ...

    def train(self, prepared: Any, batches: int) -> int: ...


# --- the core ---------------------------------------------------------------------------------


class Smidgen:
    """`native.train` as Smidgen calls it: first weights, shuffling, and bytes to floats are in its time."""

    def __init__(self) -> None:
        self.images, self.labels = _mnist()

    def versions(self) -> str:
        from smidgen import _core

        return f"smidgen {_version('smidgen')}, {_core.instruction_sets()[0]}"

    def prepare(self, spec: NetSpec, variant: str) -> tuple[NetSpec, str]:
        return spec, variant

    def train(self, prepared: tuple[NetSpec, str], batches: int) -> int:
        spec, variant = prepared
        if variant == TWO_THREADS:
            return self._train_one(spec, batches, seed=0, threads=THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            counts = pool.map(lambda seed: self._train_one(spec, batches, seed, threads=1), range(THREADS))
        return sum(counts)

    def _train_one(self, spec: NetSpec, batches: int, seed: int, threads: int) -> int:
        from smidgen.engine import Examples, TrainControl, native
        from smidgen.records import Recipe

        images, epochs = _pass(batches)
        recipe = Recipe(learning_rate=LEARNING_RATE, schedule="constant", epochs=epochs, batch_size=BATCH)
        native.train(
            spec,
            recipe,
            Examples(self.images[:images], self.labels[:images]),
            seed,
            control=TrainControl(threads=threads),
        )
        return images * epochs


def multiply_add_peak() -> float:
    """Multiply-adds a second of two threads at once on registers alone: what the processor can do at most."""
    from smidgen import _core

    with ThreadPoolExecutor(THREADS) as pool:
        peaks: list[float] = list(pool.map(lambda _: _core.multiply_add_peak("", PEAK_ROUNDS), range(THREADS)))
    return sum(peaks)


# --- torch ------------------------------------------------------------------------------------


class Torch:
    """Eager torch at its best: floats in memory in the layout of the net, batches without a copy, no shuffling."""

    def __init__(self) -> None:
        import torch

        images, labels = _mnist()
        self.images = torch.from_numpy(images.astype(np.float32) / 255)
        self.labels = torch.from_numpy(labels.astype(np.int64))

    def versions(self) -> str:
        return f"torch {version('torch')}"

    def prepare(self, spec: NetSpec, variant: str) -> Callable[[int], int]:
        import torch

        processes, layout, adam = variant.split(", ")
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        module = _torch_module(spec).to(memory_format=memory).train()  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=adam == "fused Adam")
        images, threads = self.images.contiguous(memory_format=memory), THREADS // processes_of(processes)
        return lambda batches: self._steps(module, optimizer, images, threads, batches)

    def train(self, prepared: Callable[[int], int], batches: int) -> int:
        return prepared(batches)

    def _steps(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, threads: int, batches: int
    ) -> int:
        import torch
        from torch.nn import functional

        torch.set_num_threads(threads)
        for batch in range(batches):
            first = batch % RESIDENT_BATCHES * BATCH
            chosen = slice(first, first + BATCH)
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(module(images[chosen]), self.labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return batches * BATCH


def _torch_module(spec: NetSpec) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    for plan in spec.plan(INPUT_SHAPE):
        layers += _torch_layer(plan)
        slope = getattr(plan.layer, "slope", LINEAR)
        if slope != LINEAR:
            layers.append(nn.ReLU() if slope == RELU else nn.LeakyReLU(slope))
    return nn.Sequential(*layers)


def _torch_layer(plan: LayerPlan) -> list[nn.Module]:
    from torch import nn

    channels_in, channels_out = plan.input_shape[0], plan.output_shape[0]
    match plan.layer:
        case Conv(_, kernel, same):
            return [nn.Conv2d(channels_in, channels_out, kernel, padding="same" if same else "valid")]
        case Depthwise(kernel, same):
            padding = "same" if same else "valid"
            return [nn.Conv2d(channels_in, channels_in, kernel, padding=padding, groups=channels_in)]
        case Pointwise():
            return [nn.Conv2d(channels_in, channels_out, 1)]
        case MaxPool(size):
            return [nn.MaxPool2d(size)]
        case AvgPool(size):
            return [nn.AvgPool2d(size)]
        case GlobalAvgPool():
            return [nn.AdaptiveAvgPool2d(1)]
        case Dense(units):
            return [nn.Flatten(), nn.Linear(plan.weight_shape[1], units)]
        case Dropout(rate):
            return [nn.Dropout(rate)]
    raise NotImplementedError(f"this benchmark has no '{plan.layer}' in torch")


# --- Keras ------------------------------------------------------------------------------------


class Keras:
    """Keras `fit` on TensorFlow, on arrays, as its users call it (so it shuffles, as Smidgen does)."""

    def __init__(self) -> None:
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
        tensorflow.config.threading.set_inter_op_parallelism_threads(THREADS)
        images, labels = _mnist()
        self.images = images.astype(np.float32).reshape(-1, 28, 28, 1) / 255
        self.labels = labels

    def versions(self) -> str:
        return f"keras {version('keras')} on tensorflow {_version('tensorflow-cpu', 'tensorflow')}"

    def prepare(self, spec: NetSpec, variant: str) -> Any:
        import keras

        compiler, steps = variant.split(", ")
        model = keras.Sequential([keras.Input((28, 28, 1)), *(keras_layers(spec))])
        model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=compiler == "XLA",
            steps_per_execution=int(steps.split()[0]),
        )
        return model

    def train(self, prepared: Any, batches: int) -> int:
        images, epochs = _pass(batches)
        prepared.fit(self.images[:images], self.labels[:images], batch_size=BATCH, epochs=epochs, verbose=0)
        return images * epochs


def keras_layers(spec: NetSpec) -> list[Any]:
    import keras

    layers: list[Any] = []
    for plan in spec.plan(INPUT_SHAPE):
        layers += _keras_layer(plan)
        slope = getattr(plan.layer, "slope", LINEAR)
        if slope != LINEAR:
            layers.append(keras.layers.ReLU() if slope == RELU else keras.layers.LeakyReLU(negative_slope=slope))
    return layers


def _keras_layer(plan: LayerPlan) -> list[Any]:
    from keras import layers

    match plan.layer:
        case Conv(channels, kernel, same):
            return [layers.Conv2D(channels, kernel, padding="same" if same else "valid")]
        case Depthwise(kernel, same):
            return [layers.DepthwiseConv2D(kernel, padding="same" if same else "valid")]
        case Pointwise(channels):
            return [layers.Conv2D(channels, 1)]
        case MaxPool(size):
            return [layers.MaxPooling2D(size)]
        case AvgPool(size):
            return [layers.AveragePooling2D(size)]
        case GlobalAvgPool():
            return [layers.GlobalAveragePooling2D()]
        case Dense(units):
            return [layers.Flatten(), layers.Dense(units)]
        case Dropout(rate):
            return [layers.Dropout(rate)]
    raise NotImplementedError(f"this benchmark has no '{plan.layer}' in Keras")


# --- the process ------------------------------------------------------------------------------

CONTESTANTS: dict[str, Callable[[], Contestant]] = {"smidgen": Smidgen, "torch": Torch, "keras": Keras}


def _mnist() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """uint8 [49920, 1, 28, 28] and their labels: whole batches only, so that every step is the same work."""
    from smidgen.data import load

    train, images = load("mnist").train, RESIDENT_BATCHES * BATCH
    return train.images[:images].astype(np.uint8), train.labels[:images]


def _pass(batches: int) -> tuple[int, int]:
    """So many batches as (images, epochs); beyond one epoch, whole epochs."""
    return min(batches, RESIDENT_BATCHES) * BATCH, max(1, batches // RESIDENT_BATCHES)


def _version(*packages: str) -> str:
    """The version of the first that is installed; a source tree has none."""
    for package in packages:
        try:
            return version(package)
        except ModuleNotFoundError:
            continue
    return "from source"


def _serve(name: str) -> None:
    """Answer requests until the pipe closes. Frameworks print; what they print must not look like an answer."""
    answers, sys.stdout = sys.stdout, sys.stderr
    contestant = CONTESTANTS[name]()
    print(json.dumps({"versions": contestant.versions()}), file=answers, flush=True)
    prepared: dict[tuple[str, str], Any] = {}
    for line in sys.stdin:
        print(json.dumps(_answer(contestant, prepared, json.loads(line))), file=answers, flush=True)


def _answer(contestant: Contestant, prepared: dict[tuple[str, str], Any], request: dict[str, Any]) -> dict[str, Any]:
    if "peak" in request:
        return {"peak": multiply_add_peak()}
    wanted = (request["net"], request["variant"])
    if any(net != request["net"] for net, _ in prepared):
        prepared.clear()
    if wanted not in prepared:
        prepared[wanted] = contestant.prepare(parse_spec(request["net"]), request["variant"])
    start = time.perf_counter()
    images = contestant.train(prepared[wanted], request["batches"])
    return {"images": images, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    _serve(sys.argv[1])
