"""Reads a Keras model as steps. Keras keeps channels last, so weights are transposed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import ModelFileError, RequestError
from smidgen.importers.steps import NO_PADS, Pads, Steps
from smidgen.spec import LINEAR, NO_CEILING, RELU, RELU6_CEILING, AvgPool, MaxPool, Shape, same_padding
from smidgen.teacher.loaders.keras_model import choose_backend
from smidgen.teacher.loaders.network import cause_of, import_extra

Pair = tuple[int, int]
Array = npt.NDArray[Any]

KERAS_EPSILON = 1e-7
"""The least deviation by which Keras's Normalization divides."""


def open_keras(path: Path) -> Any:
    """Open a .keras file in Keras's safe mode.

    Raises:
        ModelFileError: it is damaged or needs code of its own.
        TeacherError: Keras or its backend is not installed.
    """
    choose_backend(path)
    keras = import_extra("keras", "keras", str(path))
    try:
        return keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, zipfile's and its backend's own
        raise ModelFileError(f"cannot read {path} as a Keras model: {cause_of(error)}; save it again") from error


def read_keras(model: Any) -> tuple[Steps, str]:
    """Read a Keras model.

    Returns:
        Its steps, and the name of its output.

    Raises:
        RequestError: it has a layer that the spec language has not, or several inputs or outputs.
    """
    if not isinstance(model.input_shape, tuple) or not isinstance(model.output_shape, tuple):
        raise RequestError(f"{model.name} has several inputs or outputs; one of each can be imported")
    layers = list(_layers(model))
    steps = Steps("input", map_shape(model.input_shape[1:], model.name))
    reader = _Reader(steps)
    for layer, sources, output in layers:
        reader.read(layer, sources, output)
    return steps, layers[-1][2] if layers else "input"


def map_shape(axes: tuple[int | None, ...], name: str) -> Shape:
    """Return the axes of Keras's input without the batch as (channels, height, width).

    Raises:
        RequestError: an axis has no fixed length, or there are too many.
    """
    fixed = tuple(axis for axis in axes if axis is not None)
    if len(fixed) != len(axes) or not 1 <= len(axes) <= 3:
        raise RequestError(f"{name} takes inputs of the axes {axes}; build it with one to three axes of fixed length")
    if len(fixed) == 1:
        return fixed[0], 1, 1
    return (fixed[-1], 1, fixed[0]) if len(fixed) == 2 else (fixed[2], fixed[0], fixed[1])


def _layers(model: Any) -> Iterator[tuple[Any, list[str], str]]:
    """The layers with the values that they read and make, in order; of a layer that is used twice, each use."""
    config = model.get_config()
    if "layers" not in config:
        raise RequestError(f"{model.name} is neither sequential nor functional; its layers cannot be read")
    if not any("inbound_nodes" in layer for layer in config["layers"]):
        value = "input"
        for layer in model.layers:
            yield layer, [value], layer.name
            value = layer.name
        return
    for entry in config["layers"]:
        name = entry["config"]["name"]
        if len(entry["inbound_nodes"]) > 1:
            raise RequestError(
                f"{name} is used {len(entry['inbound_nodes'])} times; a layer with one use can be imported"
            )
        for node in entry["inbound_nodes"]:
            yield (
                model.get_layer(name),
                ["input" if each in _inputs(config) else each for each in _histories(node)],
                name,
            )


def _inputs(config: dict[str, Any]) -> set[str]:
    return {layer["config"]["name"] for layer in config["layers"] if layer["class_name"] == "InputLayer"}


def _histories(node: Any) -> Iterator[str]:
    """The names of the layers whose outputs a node reads: every `keras_history` in its arguments."""
    if isinstance(node, dict):
        if "keras_history" in node:
            yield node["keras_history"][0]
            return
        node = list(node.values())
    if isinstance(node, list | tuple):
        for each in node:
            yield from _histories(each)


class _Reader:
    """Turns Keras layers into steps; `_flat` has the maps that were flattened, in Keras's order of values."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._flat: dict[str, Shape] = {}

    def read(self, layer: Any, sources: list[str], output: str) -> None:
        """Add the steps of a layer."""
        kind = type(layer).__name__
        if kind not in _LAYERS:
            raise RequestError(f"{_name(layer)} has no layer in the spec language; it cannot be imported")
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise RequestError(f"{_name(layer)} has channels first; build it with channels_last")
        if kind in ("Add", "Merge"):
            self.steps.add(_name(layer), sources, output)
        else:
            _LAYERS[kind](self, layer, sources[0], output)

    # --- layers -------------------------------------------------------------------------------

    def conv(self, layer: Any, source: str, output: str) -> None:
        if layer.groups != 1:
            raise RequestError(f"{_name(layer)} has {layer.groups} groups; it cannot be imported")
        weight = _kernel(layer.kernel).transpose(3, 2, 0, 1)
        self._convolution(layer, source, output, weight, _bias(layer), is_depthwise=False)

    def depthwise(self, layer: Any, source: str, output: str) -> None:
        weight = _kernel(layer.kernel)
        if weight.shape[3] != 1:
            raise RequestError(f"{_name(layer)} has a depth multiplier of {weight.shape[3]}; only 1 can be imported")
        self._convolution(layer, source, output, weight.transpose(2, 3, 0, 1), _bias(layer), is_depthwise=True)

    def separable(self, layer: Any, source: str, output: str) -> None:
        weight = _kernel(layer.depthwise_kernel)
        if weight.shape[3] != 1:
            raise RequestError(f"{_name(layer)} has a depth multiplier of {weight.shape[3]}; only 1 can be imported")
        inner, kernel = f"{output}/depthwise", weight.transpose(2, 3, 0, 1)
        self._place(layer, source, inner, kernel, None, is_depthwise=True)
        pointwise = _kernel(layer.pointwise_kernel).transpose(3, 2, 0, 1)
        self.steps.convolution(_name(layer), inner, f"{output}/linear", pointwise, _bias(layer))
        self._activated(layer, f"{output}/linear", output, layer.activation)

    def _convolution(
        self, layer: Any, source: str, output: str, weight: Array, bias: Array | None, *, is_depthwise: bool
    ) -> None:
        self._place(layer, source, f"{output}/linear", weight, bias, is_depthwise=is_depthwise)
        self._activated(layer, f"{output}/linear", output, layer.activation)

    def _place(
        self, layer: Any, source: str, output: str, weight: Array, bias: Array | None, *, is_depthwise: bool
    ) -> None:
        if max(layer.dilation_rate if isinstance(layer.dilation_rate, tuple) else (layer.dilation_rate,)) > 1:
            raise RequestError(f"{_name(layer)} is dilated; the spec language has no dilation")
        stride = _pair(layer.strides)
        pads = self._pads(layer, source, (weight.shape[2], weight.shape[3]), stride)
        self.steps.convolution(
            _name(layer), source, output, weight, bias, stride=stride, pads=pads, is_depthwise=is_depthwise
        )

    def _pads(self, layer: Any, source: str, kernel: Pair, stride: Pair) -> Pads:
        if layer.padding == "valid":
            return NO_PADS
        if layer.padding != "same":
            raise RequestError(f"{_name(layer)} has padding '{layer.padding}'; it must be 'same' or 'valid'")
        rows, columns = map(same_padding, self.steps.shape(source)[1:], kernel, stride)
        return rows, columns

    def dense(self, layer: Any, source: str, output: str) -> None:
        weight, shape = np.asarray(_numbers(layer.kernel)).T, self.steps.shape(source)
        flat = self._flat.get(self.steps.real(source))
        if flat is None and shape[1:] != (1, 1):
            self.steps.convolution(_name(layer), source, f"{output}/linear", weight[:, :, None, None], _bias(layer))
        else:
            channels, height, width = flat or shape
            by_place = weight.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(len(weight), -1)
            self.steps.dense(_name(layer), source, f"{output}/linear", by_place, _bias(layer))
        self._activated(layer, f"{output}/linear", output, layer.activation)

    def batch_norm(self, layer: Any, source: str, output: str) -> None:
        self._check_unflattened(layer, source)
        mean, variance = _numbers(layer.moving_mean), _numbers(layer.moving_variance)
        scale = _numbers(layer.gamma) if layer.scale else np.ones_like(mean)
        shift = _numbers(layer.beta) if layer.center else np.zeros_like(mean)
        self.steps.batch_norm(_name(layer), source, output, (scale, shift, mean, variance), layer.epsilon)

    def pool(self, layer: Any, source: str, output: str) -> None:
        kind = MaxPool if type(layer).__name__.startswith("Max") else AvgPool
        window, stride = _pair(layer.pool_size), _pair(layer.strides)
        if self._pads(layer, source, window, stride) != NO_PADS:
            raise RequestError(f"{_name(layer)} pads its map; pools of the spec language drop what is left over")
        self.steps.layer(_name(layer), kind(window, stride), source, output)

    def global_average(self, layer: Any, source: str, output: str) -> None:
        self.steps.global_average(_name(layer), source, output)

    def activation(self, layer: Any, source: str, output: str) -> None:
        self._activated(layer, source, output, layer.activation)

    def relu(self, layer: Any, source: str, output: str) -> None:
        ceiling = NO_CEILING if getattr(layer, "max_value", None) is None else float(layer.max_value)
        slope = float(layer.negative_slope)
        if (
            getattr(layer, "threshold", 0)
            or ceiling not in (NO_CEILING, RELU6_CEILING)
            or (ceiling < NO_CEILING and slope)
        ):
            raise RequestError(f"{_name(layer)} is neither relu, relu6 nor a leaky relu; it cannot be imported")
        self.steps.activation(_name(layer), source, output, slope, ceiling)

    def softmax(self, layer: Any, source: str, output: str) -> None:
        self.steps.softmax(source, output)

    def prelu(self, layer: Any, source: str, output: str) -> None:
        self._check_unflattened(layer, source)
        self.steps.prelu(_name(layer), source, output, _numbers(layer.alpha))

    def dropout(self, layer: Any, source: str, output: str) -> None:
        self.steps.dropout(_name(layer), source, output, float(layer.rate))
        self._keep_flat(source, output)

    def flatten(self, layer: Any, source: str, output: str) -> None:
        shape = self.steps.shape(source)
        target = getattr(layer, "target_shape", None)
        if target is not None and tuple(target) not in ((-1,), (int(np.prod(shape)),), (1, 1, shape[0])):
            raise RequestError(f"{_name(layer)} reshapes to {tuple(target)}; only a flatten can be imported")
        self.steps.same(source, output)
        if shape[1:] != (1, 1):
            self._flat[self.steps.real(output)] = shape

    def pad(self, layer: Any, source: str, output: str) -> None:
        rows, columns = layer.padding
        self.steps.pad(_name(layer), source, output, (tuple(rows), tuple(columns)))

    def rescaling(self, layer: Any, source: str, output: str) -> None:
        scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # a scale of 0 is refused with a sentence
            self._scaling(layer, source, output, -offset / scale, scale)

    def normalization(self, layer: Any, source: str, output: str) -> None:
        if layer.invert:
            raise RequestError(f"{_name(layer)} is inverted; scale the data outside the network")
        deviation = np.sqrt(_numbers(layer.variance)).clip(KERAS_EPSILON)
        self._scaling(layer, source, output, _numbers(layer.mean), 1 / deviation)

    def _scaling(self, layer: Any, source: str, output: str, offset: Array, scale: Array) -> None:
        """Take numbers that are one for all or lie along the channels, which Keras keeps last."""
        channels = self.steps.shape(source)[0]
        for numbers in (offset, scale):
            if numbers.size not in (1, channels) or numbers.shape[-1:] not in ((), (numbers.size,)):
                raise RequestError(
                    f"{_name(layer)} has {numbers.size} numbers for {channels} channels; give one a channel, or one"
                )
        self.steps.scaling(_name(layer), source, output, offset, scale)

    def same(self, layer: Any, source: str, output: str) -> None:
        self.steps.same(source, output)

    # --- parts --------------------------------------------------------------------------------

    def _activated(self, layer: Any, source: str, output: str, activation: Any) -> None:
        name = getattr(activation, "__name__", str(activation))
        if name == "softmax":
            self.steps.softmax(source, output)
        elif name == "sigmoid":
            self.steps.sigmoid(_name(layer), source, output)
        elif name in _ACTIVATIONS:
            self.steps.activation(_name(layer), source, output, *_ACTIVATIONS[name])
        else:
            known = f"{', '.join(_ACTIVATIONS)}, and at the end softmax or sigmoid"
            raise RequestError(f"{_name(layer)} has the activation {name}; known are {known}")

    def _check_unflattened(self, layer: Any, source: str) -> None:
        if self.steps.real(source) in self._flat:
            raise RequestError(f"{_name(layer)} reads a flattened map, with a number for each place; put it before")

    def _keep_flat(self, source: str, output: str) -> None:
        if self.steps.real(source) in self._flat:
            self._flat[self.steps.real(output)] = self._flat[self.steps.real(source)]


_ACTIVATIONS = {
    "linear": (LINEAR, NO_CEILING),
    "relu": (RELU, NO_CEILING),
    "relu6": (RELU, RELU6_CEILING),
    "leaky_relu": (0.2, NO_CEILING),
}
"""Slope and ceiling of Keras's activations by name."""

_LAYERS: dict[str, Callable[[_Reader, Any, str, str], None]] = {
    "InputLayer": _Reader.same,
    "Rescaling": _Reader.rescaling,
    "Normalization": _Reader.normalization,
    "Conv2D": _Reader.conv,
    "Conv1D": _Reader.conv,
    "DepthwiseConv2D": _Reader.depthwise,
    "DepthwiseConv1D": _Reader.depthwise,
    "SeparableConv2D": _Reader.separable,
    "SeparableConv1D": _Reader.separable,
    "Dense": _Reader.dense,
    "BatchNormalization": _Reader.batch_norm,
    "MaxPooling2D": _Reader.pool,
    "MaxPooling1D": _Reader.pool,
    "AveragePooling2D": _Reader.pool,
    "AveragePooling1D": _Reader.pool,
    "GlobalAveragePooling2D": _Reader.global_average,
    "GlobalAveragePooling1D": _Reader.global_average,
    "Activation": _Reader.activation,
    "ReLU": _Reader.relu,
    "LeakyReLU": _Reader.relu,
    "PReLU": _Reader.prelu,
    "Softmax": _Reader.softmax,
    "Add": _Reader.same,
    "Dropout": _Reader.dropout,
    "SpatialDropout2D": _Reader.dropout,
    "Flatten": _Reader.flatten,
    "Reshape": _Reader.flatten,
    "ZeroPadding2D": _Reader.pad,
}
"""How each layer is read; any other is refused by its name."""


def _name(layer: Any) -> str:
    return f"{type(layer).__name__} {layer.name}"


def _numbers(variable: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable))


def _kernel(variable: Any) -> Array:
    """A kernel as [rows, columns, channels in, channels out]; one dimension is the columns."""
    kernel = _numbers(variable)
    return kernel[None] if kernel.ndim == 3 else kernel


def _bias(layer: Any) -> Array | None:
    return _numbers(layer.bias) if layer.use_bias else None


def _pair(sizes: Any) -> Pair:
    """The sizes of a map's axes; one dimension is the columns."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
