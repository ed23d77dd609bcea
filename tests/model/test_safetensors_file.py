"""The .safetensors file: a model comes back bit for bit."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from safetensors_models import ALL_LAYERS, SHAPE, a_model, assert_same
from smidgen.errors import ModelFileError
from smidgen.model import Model, flatten_arrays, load_safetensors, named_arrays, save_safetensors
from smidgen.model.safetensors_file import SPEC_KEY
from smidgen.records import Weights
from smidgen.spec import Shape, parse_spec
from smidgen.spec.families import FAMILIES, family


def test_the_flat_order_is_weight_bias_mean_variance_layer_by_layer() -> None:
    spec = parse_spec("conv 2x1x2, batchnorm, dense 1")
    arrays = named_arrays(spec, (1, 1, 2), np.arange(17, dtype=np.float32))
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "0.weight": [[[[0, 1]]], [[[2, 3]]]],
        "0.bias": [4, 5],
        "1.weight": [6, 7],
        "1.bias": [8, 9],
        "1.mean": [10, 11],
        "1.variance": [12, 13],
        "2.weight": [[14, 15]],
        "2.bias": [16],
    }


def test_named_arrays_have_the_shapes_of_the_plan() -> None:
    model = a_model()
    arrays = named_arrays(model.spec, SHAPE, model.weights)
    assert arrays["0.weight"].shape == (3, 2, 3, 2)
    assert arrays["2.weight"].shape == (3, 1, 3, 3)
    assert arrays["8.weight"].shape == (5, 4)
    assert sum(array.size for array in arrays.values()) == model.weights.size


@pytest.mark.parametrize("weights", [np.zeros(5, np.float32), np.zeros(7, np.float32), np.zeros(6, np.float64)])
def test_weights_of_another_length_or_dtype_are_refused(weights: Weights) -> None:
    with pytest.raises(ModelFileError, match=r"float32 weights of shape \(6,\) and was given"):
        named_arrays(parse_spec("dense 2"), (2, 1, 1), weights)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"0.weight": np.zeros((2, 2), np.float32)}, "lack 0.bias"),
        ({"0.weight": np.zeros((2, 3), np.float32), "0.bias": np.zeros(2, np.float32)}, r"0.weight .* shape \(2, 3\)"),
        ({"0.weight": np.zeros((2, 2), np.float16), "0.bias": np.zeros(2, np.float32)}, "0.weight is float16"),
        (
            {"0.weight": np.zeros((2, 2), np.float32), "0.bias": np.zeros(2, np.float32), "x": np.zeros(1, np.float32)},
            "have x, which 'dense 2' has not",
        ),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused(arrays: dict[str, Weights], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        flatten_arrays(parse_spec("dense 2"), (2, 1, 1), arrays)


SPECS = [
    (ALL_LAYERS, SHAPE),
    ("dense 10", (64, 1, 1)),
    ("batchnorm, dense 2", (3, 1, 1)),
    ("conv 2x3x3 same leaky_relu(0.25), globalavgpool, dense 4", (1, 5, 7)),
    *((str(family(name, 2)), (1, 28, 28)) for name in FAMILIES),
]


@settings(max_examples=30)
@given(
    spec=st.sampled_from(SPECS),
    seed=st.integers(0, 2**32),
    metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3),
    odd_value=st.floats(width=32, allow_nan=False, allow_infinity=False),
    name=st.text(max_size=10),
)
def test_a_model_comes_back_bit_for_bit(
    spec: tuple[str, Shape],
    seed: int,
    metadata: dict[str, str],
    odd_value: float,
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.safetensors"
    model = a_model(*spec, seed)
    model.weights[-1] = odd_value  # denormals and negative zero come up here
    model = replace(model, metadata=metadata, class_names=(name, *model.class_names[1:]))
    size_bytes = save_safetensors(model, path)
    assert size_bytes == path.stat().st_size
    assert_same(load_safetensors(path), model)


def test_flat_and_named_are_inverses() -> None:
    model = a_model()
    arrays = named_arrays(model.spec, SHAPE, model.weights)
    shuffled = dict(sorted(arrays.items(), reverse=True))
    assert flatten_arrays(model.spec, SHAPE, shuffled).tobytes() == model.weights.tobytes()


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model"
    contents = set()
    for _ in range(8):
        save_safetensors(a_model(), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_other_readers_of_safetensors_see_the_tensors(tmp_path: Path) -> None:
    model = a_model("dense 3", (2, 1, 1))
    save_safetensors(model, tmp_path / "model.safetensors")
    arrays = load_file(tmp_path / "model.safetensors")
    assert arrays["0.weight"].tolist() == model.weights[:6].reshape(3, 2).tolist()
    assert arrays["0.bias"].tolist() == model.weights[6:].tolist()


def test_a_pinned_file(tmp_path: Path) -> None:
    """These bytes must be read for ever."""
    header = (
        b'{"__metadata__":{"note":"pinned","smidgen_classes":"[\\"no\\", \\"yes\\"]","smidgen_input_shape":"1x1x1",'
        b'"smidgen_spec":"dense 2"},"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}'
    )
    header += b" " * (-len(header) % 8)
    pinned = struct.pack("<Q", len(header)) + header + struct.pack("<4f", 0.5, -0.5, 1.0, 2.0)
    (tmp_path / "pinned").write_bytes(pinned)
    model = load_safetensors(tmp_path / "pinned")
    weights = np.array([1, 2, 0.5, -0.5], np.float32)
    assert_same(model, Model(parse_spec("dense 2"), (1, 1, 1), ("no", "yes"), weights, {"note": "pinned"}))
    save_safetensors(model, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == pinned


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_safetensors(a_model(seed=1), path)
    save_safetensors(a_model(seed=2), path)
    assert_same(load_safetensors(path), a_model(seed=2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_not_saved(value: float, tmp_path: Path) -> None:
    model = a_model("dense 3", (2, 1, 1))
    model.weights[[1, 4]] = value
    with pytest.raises(ModelFileError, match="2 of 9 weights are not finite"):
        save_safetensors(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("only", "two")}, "the data has 2 classes"),
        ({"metadata": {SPEC_KEY: "x"}}, "'smidgen_spec' is the file's own"),
        ({"metadata": {"n": 3}}, "metadata must be text"),
        ({"metadata": {"n": "\udc80"}}, "metadata must be text"),
        ({"weights": np.zeros(3, np.float32)}, r"shape \(9,\)"),
    ],
)
def test_a_model_that_does_not_hold_together_is_not_saved(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=message):
        save_safetensors(replace(a_model("dense 3", (2, 1, 1)), **change), tmp_path / "model")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
