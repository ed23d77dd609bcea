"""Trainings on augmented copies of the images, which are made only if something must be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smidgen.data import with_copies
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

COPIES = 4
"""Copies of each image, the image itself among them."""


def on_copies(
    bench: Bench, context: TrainingContext, teacher: Runs, jobs: Mapping[str, Job], stage: str, prefix: str
) -> dict[str, Runs]:
    """Train jobs that learn from a teacher on augmented copies; one epoch is one pass over all copies."""
    copied = replace(context, dataset=with_copies(context.dataset, COPIES, bench.study.workers))
    learning = replace(copied, teacher_key=teacher.trials[teacher.best].key)
    if not bench.remembers(learning, jobs):
        learning = bench.taught(copied, teacher)
    return bench.train(learning, jobs, stage, prefix)
