"""ONNX files: onnxruntime computes the decoded network's logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exported_networks import NETWORKS, network_with_grids, some_images, torch_logits
from quantized_networks import GOLDEN
from smidgen.data import Dataset
from smidgen.errors import RequestError
from smidgen.exporters import classes_by_onnx, export, export_onnx, onnx_bytes
from smidgen.exporters.targets import network_inputs
from smidgen.model import Model, QuantizedModel, as_quantized, decode, save_smidgen
from smidgen.spec import parse_spec


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_computes_the_decoded_networks_logits(network: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    quantized = network_with_grids(*NETWORKS[network])
    images, path = some_images(quantized.input_shape), tmp_path / "network.onnx"
    assert export_onnx(quantized, path) == path.stat().st_size
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"image": images.astype(np.float32)})[0]
    np.testing.assert_allclose(found, torch_logits(quantized, images), rtol=1e-4, atol=1e-5)
    assert np.array_equal(classes_by_onnx(path, images), found.argmax(axis=1))


def test_onnx_is_one_file_of_an_opset_that_runtimes_read(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    quantized = decode((GOLDEN / "v1-digits.smidgen").read_bytes())
    export_onnx(quantized, tmp_path / "network.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    model = onnx.load(tmp_path / "network.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert stored["0.weight.levels"] == onnx.TensorProto.INT8
    assert onnx_bytes(quantized) == (tmp_path / "network.onnx").read_bytes()


def test_onnx_holds_the_weights_of_a_repeat_once() -> None:
    onnx = pytest.importorskip("onnx")
    quantized = network_with_grids(*NETWORKS["repeated"])
    graph = onnx.load_from_string(onnx_bytes(quantized)).graph
    names = [tensor.name for tensor in graph.initializer]
    assert len(names) == len(set(names))
    assert sum(node.op_type == "Conv" for node in graph.node) == 7


def test_a_model_in_full_precision_is_exported_as_it_is(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    spec = parse_spec("dense 2")
    weights = np.arange(10, dtype=np.float32) / 7
    quantized = as_quantized(Model(spec, (1, 2, 2), ("a", "b"), weights))
    graph = onnx.load_from_string(onnx_bytes(quantized)).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert stored["0.weight"].tobytes() + stored["0.bias"].tobytes() == weights.tobytes()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_rounded_form_gives_nearly_the_same_classes(network: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    quantized, path = network_with_grids(*NETWORKS[network], bits=8), tmp_path / "network.onnx"
    images = some_images(quantized.input_shape, 260)
    assert export_onnx(quantized, path, "int8", images[:200]) == path.stat().st_size
    agreeing = classes_by_onnx(path, images[200:]) == torch_logits(quantized, images[200:]).argmax(axis=1)
    assert agreeing.mean() >= 0.9


def test_the_rounded_form_stores_whole_numbers_alone() -> None:
    onnx = pytest.importorskip("onnx")
    quantized = network_with_grids(*NETWORKS["convolutions"])
    content = onnx_bytes(quantized, "int8", some_images(quantized.input_shape, 20))
    graph = onnx.load_from_string(content).graph
    kinds = {
        tensor.name.rpartition(".")[2]: tensor.data_type for tensor in graph.initializer if "bias" not in tensor.name
    }
    assert kinds["levels"] == kinds["zero"] == onnx.TensorProto.INT8
    assert {tensor.data_type for tensor in graph.initializer if "bias.levels" in tensor.name} == {
        onnx.TensorProto.INT32
    }
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) == 4, "the input and all layers but the last"


def test_the_rounded_form_needs_data_and_other_forms_are_refused() -> None:
    quantized = network_with_grids(*NETWORKS["one layer"])
    with pytest.raises(RequestError, match="--form int8 needs training data; give --data"):
        onnx_bytes(quantized, "int8")
    with pytest.raises(RequestError, match="--form levels is not a form of --to onnx; use one of float, int8"):
        onnx_bytes(quantized, "levels")


@pytest.mark.parametrize("form", ["float", "int8"])
def test_the_metadata_have_the_accuracy_that_was_counted(
    trained: QuantizedModel, digits: Dataset, form: str, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    save_smidgen(trained, tmp_path / "digits.smidgen")
    made = export(tmp_path / "digits.smidgen", to="onnx", form=form, data=digits)
    notes = {each.key: each.value for each in onnx.load(made.path).metadata_props}
    assert made.proof is not None and made.size_bytes == made.path.stat().st_size
    accuracy = json.loads(notes["accuracy"])
    assert accuracy == {
        "data": "digits",
        "split": "test",
        "correct": made.proof.correct,
        "n": made.proof.images,
        "runner": "onnxruntime",
    }
    assert json.loads(notes["classes"]) == list(digits.class_names)
    inputs = network_inputs(trained, digits, digits.train.images)
    assert made.path.read_bytes() == onnx_bytes(trained, form, inputs, {"accuracy": notes["accuracy"]})
    assert made.proof.agreeing >= (1 if form == "float" else 0.98) * made.proof.images
