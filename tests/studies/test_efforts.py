"""What the efforts of the command leave of the documents' jobs, on data of the published size."""

from __future__ import annotations

from dataclasses import replace

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


@pytest.fixture
def context() -> TrainingContext:
    """Data of 50,000 training images, which nothing reads."""
    data = drawings("mnist")
    whole = Split.lazy(lambda: pytest.fail("read"), (IMAGES, *SHAPE), np.uint8, np.zeros(IMAGES, np.int32))
    return TrainingContext(replace(data, train=whole))


def rows_of(document: str) -> dict[str, Job]:
    """The jobs of a document's rows by its own recipe, students on frozen layers as the whole."""
    match document:
        case "logit-regression":
            heads = logit_regression.student_jobs()
            whole = {name: replace(job, spec=logit_regression.student(int(name[4:]))) for name, job in heads.items()}
            return {logit_regression.LARGEST: logit_regression.teacher_of_the_document(), **whole}
        case "width-sweeps":
            return width_sweeps.jobs("document")
        case "mimic":
            return mimic.documents_jobs(with_teacher=False) | mimic.documents_jobs(with_teacher=True)
        case "reduce-cnn":
            return reduce_cnn.documents_jobs()
    return {}


def fitted(bench: Bench, context: TrainingContext, effort: Effort, jobs: dict[str, Job]) -> dict[str, Job | None]:
    bench.effort = effort
    return {name: bench.fit(context, job) for name, job in jobs.items()}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_in_full_a_row_with_a_published_figure_has_ten_seeds(
    document: str, bench: Bench, context: TrainingContext
) -> None:
    stated = {name: job for name, job in rows_of(document).items() if optional(document, name, "test accuracy")}
    for name, job in fitted(bench, context, EFFORTS["full"], stated).items():
        assert job is not None, name
        assert job.seeds >= (3 if name in GIANTS else 10), name


def test_in_full_the_notebooks_recipe_has_ten_seeds_too(bench: Bench, context: TrainingContext) -> None:
    for job in fitted(bench, context, EFFORTS["full"], reduce_cnn.documents_jobs(reduce_cnn.NOTEBOOK)).values():
        assert job is not None
        assert job.seeds == 10
