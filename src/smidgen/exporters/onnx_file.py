"""Exports a network as one ONNX file (`pip install 'smidgen[onnx]'`).

Input "image": float32 [n, channels, height, width], an image's bytes divided by 255. Output "logits": float32
[n, classes]. Weights on a uniform grid are stored as int8 and multiplied by their step in the graph (DequantizeLinear),
which gives the same float32 values as the `.smidgen` file; tensors that do not fit in int8 are float32. All operators
are those of the ONNX standard.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smidgen.atomic_files import write_checked
from smidgen.errors import RequestError
from smidgen.exporters.forward import check_layers, padding, pads
from smidgen.model import QuantizedModel, Tensor, Uniform, values_of
from smidgen.spec import (
    BATCH_NORM_EPSILON,
    LINEAR,
    RELU,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    Pointwise,
    PReLU,
)

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
    check_layers(quantized.spec)
    graph = _Graph(quantized)
    outputs = quantized.spec.output_shape(quantized.input_shape)[0]
    made = helper.make_graph(
        graph.nodes,
        "smidgen",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *quantized.input_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", outputs])],
        graph.initializers,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    model.producer_name = "smidgen"
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Builds the nodes of the graph in order; values are named by numbers."""

    def __init__(self, quantized: QuantizedModel) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._quantized = quantized
        self._added: set[str] = set()
        value, is_vector = "image", False
        for place, plan in enumerate(quantized.spec.plan(quantized.input_shape)):
            if is_vector and not isinstance(plan.layer, Dense):
                value, is_vector = self._reshaped(value, plan.input_shape), False
            if isinstance(plan.layer, Dense) and not is_vector:
                value, is_vector = self._add("Flatten", value), True
            value = self._activated(self._layer(place, plan, value), plan)
        self._add("Flatten", value, output="logits")

    def _layer(self, place: int, plan: LayerPlan, value: str) -> str:
        own = place if plan.source is None else plan.source
        match plan.layer:
            case Conv() | Pointwise() | Depthwise():
                groups = plan.input_shape[0] if isinstance(plan.layer, Depthwise) else 1
                return self._add("Conv", value, *self._tensors(own, plan), pads=_pads(plan), group=groups)
            case Dense():
                return self._add("Gemm", value, *self._tensors(own, plan), transB=1)
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
        return value

    def _activated(self, value: str, plan: LayerPlan) -> str:
        slope = getattr(plan.layer, "slope", LINEAR)
        if slope == LINEAR:
            return value
        return self._add("Relu", value) if slope == RELU else self._add("LeakyRelu", value, alpha=slope)

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

    def _reshaped(self, value: str, shape: tuple[int, int, int]) -> str:
        name = f"shape{len(self.nodes)}"
        self._store(name, np.array([-1, *shape], np.int64))
        return self._add("Reshape", value, name)

    def _add(self, kind: str, *inputs: str, output: str = "", **settings: Any) -> str:
        from onnx import helper

        output = output or str(len(self.nodes))
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **settings))
        return output


def _fits_int8(tensor: Tensor) -> bool:
    """Return whether the levels fit in int8."""
    return bool(np.abs(tensor.levels).max(initial=0) <= 127)


def _pads(plan: LayerPlan) -> list[int]:
    """Return the padding above, left, below and right."""
    if not pads(plan):
        return [0, 0, 0, 0]
    top, left = padding(plan)
    return [top, left, plan.weight_shape[2] - 1 - top, plan.weight_shape[3] - 1 - left]
