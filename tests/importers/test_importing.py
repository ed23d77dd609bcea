"""Networks of Keras and ONNX files become ours: the same outputs, or the layer that cannot be imported by its name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_models
import numpy as np
import pytest

import smidgen
from exported_networks import NETWORKS, network_with_grids
from smidgen.data import Dataset
from smidgen.errors import ModelFileError, RequestError
from smidgen.exporters import export_onnx
from smidgen.importers import Imported
from smidgen.model import as_quantized, encode, open_model
from smidgen.spec import InputSpec
from smidgen.spec.families import family
from smidgen.spec.references import REFERENCES
from smidgen.transforms import fold_batch_norm

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def kept(model: Any, tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    model.save(path)
    return path


def exported(module: Any, shape: tuple[int, ...], tmp_path: Path) -> Path:
    """A torch module as torch's own exporter writes it."""
    path = tmp_path / "model.onnx"
    torch.onnx.export(module.eval(), torch.zeros(1, *shape), str(path), dynamo=False, dynamic_axes={"input": [0]},
                      input_names=["input"])  # fmt: skip
    return path


def assert_equal(found: Imported, text: str = "") -> None:
    assert found.proof.largest_difference < 1e-5
    assert found.proof.agreeing == found.proof.count > 0
    if text:
        assert str(found.model.spec) == text


# --- the networks of MLPerf Tiny --------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("ds_cnn", "ds-cnn"),
        pytest.param("resnet8", "resnet8", marks=pytest.mark.slow),
        pytest.param("mobilenet", "mobilenet-0.25", marks=pytest.mark.slow),
    ],
)
def test_the_networks_of_mlperf_tiny_are_imported_from_keras(build: str, name: str, tmp_path: Path) -> None:
    found = smidgen.import_model(kept(getattr(keras_models, build)(), tmp_path), out=tmp_path / "ours.safetensors")
    assert_equal(found)
    reference, spec = REFERENCES[name], found.model.spec
    assert spec.parameters(found.model.input_shape) == reference.parameters
    assert found.model.input_shape == reference.input_shape
    named = str(family(name, classes=reference.classes))
    assert (
        str(spec)
        .replace(", avgpool 25x5, ", ", globalavgpool, ")
        .replace(", avgpool 8, ", ", globalavgpool, ")
        .replace(", avgpool 3, ", ", globalavgpool, ")
        == named
    )
    assert smidgen.show(tmp_path / "ours.safetensors").parameters == reference.parameters
    assert len(encode(as_quantized(open_model(tmp_path / "ours.safetensors")))) > 4 * reference.parameters


@pytest.mark.parametrize("name", ["ds-cnn", "resnet8", "mobilenet-0.25", "tcn"])
def test_the_reference_networks_are_imported_from_torchs_onnx(name: str, tmp_path: Path) -> None:
    """Torch writes zeros explicitly, as TensorFlow's SAME has them; batch norms are folded, as its exporter does."""
    from random_models import a_model
    from smidgen.engine import torch_engine

    reference = REFERENCES[name]
    text = str(reference.build(reference.width // 2, reference.classes))
    folded = fold_batch_norm(a_model(text, shape=reference.input_shape))
    module = torch_engine.module_of(folded.spec, reference.input_shape, 0.2 * folded.weights)
    found = smidgen.import_model(exported(module, reference.input_shape, tmp_path))
    assert_equal(found, str(folded.spec))


# --- layers -----------------------------------------------------------------------------------


def test_every_layer_of_keras_that_has_one_of_ours(tmp_path: Path) -> None:
    layers = keras.layers
    start = layers.Input((11, 9, 3))
    x = layers.Rescaling(1 / 255)(start)
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(x)
    x = layers.Conv2D(6, 3, activation="relu6")(x)
    x = layers.SeparableConv2D(5, (2, 3), padding="same", activation="leaky_relu")(x)
    x = layers.MaxPooling2D((3, 2), strides=(1, 2))(x)
    x = layers.BatchNormalization(epsilon=1e-5, scale=False)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(max_value=6)(layers.add([y, x]))
    x = layers.AveragePooling2D(2)(layers.Dropout(0.3)(x))
    x = layers.LeakyReLU(negative_slope=0.3)(layers.Dense(7)(x))
    x = layers.Dense(4)(layers.Dropout(0.2)(layers.Flatten()(x)))
    model = keras_models.with_random_weights(keras.Model(start, x))
    found = smidgen.import_model(kept(model, tmp_path))
    assert_equal(
        found,
        "conv 6x3x3 same relu6, depthwise 2x3 same nobias, pointwise 5 leaky_relu(0.2), maxpool 3x2 stride 1x2, "
        "batchnorm, prelu, residual [depthwise 3x3 same nobias] relu6, dropout 0.3, avgpool 2, "
        "pointwise 7 leaky_relu(0.3), dropout 0.2, dense 4",
    )
    assert found.model.input.kind == "image-bytes" and found.model.input.is_stated


def test_signals_and_vectors_of_keras(tmp_path: Path) -> None:
    layers = keras.layers
    signal = keras.Sequential(
        [layers.Input((20, 3)), layers.Conv1D(4, 5, strides=2, padding="same", activation="relu"),
         layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(3)]
    )  # fmt: skip
    found = smidgen.import_model(kept(keras_models.with_random_weights(signal), tmp_path))
    assert_equal(found, "conv 4x1x5 stride 1x2 same relu, maxpool 1x2, dense 3")
    assert found.model.input_shape == (3, 1, 20)
    vector = keras.Sequential([layers.Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(2)])
    assert_equal(
        smidgen.import_model(kept(keras_models.with_random_weights(vector), tmp_path)), "dense 5 relu, dense 2"
    )


def test_a_network_of_torch(tmp_path: Path) -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(4, 6, 3, stride=2, padding=1)
            self.second = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6)
            self.beside = torch.nn.Conv2d(4, 6, 1, stride=2, bias=False)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.second(torch.nn.functional.relu6(self.first(x))) + self.beside(x))

    nn = torch.nn
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.PReLU(4), Block(), nn.AvgPool2d((2, 1)), nn.Identity(),
        nn.Flatten(), nn.Linear(6 * 4 * 8, 5, bias=False), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(1),
    )  # fmt: skip
    found = smidgen.import_model(exported(module, (1, 20, 20), tmp_path))
    assert_equal(
        found,
        "conv 4x5x5, prelu, "
        "residual [conv 6x4x4 stride 2 same relu6, depthwise 3x3 same | pointwise 6 stride 2 nobias] "
        "relu, avgpool 2x1, dense 5 nobias relu, dense 3",
    )
    assert "the kernel of 3x3 became one of 4x4 with zeros at its end" in found.notes[0]


def test_our_own_export_comes_back(tmp_path: Path) -> None:
    from quantized_networks import a_quantized_model
    from smidgen.exporters import export_onnx

    quantized = a_quantized_model("conv 4x3x3 same relu, maxpool 2, batchnorm, pointwise 3, prelu, dense 5", (2, 8, 8))
    tensors = quantized.tensors
    tensors["2.variance"].levels[:] = np.abs(tensors["2.variance"].levels) + 1
    export_onnx(quantized, tmp_path / "ours.onnx")
    assert_equal(smidgen.import_model(tmp_path / "ours.onnx"), str(quantized.spec))


# --- data, files, refusals --------------------------------------------------------------------


def test_the_comparison_is_made_on_data_and_the_file_is_compressed_and_shown(digits: Dataset, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(10)]
    )
    path = kept(keras_models.with_random_weights(model), tmp_path)
    found = smidgen.import_model(path, data=digits, out=True)
    assert found.written_to == tmp_path / "model.safetensors"
    assert found.proof.inputs == f"{len(digits.test.images):,} test examples of digits"
    assert found.proof.correct is not None and found.model.class_names == digits.class_names
    assert smidgen.show(found.written_to).parameters == found.model.spec.parameters((1, 8, 8))
    with pytest.raises(RequestError, match=r"model\.safetensors exists and would be replaced; give another name"):
        smidgen.import_model(path, out=True)
    again = smidgen.import_model(path, out=tmp_path / "small.smidgen")
    assert open_model(tmp_path / "small.smidgen").weights.tobytes() == again.model.weights.tobytes()
    other = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(10)])
    with pytest.raises(RequestError, match="digits has inputs of 1x8x8 and the network takes 3x8x8; give other data"):
        smidgen.import_model(kept(other, tmp_path), data=digits)


@pytest.mark.parametrize("ends", [[], ["sigmoid"]])
def test_one_output_of_keras_is_a_head_for_two_classes(ends: list[str], tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((7,)), layers.Dense(3, activation="relu"), layers.Dense(1), *map(layers.Activation, ends)]
    )
    found = smidgen.import_model(kept(keras_models.with_random_weights(model), tmp_path))
    assert_equal(found, "dense 3 relu, dense 1")
    assert found.model.class_names == ("0", "1")


@pytest.mark.parametrize("last", [[], [torch.nn.Sigmoid()]])
def test_one_output_of_torch_is_a_head_for_two_classes(last: list[Any], tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    module.extend(last)
    found = smidgen.import_model(exported(module, (1, 8, 8), tmp_path))
    assert_equal(found, "dense 3 relu, dense 1")
    assert found.model.class_names == ("0", "1")


def test_one_output_that_smidgen_exported_is_imported_again(tmp_path: Path) -> None:
    quantized = network_with_grids(*NETWORKS["one output"])
    export_onnx(quantized, tmp_path / "ours.onnx")
    assert_equal(smidgen.import_model(tmp_path / "ours.onnx"), str(quantized.spec))


# --- what a network does to its input first ---------------------------------------------------


@pytest.mark.parametrize("kind", ["image-bytes", "image-floats"])
def test_the_scaling_of_our_own_export_comes_back(kind: str, tmp_path: Path) -> None:
    quantized = network_with_grids(*NETWORKS["separable"])
    numbers = {} if kind == "image-bytes" else {"offset": (1.0, -20.0, 0.0), "scale": (2.0, 0.25, 1.0)}
    quantized = replace(quantized, input=InputSpec(kind, quantized.input_shape, **numbers))
    export_onnx(quantized, tmp_path / "ours.onnx")
    found = smidgen.import_model(tmp_path / "ours.onnx")
    assert_equal(found, str(quantized.spec))
    assert found.model.input == quantized.input


def test_the_scaling_of_a_torch_module_and_of_keras_layers_is_read(tmp_path: Path) -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(50, 3)
            self.register_buffer("mean", torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1))
            self.register_buffer("deviation", torch.tensor([4.0, 0.5]).reshape(1, 2, 1, 1))

        def forward(self, x: Any) -> Any:
            return self.head((2 * ((x - self.mean) / self.deviation)).flatten(1))

    found = smidgen.import_model(exported(Scaled(), (2, 5, 5), tmp_path))
    assert_equal(found, "dense 3")
    assert (found.model.input.offset, found.model.input.scale) == ((1.0, 2.0), (0.5, 4.0))
    layer = keras.layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 0.25])
    for first, offset, scale in (
        (layer, (1.0, 2.0), (0.5, 2.0)),
        (keras.layers.Rescaling(1 / 127.5, -1), (127.5, 127.5), (1 / 127.5, 1 / 127.5)),
    ):
        found = smidgen.import_model(kept(keras_network(first), tmp_path))
        assert_equal(found, "dense 3")
        assert found.model.input.offset == pytest.approx(offset) and found.model.input.scale == pytest.approx(scale)


def test_scaling_that_differs_between_columns_is_refused(tmp_path: Path) -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return (x * torch.arange(1.0, 6.0)).mean((2, 3))

    with pytest.raises(
        RequestError, match=r"Mul .* scales by an array \(5,\); give one number a channel, or one for all"
    ):
        smidgen.import_model(exported(Scaled(), (5, 5, 5), tmp_path))


@pytest.mark.parametrize("product", [lambda x: x * x, lambda x: torch.relu(x) * 2.0, lambda x: 1.0 - x])
def test_products_and_differences_inside_a_network_are_refused_by_name(product: Any, tmp_path: Path) -> None:
    class Multiplied(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return product(x).mean((2, 3))

    with pytest.raises(RequestError, match=r"(Mul|Sub) .* has no layer in the spec language; it cannot be imported"):
        smidgen.import_model(exported(Multiplied(), (3, 5, 5), tmp_path))


def keras_network(*layers: Any) -> Any:
    return keras.Sequential([keras.layers.Input((12, 12, 2)), *layers, keras.layers.Flatten(), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda k: [k.LayerNormalization(name="norm")], "LayerNormalization norm has no layer in the spec language"),
        (lambda k: [k.Conv2D(2, 3, dilation_rate=2, name="wide")], "Conv2D wide is dilated; the spec language has no"),
        (lambda k: [k.Conv2D(2, 3, activation="tanh", name="c")], "Conv2D c has the activation tanh; known are linear"),
        (
            lambda k: [k.DepthwiseConv2D(3, depth_multiplier=2, name="d")],
            "DepthwiseConv2D d has a depth multiplier of 2",
        ),
        (
            lambda k: [k.MaxPooling2D(3, strides=2, padding="same", name="p")],
            "MaxPooling2D p pads its map; pools of the",
        ),
        (lambda k: [k.ReLU(name="r")], "ReLU r is an activation after 'the input', which cannot have it"),
        (lambda k: [k.MaxPooling2D(2), k.ReLU(name="r")], "ReLU r is an activation after 'maxpool 2', which cannot"),
        (
            lambda k: [k.ZeroPadding2D(1, name="z"), k.MaxPooling2D(2, name="p")],
            "MaxPooling2D p reads a map with zeros",
        ),
        (lambda k: [k.ZeroPadding2D(((3, 0), (1, 1))), k.Conv2D(2, 3, name="c")], "Conv2D c has a kernel of 3x3"),
        (
            lambda k: [k.Conv2D(2, (13, 2), padding="same", name="c")],
            "Conv2D c cannot be imported: 'conv 2x13x2 same' has",
        ),
        (
            lambda k: [k.Flatten(), k.BatchNormalization(name="b"), k.Reshape((12, 12, 2))],
            "BatchNormalization b reads a",
        ),
        (lambda k: [k.Rescaling(0.0, 1.0, name="s")], "Rescaling s scales the input by 0, which must be above 0"),
        (lambda k: [k.Rescaling(-2.0, name="s")], "Rescaling s scales the input by -2, which must be above 0; scale"),
        (
            lambda k: [k.PReLU(shared_axes=[1, 2]), k.Rescaling(2.0, name="s")],
            "Rescaling s scales a map inside",
        ),
        (lambda k: [k.Normalization(name="n", mean=[0, 1], variance=[1, 2], invert=True)], "Normalization n is invert"),
    ],
)
def test_what_the_language_has_not_is_refused_by_name(layers: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        smidgen.import_model(kept(keras_network(*layers(keras.layers)), tmp_path))


def test_branches_that_do_not_meet_are_refused(tmp_path: Path) -> None:
    layers = keras.layers
    start = layers.Input((8, 8, 2))
    a, b = layers.Conv2D(2, 3, name="one")(start), layers.Conv2D(2, 3, name="two")(start)
    model = keras.Model(start, layers.Dense(2)(layers.Flatten()(layers.concatenate([a, b]))))
    with pytest.raises(RequestError, match=r"Concatenate .* has no layer in the spec language"):
        smidgen.import_model(kept(model, tmp_path))
    c = layers.Conv2D(2, 3, name="three")(start)
    three = keras.Model(start, layers.Dense(2)(layers.Flatten()(layers.add([layers.add([a, b]), c]))))
    with pytest.raises(RequestError, match=r"is read by .*one.*two.*three; a residual has two branches"):
        smidgen.import_model(kept(three, tmp_path))


def test_files_of_other_kinds_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08nonsense")
    with pytest.raises(ModelFileError, match=r"cannot read .*model\.onnx as ONNX"):
        smidgen.import_model(tmp_path / "model.onnx")
    (tmp_path / "model.keras").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match=r"cannot read .*model\.keras as a Keras model"):
        smidgen.import_model(tmp_path / "model.keras")
    with pytest.raises(RequestError, match=r"is not a network that can be imported; give a file in \.onnx or \.keras"):
        smidgen.import_model(tmp_path / "model.pt")


def test_an_operator_of_onnx_that_is_unknown_is_refused_by_name(tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.Sigmoid(), torch.nn.Flatten(), torch.nn.Linear(72, 2)
    )
    with pytest.raises(
        RequestError, match=r"Sigmoid .* is a sigmoid of a map of 2x6x6; only one of one output for two"
    ):
        smidgen.import_model(exported(module, (1, 8, 8), tmp_path))
    module[1] = torch.nn.Tanh()
    with pytest.raises(RequestError, match=r"Tanh .* has no layer in the spec language; it cannot be imported"):
        smidgen.import_model(exported(module, (1, 8, 8), tmp_path))
