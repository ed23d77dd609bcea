"""Random layers and networks of the whole language, for hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from smidgen.spec import (
    LINEAR,
    MAX_KERNEL,
    MAX_LINE_KERNEL,
    MAX_REPEATS,
    MAX_STRIDE,
    NO_CEILING,
    RELU,
    RELU6_CEILING,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
)

COUNTS = st.integers(1, 5000)
FRACTIONS = st.floats(0, 1, exclude_max=True)


def pairs(most):
    return st.tuples(st.integers(1, most), st.integers(1, most))


LINES = st.integers(1, MAX_LINE_KERNEL)
KERNELS = st.one_of(pairs(MAX_KERNEL), st.tuples(LINES, st.just(1)), st.tuples(st.just(1), LINES), st.just((3, 3)))
STRIDES = st.one_of(st.just((1, 1)), st.just((2, 2)), pairs(MAX_STRIDE))
ACTIVATIONS = st.one_of(
    st.sampled_from([(RELU, NO_CEILING), (LINEAR, NO_CEILING), (RELU, RELU6_CEILING)]),
    st.tuples(FRACTIONS, st.just(NO_CEILING)),
)


def activated(kind, **fields):
    """Layers of a kind that has an activation."""
    return st.builds(
        lambda activation, **values: kind(slope=activation[0], ceiling=activation[1], **values), ACTIVATIONS, **fields
    )


PLAIN_LAYERS = st.one_of(
    activated(Conv, channels=COUNTS, kernel=KERNELS, same=st.booleans(), bias=st.booleans(), stride=STRIDES),
    activated(
        Depthwise,
        kernel=KERNELS,
        same=st.booleans(),
        bias=st.booleans(),
        stride=STRIDES,
        shared=st.one_of(st.just(0), st.integers(1, 9)),
    ),
    activated(Pointwise, channels=COUNTS, bias=st.booleans(), stride=STRIDES),
    st.builds(MaxPool, COUNTS),
    st.builds(AvgPool, COUNTS),
    st.builds(MaxPool, pairs(30), st.none() | pairs(30)),
    st.builds(AvgPool, pairs(30), st.none() | pairs(30)),
    st.just(GlobalAvgPool()),
    activated(Dense, units=COUNTS, bias=st.booleans()),
    activated(BatchNorm),
    st.just(PReLU()),
    st.just(CReLU()),
    st.builds(Dropout, FRACTIONS),
)


def lists(layers, least=1, most=4):
    return st.lists(layers, min_size=least, max_size=most).map(tuple)


def bracketed(layers):
    """Repeats and residuals of these layers."""
    return st.one_of(
        st.builds(Repeat, st.integers(1, MAX_REPEATS), lists(layers)),
        activated(Residual, layers=lists(layers), shortcut=lists(layers, 0, 2)),
    )


INNER_LAYERS = PLAIN_LAYERS | bracketed(PLAIN_LAYERS)
LAYERS = (
    PLAIN_LAYERS | bracketed(PLAIN_LAYERS) | bracketed(INNER_LAYERS) | bracketed(INNER_LAYERS | bracketed(INNER_LAYERS))
)
SPECS = st.lists(LAYERS, min_size=1, max_size=8).map(lambda layers: NetSpec(tuple(layers)))


# --- networks that fit a small input ----------------------------------------------------------


def shrunk(layer):
    """The layer, limited to few channels, units, pixels and repeats."""
    if isinstance(layer, Repeat):
        return Repeat(min(layer.times, 3), tuple(map(shrunk, layer.layers)))
    if isinstance(layer, Residual):
        return replace(layer, layers=tuple(map(shrunk, layer.layers)), shortcut=tuple(map(shrunk, layer.shortcut)))
    small = {
        "channels": 5,
        "units": 6,
        "window": (2, 1),
        "stride": (1, 2),
        "shared": min(2, getattr(layer, "shared", 0)),
    }
    if isinstance(layer, Conv | Depthwise) and layer.stride == (1, 1):
        del small["stride"]
    return replace(layer, **{name: value for name, value in small.items() if name in vars(layer)})


@st.composite
def residuals(draw, shape):
    """A residual whose shapes agree for this input: a block and, if the block changes the shape, a projection."""
    channels, stride = draw(st.integers(1, 6)), draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 1)]))
    same = (channels, stride) == (shape[0], (1, 1))
    kernel, act = draw(st.sampled_from([(3, 3), (1, 5), (2, 2), (4, 1)])), draw(ACTIVATIONS)
    block = [Conv(channels, kernel, True, RELU, draw(st.booleans()), stride)]
    block += draw(st.sampled_from([[], [BatchNorm()], [Depthwise((3, 3), True, shared=1)], [PReLU(), Dropout(0.0)]]))
    projection = [
        Pointwise(channels, bias=draw(st.booleans()), stride=stride),
        *draw(st.sampled_from([[], [BatchNorm()]])),
    ]
    shortcut = () if same and draw(st.booleans()) else tuple(projection)
    return Residual(tuple(block), shortcut, *act)
