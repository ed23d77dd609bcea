"""The notebooks in `examples/` run from top to bottom and write the files that they name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smidgen
from smidgen.data import Dataset
from smidgen.trials.store import Store, default_path

EXAMPLES = Path(__file__).parent.parent / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples come with the source, not with the package")


def cells_of(notebook: str) -> list[tuple[str, list[str]]]:
    """(code, tags) of each code cell of a notebook."""
    cells = json.loads((EXAMPLES / notebook).read_text())["cells"]
    return [("".join(c["source"]), c["metadata"].get("tags", [])) for c in cells if c["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
@pytest.mark.filterwarnings("ignore::smidgen.estimator.FloorWarning")  # the search is cut short here
def test_bring_your_own(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small: None
) -> None:
    for package in ("torch", "sklearn"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    has_keras = importlib.util.find_spec("keras") is not None
    names: dict[str, Any] = {}
    for code, tags in cells_of("bring_your_own.ipynb"):
        if has_keras or "keras" not in tags:
            exec(compile(code, "bring_your_own.ipynb", "exec"), names)
    said = capsys.readouterr().out
    assert "takes its images as" in said
    files = ["torch", *(["keras"] if has_keras else [])]
    for kind in files:
        network = smidgen.load(f"digits-from-{kind}.smidgen")
        right = float((network.predict(digits.test.images) == digits.test.labels).mean())
        assert right > 0.85
        assert len(network.model.weights) < 150_000 / 20
    assert np.array_equal(names["clf"].classes_, np.arange(10))
    with Store(default_path()) as store:
        assert store.rows()


def test_notebooks_are_stored_without_output() -> None:
    for path in EXAMPLES.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None
