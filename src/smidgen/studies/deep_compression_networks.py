"""The two networks of Deep Compression (Han, Mao & Dally 2016, arXiv 1510.00149), what was published, their files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smidgen.model import (
    Model,
    Part,
    QuantizedModel,
    Tensor,
    as_quantized,
    decode,
    encode,
    flat_weights,
    load_safetensors,
    nearest_step,
    quantize_tensor,
    save_safetensors,
    size_report,
    values_of,
)
from smidgen.records import Augmentation, Recipe, Score, Weights
from smidgen.spec import NetSpec, parse_spec
from smidgen.transforms import prunable, tensor_places, with_codebooks
from smidgen.trials.evaluate import TrainingContext, score

SHAPE = (1, 28, 28)
FINE_LEVELS = 1900
"""On each side of zero, of a pruned network whose values are not shared: as good as float32, and few enough for a
Huffman code."""
BIAS_LEVELS = 127

Decoded = tuple[int, Weights, tuple[Part, ...]]
"""A file's length in bytes, the weights in it, and where its bits went."""


@dataclass(frozen=True)
class Layer:
    """A layer in the paper's tables 2 and 3.

    kept: the share of its weights that pruning leaves; bits: of a shared value's number
    stored_bits: of a kept weight with Huffman codes, its value and the gap before it; share: of the float32 layer
    """

    name: str
    kept: float
    bits: int
    stored_bits: float
    share: float


@dataclass(frozen=True)
class Net:
    """A network of the paper: its layers, its published errors before and after, and how many times smaller it got.

    training: from labels; pruning: each round; sharing: the shared values
    """

    text: str
    layers: tuple[Layer, ...]
    reference_error: float
    error: float
    ratio: int
    training: Recipe
    pruning: Recipe
    sharing: Recipe

    @property
    def spec(self) -> NetSpec:
        return parse_spec(self.text)

    @property
    def parameters(self) -> int:
        return self.spec.parameters(SHAPE)

    @property
    def float_bytes(self) -> int:
        return 4 * self.parameters

    @property
    def tensors(self) -> dict[str, Layer]:
        """The layers by the names of their weights."""
        return dict(zip(prunable(self.spec, SHAPE), self.layers, strict=True))

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Of each layer, by the name of its weights: how many it has, and how many are kept."""
        places = tensor_places(self.spec, SHAPE, self.tensors)
        sizes = {name: place.stop - place.start for name, place in places.items()}
        return {name: (size, size - round((1 - self.tensors[name].kept) * size)) for name, size in sizes.items()}


MOVED = Augmentation(shift=1.5, rotation=10.0, scale=0.1, shear=0.1)
NETS = {
    "LeNet-300-100": Net(
        "dense 300 relu, dense 100 relu, dense 10",
        (
            Layer("ip1", 0.08, 6, 4.4 + 3.7, 0.0232),
            Layer("ip2", 0.09, 6, 4.4 + 4.3, 0.0304),
            Layer("ip3", 0.26, 6, 4.3 + 3.2, 0.1270),
        ),
        reference_error=0.0164,
        error=0.0158,
        ratio=40,
        training=Recipe(learning_rate=0.002, epochs=40, augment=MOVED),
        pruning=Recipe("kl", 2.0, learning_rate=0.002, epochs=15),
        sharing=Recipe("kl", 2.0, learning_rate=0.001, epochs=15),
    ),
    "LeNet-5": Net(
        "conv 20x5x5, maxpool 2, conv 50x5x5, maxpool 2, dense 500 relu, dense 10",
        (
            Layer("conv1", 0.66, 8, 7.2 + 1.5, 0.6745),
            Layer("conv2", 0.12, 8, 7.2 + 3.9, 0.0528),
            Layer("ip1", 0.08, 5, 4.5 + 4.5, 0.0245),
            Layer("ip2", 0.19, 5, 5.2 + 3.7, 0.0613),
        ),
        reference_error=0.0080,
        error=0.0074,
        ratio=39,
        training=Recipe(learning_rate=0.002, epochs=20, augment=MOVED),
        pruning=Recipe("kl", 2.0, 0.2, learning_rate=0.002, epochs=5, augment=Augmentation(shift=1.0)),
        sharing=Recipe("kl", 2.0, 0.2, learning_rate=0.0005, epochs=5, augment=Augmentation(shift=1.0)),
    ),
}


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A network as a file that was decoded again: its length, where its bits went, and the decoded network's scores."""

    stage: str
    size_bytes: int
    parts: tuple[Part, ...]
    validation: Score
    test: Score


DENSE, PRUNED, FINE, HUFFMAN, BEST = range(5)
"""The places of the stages in what `stored` gives."""


def stored(
    context: TrainingContext, net: Net, dense: Model, pruned: Model, shared: Model, threads: int
) -> list[Stored]:
    """The stages of one network, each as a file that is decoded again and scored."""
    files: list[tuple[str, Callable[[Path], Decoded]]] = [
        ("trained, float32", partial(_float_file, dense)),
        ("pruned, float32", partial(_float_file, pruned)),
        ("pruned, 12-bit levels, gaps", partial(_file, fine(net, pruned))),
        ("pruned and shared, Huffman", partial(_file, with_one_coder(net, shared, "gaps"))),
        ("the same levels, our best coder", partial(_file, with_one_coder(net, shared, "auto"))),
    ]
    with TemporaryDirectory() as folder:
        found = [(stage, *write(Path(folder) / "network")) for stage, write in files]
    test = context.dataset.test
    return [
        Stored(
            stage, size, parts, validation(context, net.spec, w, threads), score(context, net.spec, w, test, threads)
        )
        for stage, size, w, parts in found
    ]


def validation(context: TrainingContext, spec: NetSpec, weights: Weights, threads: int) -> Score:
    data = context.dataset
    return score(context, spec, weights, data.selection, threads) + score(
        context, spec, weights, data.confirmation, threads
    )


def with_one_coder(net: Net, model: Model, coder: str) -> QuantizedModel:
    """Shared values in sixteen bits each, biases on a grid of eight."""
    quantized = with_codebooks(model, tuple(net.tensors), half=True)
    tensors = {
        name: replace(tensor, coder=coder) if name in net.tensors else _on_grid(tensor, BIAS_LEVELS)
        for name, tensor in quantized.tensors.items()
    }
    return replace(quantized, tensors=tensors)


def fine(net: Net, model: Model) -> QuantizedModel:
    """Each kept weight at the nearest of 3,800 levels, zeros as gaps, biases in full precision."""
    quantized = as_quantized(model)
    tensors = {
        name: replace(_on_grid(tensor, FINE_LEVELS), coder="gaps") if name in net.tensors else tensor
        for name, tensor in quantized.tensors.items()
    }
    return replace(quantized, tensors=tensors)


def _on_grid(tensor: Tensor, levels: int) -> Tensor:
    weights = values_of(tensor)
    return quantize_tensor(weights, float(nearest_step(float(np.abs(weights).max()) / levels)))


def _float_file(model: Model, path: Path) -> Decoded:
    return save_safetensors(model, path), load_safetensors(path).weights, ()


def _file(quantized: QuantizedModel, path: Path) -> Decoded:
    """What is returned is all from the file's bytes, as they were read again."""
    path.write_bytes(encode(quantized))
    content = path.read_bytes()
    return len(content), flat_weights(decode(content)), tuple(size_report(content))
