"""The teachers of our own recipes, one a data set; the documents have teachers of their own.

They are trained on the training split alone and were chosen by validation accuracy.
"""

from __future__ import annotations

from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

TEACHERS: dict[str, tuple[str, Recipe]] = {
    "mnist": (
        "conv 16x3x3 same nobias, batchnorm, conv 16x3x3 same relu, maxpool 2, "
        "conv 32x3x3 same nobias, batchnorm, conv 32x3x3 same relu, maxpool 2, "
        "conv 64x3x3 relu, maxpool 2, dense 64 relu, dense 10",
        Recipe(
            optimizer="nesterov",
            learning_rate=0.05,
            epochs=8,
            average=0.995,
            augment=Augmentation(shift=2, rotation=10, scale=0.1, shear=0.1),
        ),
    ),
    "fashion-mnist": (
        "conv 24x3x3 nobias, batchnorm relu, conv 24x3x3 nobias, batchnorm relu, maxpool 2, "
        "conv 48x3x3 nobias, batchnorm relu, conv 48x3x3 nobias, batchnorm relu, maxpool 2, "
        "dropout 0.25, dense 128 relu, dropout 0.25, dense 10",
        Recipe(optimizer="nesterov", learning_rate=0.1, epochs=10),
    ),
}


def teacher_job(context: TrainingContext) -> dict[str, Job]:
    """Return the job of our teacher for this data set; data of another name have MNIST's."""
    text, recipe = TEACHERS.get(context.dataset.name, TEACHERS["mnist"])
    return {f"our teacher, {context.dataset.name}": Job(parse_spec(text), recipe, seeds=1, needed=True)}


def teacher(bench: Bench, context: TrainingContext, stage: str, prefix: str = "") -> tuple[Runs, TrainingContext]:
    """Train our teacher, and return its runs and the context with its logits."""
    (runs,) = bench.train(context, teacher_job(context), stage, prefix).values()
    return runs, bench.taught(context, runs)
