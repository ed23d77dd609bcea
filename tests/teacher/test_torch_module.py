"""torch modules from Python files and in memory; unsafe weights are refused."""

from __future__ import annotations

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
