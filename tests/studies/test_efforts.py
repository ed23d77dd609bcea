"""What the efforts of the command leave of the documents' jobs, on data of the published size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drawings import SHAPE, drawings
from smidgen.data import Split
from smidgen.studies import DOCUMENTS, logit_regression, mimic, reduce_cnn, width_sweeps
from smidgen.studies.published import optional
from smidgen.studies.trainings import EFFORTS, Bench, Effort, Job
from smidgen.studies.width_sweeps import IMAGES
from smidgen.trials.evaluate import TrainingContext

GIANTS = {"DNN 3 x 2000", "SNN"}
LEFT_OUT = {
    "logit-regression": {"fine-tuned, h = 6", "anew, h = 6", "ours, fine-tuned: h = 6"},
    "width-sweeps": {"cnn1, n = 32", "cnn2, n = 32"},
    "mimic": GIANTS | {"ablation: SNN, labels", "ablation: SNN, KL"},
    "reduce-cnn": set[str](),
}
"""The jobs that `--quick` leaves out, as docs/how-to/reproduce.md says."""
FEATURES = (9216, 1, 1)
"""What the heads of logit-regression are trained on: the outputs of the teacher's convolutions."""


def context_of(shape: tuple[int, int, int] = SHAPE) -> TrainingContext:
    """Data of 50,000 training images of a shape, which nothing reads."""
    data = drawings("mnist")
    whole = Split.lazy(lambda: pytest.fail("read"), (IMAGES, *shape), np.uint8, np.zeros(IMAGES, np.int32))
    return TrainingContext(replace(data, train=whole))


def rows_of(document: str) -> dict[str, Job]:
    """The jobs of a document's rows by its own recipe."""
    match document:
        case "logit-regression":
            teacher = {logit_regression.LARGEST: logit_regression.teacher_of_the_document()}
            return teacher | logit_regression.student_jobs()
        case "width-sweeps":
            return width_sweeps.jobs("document")
        case "mimic":
            return mimic.documents_jobs(with_teacher=False) | mimic.documents_jobs(with_teacher=True)
        case "reduce-cnn":
            return reduce_cnn.documents_jobs()
    return {}


def others_of(document: str) -> dict[str, Job]:
    """The document's jobs beside its rows: its comparisons, its notebook's recipe, and ours."""
    match document:
        case "logit-regression":
            compared = logit_regression.compared_jobs(np.zeros(0, np.float32))
            whole = logit_regression.whole_jobs(np.zeros(0, np.float32))
            compared |= {f"ours, fine-tuned: {name}": job for name, job in whole.items()}
            return logit_regression.frozen_jobs() | logit_regression.loss_jobs() | compared
        case "width-sweeps":
            return width_sweeps.jobs("distilled")
        case "mimic":
            both = (False, True)
            notebook = {n: job for each in both for n, job in mimic.notebook_jobs(with_teacher=each).items()}
            ablation = {f"ablation: {n}": job for n, job in mimic.ablation_jobs(mimic.ABLATION_EPOCHS).items()}
            return mimic.loss_jobs() | notebook | mimic.our_jobs() | ablation
        case "reduce-cnn":
            return reduce_cnn.documents_jobs(reduce_cnn.NOTEBOOK)
    return {}


def fitted(bench: Bench, effort: Effort, jobs: Mapping[str, Job]) -> dict[str, Job | None]:
    """The jobs within an effort, None for those it leaves out; heads of logit-regression are trained on features."""
    bench.effort = effort
    images, features = context_of(), context_of(FEATURES)
    heads = {str(logit_regression.head(h, rate)) for h in logit_regression.HIDDEN for rate in logit_regression.DROPOUTS}
    return {name: bench.fit(features if str(job.spec) in heads else images, job) for name, job in jobs.items()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_in_full_a_row_with_a_published_figure_has_ten_seeds(document: str, bench: Bench) -> None:
    stated = {name: job for name, job in rows_of(document).items() if optional(document, name, "test accuracy")}
    for name, job in fitted(bench, EFFORTS["full"], stated).items():
        assert job is not None, name
        assert job.seeds >= (3 if name in GIANTS else 10), name


def test_in_full_the_notebooks_recipe_has_ten_seeds_too(bench: Bench) -> None:
    for job in fitted(bench, EFFORTS["full"], others_of("reduce-cnn")).values():
        assert job is not None
        assert job.seeds == 10


@pytest.mark.parametrize("document", LEFT_OUT)
def test_quick_leaves_out_what_the_document_says(document: str, bench: Bench) -> None:
    jobs = {**others_of(document), **rows_of(document)}
    assert {name for name, job in fitted(bench, EFFORTS["quick"], jobs).items() if job is None} == LEFT_OUT[document]
    assert all(fitted(bench, EFFORTS["full"], jobs).values()), "nothing is left out in full"


def test_the_document_names_each_row_that_quick_leaves_out() -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/reproduce.md").read_text("utf-8")
    (said,) = re.findall(r"`--quick` leaves out (.+?)\n\n", text, re.DOTALL)
    assert "DNN 3 x 2000 and SNN of mimic" in " ".join(said.split())
    assert "cnn1 and cnn2 of width 32" in " ".join(said.split())
