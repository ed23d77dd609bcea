"""ONNX files: onnxruntime computes the decoded network's logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exported_networks import NETWORKS, network_with_grids, some_images, torch_logits
from quantized_networks import GOLDEN
from smidgen.exporters import (
    classes_by_onnx,
    export_onnx,
    onnx_bytes,
)
from smidgen.model import (
    Model,
    as_quantized,
    decode,
)
from smidgen.spec import parse_spec


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_computes_the_decoded_networks_logits(network: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    quantized = network_with_grids(*NETWORKS[network])
    images, path = some_images(quantized.input_shape), tmp_path / "network.onnx"
    assert export_onnx(quantized, path) == path.stat().st_size
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"image": images.astype(np.float32) / np.float32(255)})[0]
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
