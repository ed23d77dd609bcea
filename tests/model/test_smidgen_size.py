"""The length of .smidgen files: near the entropy of the levels, and pinned for small networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantized_networks import a_quantized_model
from smidgen.model import (
    CODERS,
    QuantizedModel,
    Tensor,
    Uniform,
    encode,
    load_smidgen,
    size_report,
    tensor_shapes,
)
from smidgen.spec import parse_spec


@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_a_large_network_takes_two_percent_more_than_its_entropy_at_most(scale: float) -> None:
    spec, rng, made, entropy = parse_spec("dense 120 relu, dense 10"), np.random.default_rng(0), {}, 0.0
    for name, axes in tensor_shapes(spec, (1, 28, 28)).items():
        levels = np.rint(rng.laplace(0, scale, axes)).astype(np.int32)
        made[name] = Tensor(levels, Uniform(np.array([0.125], np.float32)))
        _, counts = np.unique(levels, return_counts=True)
        entropy -= float((counts * np.log2(counts / counts.sum())).sum())
    content = encode(QuantizedModel(spec, (1, 28, 28), tuple("0123456789"), made))
    assert entropy / 8 < len(content) < 1.02 * entropy / 8 + 60


def test_a_network_of_four_bits_a_weight_takes_a_few_bytes_more() -> None:
    content = encode(a_quantized_model())
    header = sum(part.bits for part in size_report(content) if "levels" not in part.name)
    assert header < 8 * 22
    assert len(content) == 189


def test_auto_is_no_longer_than_any_coder() -> None:
    quantized = a_quantized_model(scale=1.0, seed=3)
    sizes = [
        len(encode(replace(quantized, tensors={n: replace(t, coder=c) for n, t in quantized.tensors.items()})))
        for c in CODERS
        if c != "rising"
    ]
    assert len(encode(quantized)) <= min(sizes)


def test_models_that_learn_beat_tables_on_few_weights() -> None:
    """The figures of docs/decisions/smidgen-file.md."""
    quantized = load_smidgen(Path(__file__).parents[1] / "golden" / "v1-digits.smidgen")

    def size_bytes(coder: str) -> int:
        return len(
            encode(replace(quantized, tensors={n: replace(t, coder=coder) for n, t in quantized.tensors.items()}))
        )

    assert (size_bytes("auto"), size_bytes("huffman")) == (171, 268)


def test_a_tensor_refers_to_the_grid_and_coder_of_the_previous_one() -> None:
    """Two tensors with one grid and one coder cost less than their headers apart."""
    quantized = a_quantized_model("conv 4x3x3, conv 4x3x3, dense 2", (1, 8, 8))
    step = Uniform(np.array([0.25], np.float32))
    shared = {name: replace(tensor, grid=step) for name, tensor in quantized.tensors.items()}
    parts = {part.name: part.bits for part in size_report(encode(replace(quantized, tensors=shared)))}
    assert parts["2.weight grid"] < 1
    assert parts["2.bias grid"] < 1
