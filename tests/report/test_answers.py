"""What Python users do with an answer: look at it, draw it, export it, change its network."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import smidgen
from exported_networks import needs_cc
from smidgen.errors import RequestError, SpecError
from smidgen.report.answer import Answer
from smidgen.report.csv import trials_csv
from smidgen.search.result import ShrinkResult
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import evaluate


@pytest.fixture(scope="module")
def found(answer: ShrinkResult) -> Answer:
    return Answer.of(answer)


def test_it_is_short_in_a_console(found: Answer) -> None:
    assert repr(found) == f"<Answer: {found.headline}>"


def test_it_is_drawn_as_its_picture_is(found: Answer, tmp_path: Path) -> None:
    figure = found.plot()
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    assert f"{found.outcome.parameters:,} parameters" in figure.axes[0].get_title("left")


def test_its_page_is_written(found: Answer, tmp_path: Path) -> None:
    path = found.report(tmp_path / "page.html")
    assert found.headline.split(" on ")[0] in path.read_text("utf-8")
    with pytest.raises(RequestError, match="cannot write"):
        found.report(tmp_path / "missing" / "page.html")


def test_its_frame_has_the_rows_of_the_table(found: Answer) -> None:
    pytest.importorskip("pandas")
    frame = found.to_frame()
    head, *rows = csv.reader(trials_csv(found).splitlines())
    assert [*frame.columns] == head
    assert len(frame) == len(rows)
    assert [*frame["key"]] == [row[-1] for row in rows]
    assert frame["parameters"].dtype == np.int64


def test_what_is_missing_is_named(found: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RequestError, match=r"needs pandas: .*; pip install 'smidgen\[frames\]'"):
        found.to_frame()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"needs matplotlib: .*; pip install 'smidgen\[plots\]'"):
        found.plot()


@needs_cc
def test_it_is_exported_and_proved(found: Answer, tmp_path: Path) -> None:
    made = found.export(tmp_path / "net.c", form="float", prove=True)
    assert made.proof is not None
    assert made.proof.agreeing == made.proof.images == found.test.total
    assert found.export(tmp_path / "net.js").path.read_text("utf-8")
    with pytest.raises(RequestError, match=r"net\.bin names no target; give to=, one of onnx, tflite, c, "):
        found.export(tmp_path / "net.bin")


def test_an_edited_network_is_trained_as_the_winner_was(found: Answer) -> None:
    same = found.retrain(found.winner.spec)
    assert same.trial == found.context.trial(found.winner.spec, found.winner.recipe, found.winner.seed)
    outcome = evaluate(found.context, same.trial)
    assert same.outcome.weights.tobytes() == outcome.weights.tobytes()
    wider = found.retrain(found.winner.spec.edited(0, "conv 4x3x3 same relu"), seed=3)
    assert wider.trial.spec.layers[0] == parse_spec("conv 4x3x3 same relu").layers[0]
    assert wider.trial.seed == 3
    assert str(wider).endswith(f"on validation, {wider.outcome.parameters:,} parameters")
    with pytest.raises(SpecError, match="has 10 classes"):
        found.retrain("dense 3")


def test_a_spec_is_edited_layer_by_layer() -> None:
    spec = smidgen.parse_spec("conv 2x3x3 relu, maxpool 2, dense 10")
    assert str(spec.edited(0, "conv 3x5x5 relu")) == "conv 3x5x5 relu, maxpool 2, dense 10"
    assert str(spec.edited(-1, "dense 8 relu", "dense 10")) == "conv 2x3x3 relu, maxpool 2, dense 8 relu, dense 10"
    assert str(spec.edited(1)) == "conv 2x3x3 relu, dense 10"
    with pytest.raises(SpecError, match="has 3 layers and none at 3"):
        spec.edited(3)
    with pytest.raises(SpecError, match="maxpol"):
        spec.edited(1, "maxpol 2")
