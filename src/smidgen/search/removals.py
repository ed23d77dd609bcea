"""Which channel of a trained network is missed least: each is left out in turn, and the losses are compared.

The loss is that on training images; no validation image takes part. Harm is the rise of the loss for each parameter
that is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from smidgen.engine import choose, cross_entropy
from smidgen.engine.losses import class_logits
from smidgen.model import Model, as_quantized, dequantize
from smidgen.spec import Repeat, Residual, is_weighted
from smidgen.transforms import without_biases, without_channels
from smidgen.transforms.channel_groups import ChannelGroup
from smidgen.transforms.channels import hidden_groups
from smidgen.trials.evaluate import TrainingContext

Loss = Callable[[Model], float]

LOSS_IMAGES = 1_000
"""Training images (the first N) on which the loss after a removal is computed."""


def loss_on_first(context: TrainingContext, model: Model) -> float:
    """The mean cross-entropy of the labels on the first training images."""
    first = context.dataset.train.first(LOSS_IMAGES)
    logits = choose(context.engine).predict(model.spec, model.weights, first.images)
    return cross_entropy(class_logits(logits), first.labels)


def least_harmful_of_each_layer(loss: Loss, model: Model, workers: int) -> list[Model]:
    """The network without one channel or without the biases of one layer: of each layer the least harmful, in order.

    Args:
        loss: What is to stay low; it is called on threads.
        model: The network.
        workers: Threads.
    """
    groups = hidden_groups(model.spec.plan(model.input_shape))
    fewer = (without_each_channel(model, group) for group in groups if group.width > 1)
    options = [*fewer, *_without_biases(model)]
    losses = losses_of(loss, [model, *(one for smaller in options for one in smaller)], workers)
    return _by_harm(losses[0], iter(losses[1:]), model, options)


def losses_of(loss: Loss, models: Iterable[Model], workers: int) -> list[float]:
    """The loss of each network, on so many threads."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(loss, models))


def without_each_channel(model: Model, group: ChannelGroup) -> list[Model]:
    """The network without each channel of one group in turn."""
    whole, place = as_quantized(model), group.producers[0]
    return [dequantize(without_channels(whole, {place: [channel]})) for channel in range(group.width)]


def _by_harm(before: float, losses: Iterator[float], model: Model, options: Iterable[list[Model]]) -> list[Model]:
    """The least harmful network of each option, in the order of the harm, by the losses of all of them in order."""
    best = []
    for smaller in options:
        harms = [(next(losses) - before) / (model.weights.size - one.weights.size) for one in smaller]
        least = int(np.argmin(harms))
        best.append((harms[least], smaller[least]))
    return [one for _, one in sorted(best, key=lambda pair: pair[0])]


def _without_biases(model: Model) -> Iterator[list[Model]]:
    """The network without the biases of one layer, for each layer that has some and stands in no block."""
    if any(isinstance(layer, Repeat | Residual) for layer in model.spec.layers):
        return
    for place, layer in enumerate(model.spec.layers):
        if is_weighted(layer) and layer.bias:
            yield [without_biases(model, place)]
