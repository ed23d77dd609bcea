"""Data of two classes get networks of one output: from the search to every file, and to what users are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smidgen
from searches import SMALL
from smidgen.data import from_arrays
from smidgen.engine import native
from smidgen.exporters import classes_by_c, classes_by_js
from smidgen.exporters.javascript import js_module
from smidgen.model import load_smidgen
from smidgen.records import Recipe
from smidgen.report.page_networks import page_networks
from smidgen.search.result import ShrinkResult
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

TINY = replace(SMALL, first=6, generations=1, children=4, seeds=1, fresh_seeds=1)
RULE = {"floor": 0.9, "rule": "rate", "effort": TINY, "workers": 1}


def days(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Windows of 24 hours of a load, whose evening peak is early or late: float32 [n, 24, 1], and which."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, n)
    hours = np.arange(24)
    peaks = np.exp(-((hours - np.where(y, 20.0, 17.0)[:, None]) ** 2) / 6) + np.exp(-((hours - 9) ** 2) / 8)
    X = random.uniform(0.8, 1.3, (n, 1)) * peaks + random.normal(0, 0.15, (n, 24))
    return X[:, :, None].astype(np.float32), np.array(["winter", "summer"])[y]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray, ShrinkResult]:
    folder = tmp_path_factory.mktemp("days")
    X, y = days()
    found = smidgen.shrink((X, y), **RULE, out=folder / "run", store=folder / "store.sqlite")
    return folder, X, y, found


def test_every_candidate_has_one_output(
    windows: tuple[Path, np.ndarray, np.ndarray, ShrinkResult],
) -> None:
    result = windows[3]
    assert result.is_met and result.test.rate > 0.9
    outputs = {each.trial.spec.output_shape(result.data.input_shape) for each in result.candidates}
    assert outputs == {(1, 1, 1)}
    assert result.data.class_names == ("summer", "winter")


def test_files_give_the_classes_that_were_counted(
    windows: tuple[Path, np.ndarray, np.ndarray, ShrinkResult], tmp_path: Path
) -> None:
    folder, X, y, result = windows
    rows = result.data.test.rows
    for name, score in (("winner.safetensors", result.test), ("winner.smidgen", result.file.test)):
        network = smidgen.load(folder / "run" / name)
        assert network.predict_proba(X).shape == (len(X), 2)
        np.testing.assert_allclose(network.predict_proba(X).sum(axis=1), 1)
        assert int((network.predict(X)[rows] == y[rows]).sum()) == score.correct
    coded, wanted = folder / "run" / "winner.smidgen", network.predict(X)
    assert load_smidgen(coded).class_names == ("summer", "winter")
    given = X.transpose(0, 2, 1)[:, :, None]
    smidgen.export(coded, to="c", form="float", out=tmp_path / "x.c")
    names = np.array(["summer", "winter"])
    assert (names[classes_by_c(tmp_path / "x.c", given)] == wanted).mean() > 0.99
    assert (names[classes_by_js(js_module(load_smidgen(coded)), given)] == wanted).mean() > 0.99


def test_the_report_counts_both_classes(windows: tuple[Path, np.ndarray, np.ndarray, ShrinkResult]) -> None:
    for network in page_networks(windows[3], 0.8):
        assert network.confusion.shape == (2, 2)
        assert int(network.confusion.sum()) == network.outcome.validation.total
        assert int(np.trace(network.confusion)) == network.outcome.validation.correct


def test_the_estimator_gives_two_probabilities() -> None:
    X, y = days(300)
    found = smidgen.SmallestClassifier(floor=0.85, rule="rate", effort="glance").fit(X[:, :, 0], y)
    assert found.spec_.output_shape((24, 1, 1)) == (1, 1, 1)
    assert found.classes_.tolist() == ["summer", "winter"]
    probabilities = found.predict_proba(X[:, :, 0])
    assert probabilities.shape == (300, 2)
    np.testing.assert_array_equal(found.predict(X[:, :, 0]), found.classes_[probabilities.argmax(axis=1)])
    assert found.score(X[:, :, 0], y) > 0.85


def test_a_stored_training_of_two_outputs_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = TrainingContext(from_arrays(*days(100)))
    trials = [context.trial(parse_spec(f"dense 3 relu, dense {outputs}"), Recipe(epochs=2), 0) for outputs in (1, 2)]
    assert trials[0].key != trials[1].key
    with Store(tmp_path / "store.sqlite") as store:
        first = Study(store, 1).run(context, trials, "both")
    monkeypatch.setattr(native, "train", lambda *_, **__: pytest.fail("it was trained again"))
    with Store(tmp_path / "store.sqlite") as store:
        again = Study(store, 1).run(context, trials, "both")
    for one, other in zip(first, again, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes() and one.selection == other.selection


@pytest.mark.slow
def test_breast_cancer_gets_a_head_of_one_output(tmp_path: Path) -> None:
    cancer = pytest.importorskip("sklearn.datasets").load_breast_cancer()
    result = smidgen.shrink(
        (cancer.data, cancer.target), floor=0.95, rule="rate", effort="quick", store=tmp_path / "s.sqlite"
    )
    assert result.is_met
    assert {each.trial.spec.output_shape((30, 1, 1))[0] for each in result.candidates} == {1}
    assert result.outcome.parameters <= 31  # those of logistic regression
