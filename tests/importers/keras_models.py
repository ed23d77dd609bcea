"""Keras models for tests of the importer: MLPerf Tiny's three networks, with random weights.

Their structure is that of mlcommons/tiny, benchmark/training.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def normed(x: Any, activation: str = "relu") -> Any:
    from keras import layers

    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def ds_cnn(width: int = 64) -> Any:
    import keras
    from keras import layers

    start = layers.Input((49, 10, 1))
    x = layers.Dropout(0.2)(normed(layers.Conv2D(width, (10, 4), strides=2, padding="same")(start)))
    for _ in range(4):
        x = normed(layers.DepthwiseConv2D(3, padding="same")(x))
        x = normed(layers.Conv2D(width, 1, padding="same")(x))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(layers.Dropout(0.4)(x)))
    return with_random_weights(keras.Model(start, layers.Dense(12, activation="softmax")(x)))


def resnet8(width: int = 16) -> Any:
    import keras
    from keras import layers

    start = layers.Input((32, 32, 3))
    x = normed(layers.Conv2D(width, 3, padding="same")(start))
    for channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        y = normed(layers.Conv2D(channels, 3, strides=stride, padding="same")(x))
        y = normed(layers.Conv2D(channels, 3, padding="same")(y), "")
        if stride > 1:
            x = layers.Conv2D(channels, 1, strides=stride, padding="same")(x)
        x = layers.Activation("relu")(layers.add([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return with_random_weights(keras.Model(start, layers.Dense(10, activation="softmax")(x)))


def mobilenet(width: int = 8) -> Any:
    import keras
    from keras import layers

    start = layers.Input((96, 96, 3))
    x = normed(layers.Conv2D(width, 3, strides=2, padding="same")(start))
    for factor, stride in ((2, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), *5 * [(1, 1)], (2, 2), (1, 1)):
        width *= factor
        x = normed(layers.DepthwiseConv2D(3, strides=stride, padding="same")(x))
        x = normed(layers.Conv2D(width, 1, padding="same")(x))
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return with_random_weights(keras.Model(start, layers.Dense(2, activation="softmax")(x)))


def with_random_weights(model: Any, seed: int = 0) -> Any:
    """Give a model weights of a size that keeps its values moderate; variances are above zero."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([_drawn(random, weight.name, weight.shape) for weight in layer.weights])
    return model


def _drawn(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if "variance" in name:
        return random.uniform(0.5, 2, shape)
    if len(shape) < 2:
        return random.normal(1.0 if name == "gamma" else 0.0, 0.3, shape)
    fan = shape[0] * shape[1] if "depthwise" in name else int(np.prod(shape[:-1]))
    return random.normal(0, np.sqrt(2 / fan), shape)
