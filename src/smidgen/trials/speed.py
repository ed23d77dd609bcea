"""How fast this machine trains, measured on networks of the size in question."""

from __future__ import annotations

import time
from collections.abc import Sequence

from smidgen.engine import Examples, choose
from smidgen.records import Recipe
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext

MEASURED_NETWORKS, MEASURED_IMAGES, LEAST_SECONDS = 3, 512, 0.05
"""How many networks are measured, on how many images at a time, and for how long each at least."""


def measured_speed(context: TrainingContext, specs: Sequence[NetSpec]) -> float:
    """Train a small, a middling and a large one of some networks for a moment each.

    Args:
        context: The data and the engine.
        specs: The networks.

    Returns:
        Multiply-accumulates of training that one thread does in a second; all networks see as many images.
    """
    shape, train = context.dataset.input_shape, context.dataset.train
    ordered = sorted(specs, key=lambda spec: spec.macs(shape))
    places = range(0, len(ordered), max(1, (len(ordered) - 1) // (MEASURED_NETWORKS - 1)))
    measured = [ordered[place] for place in places][:MEASURED_NETWORKS]
    examples = Examples(train.images[:MEASURED_IMAGES], train.labels[:MEASURED_IMAGES])
    seconds = sum(_image_seconds(context, spec, examples) for spec in measured)
    return 3.0 * sum(spec.macs(shape) for spec in measured) / seconds


def _image_seconds(context: TrainingContext, spec: NetSpec, examples: Examples) -> float:
    """Seconds of training for one image, in the fastest of several rounds."""
    engine, recipe = choose(context.engine), Recipe(batch_size=64, epochs=1)
    fastest, spent = float("inf"), 0.0
    while spent < LEAST_SECONDS:
        started = time.perf_counter()
        engine.train(spec, recipe, examples, 0)
        seconds = time.perf_counter() - started
        fastest, spent = min(fastest, seconds), spent + seconds
    return fastest / len(examples.images)
