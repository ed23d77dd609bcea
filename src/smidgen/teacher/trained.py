"""The teacher that is trained here, and the training context of networks that learn from a network's logits.

Logits are aligned with the training images by index. The store keeps them under the teacher's key and the digest of the
data, so that neither a shuffle nor another data set can separate a row from its image.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

from smidgen.model import Model
from smidgen.records import Augmentation, Outcome, Recipe, Trial, Weights
from smidgen.spec import RELU, Conv, Dense, Dropout, Layer, MaxPool, NetSpec, Shape
from smidgen.transforms import with_input
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.store import Store

MIN_STEPS = 700
"""Optimizer steps that a teacher takes at least; a small data set is repeated more often for it."""
EPOCHS, LEAST_EPOCHS, USUAL_IMAGES = 5, 2, 250_000
"""Epochs, fewer for so many images that it would see more than this number of them, but at least two."""
PARAMETERS_AN_IMAGE = 24
"""Parameters that a teacher may have at most for each training image."""
LEAST_MACS, MACS_A_VALUE = 2_000_000, 100
"""Multiply-accumulates for one image that any teacher may have, and that it may have for each value of an image."""
WIDTHS = (16, 12, 8, 6, 4, 3, 2, 1)
"""Channels of the first layer, from which all other widths follow."""
BLOCKS, LAST_SIDE = 3, 4
"""Convolutions with a pool after each: at least so many, and more until no side of the map is longer than this."""
SIGNAL_KERNEL, SIGNAL_POOL = 5, 4
"""Kernel and pool of a teacher for signals, along time."""
LEAST_SIDE = 4
"""Maps with a shorter side, but signals, are too small for convolutions."""
AVERAGE = 0.998
"""Decay of the averaged weights, about the last quarter of the steps."""
ROTATION, SCALE, SHIFT_SHARE = 5.0, 0.05, 1 / 28
"""How far training pictures are moved: degrees, a share of the size, and a share of the shorter side. Twice as far is
as good on MNIST (99.29 and 99.28 % on validation), and worse on Fashion-MNIST (89.4 and 90.7 %:
`results/2026-11-29-labels-beside-a-teacher`)."""
MOST_SHIFT = 64
"""Pixels that an augmentation shifts at most."""


def default_spec(input_shape: Shape, classes: int, images: int) -> NetSpec:
    """Choose the teacher's layers: a small convolutional network, narrower where there are few images.

    On MNIST it has 23,002 parameters. A network that has learned its training images by heart gives them the logits of
    their labels and teaches little else.

    Args:
        input_shape: (channels, height, width).
        classes: The number of outputs.
        images: The number of training images.
    """
    most, most_macs = PARAMETERS_AN_IMAGE * images, max(LEAST_MACS, MACS_A_VALUE * math.prod(input_shape))
    specs = (_spec_of_width(input_shape, classes, width) for width in WIDTHS)
    fitting = (spec for spec in specs if spec.parameters(input_shape) <= most and spec.macs(input_shape) <= most_macs)
    return next(fitting, _spec_of_width(input_shape, classes, WIDTHS[-1]))


def _spec_of_width(input_shape: Shape, classes: int, width: int) -> NetSpec:
    """The teacher's layers, from the number of channels of the first one.

    A vector, or a map too small for convolutions, gets two hidden layers.
    """
    sides = input_shape[1:]
    if not (min(sides) >= LEAST_SIDE or _is_signal(input_shape)):
        hidden = Dense(8 * width, RELU)
        return NetSpec((hidden, Dropout(0.25), hidden, Dropout(0.5), Dense(classes)))
    layers: list[Layer] = []
    block = 1
    while max(sides) > 1 and (block <= BLOCKS or max(sides) > LAST_SIDE):
        pool = tuple(min(side, SIGNAL_POOL if sides[0] == 1 else 2) for side in sides)
        kernel = (1, SIGNAL_KERNEL) if sides[0] == 1 else (3, 1) if sides[1] == 1 else (3, 3)
        layers += [Conv(min(block, BLOCKS) * width, kernel, same=True, slope=RELU), MaxPool((pool[0], pool[1]))]
        sides = (sides[0] // pool[0], sides[1] // pool[1])
        block += 1
    return NetSpec((*layers, Dense(classes)))


def _is_signal(input_shape: Shape) -> bool:
    """Whether an input is a signal long enough for convolutions along time."""
    return input_shape[1] == 1 and input_shape[2] >= SIGNAL_POOL**2


def default_recipe(images: int, input_shape: Shape) -> Recipe:
    """Choose the teacher's recipe: one-cycle Adam with averaged weights, on pictures that are moved a little.

    Args:
        images: The number of training images; on few images there are more epochs.
        input_shape: (channels, height, width); only pictures are moved.
    """
    shift = min(MOST_SHIFT, SHIFT_SHARE * min(input_shape[1:]))
    moved = Augmentation(shift=shift, rotation=ROTATION, scale=SCALE)
    augment = moved if min(input_shape[1:]) >= LEAST_SIDE else Augmentation()
    recipe = Recipe(learning_rate=0.01, batch_size=128, average=AVERAGE, augment=augment)
    usual = max(LEAST_EPOCHS, min(EPOCHS, USUAL_IMAGES // max(1, images)))
    return replace(recipe, epochs=max(usual, -(-MIN_STEPS // recipe.steps(images))))


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
