"""Writes the tables of a TensorFlow Lite file with the packages flatbuffers and tflite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError
from smidgen.exporters.calibration import Affine

Array = npt.NDArray[Any]

_TYPES = {"float32": "FLOAT32", "int8": "INT8", "int32": "INT32"}
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "MAX_POOL_2D": 2, "AVERAGE_POOL_2D": 2, "ADD": 2}
_VERSIONS |= {
    "CONCATENATION": 2,
    "LEAKY_RELU": 2,
    "PRELU": 1,
    "QUANTIZE": 1,
    "RESHAPE": 1,
    "PAD": 2,
    "SUB": 1,
    "MUL": 1,
    "MEAN": 2,
}
"""The first version of each operator that has int8 where this project uses it."""
_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "CONCATENATION": "ConcatenationOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "QUANTIZE": "QuantizeOptions",
    "PAD": "PadOptions",
    "MEAN": "ReducerOptions",
}
ALIGNMENT, SCHEMA_VERSION = 16, 3
"""The alignment of a buffer's data in the file, and the version of the format."""


class Builder:
    """Adds tensors and operators to a file with one graph."""

    def __init__(self) -> None:
        try:
            import flatbuffers
            import tflite
        except ImportError:
            raise RequestError(
                "writing a TensorFlow Lite file needs flatbuffers and tflite; pip install 'smidgen[tflite]'"
            ) from None
        self._t: Any = tflite
        self._b: Any = flatbuffers.Builder(4096)
        self._buffers = [self._table("Buffer")]
        self._tensors: list[int] = []
        self._operators: list[int] = []
        self._kinds: list[str] = []

    def tensor(self, name: str, shape: Sequence[int], kind: type, values: Affine | None = None) -> int:
        """Add a tensor that is computed or given, and return its number."""
        steps = None if values is None else np.array([values.step])
        return self._add_tensor(name, shape, np.dtype(kind).name, 0, steps, 0 if values is None else values.zero, 0)

    def constant(self, name: str, values: Array, steps: Array | None = None, axis: int = 0) -> int:
        """Add a tensor with its values, whole numbers times steps along an axis, and return its number."""
        data = np.ascontiguousarray(values).tobytes()
        self._b.StartVector(1, len(data), ALIGNMENT)
        self._b.head = self._b.head - len(data)
        self._b.Bytes[self._b.head : self._b.head + len(data)] = data
        stored = self._b.EndVector()
        self._buffers.append(self._table("Buffer", Data=stored))
        return self._add_tensor(name, values.shape, values.dtype.name, len(self._buffers) - 1, steps, 0, axis)

    def add(self, kind: str, inputs: Sequence[int], output: int, **settings: Any) -> int:
        """Add an operator and return its output.

        Args:
            kind: Its name in TensorFlow Lite.
            inputs: Its tensors.
            output: The tensor that it makes.
            settings: `stride`, `window`, `same`, `activation`, `alpha`, where the operator has them.
        """
        if kind not in self._kinds:
            self._kinds.append(kind)
        fields = {"Inputs": self._ints(inputs), "Outputs": self._ints([output])}
        if kind in _OPTIONS:
            fields["BuiltinOptionsType"] = getattr(self._t.BuiltinOptions, _OPTIONS[kind])
            fields["BuiltinOptions"] = self._options(kind, **settings)
        self._operators.append(self._table("Operator", OpcodeIndex=self._kinds.index(kind), **fields))
        return output

    def finish(self, given: int, output: int, notes: bytes) -> bytes:
        """Return the file.

        Args:
            given: The input's tensor.
            output: The tensor of the logits.
            notes: What the metadata "smidgen" hold.
        """
        name = self._b.CreateString("smidgen")
        self._buffers.append(self._table("Buffer", Data=self._b.CreateByteVector(notes)))
        metadata = self._table("Metadata", Name=name, Buffer=len(self._buffers) - 1)
        codes = [self._code(kind) for kind in self._kinds]
        graph = self._table(
            "SubGraph",
            Tensors=self._offsets(self._tensors),
            Inputs=self._ints([given]),
            Outputs=self._ints([output]),
            Operators=self._offsets(self._operators),
        )
        fields = {"OperatorCodes": self._offsets(codes), "Subgraphs": self._offsets([graph])}
        fields |= {"Description": self._b.CreateString("Made by Smidgen"), "Buffers": self._offsets(self._buffers)}
        model = self._table("Model", Version=SCHEMA_VERSION, Metadata=self._offsets([metadata]), **fields)
        self._b.Finish(model, b"TFL3")
        return bytes(self._b.Output())

    def _add_tensor(
        self, name: str, shape: Sequence[int], kind: str, buffer: int, steps: Array | None, zero: int, axis: int
    ) -> int:
        fields: dict[str, Any] = {"Shape": self._ints(shape), "Name": self._b.CreateString(name), "Buffer": buffer}
        if steps is not None:
            scale = self._b.CreateNumpyVector(np.asarray(steps, np.float32))
            zeros = self._b.CreateNumpyVector(np.full(len(steps), zero, np.int64))
            quantization = {"Scale": scale, "ZeroPoint": zeros, "QuantizedDimension": axis}
            fields["Quantization"] = self._table("QuantizationParameters", **quantization)
        self._tensors.append(self._table("Tensor", Type=getattr(self._t.TensorType, _TYPES[kind]), **fields))
        return len(self._tensors) - 1

    def _code(self, kind: str) -> int:
        number = getattr(self._t.BuiltinOperator, kind)
        return self._table("OperatorCode", DeprecatedBuiltinCode=number, BuiltinCode=number, Version=_VERSIONS[kind])

    def _options(self, kind: str, **settings: Any) -> int:
        activation = getattr(self._t.ActivationFunctionType, settings.get("activation", "NONE"))
        padding = self._t.Padding.SAME if settings.get("same") else self._t.Padding.VALID
        down, right = settings.get("stride", (1, 1))
        rows, columns = settings.get("window", (1, 1))
        moves = {"Padding": padding, "StrideH": down, "StrideW": right, "FusedActivationFunction": activation}
        match kind:
            case "CONV_2D":
                return self._table("Conv2DOptions", DilationHFactor=1, DilationWFactor=1, **moves)
            case "DEPTHWISE_CONV_2D":
                more = {"DepthMultiplier": 1, "DilationHFactor": 1, "DilationWFactor": 1}
                return self._table("DepthwiseConv2DOptions", **more, **moves)
            case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
                return self._table("Pool2DOptions", FilterHeight=rows, FilterWidth=columns, **moves)
            case "CONCATENATION":
                return self._table("ConcatenationOptions", Axis=3, FusedActivationFunction=activation)
            case "LEAKY_RELU":
                return self._table("LeakyReluOptions", Alpha=settings["alpha"])
            case "MEAN":
                return self._table("ReducerOptions", KeepDims=True)
            case "QUANTIZE" | "PAD":
                return self._table(_OPTIONS[kind])
        return self._table(_OPTIONS[kind], FusedActivationFunction=activation)

    def _table(self, name: str, **fields: Any) -> int:
        """Write a table of the schema."""
        self._function(f"{name}Start")(self._b)
        for field, value in fields.items():
            self._function(f"{name}Add{field}")(self._b, value)
        made: int = self._function(f"{name}End")(self._b)
        return made

    def _function(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._t, name)
        return found

    def _ints(self, numbers: Sequence[int]) -> int:
        made: int = self._b.CreateNumpyVector(np.array(numbers, np.int32))
        return made

    def _offsets(self, places: Sequence[int]) -> int:
        self._b.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._b.PrependUOffsetTRelative(place)
        made: int = self._b.EndVector()
        return made
