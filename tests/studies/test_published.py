"""The tables of what the documents state, against what the studies count and train with."""

from __future__ import annotations

from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawings import SHAPE, TINY
from smidgen import studies
from smidgen.records import OPTIMIZERS, Augmentation
from smidgen.spec import Dropout, parse_spec
from smidgen.studies import Report, deep_compression, logit_regression, mimic, reduce_cnn, teachers, width_sweeps
from smidgen.studies.deep_compression_networks import BIAS_LEVELS
from smidgen.studies.published import checked, figures, otherwise, published, settings
from smidgen.studies.shortest_files import AIMS
from smidgen.studies.trainings import Job

MODULES = {
    module.DOCUMENT.name: module for module in (logit_regression, width_sweeps, mimic, reduce_cnn, deep_compression)
}
Jobs = dict[str, Job]
ALWAYS = ("loss", "optimizer", "learning_rate", "schedule", "epochs", "batch_size")
WHERE_NOT_ZERO = ("label_weight", "patience", "average")
TEACHERS = {
    ("logit-regression", "taken"): logit_regression.LARGEST,
    ("mimic", "taken"): "CNN (teacher)",
    ("deep-compression", "taken"): f"the trained {deep_compression.TEACHER}",
}
"""Who teaches by the document's recipe; by ours it is our own CNN."""


def jobs_of(document: str) -> dict[str, Jobs]:
    """The jobs of a document's rows, by the column of recipes.csv."""
    match document:
        case "logit-regression":
            teacher = {logit_regression.LARGEST: logit_regression.teacher_of_the_document()}
            losses, made = logit_regression.LOSSES, logit_regression.loss_jobs()
            ours = {f"h = {h}, {loss}": made[f"{loss}, h = {h}"] for h in logit_regression.HIDDEN for loss in losses}
            whole = logit_regression.whole_jobs(np.zeros(0, np.float32))
            ours |= {f"fine-tuned, {name}": job for name, job in whole.items()}
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
    taken = {
        f"{name}, {stage}": Job(net.spec, recipe)
        for name, net in deep_compression.NETS.items()
        for stage, recipe in (("trained", net.training), ("pruned", net.pruning), ("shared", net.sharing))
    }
    ours = {f"{name}, shortest file": Job(parse_spec(aim.text), aim.recipe) for name, aim in AIMS.items()}
    return {"taken": taken, "ours": ours}


def text_of(value: object) -> str:
    """A setting in the words of recipes.csv."""
    if isinstance(value, Augmentation):
        return ", ".join(f"{each.name} {number:g}" for each in fields(value) if (number := getattr(value, each.name)))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def settings_of(document: str, column: str, job: Job) -> dict[str, str]:
    """What a job is trained by, without what it does not use."""
    recipe, used = job.recipe, [*ALWAYS]
    used += [name for name in WHERE_NOT_ZERO if getattr(recipe, name)]
    used += ["temperature"] * (recipe.loss == "kl") + ["augment"] * (recipe.augment != Augmentation())
    found = {name: text_of(getattr(recipe, name)) for name in used}
    if rates := [layer.rate for layer in job.spec.layers if isinstance(layer, Dropout)]:
        found["dropout"] = " and ".join(map(text_of, rates))
    if recipe.optimizer in ("sgd", "nesterov"):
        found["momentum"] = text_of(OPTIMIZERS[recipe.optimizer].momentum)
    if recipe.needs_teacher:
        network, _ = teachers.TEACHERS["fashion-mnist" if document == "mimic" else "mnist"]
        ours = f"our CNN of {parse_spec(network).parameters(SHAPE):,} parameters"
        found["teacher"] = TEACHERS.get((document, column), ours)
    return found


def same(cell: str, found: str) -> bool:
    """Whether a cell says what was found, a number in any form."""
    number = cell.replace(".", "").isdigit() and found.replace(".", "").isdigit()
    return float(cell) == float(found) if number else cell == found


COMPARED = {*ALWAYS, *WHERE_NOT_ZERO, "temperature", "augment", "dropout", "momentum", "teacher"}
CASES = [
    (document, column, name) for document in MODULES for column, jobs in jobs_of(document).items() for name in jobs
]


@pytest.mark.parametrize(("document", "column", "name"), CASES)
def test_each_setting_of_a_job_is_that_of_the_table(document: str, column: str, name: str) -> None:
    jobs = jobs_of(document)[column]
    found = settings_of(document, column, jobs[name])
    cells = {each.setting: getattr(each, column) for each in settings(document) if fnmatchcase(name, each.rows)}
    for setting, value in found.items():
        cell = cells.get(setting, "")
        if cell == "by size":
            others = {settings_of(document, column, job).get(setting) for job in jobs.values()}
            assert len(others) > 1, setting
        elif cell or column != "notebook":
            assert same(cell, value), (setting, cell, value)
    for setting in (cells.keys() & COMPARED) - found.keys():
        by_labels = column == "ours" and setting == "teacher" and found["loss"] == "labels"
        adams_first_beta = setting == "momentum" and cells[setting] == "0.9"
        assert cells[setting] in ("", "0", "by size") or by_labels or adams_first_beta, (setting, cells[setting])


def test_each_row_matches_one_setting_of_a_kind() -> None:
    for document in MODULES:
        for column, jobs in jobs_of(document).items():
            for name in jobs:
                kinds = [each.setting for each in settings(document) if fnmatchcase(name, each.rows)]
                assert len(kinds) == len(set(kinds)), (document, column, name)


def test_the_settings_beside_the_recipes_are_those_of_the_table() -> None:
    for document in MODULES:
        assert only(document, "training_images").taken == str(width_sweeps.IMAGES)
    assert only("reduce-cnn", "copies of each image").ours == str(teachers.COPIES)
    assert only("deep-compression", "copies of each image").ours == str(teachers.COPIES)
    assert only("deep-compression", "rounds").taken == str(deep_compression.ROUNDS)
    assert only("deep-compression", "rounds of k-means").taken == str(deep_compression.K_MEANS_ROUNDS)
    assert 2 ** int(only("deep-compression", "bits of a bias").taken) == 2 * BIAS_LEVELS + 2
    adam, keras = (OPTIMIZERS[name] for name in ("adam", "adam-keras"))
    assert (adam.epsilon, keras.epsilon) == (1e-8, 1e-7), "as the reason in reduce-cnn says"


def only(document: str, setting: str) -> Any:
    (found,) = (each for each in settings(document) if each.setting == setting)
    return found


def test_what_is_not_as_stated_has_its_reason() -> None:
    for document in MODULES:
        for each in settings(document):
            if each.taken and each.taken != each.stated:
                assert each.why, each
            if each.ours and each.ours != each.taken:
                assert each.why, each
            assert len(otherwise(document, each.rows)) <= 130 or document == "deep-compression", "it has no such column"


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
    assert {4: "; four differ: "}[len(DIFFERING)] in page, "the page says how many"
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
