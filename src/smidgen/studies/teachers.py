"""Our own recipes' teachers, one a data set, and trainings from them on augmented copies of the images.

The teachers are trained on the training split alone and were chosen by validation accuracy. The documents have others.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.data import with_copies
from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.studies.trainings import Bench, Job, Jobs, Runs
from smidgen.trials.evaluate import TrainingContext

MOVED = Augmentation(shift=2, rotation=10, scale=0.1, shear=0.1)
TEACHERS: dict[str, tuple[str, Recipe]] = {
    "mnist": (
        "conv 16x3x3 same nobias, batchnorm, conv 16x3x3 same relu, maxpool 2, "
        "conv 32x3x3 same nobias, batchnorm, conv 32x3x3 same relu, maxpool 2, "
        "conv 64x3x3 relu, maxpool 2, dense 64 relu, dense 10",
        Recipe(optimizer="nesterov", learning_rate=0.05, epochs=8, average=0.995, augment=MOVED),
    ),
    "fashion-mnist": (
        "conv 24x3x3 nobias, batchnorm relu, conv 24x3x3 nobias, batchnorm relu, maxpool 2, "
        "conv 48x3x3 nobias, batchnorm relu, conv 48x3x3 nobias, batchnorm relu, maxpool 2, "
        "dropout 0.25, dense 128 relu, dropout 0.25, dense 10",
        Recipe(optimizer="nesterov", learning_rate=0.1, epochs=10),
    ),
}
COPIES = 4
"""Copies of each image, the image itself among them."""


def teacher_job(context: TrainingContext) -> dict[str, Job]:
    """Return the job of our teacher for this data set; data of another name have MNIST's."""
    text, recipe = TEACHERS.get(context.dataset.name, TEACHERS["mnist"])
    return {f"our teacher, {context.dataset.name}": Job(parse_spec(text), recipe, seeds=1, needed=True)}


def teacher(bench: Bench, context: TrainingContext, prefix: str = "") -> tuple[Runs, TrainingContext]:
    """Train our teacher, and return its runs and the context with its logits."""
    (runs,) = bench.train(context, teacher_job(context), prefix).values()
    return runs, bench.taught(context, runs)


def on_copies(bench: Bench, context: TrainingContext, teacher: Runs, jobs: Jobs, prefix: str) -> dict[str, Runs]:
    """Train on augmented copies of the images; one epoch is a pass over all copies."""
    copied = replace(context, dataset=with_copies(context.dataset, COPIES, bench.study.workers))
    return bench.train(bench.taught(copied, teacher), jobs, prefix) if jobs else {}
