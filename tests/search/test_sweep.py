"""A family at several widths: its curve in a table, as CSV and as a picture, and the turning point or its absence."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import is_quiet
from smidgen.cli.sweep import print_sweep
from smidgen.data import Dataset
from smidgen.errors import RequestError, SpecError
from smidgen.records import Recipe, Score
from smidgen.report.csv import sweep_csv
from smidgen.report.run_files import read_manifest
from smidgen.report.sweep_folder import write_sweep
from smidgen.search.frontier import TurningPoint
from smidgen.search.sweep import SweepResult, default_recipe, mean_and_spread, sweep
from smidgen.search.turning_point import turning_point
from smidgen.spec.families import FAMILIES
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.store import Store

RECIPE = Recipe(epochs=2, learning_rate=0.01)
WIDTHS = (4, 1, 2, 4)


@pytest.fixture
def swept(digits: Dataset, own_store: Path) -> SweepResult:
    return sweep(digits, "mlp1", WIDTHS, seeds=2, recipe=RECIPE, store=Store(own_store))


# --- the curve --------------------------------------------------------------------------------


def test_each_width_once_the_smallest_first(swept: SweepResult) -> None:
    assert [row.width for row in swept.widths] == [1, 2, 4]
    for row in swept.widths:
        # 64 inputs and 10 classes: two hidden layers of that width.
        assert row.parameters == 65 * row.width + row.width * (row.width + 1) + 10 * (row.width + 1)
        assert len(row.validation) == len(row.test) == len(row.train_seconds) == 2
    assert (swept.trained, swept.remembered) == (6, 0)
    assert swept.turning_point == turning_point({row.parameters: row.validation for row in swept.widths})


def test_the_scores_are_those_of_each_seed(swept: SweepResult, digits: Dataset) -> None:
    context = TrainingContext(digits)
    for row in swept.widths:
        for seed in (0, 1):
            outcome = evaluate(context, context.trial(row.spec, RECIPE, seed))
            assert row.validation[seed] == outcome.validation
            assert row.test[seed].total == len(digits.test)
    assert len({row.test for row in swept.widths}) > 1


def test_the_same_again_and_a_wider_one_train_only_what_is_new(
    swept: SweepResult, digits: Dataset, own_store: Path
) -> None:
    wider = sweep(digits, "mlp1", [1, 2, 4, 8], seeds=2, recipe=RECIPE, store=Store(own_store))
    assert (wider.trained, wider.remembered) == (2, 6)
    again = sweep(digits, "mlp1", WIDTHS, seeds=2, recipe=RECIPE, store=Store(own_store))
    assert (again.trained, again.remembered) == (0, 6)
    assert [row.test for row in again.widths] == [row.test for row in swept.widths]


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"cnn2"}))
def test_without_a_recipe_each_size_has_its_own(family: str, digits: Dataset, own_store: Path) -> None:
    with Store(own_store) as store:
        result = sweep(digits, family, [2], seeds=1, store=store, workers=1)
        (trial, outcome) = store.rows()[0]
    (row,) = result.widths
    assert trial.recipe == default_recipe(row.parameters, row.spec.macs((1, 8, 8)))
    assert row.validation == (outcome.validation,)
    assert result.turning_point is None, "one size is no curve"


def test_a_family_that_does_not_fit_the_data_is_refused(digits: Dataset, own_store: Path) -> None:
    """Four convolutions of 3x3 and a pool want more than 8x8."""
    with pytest.raises(SpecError, match=r"a kernel of 3x3 and is given a map of 2x2"):
        sweep(digits, "cnn2", [2], store=Store(own_store))


@pytest.mark.parametrize("macs_a_parameter", [1, 100])
def test_larger_networks_get_a_lower_rate_and_no_more_epochs(macs_a_parameter: int) -> None:
    recipes = [default_recipe(count, macs_a_parameter * count) for count in (100, 5_000, 50_000, 1_000_000)]
    rates, epochs = [recipe.learning_rate for recipe in recipes], [recipe.epochs for recipe in recipes]
    assert rates == sorted(rates, reverse=True) and epochs == sorted(epochs, reverse=True)
    assert rates[0] > rates[-1] > 0 and epochs[0] > epochs[-1] >= 1


def test_the_mean_and_the_spread_are_those_of_the_rates() -> None:
    scores = (Score(90, 100), Score(94, 100), Score(95, 100))
    mean, spread = mean_and_spread(scores)
    assert mean == pytest.approx(np.mean([0.9, 0.94, 0.95]))
    assert spread == pytest.approx(np.std([0.9, 0.94, 0.95], ddof=1))
    assert mean_and_spread(scores[:1]) == (0.9, 0.0)


@pytest.mark.parametrize(
    ("family", "widths", "seeds", "message"),
    [
        ("mlp1", [1], 0, r"seeds=0 leave nothing to train"),
        ("mlp1", [1], -3, r"seeds=-3 leave nothing"),
        ("mlp1", [], 3, r"widths=\[\] and seeds=3 leave nothing"),
        ("mlp1", [2, 0], 1, r"width=0 must be at least 1"),
        ("cnn3", [1], 1, r"no family 'cnn3' \(did you mean 'cnn\d'\?\)"),
        ("transformer", [1], 1, r"no family 'transformer'; known: mlp1, mlp2, cnn1, cnn2"),
    ],
)
def test_a_wrong_request_is_refused(
    digits: Dataset, own_store: Path, family: str, widths: list[int], seeds: int, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        sweep(digits, family, widths, seeds=seeds, store=Store(own_store))
    assert Store(own_store).rows() == []


# --- as files and as text -------------------------------------------------------------------


def test_the_csv_has_a_row_a_seed(swept: SweepResult) -> None:
    rows = list(csv.DictReader(io.StringIO(sweep_csv(swept))))
    assert [(row["width"], row["seed"]) for row in rows] == [(w, s) for w in ("1", "2", "4") for s in ("0", "1")]
    for row, (width, seed) in zip(rows, [(w, s) for w in swept.widths for s in (0, 1)], strict=True):
        assert row["family"] == "mlp1"
        assert row["spec"] == str(width.spec)
        assert int(row["parameters"]) == width.parameters
        assert Score(int(row["validation_correct"]), int(row["validation_total"])) == width.validation[seed]
        assert Score(int(row["test_correct"]), int(row["test_total"])) == width.test[seed]


def test_it_writes_a_table_and_a_picture(swept: SweepResult, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    write_sweep(swept, folder)
    assert {path.name for path in folder.iterdir()} == {"sweep.csv", "sweep.png", "run.json"}
    run = read_manifest(folder)["run"]
    table = list(csv.DictReader((folder / "sweep.csv").read_text("utf-8").splitlines()))
    assert {row.pop("run") for row in table} == {run}
    assert table == list(csv.DictReader(sweep_csv(swept).splitlines()))
    with Image.open(folder / "sweep.png") as picture:
        picture.load()
        assert picture.info["Run"] == run
        assert min(picture.size) > 300


def test_a_place_that_cannot_be_written_is_refused_and_left_as_it_is(swept: SweepResult, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("here")
    for folder in (place, place / "below"):
        with pytest.raises(RequestError, match="cannot write to"):
            write_sweep(swept, folder)
    assert place.read_text() == "here"


def test_the_command_prints_the_table_and_names_its_files(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["sweep", "digits", "--family", "mlp2", "--widths", "2,1", "--seeds", "2", "--epochs", "1"]
    said = command(*line)
    assert said.code == 0
    assert is_quiet(said.err)
    assert {path.name for path in Path("runs/digits-mlp2").iterdir()} == {"sweep.csv", "sweep.png", "run.json"}
    assert "mlp2 on digits, 2 seeds for each width" in said.out
    assert "4 trainings, 0 remembered" in said.out
    assert "No turning point" in said.out, "two sizes are no curve"
    rows = list(csv.DictReader(Path("runs/digits-mlp2/sweep.csv").read_text().splitlines()))
    for width in ("1", "2"):
        mine = [row for row in rows if row["width"] == width]
        mean = 100 * np.mean([int(row["test_correct"]) / int(row["test_total"]) for row in mine])
        assert f"{mean:.2f}" in said.out
        assert f" {mine[0]['parameters']} " in said.out
    assert "0 trainings, 4 remembered" in command(*line).out


def test_a_turning_point_is_printed_with_its_range(swept: SweepResult, capsys: pytest.CaptureFixture[str]) -> None:
    print_sweep(replace(swept, turning_point=TurningPoint(932, 0.981, 800, 1200, "a note")))
    assert "Turning point: 932 parameters (800 to 1,200), a note." in " ".join(capsys.readouterr().out.split())
