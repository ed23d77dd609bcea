"""The network to imitate: the user's own, or one that is trained here; its logits, computed once.

    smidgen.teacher.external    a teacher of the user's own -> `TeacherOutputs`: logits, scores, what was found out
    smidgen.teacher.loaders      ONNX, Keras, torch, scikit-learn -> numbers in, outputs out
    smidgen.teacher.input_format     how it wants its images: axes and range, given or found
    smidgen.teacher.logits    what it gives -> logits

Logits are aligned with the training images by index, and kept under the teacher's key and the data's digest,
so that no shuffling and no other data set can come between a row and its image.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from smidgen.model import Model
from smidgen.records import Outcome, Recipe, Trial
from smidgen.spec import RELU, Conv, Dense, Dropout, Layer, MaxPool, NetSpec, Shape
from smidgen.teacher.external import Teacher, TeacherOutputs, run_teacher
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.store import Store

__all__ = [
    "Teacher",
    "TeacherOutputs",
    "context_with_model",
    "context_with_teacher",
    "default_recipe",
    "default_spec",
    "run_teacher",
]

TRAINING_STEPS = 1_000
"""Optimizer steps that a teacher takes at least, so that a small data set is seen more often."""


def default_spec(input_shape: Shape, classes: int) -> NetSpec:
    """The layers of the logit-regression document's teacher (1,199,882 parameters on MNIST), fitted to other inputs.

    Its two dropouts are left out: in so few epochs they cost accuracy (MNIST, 2 epochs of the same recipe, one
    seed: 98.64 % on test with them, 98.98 % without).

    A larger map is halved until at most 16 rows and columns, or a single row, reach the dense layers; a map too
    small for two convolutions, or a vector, gets two hidden layers.
    """
    if min(input_shape[1:]) < 6:
        return NetSpec((Dense(256, RELU), Dropout(0.25), Dense(256, RELU), Dropout(0.5), Dense(classes)))
    layers: list[Layer] = [Conv(32, (3, 3), slope=RELU), Conv(64, (3, 3), slope=RELU), MaxPool(2)]
    while max(sides := NetSpec(tuple(layers)).output_shape(input_shape)[1:]) > 16 and min(sides) > 1:
        layers += [Conv(64, (3, 3), same=True, slope=RELU), MaxPool(2)]
    return NetSpec((*layers, Dense(128, RELU), Dense(classes)))


def default_recipe(images: int) -> Recipe:
    """One-cycle Nesterov momentum: 99 % on MNIST in four epochs; more epochs on small data."""
    recipe = Recipe(optimizer="nesterov", learning_rate=0.1, batch_size=128, epochs=4)
    return replace(recipe, epochs=max(recipe.epochs, -(-TRAINING_STEPS // recipe.steps(images))))


def context_with_teacher(
    store: Store, context: TrainingContext, trial: Trial, outcome: Outcome, threads: int = 1
) -> TrainingContext:
    """The same context with this teacher's logits on the training split, from the store when they are there."""
    key = f"{trial.key} {context.dataset.digest} train"
    logits = store.get_array(key)
    if logits is None:
        logits = classify(context, trial.spec, outcome.weights, context.dataset.train, threads)
        store.put_array(key, logits)
    return replace(context, teacher_key=trial.key, teacher_logits=logits)


def context_with_model(store: Store, context: TrainingContext, model: Model, threads: int = 1) -> TrainingContext:
    """The same context with the logits of a network that comes from a file."""
    said = f"{model.spec} {model.input_shape}".encode() + model.weights.tobytes()
    teacher = f"file {hashlib.sha256(said).hexdigest()}"
    key = f"{teacher} {context.dataset.digest} train"
    logits = store.get_array(key)
    if logits is None:
        logits = classify(context, model.spec, model.weights, context.dataset.train, threads)
        store.put_array(key, logits)
    return replace(context, teacher_key=teacher, teacher_logits=logits)
