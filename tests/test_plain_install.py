"""What an installation without matplotlib and Pillow does: everything but pictures, and it says what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Said, assert_refused
from smidgen.model import Model, save_safetensors
from smidgen.spec import parse_spec

PIP = "pip install 'smidgen[plots]'"


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither matplotlib nor Pillow can be imported."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("matplotlib", "PIL")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("matplotlib", "PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, name, None)


def text(said: Said) -> str:
    return " ".join(said.out.split())


def test_a_search_writes_its_page_and_its_files_without_pictures(
    command: Callable[..., Said], known_store: Path, small: None, without_extras: None, work: Path
) -> None:
    said = command("shrink", "digits", "--floor", "0.9", "--effort", "quick")
    assert said.code == 0
    assert f"no pictures were drawn, because matplotlib is not installed; {PIP}" in text(said)
    names = {path.name for path in (work / "runs" / "digits-0.9-quick").iterdir()}
    assert {"report.html", "winner.smidgen", "winner.csv", "trials.csv", "run.json"} <= names
    assert not [name for name in names if name.endswith(".png")]
    manifest = json.loads((work / "runs" / "digits-0.9-quick" / "run.json").read_text())
    assert set(manifest["files"]) == names - {"run.json"}


def test_a_sweep_and_a_look_at_data_say_it_too(command: Callable[..., Said], without_extras: None, work: Path) -> None:
    said = command("sweep", "digits", "--family", "mlp1", "--widths", "1", "--seeds", "1", "--epochs", "1")
    assert PIP in text(said)
    assert "sweep.png" not in said.out
    said = command("data", "show", "digits")
    assert (said.code, PIP in text(said)) == (0, True)
    assert_refused(command("reproduce", "mimic", "--quick"), PIP)


def test_a_picture_needs_pillow(command: Callable[..., Said], without_extras: None, work: Path) -> None:
    spec = parse_spec("dense 10")
    save_safetensors(Model(spec, (1, 8, 8), tuple("0123456789"), np.zeros(650, np.float32)), work / "net.safetensors")
    (work / "a.png").write_bytes(b"")
    said = command("predict", "net.safetensors", "a.png")
    assert_refused(said, "without pillow, which is not installed; pip install 'smidgen[images]'")


def test_nothing_of_the_extras_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    code = (
        "import sys, smidgen, smidgen.api, smidgen.cli\n"
        "smidgen.sweep('digits', family='mlp1', widths=(1,), seeds=1, epochs=1)\n"
        "unwanted = {'matplotlib', 'PIL', 'pandas', 'pydantic', 'sklearn', 'torch'}\n"
        "print(sorted(unwanted & sys.modules.keys()))"
    )
    environment = {**os.environ, "SMIDGEN_STORE": str(tmp_path / "store.sqlite")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
