"""The two networks of Deep Compression (Han, Mao & Dally 2016, arXiv 1510.00149), the published figures, the files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

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
from smidgen.spec import NetSpec
from smidgen.studies.document import SHAPE, Network
from smidgen.studies.published import published
from smidgen.transforms import prunable, tensor_places, with_codebooks
from smidgen.trials.evaluate import TrainingContext, score

FINE_LEVELS = 1900
"""Levels on each side of zero for pruned weights that are not shared: as accurate as float32, and few enough for a
Huffman code."""
BIAS_LEVELS = 127


@dataclass(frozen=True)
class Layer:
    """A layer in the paper's tables 2 and 3.

    Attributes:
        kept: The share of its weights that pruning leaves.
        bits: Bits of the index of a shared value.
        stored_bits: Bits of a kept weight with Huffman codes, its value and the gap before it.
        share: The layer's size as a share of its float32 size.
    """

    name: str
    kept: float
    bits: int
    stored_bits: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Net(Network):
    """A network of the paper, the published errors before and after it became `ratio` times smaller, our recipes."""

    text: str
    layers: tuple[Layer, ...]
    reference_error: float
    error: float
    ratio: int
    training: Recipe
    pruning: Recipe
    sharing: Recipe

    @property
    def float_bytes(self) -> int:
        return 4 * self.parameters

    @property
    def tensors(self) -> dict[str, Layer]:
        """The layers by the names of their weights."""
        return dict(zip(prunable(self.spec, SHAPE), self.layers, strict=True))

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """All weights and kept weights of each layer, by the name of its weights."""
        places = tensor_places(self.spec, SHAPE, self.tensors)
        sizes = {name: place.stop - place.start for name, place in places.items()}
        return {name: (size, size - round((1 - self.tensors[name].kept) * size)) for name, size in sizes.items()}


def _layers(network: str, names: str) -> tuple[Layer, ...]:
    """Read the layers of a network from the published tables."""
    found = []
    for name in names.split():
        of = partial(published, "deep-compression", f"{network} {name}")
        bits = of("bits of an index in Huffman code") + of("bits of a gap in Huffman code")
        layer = Layer(name, of("kept weights"), int(of("bits of an index")), bits, of("share of float32"))
        found.append(layer)
    return tuple(found)


_OF = {name: partial(published, "deep-compression", name) for name in ("LeNet-300-100", "LeNet-5")}
MOVED = Augmentation(shift=1.5, rotation=10.0, scale=0.1, shear=0.1)
NETS = {
    "LeNet-300-100": Net(
        text="dense 300 relu, dense 100 relu, dense 10",
        layers=_layers("LeNet-300-100", "ip1 ip2 ip3"),
        reference_error=_OF["LeNet-300-100"]("reference error"),
        error=_OF["LeNet-300-100"]("error"),
        ratio=int(_OF["LeNet-300-100"]("times smaller")),
        training=Recipe(learning_rate=0.002, epochs=40, augment=MOVED),
        pruning=Recipe("kl", 2.0, learning_rate=0.002, epochs=15),
        sharing=Recipe("kl", 2.0, learning_rate=0.001, epochs=15),
    ),
    "LeNet-5": Net(
        text="conv 20x5x5, maxpool 2, conv 50x5x5, maxpool 2, dense 500 relu, dense 10",
        layers=_layers("LeNet-5", "conv1 conv2 ip1 ip2"),
        reference_error=_OF["LeNet-5"]("reference error"),
        error=_OF["LeNet-5"]("error"),
        ratio=int(_OF["LeNet-5"]("times smaller")),
        training=Recipe(learning_rate=0.002, epochs=20, augment=MOVED),
        pruning=Recipe("kl", 2.0, 0.2, learning_rate=0.002, epochs=5, augment=Augmentation(shift=1.0)),
        sharing=Recipe("kl", 2.0, 0.2, learning_rate=0.0005, epochs=5, augment=Augmentation(shift=1.0)),
    ),
}


@dataclass(frozen=True)
class Stored:
    """A network as a file: its length, where its bits went, and the scores of the decoded network."""

    stage: str
    size_bytes: int
    parts: tuple[Part, ...]
    validation: Score
    test: Score

    def bits(self, part: str) -> float:
        """Return the bits of one part of the file, by its name."""
        return next(each.bits for each in self.parts if each.name == part)


class Stages(NamedTuple):
    """The files of one network, stage by stage."""

    dense: Stored
    pruned: Stored
    fine: Stored
    huffman: Stored
    best: Stored


def stored(context: TrainingContext, net: Net, dense: Model, pruned: Model, shared: Model, threads: int) -> Stages:
    """Write each stage of a network into a file, decode it again and score it."""

    def scored(stage: str, size: int, weights: Weights, parts: tuple[Part, ...] = ()) -> Stored:
        test = score(context, net.spec, weights, context.dataset.test, threads)
        return Stored(stage, size, parts, validation(context, net.spec, weights, threads), test)

    def in_floats(stage: str, model: Model) -> Stored:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.safetensors"
            return scored(stage, save_safetensors(model, path), load_safetensors(path).weights)

    def quantized(stage: str, model: QuantizedModel) -> Stored:
        content = encode(model)
        return scored(stage, len(content), flat_weights(decode(content)), tuple(size_report(content)))

    return Stages(
        in_floats("trained, float32", dense),
        in_floats("pruned, float32", pruned),
        quantized("pruned, 12-bit levels, gaps", fine(net, pruned)),
        quantized("pruned and shared, Huffman", with_one_coder(net, shared, "gaps")),
        quantized("the same levels, our best coder", with_one_coder(net, shared, "auto")),
    )


def validation(context: TrainingContext, spec: NetSpec, weights: Weights, threads: int) -> Score:
    """Return the score on both halves of the validation split."""
    data = context.dataset
    selection = score(context, spec, weights, data.selection, threads)
    return selection + score(context, spec, weights, data.confirmation, threads)


def with_one_coder(net: Net, model: Model, coder: str) -> QuantizedModel:
    """Quantize shared values to 16 bits each and biases to 8 bits."""
    quantized = with_codebooks(model, tuple(net.tensors), half=True)
    tensors = {
        name: replace(tensor, coder=coder) if name in net.tensors else _on_grid(tensor, BIAS_LEVELS)
        for name, tensor in quantized.tensors.items()
    }
    return replace(quantized, tensors=tensors)


def fine(net: Net, model: Model) -> QuantizedModel:
    """Round each kept weight to the nearest of 3,800 levels; zeros are gaps and biases have full precision."""
    quantized = as_quantized(model)
    kept = {name: replace(_on_grid(quantized.tensors[name], FINE_LEVELS), coder="gaps") for name in net.tensors}
    return replace(quantized, tensors=quantized.tensors | kept)


def _on_grid(tensor: Tensor, levels: int) -> Tensor:
    weights = values_of(tensor)
    return quantize_tensor(weights, float(nearest_step(float(np.abs(weights).max()) / levels)))
