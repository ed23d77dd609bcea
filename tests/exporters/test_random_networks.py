"""Random networks of the whole language: every export gives the classes of the decoded network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exported_networks import needs_cc, network_with_grids, some_images, torch_logits
from quantized_networks import networks
from smidgen.engine.losses import class_logits
from smidgen.errors import RequestError
from smidgen.exporters import classes_by_c, classes_by_js, classes_by_onnx, export_c, export_onnx
from smidgen.exporters.forward import layer_outputs
from smidgen.exporters.javascript import js_module
from smidgen.spec import Dense, NetSpec, Shape

pytestmark = pytest.mark.slow

RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def apart(logits: np.ndarray) -> np.ndarray:
    """Images whose two largest logits differ by more than rounding."""
    ordered = np.sort(logits, axis=1)
    return ordered[:, -1] - ordered[:, -2] > 1e-4 * np.abs(logits).max()


@needs_cc
@RANDOM
@given(networks(), st.sampled_from(["float", "levels", "levels4", "coded"]), st.integers(0, 2**16))
def test_c(network: tuple[NetSpec, Shape], form: str, seed: int) -> None:
    spec, shape = network
    quantized, images = network_with_grids(str(spec), shape, seed=seed), some_images(shape, 40, seed)
    logits = torch_logits(quantized, images)
    with tempfile.TemporaryDirectory() as folder:
        export_c(quantized, Path(folder) / "net.c", form)
        found = classes_by_c(Path(folder) / "net.c", images, ("-O1", "-fsanitize=address,undefined"))
    kept = apart(logits)
    assert np.array_equal(found[kept], logits.argmax(axis=1)[kept])


@needs_cc
@RANDOM
@given(networks(), st.integers(0, 2**16))
def test_c_of_whole_numbers_computes_without_a_fault(network: tuple[NetSpec, Shape], seed: int) -> None:
    spec, shape = network
    quantized, images = network_with_grids(str(spec), shape, seed=seed), some_images(shape, 40, seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            export_c(quantized, Path(folder) / "net.c", "integer", images)
        except RequestError as error:  # a refusal, which names the forms that work
            assume("by too much" not in str(error))
            raise
        found = classes_by_c(Path(folder) / "net.c", images, ("-O1", "-fsanitize=address,undefined"))
    logits = torch_logits(quantized, images)
    clear = apart(logits) & (np.ptp(logits, axis=1) > 0)
    ordered = np.sort(logits, axis=1)
    clear &= ordered[:, -1] - ordered[:, -2] > 0.3 * np.abs(logits).max()  # images that eight bits can tell apart
    assert (found[clear] == logits.argmax(axis=1)[clear]).mean() > 0.8 if clear.any() else True


@RANDOM
@given(networks(), st.integers(0, 2**16))
def test_onnx(network: tuple[NetSpec, Shape], seed: int) -> None:
    pytest.importorskip("onnxruntime")
    spec, shape = network
    quantized, images = network_with_grids(str(spec), shape, seed=seed), some_images(shape, 40, seed)
    logits = torch_logits(quantized, images)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(quantized, Path(folder) / "net.onnx")
        found = classes_by_onnx(Path(folder) / "net.onnx", images)
    kept = apart(logits)
    assert np.array_equal(found[kept], logits.argmax(axis=1)[kept])


@RANDOM
@given(networks(), st.integers(0, 2**16))
def test_the_plain_forward_pass(network: tuple[NetSpec, Shape], seed: int) -> None:
    spec, shape = network
    quantized, images = network_with_grids(str(spec), shape, seed=seed), some_images(shape, 10, seed)
    *_, last = layer_outputs(quantized, images)
    logits = torch_logits(quantized, images)
    np.testing.assert_allclose(
        class_logits(last.reshape(len(images), -1)), logits, rtol=1e-3, atol=1e-4 * np.abs(logits).max()
    )


@needs_cc
@RANDOM
@given(networks(), st.sampled_from(["float", "levels", "coded"]), st.integers(0, 2**16))
def test_one_output_for_two_classes(network: tuple[NetSpec, Shape], form: str, seed: int) -> None:
    """A random network with a head of one output, as C, ONNX and JavaScript."""
    pytest.importorskip("onnxruntime")
    spec, shape = NetSpec((*network[0].layers, Dense(1))), network[1]
    quantized, images = network_with_grids(str(spec), shape, seed=seed), some_images(shape, 40, seed)
    logits = torch_logits(quantized, images)
    with tempfile.TemporaryDirectory() as folder:
        export_c(quantized, Path(folder) / "net.c", form)
        export_onnx(quantized, Path(folder) / "net.onnx")
        found = [classes_by_c(Path(folder) / "net.c", images), classes_by_onnx(Path(folder) / "net.onnx", images)]
    found.append(classes_by_js(js_module(quantized), images))
    kept = apart(logits)
    for classes in found:
        assert np.array_equal(classes[kept], logits.argmax(axis=1)[kept])
