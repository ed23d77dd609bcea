"""Exports a network as a TensorFlow Lite file (`pip install 'smidgen[tflite]'`), for phones and TFLite Micro.

Form "float": the input is float32 in the user's units, of an image in bytes its values 0 to 255; the graph scales it.
Form "int8": weights, maps and the output are int8, sums int32 (Jacob et al. 2018, arXiv 1712.05877). The input of an
image in bytes is int8, a byte less 128; any other is float32 in the user's units, which the graph scales and rounds.

Maps are [1, rows, columns, channels], the output "logits" is [1, classes]. A batch norm is a depthwise 1x1 convolution.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import write_checked
from smidgen.errors import RequestError
from smidgen.exporters.c_input import offsets_and_scales
from smidgen.exporters.calibration import BYTES, CALIBRATION_INPUTS, Affine, map_ranges, rows_of
from smidgen.exporters.forward import activation_of, affine_of, arrays_of, kernels_of, reads_bytes
from smidgen.exporters.tflite_builder import Builder
from smidgen.model import QuantizedModel, values_of
from smidgen.spec import (
    RELU,
    Add,
    AvgPool,
    BatchNorm,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    PReLU,
)
from smidgen.spec.layers import LINEAR, NO_CEILING

TFLITE_FORMS = ("float", "int8")

Array = npt.NDArray[Any]


def export_tflite(quantized: QuantizedModel, path: Path, form: str = "float", inputs: Array | None = None) -> int:
    """Write a TensorFlow Lite file.

    Args:
        quantized: The network.
        path: The .tflite file.
        form: "float" or "int8".
        inputs: [n, channels, height, width] of the training split as the layers read them, for the form "int8".

    Returns:
        The length of the file in bytes.

    Raises:
        RequestError: The form is unknown or needs inputs, or the packages flatbuffers and tflite are not installed.
        ModelFileError: The file cannot be written.
    """
    content = tflite_bytes(quantized, form, inputs)
    return write_checked(path, content, lambda draft: _check(draft, content))


def _check(draft: Path, content: bytes) -> None:
    if draft.read_bytes() != content:
        raise RequestError("what was read back is not what was written; check the disk")


def tflite_bytes(quantized: QuantizedModel, form: str, inputs: Array | None = None) -> bytes:
    """Return the bytes of a TensorFlow Lite file; see `export_tflite`."""
    if form not in TFLITE_FORMS:
        raise RequestError(f"--form {form} is not a form of --to tflite; use one of {', '.join(TFLITE_FORMS)}")
    if form == "int8" and inputs is None:
        raise RequestError("--form int8 needs training data; give --data")
    ranges = None
    if form == "int8" and inputs is not None:
        ranges = map_ranges(quantized, inputs[:CALIBRATION_INPUTS], keeping=(MaxPool, AvgPool, Dropout))
    graph = _Graph(quantized, ranges)
    names = {"classes": list(quantized.class_names), "input": json.loads(quantized.input.to_json())}
    return graph.builder.finish(graph.input, graph.output, json.dumps(names).encode())


class _Graph:
    """Adds the operators of a network in order; `ranges` are those of the input and of all layers, None for floats."""

    def __init__(self, quantized: QuantizedModel, ranges: list[Affine] | None) -> None:
        self.builder, self._quantized, self._ranges = Builder(), quantized, ranges
        self._plans = quantized.spec.plan(quantized.input_shape)
        self.input = -1
        self._values = {-1: self._read()}
        for place, plan in enumerate(self._plans):
            self._values[place] = self._layer(place, plan)
        self.output = self._logits(len(self._plans) - 1)

    def _logits(self, last: int) -> int:
        """Add the output; a network's one output for two classes gets a zero before it."""
        outputs = self._plans[last].output_shape[0]
        shape = self.builder.constant("shape", np.array([1, outputs], np.int32))
        made = self._map("logits" if outputs > 1 else "output", (1, outputs), last)
        self.builder.add("RESHAPE", [self._values[last], shape], made)
        if outputs > 1:
            return made
        pads = self.builder.constant("pads", np.array([[0, 0], [1, 0]], np.int32))
        return self.builder.add("PAD", [made, pads], self._map("logits", (1, 2), last))

    def _map(self, name: str, shape: tuple[int, ...], place: int) -> int:
        """Add a tensor that is computed, with the quantization of a layer's output."""
        if self._ranges is None:
            return self.builder.tensor(name, shape, np.float32)
        return self.builder.tensor(name, shape, np.int8, self._ranges[place + 1])

    def _read(self) -> int:
        """Add the input, and what brings it to the first layer."""
        channels, height, width = self._quantized.input_shape
        shape, b = (1, height, width, channels), self.builder
        if reads_bytes(self._quantized) and self._ranges is not None:
            self.input = b.tensor("image", shape, np.int8, BYTES)
            return self.input
        self.input = value = b.tensor("image" if reads_bytes(self._quantized) else "input", shape, np.float32)
        offsets, scales = (each.astype(np.float32) for each in offsets_and_scales(self._quantized))
        if offsets.any():
            moved = b.tensor("moved", shape, np.float32)
            value = b.add("SUB", [value, b.constant("offset", offsets)], moved)
        if (scales != 1).any():
            scaled = b.tensor("scaled", shape, np.float32)
            value = b.add("MUL", [value, b.constant("scale", scales)], scaled)
        if self._ranges is not None:
            value = b.add("QUANTIZE", [value], self._map("rounded", shape, -1))
        return value

    def _layer(self, place: int, plan: LayerPlan) -> int:
        value = self._values[plan.inputs[0]]
        match plan.layer:
            case Dropout():
                return value
            case MaxPool(window, stride) | AvgPool(window, stride):
                kind = "MAX_POOL_2D" if isinstance(plan.layer, MaxPool) else "AVERAGE_POOL_2D"
                made = self._map(f"{place}", _nhwc(plan), place)
                return self.builder.add(kind, [value], made, window=window, stride=stride)
            case GlobalAvgPool():
                axes = self.builder.constant(f"{place}.axes", np.array([1, 2], np.int32))
                return self.builder.add("MEAN", [value, axes], self._map(f"{place}", _nhwc(plan), place))
            case PReLU():
                return self._prelu(place, plan, value)
            case CReLU():
                return self._crelu(place, plan, value)
            case Add():
                inputs = [self._values[index] for index in plan.inputs]
                return self._activated(place, plan, "ADD", inputs)
        return self._kernel(place, plan, value)

    def _activated(self, place: int, plan: LayerPlan, kind: str, inputs: list[int], **settings: Any) -> int:
        """Add an operator with its activation, in it or after it."""
        slope, ceiling = activation_of(plan)
        fused = "RELU6" if ceiling != NO_CEILING else {LINEAR: "NONE", RELU: "RELU"}.get(slope)
        made = self._map(f"{place}", _nhwc(plan), place)
        if fused is not None:
            return self.builder.add(kind, inputs, made, activation=fused, **settings)
        before = self._before_leak(f"{place}.sum", plan, place, slope)
        value = self.builder.add(kind, inputs, before, activation="NONE", **settings)
        return self.builder.add("LEAKY_RELU", [value], made, alpha=slope)

    def _before_leak(self, name: str, plan: LayerPlan, place: int, slope: float) -> int:
        """Add the tensor of what a leaky relu makes its output from: below zero it reaches further."""
        if self._ranges is None:
            return self.builder.tensor(name, _nhwc(plan), np.float32)
        after = self._ranges[place + 1]
        low, high = (-128 - after.zero) * after.step, (127 - after.zero) * after.step
        reach = max(high - low / max(abs(slope), 1 / 16), after.step)
        step = reach / 255
        return self.builder.tensor(name, _nhwc(plan), np.int8, Affine(step, round(127 - high / step)))

    def _kernel(self, place: int, plan: LayerPlan, value: int) -> int:
        """Add a convolution, or a dense layer or a batch norm as one."""
        weights, steps, bias = self._weights(place, plan)
        alone = isinstance(plan.layer, Depthwise | BatchNorm)
        axis = 3 if alone else 0
        before = self._step(plan.inputs[0])
        tensors = [value, self.builder.constant(f"{place}.weight", weights, steps, axis)]
        if before is not None and steps is not None:
            sums = np.clip(np.rint(bias / (before * steps)), -(2**31), 2**31 - 1).astype(np.int32)
            tensors.append(self.builder.constant(f"{place}.bias", sums, before * steps, 0))
        else:
            tensors.append(self.builder.constant(f"{place}.bias", bias.astype(np.float32)))
        settings = {"stride": getattr(plan.layer, "stride", (1, 1)), "same": getattr(plan.layer, "same", False)}
        return self._activated(place, plan, "DEPTHWISE_CONV_2D" if alone else "CONV_2D", tensors, **settings)

    def _step(self, index: int) -> float | None:
        return None if self._ranges is None else self._ranges[index + 1].step

    def _weights(self, place: int, plan: LayerPlan) -> tuple[Array, Array | None, Array]:
        """Return the kernels [outputs, rows, columns, inputs], the steps of whole numbers, and the biases."""
        own, channels = place if plan.source is None else plan.source, plan.output_shape[0]
        if isinstance(plan.layer, BatchNorm):
            factor, shift = affine_of(arrays_of(self._quantized, place, plan))
            return self._rounded(factor.reshape(1, 1, 1, -1), shift)
        if self._ranges is not None:
            rows = rows_of(self._quantized, own, plan)
            levels: Array = rows.levels.astype(np.int8)
            steps: Array | None = rows.steps
            bias: Array = rows.bias
        else:
            levels, steps = values_of(self._quantized.tensors[f"{own}.weight"]), None
            bias = arrays_of(self._quantized, place, plan)["bias"] if plan.bias_count else np.zeros(channels)
        if isinstance(plan.layer, Depthwise):
            return levels[kernels_of(plan), 0].transpose(1, 2, 0)[None], steps, bias
        shaped = levels.reshape(channels, *plan.input_shape) if isinstance(plan.layer, Dense) else levels
        return np.ascontiguousarray(shaped.transpose(0, 2, 3, 1)), steps, bias

    def _rounded(self, factor: Array, shift: Array) -> tuple[Array, Array | None, Array]:
        if self._ranges is None:
            return factor, None, shift
        steps = np.maximum(np.abs(factor.ravel().astype(np.float64)) / 127, 1e-12)
        return np.rint(factor / steps).astype(np.int8), steps, shift

    def _prelu(self, place: int, plan: LayerPlan, value: int) -> int:
        slopes = arrays_of(self._quantized, place, plan)["weight"].reshape(1, 1, -1)
        made, steps = self._map(f"{place}", _nhwc(plan), place), None
        if self._ranges is not None:
            steps = np.array([max(float(np.abs(slopes).max()) / 127, 1e-12)])
            slopes = np.rint(slopes / steps).astype(np.int8)
        return self.builder.add("PRELU", [value, self.builder.constant(f"{place}.slope", slopes, steps, 0)], made)

    def _crelu(self, place: int, plan: LayerPlan, value: int) -> int:
        """Add the relu of each channel, then of each negated channel: two depthwise convolutions."""
        channels, height, width = plan.input_shape
        before, halves = self._step(plan.inputs[0]), []
        for sign in (1.0, -1.0):
            weights, steps, bias = self._rounded(np.full((1, 1, 1, channels), sign, np.float32), np.zeros(channels))
            tensors = [value, self.builder.constant(f"{place}.{sign:g}", weights, steps, 3)]
            zeros = bias.astype(np.float32 if steps is None else np.int32)
            scale = None if steps is None or before is None else before * steps
            tensors.append(self.builder.constant(f"{place}.{sign:g}.bias", zeros, scale, 0))
            made = self._map(f"{place}.{sign:g}.relu", (1, height, width, channels), place)
            halves.append(self.builder.add("DEPTHWISE_CONV_2D", tensors, made, activation="RELU"))
        return self.builder.add("CONCATENATION", halves, self._map(f"{place}", _nhwc(plan), place))


def _nhwc(plan: LayerPlan) -> tuple[int, ...]:
    channels, height, width = plan.output_shape
    return (1, height, width, channels)
