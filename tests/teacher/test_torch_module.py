"""torch modules from Python files and in memory; unsafe weights are refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_teachers import expected, outputs_of

from smidgen.data import Dataset
from smidgen.errors import TeacherError
from smidgen.trials.store import Store

NET = """
import torch
from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 10))


def wrong():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))


def broken():
    raise OSError("no disk")


def nothing():
    return 3
"""


@pytest.fixture
def net(tmp_path: Path, weights: tuple[np.ndarray, np.ndarray]) -> Path:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    (tmp_path / "net.py").write_text(NET)
    state = {"2.weight": torch.from_numpy(weights[0].copy()), "2.bias": torch.from_numpy(weights[1].copy())}
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pt")
    save_file(state, tmp_path / "w.safetensors")
    return tmp_path


@pytest.mark.parametrize("file", ["w.pt", "w.safetensors", "checkpoint.pt"])
def test_a_torch_module_of_a_file(
    digits: Dataset, store: Store, net: Path, weights: tuple[np.ndarray, np.ndarray], file: str
) -> None:
    outputs = outputs_of(store, digits, f"{net}/net.py:build", weights=net / file, input="nchw 0..1")
    np.testing.assert_allclose(outputs.logits, expected(weights, digits), atol=1e-4)
    assert outputs.parameters == 650
    assert outputs.name == "net.py:build"


def test_a_torch_module_in_memory_is_put_in_its_mode_for_use(digits: Dataset, store: Store, net: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(64, 10))
    module.load_state_dict(torch.load(net / "w.pt", weights_only=True))
    module.train()
    assert outputs_of(store, digits, module).validation.rate > 0.85


class Danger:
    """What a pickle can do to who reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was-run"),))


def test_bad_torch_files_are_refused(digits: Dataset, store: Store, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(net)
    torch.save({"w": Danger()}, net / "danger.pt")
    cases = {
        ("net.py:build", "danger.pt"): "contains more than tensors, which could run any code",
        ("net.py:build", None): "is untrained; give its trained weights with --weights",
        ("net.py:build", "gone.pt"): "no weights at gone.pt",
        ("net.py:wrong", "w.pt"): "are of another network",
        ("net.py:broken", "w.pt"): "net.py:broken failed: OSError: no disk",
        ("net.py:nothing", "w.pt"): r"returns an int; it must return a torch\.nn\.Module",
        ("net.py:gone", "w.pt"): "failed: AttributeError",
        ("gone.py:build", "w.pt"): "no Python file at gone.py",
    }
    for (source, file), message in cases.items():
        with pytest.raises(TeacherError, match=message):
            outputs_of(store, digits, source, weights=Path(file) if file else None)
    assert not (net / "was-run").exists()


def state_of(weights: tuple[np.ndarray, np.ndarray], prefix: str = "") -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    named = {"2.weight": weights[0], "2.bias": weights[1]}
    return {prefix + name: torch.from_numpy(array.copy()) for name, array in named.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("nested", ["", "state_dict", "model_state_dict"])
def test_checkpoints_as_training_scripts_write_them(
    digits: Dataset, store: Store, net: Path, weights: tuple[np.ndarray, np.ndarray], prefix: str, nested: str
) -> None:
    torch = pytest.importorskip("torch")
    state = state_of(weights, prefix)
    torch.save({nested: state, "epoch": 4, "optimizer_state_dict": {}} if nested else state, net / "c.pt")
    outputs = outputs_of(store, digits, f"{net}/net.py:build", weights=net / "c.pt", input="nchw 0..1")
    np.testing.assert_allclose(outputs.logits, expected(weights, digits), atol=1e-4)
    said = " ".join(outputs.notes)
    assert (f"without the prefix '{prefix}'" in said) == bool(prefix)
    assert (f"under '{nested}'" in said) == bool(nested)


def test_tensors_of_lightning_beside_the_network_are_left_out(
    digits: Dataset, store: Store, net: Path, weights: tuple[np.ndarray, np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    state = {**state_of(weights, "model."), "loss.weight": torch.zeros(10)}
    torch.save({"state_dict": state}, net / "lightning.ckpt")
    outputs = outputs_of(store, digits, f"{net}/net.py:build", weights=net / "lightning.ckpt", input="nchw 0..1")
    np.testing.assert_allclose(outputs.logits, expected(weights, digits), atol=1e-4)


def test_torchs_own_words_name_the_cause(
    digits: Dataset, store: Store, net: Path, weights: tuple[np.ndarray, np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"2.weight": torch.zeros(10, 64)}, net / "half.pt")
    torch.save(state_of((weights[0][:, :32], weights[1])), net / "narrow.pt")
    torch.save({"w": Danger()}, net / "danger.pt")
    (net / "cut.pt").write_bytes((net / "w.pt").read_bytes()[:500])
    (net / "cut.safetensors").write_bytes((net / "w.safetensors").read_bytes()[:500])
    cases = {
        "half.pt": r'are of another network: Missing key\(s\) in state_dict: "2\.bias"',
        "narrow.pt": r"are of another network: size mismatch for 2\.weight",
        "danger.pt": r"is not read \(.*(GLOBAL|Unsupported)",
        "cut.pt": r"cannot read the weights in .*cut\.pt",
        "cut.safetensors": r"cannot read the weights in .*cut\.safetensors",
    }
    for file, message in cases.items():
        with pytest.raises(TeacherError, match=message):
            outputs_of(store, digits, f"{net}/net.py:build", weights=net / file)


def test_a_changed_neighbour_of_the_factory_is_another_teacher(
    net: Path, weights: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from smidgen.teacher.loaders.torch_module import load_torch

    body = NET.replace("nn.Dropout(0.9)", "own_layer()").replace(
        "import torch\n", "import torch\nfrom own_layers import *\n"
    )
    (net / "with_layers.py").write_text(body)
    digests = []
    for factor in (1, 2):
        (net / "own_layers.py").write_text(
            f"from torch import nn\n\ndef own_layer():\n    return nn.Threshold(0, {factor})\n"
        )
        monkeypatch.delitem(sys.modules, "own_layers", raising=False)
        importlib.invalidate_caches()
        digests.append(load_torch(net / "with_layers.py", "build", net / "w.pt").digest)
    assert digests[0] != digests[1]
    monkeypatch.delitem(sys.modules, "own_layers", raising=False)
