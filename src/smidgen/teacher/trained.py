"""The teacher that is trained here, and the training context of networks that learn from a network's logits.

Logits are aligned with the training images by index. The store keeps them under the teacher's key and the digest of the
data, so that neither a shuffle nor another data set can separate a row from its image.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from smidgen.model import Model
from smidgen.records import Outcome, Recipe, Trial, Weights
from smidgen.spec import RELU, Conv, Dense, Dropout, Layer, MaxPool, NetSpec, Shape
from smidgen.transforms import with_input
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.store import Store

MIN_STEPS = 1_000
"""Optimizer steps that a teacher takes at least; a small data set is repeated more often for it."""
FEW_IMAGES = 20_000
"""With fewer images a teacher is trained by Adam: narrow networks often die of the larger steps of Nesterov momentum
(360 pictures, 5,169 parameters: 33 % of three classes)."""
MAX_DENSE_SIDE = 16
"""Rows or columns of a map that the dense layers take at most."""
PARAMETERS_AN_IMAGE = 24
"""Parameters that a teacher may have for each training image: as many as the document's has on MNIST's 50,000."""
WIDTHS = (32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Channels of the first layer, from which all other widths follow; the first is the document's."""


def default_spec(input_shape: Shape, classes: int, images: int) -> NetSpec:
    """Choose the teacher's layers: those of the logit-regression document, narrower where there are fewer images.

    On MNIST it has the document's 1,199,882 parameters. A network with thousands of parameters for each image would
    learn the images by heart, slowly, and teach little.

    Args:
        input_shape: (channels, height, width).
        classes: The number of outputs.
        images: The number of training images.
    """
    most = PARAMETERS_AN_IMAGE * images
    specs = (_spec_of_width(input_shape, classes, width) for width in WIDTHS)
    fitting = (spec for spec in specs if spec.parameters(input_shape) <= most)
    return next(fitting, _spec_of_width(input_shape, classes, WIDTHS[-1]))


def _spec_of_width(input_shape: Shape, classes: int, width: int) -> NetSpec:
    """The teacher's layers, from the number of channels of the first one.

    The document's two dropouts are left out: in so few epochs they cost accuracy (MNIST, 2 epochs of the same recipe,
    one seed: 98.64 % on test with them, 98.98 % without). A larger map is halved until at most 16 rows and columns, or
    a single row, reach the dense layers. A map too small for two convolutions, or a vector, gets two hidden layers.
    """
    if min(input_shape[1:]) < 6:
        hidden = Dense(8 * width, RELU)
        return NetSpec((hidden, Dropout(0.25), hidden, Dropout(0.5), Dense(classes)))
    layers: list[Layer] = [Conv(width, (3, 3), slope=RELU), Conv(2 * width, (3, 3), slope=RELU), MaxPool(2)]
    while max(sides := NetSpec(tuple(layers)).output_shape(input_shape)[1:]) > MAX_DENSE_SIDE and min(sides) > 1:
        layers += [Conv(2 * width, (3, 3), same=True, slope=RELU), MaxPool(2)]
    return NetSpec((*layers, Dense(4 * width, RELU), Dense(classes)))


def default_recipe(images: int) -> Recipe:
    """Choose the teacher's recipe: one-cycle Nesterov momentum, which reaches 99 % on MNIST in four epochs.

    Args:
        images: The number of training images; on few images there are more epochs, by Adam.
    """
    recipe = Recipe(optimizer="nesterov", learning_rate=0.1, batch_size=128, epochs=4)
    if images < FEW_IMAGES:
        recipe = replace(recipe, optimizer="adam", learning_rate=0.01)
    return replace(recipe, epochs=max(recipe.epochs, -(-MIN_STEPS // recipe.steps(images))))


def context_with_teacher(
    store: Store, context: TrainingContext, trial: Trial, outcome: Outcome, threads: int = 1
) -> TrainingContext:
    """Add the logits of a trained network on the training split, from the store if they are there.

    Args:
        store: Where the logits are kept.
        context: The data to learn from.
        trial: The training of the teacher.
        outcome: Its result.
        threads: Threads that compute logits which the store does not have.
    """
    return _with_logits(store, context, trial.key, trial.spec, outcome.weights, threads)


def context_with_model(store: Store, context: TrainingContext, model: Model, threads: int = 1) -> TrainingContext:
    """Add the logits of a model on the training split, from the store if they are there.

    Args:
        store: Where the logits are kept.
        context: The data to learn from.
        model: A model that was read from a file or made from another.
        threads: Threads that compute logits which the store does not have.
    """
    model = with_input(model, context.dataset.input)
    content = f"{model.spec} {model.input_shape}".encode() + model.weights.tobytes()
    key = f"file {hashlib.sha256(content).hexdigest()}"
    return _with_logits(store, context, key, model.spec, model.weights, threads)


def _with_logits(
    store: Store, context: TrainingContext, teacher_key: str, spec: NetSpec, weights: Weights, threads: int
) -> TrainingContext:
    key = f"{teacher_key} {context.dataset.digest} train"
    logits = store.get_array(key)
    if logits is None:
        logits = classify(context, spec, weights, context.dataset.train, threads)
        store.put_array(key, logits)
    return replace(context, teacher_key=teacher_key, teacher_logits=logits)
