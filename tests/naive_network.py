"""Computes a network in plain float64 loops over its layers, as the reference of the engines.

It is written from docs/reference/spec-language.md, without code of the package but the texts of the layers. Only the
order of the weights is taken from the plan.
"""

from __future__ import annotations

import numpy as np

from smidgen.spec import Repeat, Residual


class Weights:
    """Takes the tensors of a flat array in order."""

    def __init__(self, flat):
        self.flat, self.place = np.asarray(flat, np.float64), 0

    def take(self, *shape):
        count = int(np.prod(shape))
        piece = self.flat[self.place : self.place + count].reshape(shape)
        self.place += count
        return piece


def logits(spec, weights, images):
    """The outputs of a network: float64 [n, values]. Bytes are divided by 255."""
    maps = images.astype(np.float64) / (255 if images.dtype == np.uint8 else 1)
    taken = Weights(weights)
    maps = _sequence(spec.layers, maps, taken, {}, ())
    assert taken.place == len(taken.flat)
    return maps.reshape(len(maps), -1)


def _sequence(layers, maps, weights, known, path, is_again=False):
    """`known` has the weights of the first rounds, by the path of a layer in the brackets."""
    for index, layer in enumerate(layers):
        here = (*path, index)
        if isinstance(layer, Repeat):
            for time in range(layer.times):
                maps = _sequence(layer.layers, maps, weights, known, here, is_again or time > 0)
        elif isinstance(layer, Residual):
            block = _sequence(layer.layers, maps, weights, known, (*here, "block"), is_again)
            beside = _sequence(layer.shortcut, maps, weights, known, (*here, "shortcut"), is_again)
            maps = _activated(layer, block + beside)
        else:
            maps = _layer(layer, maps, weights, known, here, is_again)
    return maps


def _layer(layer, maps, weights, known, path, is_again):
    name = str(layer).split(" ")[0]
    channels = maps.shape[1]
    if name in ("conv", "pointwise", "depthwise", "dense"):
        if not is_again:
            known[path] = _own_weights(name, layer, maps.shape, weights)
        weight, bias = known[path]
        if name == "dense":
            made = (maps.reshape(len(maps), -1) @ weight.T)[:, :, None, None]
        else:
            made = _convolved(name, layer, maps, weight)
        return _activated(layer, made + bias[:, None, None])
    if name == "batchnorm":
        scale, shift, mean, variance = (weights.take(channels)[:, None, None] for _ in range(4))
        return _activated(layer, (maps - mean) * scale / np.sqrt(variance + 0.001) + shift)
    if name == "prelu":
        if not is_again:
            known[path] = weights.take(channels)[:, None, None]
        return np.where(maps < 0, known[path] * maps, maps)
    if name == "crelu":
        return np.concatenate([np.maximum(maps, 0), np.maximum(-maps, 0)], axis=1)
    if name == "globalavgpool":
        return maps.mean((2, 3), keepdims=True)
    return maps if name == "dropout" else _pooled(name, layer, maps)


def _own_weights(name, layer, shape, weights):
    channels = shape[1]
    kernels = {
        "conv": lambda: (layer.channels, channels, *layer.kernel),
        "pointwise": lambda: (layer.channels, channels, 1, 1),
        "depthwise": lambda: (layer.shared or channels, 1, *layer.kernel),
        "dense": lambda: (layer.units, int(np.prod(shape[1:]))),
    }[name]()
    outputs = channels if name == "depthwise" else kernels[0]
    weight = weights.take(*kernels)
    return weight, weights.take(outputs) if layer.bias else np.zeros(outputs)


def _convolved(name, layer, maps, weight):
    kernel, stride = weight.shape[2:], layer.stride
    if name == "pointwise" or layer.same:
        ends = []
        for size, k, s in zip(maps.shape[2:], kernel, stride, strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            ends.append((total // 2, total - total // 2))
        maps = np.pad(maps, ((0, 0), (0, 0), *ends))
    height, width = ((size - k) // s + 1 for size, k, s in zip(maps.shape[2:], kernel, stride, strict=True))
    outputs = maps.shape[1] if name == "depthwise" else len(weight)
    made = np.zeros((len(maps), outputs, height, width))
    for y in range(height):
        for x in range(width):
            top, left = y * stride[0], x * stride[1]
            window = maps[:, :, top : top + kernel[0], left : left + kernel[1]]
            if name == "depthwise":
                own = weight[np.arange(outputs) % len(weight), 0]
                made[:, :, y, x] = (window * own).sum((2, 3))
            else:
                made[:, :, y, x] = np.tensordot(window, weight, ((1, 2, 3), (1, 2, 3)))
    return made


def _pooled(name, layer, maps):
    (rows, columns), (down, right) = layer.window, layer.stride
    height, width = (maps.shape[2] - rows) // down + 1, (maps.shape[3] - columns) // right + 1
    made = np.zeros((*maps.shape[:2], height, width))
    for y in range(height):
        for x in range(width):
            window = maps[:, :, y * down : y * down + rows, x * right : x * right + columns]
            made[:, :, y, x] = window.max((2, 3)) if name == "maxpool" else window.mean((2, 3))
    return made


def _activated(layer, values):
    return np.minimum(np.where(values < 0, layer.slope * values, values), layer.ceiling)
