"""Exports of a file, as the command line and Python ask for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported_networks import needs_cc
from smidgen.data import Dataset, from_arrays
from smidgen.errors import RequestError, RunError
from smidgen.exporters import Export, export
from smidgen.model import QuantizedModel, dequantize, save_safetensors, save_smidgen


@needs_cc
def test_export_writes_and_proves(trained: QuantizedModel, command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    said = command("export", str(path), "--to", "c", "--form", "coded", "--data", "digits")
    assert (said.code, said.err) == (0, "")
    assert f"{path.with_suffix('.c')}" in said.out.replace("\n", "")
    assert "test images get the decoded network's class" in said.out
    save_safetensors(dequantize(trained), tmp_path / "whole.safetensors")
    assert command("export", str(tmp_path / "whole.safetensors"), "--to", "c", "--form", "float").code == 0
    refused = command("export", str(path), "--to", "tflite")
    assert (refused.code, refused.err) == (2, "smidgen: --to tflite is not known; use one of onnx, c, safetensors\n")


@needs_cc
def test_an_export_says_what_was_proved(trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    made = export(path, to="c", data=digits)
    header = made.path.with_suffix(".h")
    assert made.path == tmp_path / "digits.c"
    assert made.size_bytes == made.path.stat().st_size + header.stat().st_size
    assert made.proof is not None
    assert made.proof.images == made.proof.agreeing == len(digits.test)
    assert made.proof.correct == made.proof.network_correct > 0.85 * len(digits.test)


def test_an_export_without_data_is_not_run(trained: QuantizedModel, tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    made = export(path, to="safetensors", out=tmp_path / "whole.safetensors")
    assert made == Export(tmp_path / "whole.safetensors", (tmp_path / "whole.safetensors").stat().st_size)


def test_data_of_floating_point_numbers_is_refused_before_anything_is_written(
    trained: QuantizedModel, tmp_path: Path
) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    rng = np.random.default_rng(0)
    floats = from_arrays(rng.random((200, 8, 8), np.float32), np.arange(200) % 10, name="floats")
    with pytest.raises(RequestError, match="floats has floating-point numbers; omit --data"):
        export(tmp_path / "digits.smidgen", to="c", data=floats)
    assert [path.name for path in tmp_path.iterdir()] == ["digits.smidgen"]


@needs_cc
def test_an_export_that_differs_from_the_network_is_an_error(
    trained: QuantizedModel, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    monkeypatch.setattr("smidgen.exporters.targets.classes_by_c", lambda _path, images: np.full(len(images), 10))
    with pytest.raises(RunError, match=r"digits\.c differs from the decoded network on \d+ of \d+ images; report it"):
        export(tmp_path / "digits.smidgen", to="c", data=digits)
