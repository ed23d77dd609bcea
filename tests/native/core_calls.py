"""Calls of the core with arguments that fit, of which a test changes some."""

from __future__ import annotations

import numpy as np

from smidgen import _core

NETWORK = {
    "layers": [
        {"kind": "CONV", "out": 2, "kernel": (3, 3), "bias": True, "slope": 0.0},
        {"kind": "MAX_POOL", "kernel": (2, 2)},
        {"kind": "DENSE", "out": 3, "bias": True},
    ],
    "input_shape": [1, 6, 6],
    "weights": np.zeros(47, np.float32),
    "batch_size": 8,
    "threads": 2,
    "seed": 0,
    "instruction_set": "",
}
BATCH = {
    "images": np.zeros((5, 1, 6, 6), np.uint8),
    "labels": np.zeros(5, np.int32),
    "targets": np.zeros((5, 3), np.float32),
    "inverse_std": np.ones(3, np.float32),
    "order": np.arange(5, dtype=np.uint32),
    "loss": {"kind": "SQUARED", "temperature": 1.0, "label_weight": 0.5},
}
TRAIN = BATCH | {
    "rates": np.ones(1, np.float32),
    "optimizer": {"kind": "ADAM", "momentum": 0.9, "beta2": 0.9, "epsilon": 1e-8},
    "average": 0.9,
    "affine_maps": np.tile(np.eye(2, 3, dtype=np.float32), (5, 1, 1)),
}
START = {
    "weights": np.zeros(47, np.float32),
    "fixed": np.zeros(47, np.uint8),
    "tied": np.full(47, -1, np.int32),
    "codebook": np.zeros(47, np.int32),
    "levels": [np.array([-1, 0, 1], np.float32)],
    "costs": [np.zeros(3, np.float32)],
}
GRADIENT = BATCH | {"out": np.zeros(47, np.float32)}
PREDICT = {"images": BATCH["images"], "first": 0, "logits": np.zeros((5, 3), np.float32)}


def network_of(**changes):
    """The network of NETWORK, changed."""
    settings = NETWORK | changes
    layers = [core_struct(_core.Layer, _core.LayerKind, layer) for layer in settings["layers"]]
    return _core.Network(**(settings | {"layers": layers}))


def core_struct(struct, kinds, settings):
    """A struct of the core from a dict; its kind is the name of a member of `kinds`."""
    return struct(kinds[settings["kind"]], **{name: value for name, value in settings.items() if name != "kind"})


def core_examples(images, labels, targets, inverse_std):
    return _core.Examples(images, labels, targets=targets, inverse_std=inverse_std)


def train(network, **changes):
    """Train with the arguments of TRAIN, changed."""
    images, labels, targets, inverse_std, order, loss, rates, optimizer, average, maps = (TRAIN | changes).values()
    return network.train(
        core_examples(images, labels, targets, inverse_std),
        order=order,
        rates=rates,
        loss=core_struct(_core.Loss, _core.LossKind, loss),
        optimizer=core_struct(_core.Optimizer, _core.OptimizerKind, optimizer),
        average=average,
        affine_maps=maps,
    )


def gradient(network, **changes):
    """Compute a gradient with the arguments of GRADIENT, changed."""
    images, labels, targets, inverse_std, order, loss, out = (GRADIENT | changes).values()
    loss = core_struct(_core.Loss, _core.LossKind, loss)
    return network.gradient(core_examples(images, labels, targets, inverse_std), order=order, loss=loss, out=out)


def start(network, **changes):
    """Start from the weights and constraints of START, changed."""
    weights, fixed, tied, codebook, levels, costs = (START | changes).values()
    constraints = _core.Constraints(fixed=fixed, tied=tied, codebook=codebook, levels=levels, costs=costs)
    network.start(weights, constraints)


def layer(kind, out=0, kernel=(1, 1), **settings):
    """The changes of a network that has one layer and no weights."""
    return layers({"kind": kind, "out": out, "kernel": kernel, "bias": True, **settings}, weights=0)


def layers(*rows, weights):
    """The changes of a network that has these layers and this many weights."""
    return {"layers": list(rows), "weights": np.zeros(weights, np.float32)}


def conv(kernel, source=-1, out=1, bias=True):
    return {"kind": "CONV", "out": out, "kernel": (kernel, kernel), "same": True, "bias": bias, "source": source}


def plain(kind, out=0, kernel=(1, 1), bias=False, source=-1):
    return {"kind": kind, "out": out, "kernel": kernel, "bias": bias, "source": source}


HEAD = plain("DENSE", 3, bias=True)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array
