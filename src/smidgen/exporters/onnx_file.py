"""Exports a network as one ONNX file (`pip install 'smidgen[onnx]'`).

Input: float32 [n, channels, height, width] in the user's units, which the graph scales: "image" has an image's bytes, 0
to 255, "input" any other numbers. Output "logits": float32 [n, classes]. All operators are standard ones.

Form "float": weights on a uniform grid are stored as int8 and multiplied by their step in the graph (DequantizeLinear),
which gives the same float32 values as the `.smidgen` file; tensors that do not fit in int8 are float32.
Form "int8": every map but the logits is rounded to int8 too (QuantizeLinear, then DequantizeLinear), which runtimes
compute in whole numbers; biases are int32. A step for each row of weights, one for each map (Jacob et al. 2018, arXiv
1712.05877).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import write_checked
from smidgen.errors import RequestError
from smidgen.exporters.calibration import CALIBRATION_INPUTS, map_ranges, rows_of
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
    Dropout,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    Pointwise,
    PReLU,
)
from smidgen.spec.layers import NO_CEILING

Array = npt.NDArray[Any]

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

ONNX_FORMS = ("float", "int8")
OPSET, IR = 18, 8
"""Versions of 2022, which runtimes since then read; the package's defaults are newer than onnxruntime supports."""


def export_onnx(
    quantized: QuantizedModel,
    path: Path,
    form: str = "float",
    inputs: Array | None = None,
    notes: Mapping[str, str] | None = None,
) -> int:
    """Write an ONNX file; the file takes its name once onnx has checked it.

    Args:
        quantized: The network.
        path: The .onnx file.
        form: "float" or "int8".
        inputs: [n, channels, height, width] of the training split as the layers read them, for the form "int8".
        notes: What the file's metadata have besides the classes and the input's description.

    Returns:
        The length of the file in bytes.

    Raises:
        RequestError: the form is unknown or needs inputs, or the package onnx is not installed.
        ModelFileError: the file cannot be written.
    """
    return _write(path, onnx_bytes(quantized, form, inputs, notes))


def add_notes(path: Path, notes: Mapping[str, str]) -> int:
    """Add to the metadata of a file that `export_onnx` wrote, such as what was counted when it ran.

    Returns:
        The length of the file in bytes.
    """
    import onnx

    model = onnx.load(path)
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=value)
    return _write(path, model.SerializeToString(deterministic=True))


def _write(path: Path, content: bytes) -> int:
    import onnx

    return write_checked(path, content, lambda draft: onnx.checker.check_model(str(draft), full_check=True))


def onnx_bytes(
    quantized: QuantizedModel,
    form: str = "float",
    inputs: Array | None = None,
    notes: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of an ONNX file, see `export_onnx`; the same network always gives the same bytes."""
    if form not in ONNX_FORMS:
        raise RequestError(f"--form {form} is not a form of --to onnx; use one of {', '.join(ONNX_FORMS)}")
    if form == "int8" and inputs is None:
        raise RequestError("--form int8 needs training data; give --data")
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise RequestError("writing an ONNX file needs the package onnx; pip install 'smidgen[onnx]'") from None
    rounded = None if form == "float" or inputs is None else inputs[:CALIBRATION_INPUTS]
    graph = _Graph(quantized) if rounded is None else _Rounded(quantized, rounded)
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
    known = {"classes": json.dumps(list(quantized.class_names)), "input": quantized.input.to_json(), "form": form}
    helper.set_model_props(model, known | dict(notes or {}))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Builds the nodes of the graph in order; values are named by numbers."""

    def __init__(self, quantized: QuantizedModel) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._quantized = quantized
        self._added: set[str] = set()
        self._plans = quantized.spec.plan(quantized.input_shape)
        self._values = {-1: self._kept(-1, self._input())}  # of dense layers vectors [n, units], of all others maps
        self._reshaped: dict[int, str] = {}
        for place, plan in enumerate(self._plans):
            self._values[place] = self._kept(place, self._activated(self._layer(place, plan), plan))
        self._logits(self._values[len(self._plans) - 1])

    def _kept(self, place: int, value: str) -> str:
        """Return a map as later layers read it."""
        return value

    def _input(self) -> str:
        """Return the input as the first layer reads it."""
        if reads_bytes(self._quantized):
            return self._add("Div", "image", self._constant("white", 255))
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
            return self._add("Gemm", self._vector(plan.inputs[0]), *self._tensors(place, plan), transB=1)
        value, *others = (self._map(index) for index in plan.inputs)
        match plan.layer:
            case Conv() | Pointwise() | Depthwise():
                return self._convolution(place, plan, value)
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

    def _convolution(self, place: int, plan: LayerPlan, value: str) -> str:
        tensors = self._tensors(place, plan)
        groups = plan.input_shape[0] if isinstance(plan.layer, Depthwise) else 1
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
        own = place if plan.source is None else plan.source
        names = [f"{own}.weight"] + ([f"{own}.bias"] if plan.bias_count else [])
        tensors = [self._tensor(name) for name in names]
        if isinstance(plan.layer, Depthwise):
            tensors[0] = self._for_each_channel(tensors[0], plan)
        return tensors

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


class _Rounded(_Graph):
    """A graph whose maps are rounded to int8, and its weights to a step for each row."""

    def __init__(self, quantized: QuantizedModel, inputs: Array) -> None:
        self._ranges = map_ranges(quantized, inputs, keeping=(MaxPool, Dropout))
        super().__init__(quantized)

    def _kept(self, place: int, value: str) -> str:
        """Round a map to int8 and back, which runtimes take for a computation in whole numbers."""
        if place == len(self._plans) - 1 or (place >= 0 and isinstance(self._plans[place].layer, Dropout)):
            return value
        names, chosen = (f"map{place}.step", f"map{place}.zero"), self._ranges[place + 1]
        self._store(names[0], np.array(chosen.step, np.float32))
        self._store(names[1], np.array(chosen.zero, np.int8))
        return self._add("DequantizeLinear", self._add("QuantizeLinear", value, *names), *names)

    def _vector(self, index: int) -> str:
        """Return a layer's output as vectors, always by Flatten: OpenCV 5.0 fails on a Gemm right after a rounding."""
        return self._add("Flatten", self._values[index])

    def _tensors(self, place: int, plan: LayerPlan) -> list[str]:
        """Return weights and biases, which are stored for each place: a bias has the step of the layer's input."""
        own = place if plan.source is None else plan.source
        rows = rows_of(self._quantized, own, plan)
        levels = rows.levels[kernels_of(plan)] if isinstance(plan.layer, Depthwise) else rows.levels
        names = [self._levels(f"{place}.weight", levels.astype(np.int8), rows.steps)]
        if plan.bias_count:
            steps = rows.steps * self._ranges[plan.inputs[0] + 1].step
            names.append(self._levels(f"{place}.bias", np.rint(rows.bias / steps).astype(np.int32), steps))
        return names

    def _levels(self, name: str, levels: Array, steps: Array) -> str:
        self._store(f"{name}.levels", levels)
        self._store(f"{name}.step", steps.astype(np.float32))
        self._store(f"{name}.zero", np.zeros(len(steps), levels.dtype))
        parts = (f"{name}.levels", f"{name}.step", f"{name}.zero")
        return self._add("DequantizeLinear", *parts, output=name, axis=0)


def _fits_int8(tensor: Tensor) -> bool:
    """Return whether the levels fit in int8."""
    return bool(np.abs(tensor.levels).max(initial=0) <= 127)
