"""A run of all documents: tables, findings, notes, files, the command."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from drawings import TINY, drawings
from smidgen.errors import RequestError
from smidgen.records import Score
from smidgen.studies import DOCUMENTS, Finding, Report, run, wanted, write, write_index
from smidgen.studies.document import cautious
from smidgen.studies.output import CSV_HEAD, markdown
from smidgen.studies.phrases import NOTHING
from smidgen.studies.trainings import EFFORTS, Effort
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.store import Store


def test_every_table_has_its_shape(reports: dict[str, Report]) -> None:
    rows = {name: len(report.rows) for name, report in reports.items()}
    assert rows == {"logit-regression": 10, "width-sweeps": 24, "mimic": 8, "reduce-cnn": 3, "deep-compression": 1}
    for report in reports.values():
        assert len(report.tables[0].rows) == len(report.rows)
        for table in report.tables:
            assert {len(row) for row in table.rows} == {len(table.heads)}, table.title
        assert len({finding.question for finding in report.findings}) == len(report.findings) >= 4
        assert all(finding.answer.strip() for finding in report.findings)
        assert any("not the figures to quote" in note for note in report.notes)
        assert any(note.startswith("Left out: ") for note in report.notes) == (report.name != "deep-compression")


def test_again_it_trains_nothing_and_says_the_same(
    reports: dict[str, Report], tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("smidgen.studies.datasets.classify")
    monkeypatch.delattr("smidgen.data.augment.transformed_copies")
    with Store(tiny_store) as store:
        again = {report.name: report for report in run("all", store=store, data=drawings, effort=TINY)}
    for name, report in again.items():
        assert (report.trained, report.remembered > 0) == (0, True)
        assert report.tables == reports[name].tables
        assert report.findings == reports[name].findings


def test_a_cut_run_says_so_beside_published_figures(reports: dict[str, Report]) -> None:
    cut = "After 5 % of the epochs, so no test of what was published. "
    for report in reports.values():
        compared = [finding.answer for finding in report.findings if finding.against_published]
        assert len(compared) >= 2
        assert all(answer.startswith(cut) or answer == NOTHING for answer in compared)
        assert any(answer.startswith(cut) for answer in compared)
        assert not any(f.answer.startswith(cut) for f in report.findings if not f.against_published)
    finding = Finding("Met?", "Yes.", against_published=True)
    assert cautious(finding, EFFORTS["full"]) is finding


def test_where_epochs_are_cut_nothing_learns_from_the_validation_images(reports: dict[str, Report]) -> None:
    assert not any("all images" in name for report in reports.values() for name in report.runs)


def test_on_all_images_the_validation_images_are_learned_from_too(own_store: Path) -> None:
    whole = Effort("whole", most_seeds=1, row_macs=1.0, epoch_share=1.0, largest_macs=1e12)
    with Store(own_store) as store:
        (report,) = run("reduce-cnn", store=store, data=drawings, effort=whole)
    runs = {name: found for name, found in report.runs.items() if "all images" in name}
    assert list(runs) == ["ours, all images: approach 1", "ours, all images: approach 2"]
    (table,) = (table for table in report.tables if table.heads[-1] == ">60,000 images")
    assert [row[-1] for row in table.rows] == [str(found) for found in runs.values()]
    assert [row[-2] for row in table.rows] == [str(row.ours) for row in report.rows[1:]]


def test_the_scores_are_those_of_the_trials(reports: dict[str, Report]) -> None:
    dataset = drawings("mnist")
    context = TrainingContext(dataset)
    runs = reports["width-sweeps"].runs["document: mlp2, n = 16"]
    assert [trial.seed for trial in runs.trials] == [0, 1]
    for trial, outcome, test, answers in zip(runs.trials, runs.outcomes, runs.test, runs.answers, strict=True):
        assert trial.recipe.epochs == 1, "a twentieth of 20"
        assert outcome.selection == evaluate(context, trial).selection
        assert test == Score(int((answers == dataset.test.labels).sum()), 60)


def test_what_is_written(reports: dict[str, Report], tmp_path: Path) -> None:
    for name, report in reports.items():
        files = write(report, tmp_path)
        assert {path.name for path in (tmp_path / name).iterdir()} == {path.name for path in files}
        rows = list(csv.DictReader(io.StringIO((tmp_path / name / "table.csv").read_text("utf-8"))))
        assert tuple(rows[0]) == CSV_HEAD
        assert len(rows) == sum(len(runs.trials) for runs in report.runs.values())
        assert {row["document"] for row in rows} == {name}
        assert markdown(report.tables[0]) in (tmp_path / name / "table.md").read_text("utf-8")
        for path in files:
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    assert picture.size == (1280, 832)
    index = write_index(list(reports.values()), tmp_path).read_text("utf-8")
    for report in reports.values():
        assert all(finding.answer in index for finding in report.findings)
        assert all(f"({report.name}/{picture.file})" in index for picture in report.pictures)


def test_a_document_that_is_not_known_is_refused() -> None:
    with pytest.raises(RequestError, match=r"no document 'width-sweep' .did you mean 'width-sweeps'"):
        run("width-sweep")
    assert wanted("all") == tuple(DOCUMENTS)


def test_the_command(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reports: dict[str, Report],
    tiny_store: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr("smidgen.arguments.dataset", lambda name, reporter=None: drawings(name))
    monkeypatch.setitem(EFFORTS, "quick", TINY)
    said = command("reproduce", "reduce-cnn", "--quick", "--out", str(tmp_path / "out"), "--store", str(tiny_store))
    assert said.code == 0, said.err
    assert (tmp_path / "out" / "index.md").exists()
    assert max(len(line) for line in said.out.splitlines() if str(tmp_path) not in line) <= 80
    for row in reports["reduce-cnn"].rows:
        assert f"{row.parameters:,}" in said.out
    assert "0 trainings" in said.out
    refused = command("reproduce", "nothing")
    assert (refused.code, refused.out) == (2, "")
    assert "no document 'nothing'" in refused.err
