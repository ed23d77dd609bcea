"""The tables of what the documents state, against what the studies count and train with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from drawings import TINY
from smidgen import studies
from smidgen.records import Recipe
from smidgen.studies import Report, deep_compression, logit_regression, mimic, reduce_cnn, width_sweeps
from smidgen.studies.published import checked, figures, otherwise, published, settings
from smidgen.studies.trainings import Job

MODULES = {
    module.DOCUMENT.name: module for module in (logit_regression, width_sweeps, mimic, reduce_cnn, deep_compression)
}
Jobs = dict[str, Job]


def jobs_of(document: str) -> dict[str, Jobs]:
    """The jobs of a document's rows, by the column of recipes.csv."""
    match document:
        case "logit-regression":
            teacher = {logit_regression.LARGEST: logit_regression.teacher_of_the_document()}
            losses, made = logit_regression.LOSSES, logit_regression.loss_jobs()
            ours = {f"h = {h}, {loss}": made[f"{loss}, h = {h}"] for h in logit_regression.HIDDEN for loss in losses}
            return {"taken": teacher | logit_regression.student_jobs(), "ours": ours}
        case "width-sweeps":
            return {"taken": width_sweeps.jobs("document"), "ours": width_sweeps.jobs("distilled")}
        case "mimic":
            both = (False, True)
            taken = {name: job for each in both for name, job in mimic.documents_jobs(with_teacher=each).items()}
            notebook = {name: job for each in both for name, job in mimic.notebook_jobs(with_teacher=each).items()}
            return {"taken": taken, "notebook": notebook, "ours": mimic.our_jobs()}
        case "reduce-cnn":
            notebook = reduce_cnn.documents_jobs(reduce_cnn.NOTEBOOK)
            return {"taken": reduce_cnn.documents_jobs(), "notebook": notebook, "ours": reduce_cnn.our_jobs()}
    return {}


def said(jobs: Mapping[str, Job], name: str, setting: str) -> str:
    """A setting of a job in the words of recipes.csv; "by size" where the other jobs have other values."""
    value = getattr(jobs[name].recipe, setting)
    return str(value) if isinstance(value, str) else f"{value:g}"


RECIPE_FIELDS = {field.name for field in fields(Recipe)}
CASES = [
    (document, column, name) for document in MODULES for column, jobs in jobs_of(document).items() for name in jobs
]


@pytest.mark.parametrize(("document", "column", "name"), CASES)
def test_each_setting_of_a_recipe_is_that_of_the_table(document: str, column: str, name: str) -> None:
    jobs = jobs_of(document)[column]
    mine = [each for each in settings(document) if fnmatchcase(name, each.rows) and each.setting in RECIPE_FIELDS]
    for each in mine:
        expected, found = getattr(each, column), said(jobs, name, each.setting)
        if expected == "by size":
            assert len({said(jobs, other, each.setting) for other in jobs}) > 1, each
        elif expected or column == "taken":
            number = expected.replace(".", "").isdigit()
            assert (float(found) == float(expected)) if number else (found == expected), each
    if column == "taken":
        told = {each.setting for each in mine}
        assert told >= {"loss", "optimizer", "learning_rate", "schedule", "epochs", "batch_size"} or "teacher" in name


def test_each_row_matches_one_setting_of_a_kind() -> None:
    for document in MODULES:
        for column, jobs in jobs_of(document).items():
            for name in jobs:
                kinds = [each.setting for each in settings(document) if fnmatchcase(name, each.rows)]
                assert len(kinds) == len(set(kinds)), (document, column, name)


def test_dropout_and_images_are_those_of_the_table(reports: dict[str, Report]) -> None:
    assert float(only("logit-regression", "dropout").taken) == logit_regression.DROPOUT
    assert not any("dropout" in str(job.spec) for job in width_sweeps.jobs("document").values())
    for document in MODULES:
        assert only(document, "training_images").taken == str(width_sweeps.IMAGES)


def only(document: str, setting: str) -> Any:
    (found,) = (each for each in settings(document) if each.setting == setting)
    return found


def test_what_is_not_as_stated_has_its_reason() -> None:
    for document in MODULES:
        for each in settings(document):
            if each.taken and each.taken != each.stated:
                assert each.why, each
            assert len(otherwise(document, each.rows)) <= 130


def test_the_reports_train_by_these_recipes(reports: dict[str, Report]) -> None:
    prefixes = {"taken": "document: ", "notebook": "notebook: "}
    compared = 0
    for document in ("width-sweeps", "mimic", "reduce-cnn"):
        for column, prefix in prefixes.items():
            for name, job in jobs_of(document).get(column, {}).items():
                runs = reports[document].runs.get(prefix + name)
                cut = replace(job.recipe, epochs=max(1, round(job.recipe.epochs * TINY.epoch_share)))
                for trial in runs.trials if runs else ():
                    assert trial.recipe == cut
                    compared += 1
    assert compared >= 40


DIFFERING = {
    ("logit-regression", "teacher, h = 128", "share of both convolutions"): "1.57 %",  # 1.568 % was cut, not rounded
    ("width-sweeps", "cnn2, n = 2", "times smaller"): "1,287",
    ("deep-compression", "LeNet-300-100", "size before"): "1,066 KB",
    ("deep-compression", "LeNet-5", "size before"): "1,724 KB",
}


def test_what_can_be_counted_is_what_was_published() -> None:
    found = {
        (name, figure.row, figure.name): count
        for name, module in MODULES.items()
        for figure, count in checked(name, module.counted())
        if figure.shown != count
    }
    assert found == DIFFERING
    page = (Path(__file__).parents[2] / "docs/how-to/reproduce.md").read_text("utf-8")
    assert {4: "\nfour differ: "}[len(DIFFERING)] in page, "the page says how many"
    for network, before in (("LeNet-300-100", "1,070 KB"), ("LeNet-5", "1,720 KB")):
        count = DIFFERING["deep-compression", network, "size before"]
        assert f"{10 * round(float(count[:-3].replace(',', '')) / 10):,} KB" == before, "rounded to tens"


MEASURED = {
    *("test accuracy", "training accuracy", "time", "time of a sweep", "floor", "target", "reference error", "error"),
    *("size", "times smaller", "kept weights", "bits of an index", "bits of an index in Huffman code"),
    *("bits of a gap in Huffman code", "share of float32", "bytes of the shortest file", "error of the shortest file"),
    "phone error rate",
}
"""Figures that need a training, or that the studies read; all others must be counted."""


def test_every_other_figure_is_counted() -> None:
    for name, module in MODULES.items():
        counted = module.counted()
        left = {figure.name for figure in figures(name) if (figure.row, figure.name) not in counted}
        assert left <= MEASURED | ({"parameters"} if name == "mimic" else set()), "of TIMIT in mimic"
        assert len({(figure.row, figure.name) for figure in figures(name)}) == len(figures(name))
        assert all(figure.place and figure.table for figure in figures(name))


def test_no_published_accuracy_stands_in_the_code_a_second_time() -> None:
    folder = Path(studies.__file__).parent
    code = "\n".join(path.read_text("utf-8") for path in [*folder.glob("*.py"), *folder.glob("pages/*.j2")])
    distinct = [each for name in MODULES for each in figures(name) if each.unit in ("%", "MiB") and len(each.text) > 4]
    assert len(distinct) > 15
    for figure in distinct:
        assert figure.text not in code, figure
        assert f"{figure.value:.6g}" not in code, figure


def test_a_figure_that_is_not_stated_is_an_error() -> None:
    assert published("mimic", "CNN (teacher)", "time") == 16 * 60 + 30
    assert published("logit-regression", "h = 6", "test accuracy") == 0.9626
    with pytest.raises(KeyError, match="has no figure 'accuracy' of 'h = 6' in logit-regression"):
        published("logit-regression", "h = 6", "accuracy")
