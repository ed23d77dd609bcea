"""TensorFlow Lite files: LiteRT's interpreter computes the decoded network's classes."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

from exported_networks import NETWORKS, network_with_grids, some_images, torch_logits
from smidgen.data import Dataset
from smidgen.errors import RequestError
from smidgen.exporters import classes_by_tflite, export, export_tflite
from smidgen.model import QuantizedModel, save_smidgen


@pytest.mark.parametrize("form", ["float", "int8"])
@pytest.mark.parametrize("network", NETWORKS)
def test_litert_gives_the_decoded_networks_classes(network: str, form: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    quantized, path = network_with_grids(*NETWORKS[network], bits=8), tmp_path / "network.tflite"
    images = some_images(quantized.input_shape, 260)
    assert export_tflite(quantized, path, form, images[:200]) == path.stat().st_size
    agreeing = classes_by_tflite(path, images[200:]) == torch_logits(quantized, images[200:]).argmax(axis=1)
    assert agreeing.mean() >= (1 if form == "float" else 0.9)


def test_the_export_is_proved_on_the_test_images(trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    save_smidgen(trained, tmp_path / "digits.smidgen")
    for form in ("float", "int8"):
        made = export(tmp_path / "digits.smidgen", to="tflite", form=form, data=digits)
        assert made.proof is not None
        assert made.proof.runner == "ai-edge-litert"
        assert made.proof.agreeing >= (1 if form == "float" else 0.98) * made.proof.images


def test_a_missing_package_or_missing_data_is_told(
    trained: QuantizedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="--form int8 needs training data; give --data"):
        export_tflite(trained, tmp_path / "a.tflite", "int8")
    with pytest.raises(RequestError, match="--form levels is not a form of --to tflite; use one of float, int8"):
        export_tflite(trained, tmp_path / "a.tflite", "levels")
    known = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name == "tflite":
            raise ImportError(name)
        return known(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RequestError, match=r"pip install 'smidgen\[tflite\]'"):
        export_tflite(trained, tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())
