"""Trainings on moved copies of the images, made only if something must be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smidgen.data.augment import promised, with_copies
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

COPIES = 4
"""Of each image, the first as it is."""


def on_copies(
    bench: Bench, context: TrainingContext, teacher: Runs, jobs: Mapping[str, Job], stage: str, prefix: str
) -> dict[str, Runs]:
    """The runs of jobs that learn from a teacher on moved copies. An epoch of theirs is one pass over all copies."""
    promise = promised(context.dataset, COPIES)
    taught = replace(context, dataset=promise, teacher_key=teacher.trials[teacher.best].key)
    if not bench.remembers(taught, jobs):
        made = with_copies(context.dataset, COPIES, bench.study.workers)
        taught = bench.taught(replace(context, dataset=made), teacher)
    return bench.train(taught, jobs, stage, prefix)
