"""Reads an ONNX graph as steps: the operators that torch and Smidgen itself write."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import ModelFileError, RequestError
from smidgen.importers.steps import NO_PADS, Pads, Steps
from smidgen.spec import NO_CEILING, RELU, RELU6_CEILING, AvgPool, MaxPool, Shape, same_padding
from smidgen.teacher.loaders.network import first_line, import_extra

if TYPE_CHECKING:
    from onnx import NodeProto

MAX_CONSTANT = 2**26
"""Numbers that one operator on constants may make."""

ZERO_LOGIT = [0, 1, 0, 0]
"""The pads that put a zero before a network's one output for two classes, as Smidgen exports it."""

Pair = tuple[int, int]
Array = npt.NDArray[Any]


def read_onnx(path: Path) -> tuple[Steps, str]:
    """Read an ONNX file.

    Returns:
        Its steps, and the name of its output.

    Raises:
        ModelFileError: it is damaged.
        RequestError: it has an operator that the spec language has not.
    """
    onnx = import_extra("onnx", "onnx", str(path))
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's own errors, or a missing file of weights
        raise ModelFileError(f"cannot read {path} as ONNX: {first_line(error)}; export it again") from error
    graph = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise RequestError(
            f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs; one of each can be imported"
        )
    axes = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim]
    steps = Steps(inputs[0].name, _map_shape(axes[1:], path))
    reader = _Reader(steps, constants, model.opset_import, onnx, len(axes) - 1)
    for node in graph.node:
        reader.read(node)
    return reader.steps, graph.output[0].name


def _map_shape(axes: list[int], path: Path) -> Shape:
    """The axes of an input without the batch as (channels, height, width)."""
    if not 1 <= len(axes) <= 3 or min(axes) < 1:
        raise RequestError(f"{path} takes inputs of the axes {axes}; export it with one to three axes of fixed length")
    if len(axes) == 2:
        return axes[0], 1, axes[1]
    return (axes[0], axes[1], axes[2]) if len(axes) == 3 else (axes[0], 1, 1)


class _Reader:
    """Turns nodes into steps; `constants` holds every value that no input changes.

    The network's input has `axes` axes besides the batch.
    """

    def __init__(self, steps: Steps, constants: dict[str, Array], opsets: Any, onnx: Any, axes: int) -> None:
        self.steps, self.constants, self._opsets, self._onnx, self._axes = steps, constants, opsets, onnx, axes

    def read(self, node: NodeProto) -> None:
        """Add the step of a node; one that reads constants alone makes constants."""
        if all(name in self.constants for name in node.input if name):
            evaluate = self._dequantize if node.op_type == "DequantizeLinear" else self._evaluate
            evaluate(node)
            return
        if node.op_type not in _OPERATORS:
            raise _no_layer(node)
        settings = {each.name: self._onnx.helper.get_attribute_value(each) for each in node.attribute}
        _OPERATORS[node.op_type](self, node, settings)

    def _dequantize(self, node: NodeProto) -> None:
        """Compute what onnx's own evaluator lacks for the version that Smidgen's exports have."""
        levels, step, zero = self.needed(node, 0), self.needed(node, 1), self.constant(node, 2)
        axes = [1] * levels.ndim
        if step.ndim:
            axes[next((each.i for each in node.attribute if each.name == "axis"), 1)] = -1
        shifted = levels.astype(np.float32) - (0 if zero is None else zero.astype(np.float32).reshape(axes))
        self.constants[node.output[0]] = shifted * step.reshape(axes)

    def _evaluate(self, node: NodeProto) -> None:
        given = {name: self.constants[name] for name in node.input if name}
        if node.op_type == "ConstantOfShape" and np.prod(given[node.input[0]], dtype=np.float64) > MAX_CONSTANT:
            raise RequestError(f"{_name(node)} makes more than {MAX_CONSTANT:,} numbers; it cannot be imported")
        try:
            made = self._evaluator(node).run(None, given)
        except Exception as error:  # the evaluator raises whatever NumPy does
            raise RequestError(f"{_name(node)} cannot be computed: {first_line(error)}; export it again") from error
        self.constants |= dict(zip(node.output, made, strict=True))

    def _evaluator(self, node: NodeProto) -> Any:
        helper, reference = self._onnx.helper, import_module("onnx.reference")
        values = [
            [helper.make_empty_tensor_value_info(name) for name in names if name] for names in (node.input, node.output)
        ]
        graph = helper.make_graph([node], "constants", *values)
        return reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=self._opsets))

    def constant(self, node: NodeProto, place: int) -> Array | None:
        """The constant at one of a node's inputs; None if it is left out."""
        if len(node.input) <= place or not node.input[place]:
            return None
        if node.input[place] not in self.constants:
            raise RequestError(f"{_name(node)} reads weights that are computed; they must be constants")
        return self.constants[node.input[place]]

    def needed(self, node: NodeProto, place: int) -> Array:
        """The constant at one of a node's inputs."""
        found = self.constant(node, place)
        if found is None:
            raise RequestError(f"{_name(node)} lacks its input {place}; export it again")
        return found

    # --- operators ----------------------------------------------------------------------------

    def conv(self, node: NodeProto, settings: dict[str, Any]) -> None:
        weight, channels = self.needed(node, 1), self.steps.shape(node.input[0])[0]
        is_line = weight.ndim == 3
        weight = weight[:, :, None] if is_line else weight
        groups = settings.get("group", 1)
        is_depthwise = groups == channels == len(weight) and groups > 1
        if weight.ndim != 4 or (groups != 1 and not is_depthwise):
            raise RequestError(f"{_name(node)} has {groups} groups and {weight.ndim - 2} axes; it cannot be imported")
        _undilated(node, settings)
        stride = _pair(settings.get("strides", [1, 1]))
        pads = self._pads(node, settings, (weight.shape[2], weight.shape[3]), stride)
        self.steps.convolution(
            _name(node), node.input[0], node.output[0], weight, self.constant(node, 2),
            stride=stride, pads=pads, is_depthwise=is_depthwise,
        )  # fmt: skip

    def _pads(self, node: NodeProto, settings: dict[str, Any], kernel: Pair, stride: Pair) -> Pads:
        kind = settings.get("auto_pad", b"NOTSET").decode()
        if kind == "SAME_UPPER":
            rows, columns = map(same_padding, self.steps.shape(node.input[0])[1:], kernel, stride)
            return rows, columns
        if kind not in ("NOTSET", "VALID"):
            raise RequestError(f"{_name(node)} pads by {kind}; export it with explicit padding")
        pads = settings.get("pads", [0, 0, 0, 0])
        return ((0, 0), (pads[0], pads[1])) if len(pads) == 2 else ((pads[0], pads[2]), (pads[1], pads[3]))

    def pool(self, node: NodeProto, settings: dict[str, Any]) -> None:
        kind = MaxPool if node.op_type == "MaxPool" else AvgPool
        _undilated(node, settings)
        window = _pair(settings["kernel_shape"])
        stride = _pair(settings.get("strides", [1] * len(settings["kernel_shape"])), missing=1)
        if self._pads(node, settings, window, stride) != NO_PADS or settings.get("ceil_mode"):
            raise RequestError(
                f"{_name(node)} pads its map or rounds up; pools of the spec language drop what is left over"
            )
        self.steps.layer(_name(node), kind(window, stride), node.input[0], node.output[0])

    def global_average(self, node: NodeProto, settings: dict[str, Any]) -> None:
        if node.op_type == "ReduceMean":
            axes = self.constant(node, 1) if len(node.input) > 1 else settings.get("axes")
            if axes is None or sorted(int(axis) for axis in axes) not in ([2, 3], [-2, -1], [2], [-1]):
                raise RequestError(f"{_name(node)} means over other axes than those of the map; it cannot be imported")
        self.steps.global_average(_name(node), node.input[0], node.output[0])

    def gemm(self, node: NodeProto, settings: dict[str, Any]) -> None:
        if settings.get("alpha", 1.0) != 1 or settings.get("beta", 1.0) != 1 or settings.get("transA", 0):
            raise RequestError(f"{_name(node)} scales or transposes its input; it cannot be imported")
        weight = self.needed(node, 1)
        weight = weight if settings.get("transB", 0) else weight.T
        self.steps.dense(_name(node), node.input[0], node.output[0], weight, self.constant(node, 2))

    def matmul(self, node: NodeProto, _: dict[str, Any]) -> None:
        self.steps.dense(_name(node), node.input[0], node.output[0], self.needed(node, 1).T, None)

    def batch_norm(self, node: NodeProto, settings: dict[str, Any]) -> None:
        parts = [self.needed(node, place) for place in range(1, 5)]
        self.steps.batch_norm(_name(node), node.input[0], node.output[0], parts, settings.get("epsilon", 1e-5))

    def relu(self, node: NodeProto, settings: dict[str, Any]) -> None:
        slope = settings.get("alpha", 0.01) if node.op_type == "LeakyRelu" else RELU
        self.steps.activation(_name(node), node.input[0], node.output[0], float(slope))

    def clip(self, node: NodeProto, settings: dict[str, Any]) -> None:
        low, high = (self.constant(node, place) for place in (1, 2))
        bounds = [
            settings.get("min") if low is None else low.item(),
            settings.get("max") if high is None else high.item(),
        ]
        if bounds not in ([0.0, RELU6_CEILING], [0.0, None]):
            raise RequestError(f"{_name(node)} clips to {bounds}; the spec language has relu and relu6 (0 to 6)")
        ceiling = NO_CEILING if bounds[1] is None else RELU6_CEILING
        self.steps.activation(_name(node), node.input[0], node.output[0], RELU, ceiling)

    def prelu(self, node: NodeProto, _: dict[str, Any]) -> None:
        self.steps.prelu(_name(node), node.input[0], node.output[0], self.needed(node, 1))

    def add(self, node: NodeProto, settings: dict[str, Any]) -> None:
        constants = [place for place in (0, 1) if node.input[place] in self.constants]
        if not constants:
            self.steps.add(_name(node), node.input, node.output[0])
            return
        if self.steps.real(node.input[1 - constants[0]]) == self.steps.input_name:
            self.scaling(node, settings)
            return
        self.steps.add_bias(_name(node), node.input[1 - constants[0]], node.output[0], self.needed(node, constants[0]))

    def scaling(self, node: NodeProto, _: dict[str, Any]) -> None:
        """Take what is done to the input first; of Add and Mul either operand may be the constant."""
        place = 0 if node.op_type in ("Add", "Mul") and node.input[0] in self.constants else 1
        if node.input[place] not in self.constants or self.steps.real(node.input[1 - place]) != self.steps.input_name:
            raise _no_layer(node)
        numbers = self._of_channels(node, self.needed(node, place).astype(np.float64))
        offset, scale = np.zeros(1), np.ones(1)
        match node.op_type:
            case "Sub":
                offset = numbers
            case "Add":
                offset = -numbers
            case "Mul":
                scale = numbers
            case "Div":
                scale = np.divide(1, numbers, out=np.zeros_like(numbers), where=numbers != 0)
        self.steps.scaling(_name(node), node.input[1 - place], node.output[0], offset, scale)

    def _of_channels(self, node: NodeProto, numbers: Array) -> Array:
        """Return a constant that is the same along all axes but that of the channels, which is the input's first."""
        shape = (1,) * (self._axes - numbers.ndim) + numbers.shape
        others = shape[: -self._axes] + shape[len(shape) - self._axes + 1 :]
        if any(axis != 1 for axis in others) or numbers.size not in (1, self.steps.input_shape[0]):
            raise RequestError(
                f"{_name(node)} scales by an array {numbers.shape}; give one number a channel, or one for all"
            )
        return numbers.ravel()

    def pad(self, node: NodeProto, settings: dict[str, Any]) -> None:
        found = self.constant(node, 1) if len(node.input) > 1 else settings.get("pads")
        value = self.constant(node, 2) if len(node.input) > 2 else None
        pads = [int(each) for each in (found if found is not None else [])]
        half = len(pads) // 2
        are_zeros = settings.get("mode", b"constant") == b"constant" and not (value is not None and value.item())
        if are_zeros and pads == ZERO_LOGIT and self.steps.shape(node.input[0]) == (1, 1, 1):
            self.steps.same(node.input[0], node.output[0])
            return
        if not are_zeros or len(pads) < 6:
            raise RequestError(f"{_name(node)} pads with other values than zeros; it cannot be imported")
        if any(pads[:2] + pads[half : half + 2]):
            raise RequestError(f"{_name(node)} pads the batch or the channels; it cannot be imported")
        columns = (pads[half - 1], pads[-1])
        rows = (pads[2], pads[half + 2]) if half == 4 else (0, 0)
        self.steps.pad(_name(node), node.input[0], node.output[0], (rows, columns))

    def same(self, node: NodeProto, settings: dict[str, Any]) -> None:
        if node.op_type == "Flatten" and settings.get("axis", 1) != 1:
            raise RequestError(
                f"{_name(node)} flattens from axis {settings['axis']}; only a flatten from 1 can be imported"
            )
        if node.op_type == "Reshape":
            self._check_reshape(node)
        self.steps.same(node.input[0], node.output[0])

    def _check_reshape(self, node: NodeProto) -> None:
        axes, shape = [int(axis) for axis in self.needed(node, 1)][1:], self.steps.shape(node.input[0])
        values = shape[0] * shape[1] * shape[2]
        if axes not in ([-1], [values], list(shape), [shape[0], shape[2]]):
            raise RequestError(f"{_name(node)} reshapes to {axes}; only a flatten can be imported")

    def softmax(self, node: NodeProto, settings: dict[str, Any]) -> None:
        if settings.get("axis", -1) not in (1, -1):
            raise RequestError(f"{_name(node)} is a softmax over axis {settings['axis']}; it must be over the classes")
        self.steps.softmax(node.input[0], node.output[0])

    def sigmoid(self, node: NodeProto, _settings: dict[str, Any]) -> None:
        self.steps.sigmoid(_name(node), node.input[0], node.output[0])


_OPERATORS: dict[str, Callable[[_Reader, NodeProto, dict[str, Any]], None]] = {
    "Conv": _Reader.conv,
    "MaxPool": _Reader.pool,
    "AveragePool": _Reader.pool,
    "GlobalAveragePool": _Reader.global_average,
    "ReduceMean": _Reader.global_average,
    "Gemm": _Reader.gemm,
    "MatMul": _Reader.matmul,
    "BatchNormalization": _Reader.batch_norm,
    "Relu": _Reader.relu,
    "LeakyRelu": _Reader.relu,
    "Clip": _Reader.clip,
    "PRelu": _Reader.prelu,
    "Add": _Reader.add,
    "Sub": _Reader.scaling,
    "Mul": _Reader.scaling,
    "Div": _Reader.scaling,
    "Pad": _Reader.pad,
    "Flatten": _Reader.same,
    "Reshape": _Reader.same,
    "Squeeze": _Reader.same,
    "Dropout": _Reader.same,
    "Identity": _Reader.same,
    "Softmax": _Reader.softmax,
    "LogSoftmax": _Reader.softmax,
    "Sigmoid": _Reader.sigmoid,
}
"""How each operator is read; any other is refused by its name."""


def _name(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _no_layer(node: NodeProto) -> RequestError:
    return RequestError(f"{_name(node)} has no layer in the spec language; it cannot be imported")


def _pair(sizes: list[int], missing: int = 1) -> Pair:
    """The sizes of a map's axes; one dimension is the columns."""
    return (missing, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _undilated(node: NodeProto, settings: dict[str, Any]) -> None:
    if any(step != 1 for step in settings.get("dilations", [1])):
        raise RequestError(f"{_name(node)} is dilated; the spec language has no dilation")
