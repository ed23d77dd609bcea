"""The shapes and costs of one layer that is given a map of a known shape."""

from __future__ import annotations

from smidgen.errors import SpecError
from smidgen.spec.layers import (
    LINEAR,
    MAX_KERNEL,
    MAX_LINE_KERNEL,
    MAX_STRIDE,
    NO_CEILING,
    RELU,
    RELU6_CEILING,
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    Pair,
    PlannedLayer,
    Pointwise,
    PReLU,
)
from smidgen.spec.limits import MAX_VALUES, count_text
from smidgen.spec.shapes import LayerPlan, Shape, product

_SIZES = ("channels", "units", "kernel", "window", "stride")
"""The fields of layers that hold sizes of at least 1."""


def place(layer: PlannedLayer, shape: Shape, inputs: tuple[int, ...]) -> LayerPlan:
    """Return the plan of one layer.

    Args:
        layer: The layer.
        shape: The shape of its input.
        inputs: See `LayerPlan`.

    Raises:
        SpecError: The layer does not fit its input, or a size of it cannot be.
    """
    check_layer(layer)
    channels = shape[0]
    match layer:
        case Conv():
            return _convolution(layer, shape, inputs, (layer.channels, channels, *layer.kernel))
        case Pointwise():
            return _convolution(layer, shape, inputs, (layer.channels, channels, 1, 1))
        case Depthwise():
            kernels = _kernels(layer, channels)
            return _convolution(layer, shape, inputs, (kernels, 1, *layer.kernel))
        case Dense(units, _, bias):
            values = product(shape)
            return LayerPlan(layer, shape, (units, 1, 1), (units, values), units * bias, units * values, inputs=inputs)
        case BatchNorm():
            norms = (channels,)
            return LayerPlan(layer, shape, shape, norms, channels, product(shape), 2 * channels, inputs=inputs)
        case PReLU():
            return LayerPlan(layer, shape, shape, (channels,), 0, product(shape), inputs=inputs)
    return LayerPlan(layer, shape, _unweighted(layer, shape), (), 0, 0, inputs=inputs)


def same_padding(size: int, kernel: int, stride: int) -> Pair:
    """Return the zeros before and after a row of `size` values, as TensorFlow's SAME has them.

    The output has ceil(size / stride) values; an odd number of zeros has the larger half after the row.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def check_layer(layer: PlannedLayer) -> None:
    """Check the sizes and the activation of a layer that was made in Python; the grammar makes no others.

    Raises:
        SpecError: A size is below 1 or too large, or only relu may have a ceiling.
    """
    for name in _SIZES:
        value = getattr(layer, name, 1)
        for size in value if isinstance(value, tuple) else (value,):
            if not 1 <= size <= MAX_VALUES:
                raise SpecError(f"a {_kind(layer)} has {name} of {count_text(size)}; give 1 to {MAX_VALUES:,}")
    if isinstance(layer, Conv | Depthwise | Pointwise):
        check_stride(layer.stride, str(layer))
    if isinstance(layer, Conv | Depthwise):
        check_kernel(layer.kernel, str(layer))
    slope, ceiling = getattr(layer, "slope", LINEAR), getattr(layer, "ceiling", NO_CEILING)
    if ceiling != NO_CEILING and (slope, ceiling) != (RELU, RELU6_CEILING):
        raise SpecError(f"a {_kind(layer)} has slope {slope:g} and ceiling {ceiling:g}; only relu6 (0 and 6) has one")


def check_kernel(kernel: Pair, layer: str) -> None:
    """Check the sides of a kernel.

    Raises:
        SpecError: A side is too long.
    """
    most = MAX_LINE_KERNEL if min(kernel) == 1 else MAX_KERNEL
    if max(kernel) > most:
        where = "" if min(kernel) == 1 else f" (or {MAX_LINE_KERNEL} where the other side is 1)"
        raise SpecError(f"'{layer}' has a kernel of {max(kernel)}; give at most {most}{where}")


def check_stride(stride: Pair, layer: str) -> None:
    """Check the stride of a convolution.

    Raises:
        SpecError: It is too long.
    """
    if max(stride) > MAX_STRIDE:
        raise SpecError(f"'{layer}' has a stride of {max(stride)}; give at most {MAX_STRIDE}")


def _kind(layer: PlannedLayer) -> str:
    return type(layer).__name__


def _kernels(layer: Depthwise, channels: int) -> int:
    """How many kernels a depthwise convolution has."""
    if not 0 <= layer.shared <= channels:
        raise SpecError(f"'{layer}' shares {layer.shared} kernels among {channels} channels; share at most {channels}")
    return layer.shared or channels


def _convolution(
    layer: Conv | Depthwise | Pointwise, shape: Shape, inputs: tuple[int, ...], weight_shape: tuple[int, int, int, int]
) -> LayerPlan:
    channels = shape[0] if isinstance(layer, Depthwise) else layer.channels
    same = isinstance(layer, Pointwise) or layer.same
    kernel, stride = weight_shape[2:], layer.stride
    height, width = (_steps(layer, shape, axis, kernel[axis], stride[axis], same) for axis in (0, 1))
    macs = channels * height * width * product(weight_shape[1:])
    return LayerPlan(layer, shape, (channels, height, width), weight_shape, channels * layer.bias, macs, inputs=inputs)


def _steps(layer: PlannedLayer, shape: Shape, axis: int, window: int, stride: int, same: bool) -> int:
    """How many windows stand along an axis of a map."""
    size = shape[1 + axis]
    if same:
        return -(-size // stride)
    if size < window:
        raise SpecError(_misfit(layer, shape))
    return (size - window) // stride + 1


def _misfit(layer: PlannedLayer, shape: Shape) -> str:
    given = f"is given a map of {shape[1]}x{shape[2]}"
    if isinstance(layer, MaxPool | AvgPool):
        return f"'{layer}' {given}; use a smaller pool or fewer layers before it"
    kernel = "x".join(map(str, getattr(layer, "kernel", (1, 1))))
    return f"'{layer}' has a kernel of {kernel} and {given}; use a smaller kernel, 'same', or fewer pools before it"


def _unweighted(layer: PlannedLayer, shape: Shape) -> Shape:
    """The output shape of a layer without weights."""
    channels, height, width = shape
    match layer:
        case MaxPool(window, stride) | AvgPool(window, stride):
            height, width = (_steps(layer, shape, axis, window[axis], stride[axis], False) for axis in (0, 1))
        case GlobalAvgPool():
            height, width = 1, 1
        case CReLU():
            channels = 2 * channels
        case Dropout() | Add():
            pass
    return channels, height, width
