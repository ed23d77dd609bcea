"""Exports a network as one ONNX file (`pip install 'smidgen[onnx]'`).

Input: float32 [n, channels, height, width]. "image" is an image's bytes divided by 255; "input" is any other input in
the user's units, which the graph scales. Output "logits": float32 [n, classes]. Weights on a uniform grid are stored as
int8 and multiplied by their step in the graph (DequantizeLinear), which gives the same float32 values as the `.smidgen`
file; tensors that do not fit in int8 are float32. All operators are those of the ONNX standard.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smidgen.atomic_files import write_checked
from smidgen.errors import RequestError
from smidgen.exporters.forward import activation_of, kernels_of, paddings, reads_bytes, stride_of
from smidgen.model import QuantizedModel, Tensor, Uniform, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    RELU,
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    Pointwise,
    PReLU,
)
from smidgen.spec.layers import NO_CEILING

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET, IR = 18, 8
"""Versions of 2022, which runtimes since then read; the package's defaults are newer than onnxruntime supports."""


def export_onnx(quantized: QuantizedModel, path: Path) -> int:
    """Write an ONNX file; the file takes its name once onnx has checked it.

    Returns:
        The length of the file in bytes.

    Raises:
        RequestError: the package onnx is not installed.
        ModelFileError: the file cannot be written.
    """
    content = onnx_bytes(quantized)
    import onnx

    return write_checked(path, content, lambda draft: onnx.checker.check_model(str(draft), full_check=True))


def onnx_bytes(quantized: QuantizedModel) -> bytes:
    """Return the bytes of an ONNX file; the same network always gives the same bytes."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise RequestError("writing an ONNX file needs the package onnx; pip install 'smidgen[onnx]'") from None
    graph = _Graph(quantized)
    name = "image" if reads_bytes(quantized) else "input"
    made = helper.make_graph(
        graph.nodes,
        "smidgen",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *quantized.input_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(quantized.class_names)])],
        graph.initializers,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    model.producer_name, model.producer_version = "smidgen", metadata.version("smidgen")
    notes = {"classes": json.dumps(list(quantized.class_names)), "input": quantized.input.to_json()}
    helper.set_model_props(model, notes)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Builds the nodes of the graph in order; values are named by numbers."""

    def __init__(self, quantized: QuantizedModel) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._quantized = quantized
        self._added: set[str] = set()
        self._values = {-1: self._input()}  # of dense layers vectors [n, units], of all others maps
        self._reshaped: dict[int, str] = {}
        self._plans = quantized.spec.plan(quantized.input_shape)
        for place, plan in enumerate(self._plans):
            self._values[place] = self._activated(self._layer(place, plan), plan)
        self._logits(self._values[len(self._plans) - 1])

    def _input(self) -> str:
        """Return the input as the first layer reads it."""
        if reads_bytes(self._quantized):
            return "image"
        value, described = "input", self._quantized.input
        for kind, numbers in (("Sub", described.offset), ("Mul", described.scale)):
            if numbers:
                self._store(f"input.{kind}", np.array(numbers, np.float32).reshape(-1, 1, 1))
                value = self._add(kind, value, f"input.{kind}")
        return value

    def _logits(self, value: str) -> None:
        """Add the output; a network's one output for two classes gets a zero before it."""
        if self._plans[-1].output_shape[0] > 1:
            self._add("Flatten", value, output="logits")
            return
        self._store("logits.pads", np.array([0, 1, 0, 0], np.int64))
        self._add("Pad", self._add("Flatten", value), "logits.pads", output="logits")

    def _layer(self, place: int, plan: LayerPlan) -> str:
        own = place if plan.source is None else plan.source
        if isinstance(plan.layer, Dense):
            return self._add("Gemm", self._vector(plan.inputs[0]), *self._tensors(own, plan), transB=1)
        value, *others = (self._map(index) for index in plan.inputs)
        match plan.layer:
            case Conv() | Pointwise() | Depthwise():
                return self._convolution(own, plan, value)
            case MaxPool(window, stride) | AvgPool(window, stride):
                kind = "MaxPool" if isinstance(plan.layer, MaxPool) else "AveragePool"
                return self._add(kind, value, kernel_shape=list(window), strides=list(stride))
            case GlobalAvgPool():
                return self._add("GlobalAveragePool", value)
            case BatchNorm():
                names = [self._tensor(f"{place}.{part}") for part in ("weight", "bias", "mean", "variance")]
                return self._add("BatchNormalization", value, *names, epsilon=BATCH_NORM_EPSILON)
            case PReLU():
                return self._add("PRelu", value, self._tensor(f"{own}.weight", (-1, 1, 1)))
            case CReLU():
                return self._add("Relu", self._add("Concat", value, self._add("Neg", value), axis=1))
            case Add():
                return self._add("Add", value, *others)
        return value

    def _convolution(self, own: int, plan: LayerPlan, value: str) -> str:
        tensors, groups = self._tensors(own, plan), 1
        if isinstance(plan.layer, Depthwise):
            groups = plan.input_shape[0]
            tensors[0] = self._for_each_channel(tensors[0], plan)
        (top, bottom), (left, right) = paddings(plan)
        return self._add(
            "Conv",
            value,
            *tensors,
            kernel_shape=list(plan.weight_shape[2:]),
            strides=list(stride_of(plan)),
            pads=[top, left, bottom, right],
            group=groups,
        )

    def _for_each_channel(self, weight: str, plan: LayerPlan) -> str:
        """Return kernels that channels share as one kernel for each channel."""
        if plan.weight_shape[0] == plan.input_shape[0]:
            return weight
        if f"{weight}.channels" not in self._added:
            self._added.add(f"{weight}.channels")
            self._store(f"{weight}.kernels", kernels_of(plan).astype(np.int64))
            self._add("Gather", weight, f"{weight}.kernels", output=f"{weight}.channels", axis=0)
        return f"{weight}.channels"

    def _vector(self, index: int) -> str:
        """Return a layer's output as vectors [n, values]."""
        if index >= 0 and isinstance(self._plans[index].layer, Dense):
            return self._values[index]
        if index not in self._reshaped:
            self._reshaped[index] = self._add("Flatten", self._values[index])
        return self._reshaped[index]

    def _map(self, index: int) -> str:
        """Return a layer's output as maps [n, channels, height, width]."""
        if index < 0 or not isinstance(self._plans[index].layer, Dense):
            return self._values[index]
        if index not in self._reshaped:
            name = f"shape{len(self.nodes)}"
            self._store(name, np.array([-1, *self._plans[index].output_shape], np.int64))
            self._reshaped[index] = self._add("Reshape", self._values[index], name)
        return self._reshaped[index]

    def _activated(self, value: str, plan: LayerPlan) -> str:
        slope, ceiling = activation_of(plan)
        if ceiling != NO_CEILING:
            return self._add("Clip", value, self._constant("lowest", 0.0), self._constant(f"highest{ceiling}", ceiling))
        if slope == LINEAR:
            return value
        return self._add("Relu", value) if slope == RELU else self._add("LeakyRelu", value, alpha=slope)

    def _constant(self, name: str, value: float) -> str:
        if name not in self._added:
            self._added.add(name)
            self._store(name, np.array(value, np.float32))
        return name

    def _tensors(self, place: int, plan: LayerPlan) -> list[str]:
        names = [f"{place}.weight"] + ([f"{place}.bias"] if plan.bias_count else [])
        return [self._tensor(name) for name in names]

    def _tensor(self, name: str, shape: tuple[int, ...] | None = None) -> str:
        """Return the name of a tensor's value, which is added once, however many rounds use it."""
        if name not in self._added:
            self._added.add(name)
            tensor = self._quantized.tensors[name]
            whole = tensor.levels.shape if shape is None else np.empty(tensor.levels.shape).reshape(shape).shape
            if isinstance(tensor.grid, Uniform) and _fits_int8(tensor):
                self._dequantize_node(name, tensor, tensor.grid, whole)
            else:
                self._store(name, values_of(tensor).reshape(whole))
        return name

    def _dequantize_node(self, name: str, tensor: Tensor, grid: Uniform, shape: tuple[int, ...]) -> None:
        steps = grid.steps if len(grid.steps) > 1 else grid.steps[0]
        self._store(f"{name}.levels", tensor.levels.astype(np.int8).reshape(shape))
        self._store(f"{name}.step", np.array(steps, np.float32))
        self._add("DequantizeLinear", f"{name}.levels", f"{name}.step", output=name, axis=0)

    def _store(self, name: str, array: np.ndarray[Any, Any]) -> None:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(array, name))

    def _add(self, kind: str, *inputs: str, output: str = "", **settings: Any) -> str:
        from onnx import helper

        output = output or str(len(self.nodes))
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **settings))
        return output


def _fits_int8(tensor: Tensor) -> bool:
    """Return whether the levels fit in int8."""
    return bool(np.abs(tensor.levels).max(initial=0) <= 127)
