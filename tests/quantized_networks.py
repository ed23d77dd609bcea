"""Quantized networks for tests: random ones, and the golden files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from smidgen.errors import SpecError
from smidgen.model import (
    CODERS,
    Codebook,
    QuantizedModel,
    Tensor,
    Uniform,
    full_precision,
    nearest_step,
    tensor_shapes,
)
from smidgen.spec import NetSpec, Shape, classes_of, parse_spec

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_FILES = sorted(GOLDEN.glob("*.smidgen"))

SMALL = "conv 4x3x3 relu, maxpool 2, conv 4x3x3 relu, maxpool 2, conv 4x3x3 relu, globalavgpool, dense 10"


def a_quantized_model(
    text: str = SMALL, shape: Shape = (1, 28, 28), scale: float = 2.0, seed: int = 0
) -> QuantizedModel:
    """A network of random levels, 4 bits and a step a tensor."""
    spec, rng, tensors = parse_spec(text), np.random.default_rng(seed), {}
    for name, axes in tensor_shapes(spec, shape).items():
        levels = np.clip(np.rint(rng.laplace(0, scale, axes)), -7, 7).astype(np.int32)
        tensors[name] = Tensor(levels, Uniform(np.array([nearest_step(rng.uniform(0.01, 0.5))])))
    return QuantizedModel(spec, shape, tuple(map(str, range(classes_of(spec.output_shape(shape)[0])))), tensors)


ACTIVATIONS = ("", " relu", " leaky_relu(0.2)", " leaky_relu(0.0123456789)", " leaky_relu(1e-07)")


@st.composite
def layer_texts(draw: st.DrawFn) -> str:
    act, bias = draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from(["", " nobias"]))
    size, kernel = draw(st.integers(1, 9)), f"{draw(st.integers(1, 5))}x{draw(st.integers(1, 5))}"
    same_size = draw(st.sampled_from(["", " same"]))
    texts = (
        f"conv {size}x{kernel}{same_size}{bias}{act}",
        f"conv {size}x3x3{same_size}{bias}{act}",
        f"depthwise {kernel}{same_size}{bias}{act}",
        f"pointwise {size}{bias}{act}",
        f"dense {size}{bias}{act}",
        f"maxpool {draw(st.integers(1, 3))}",
        "avgpool 2",
        "globalavgpool",
        f"batchnorm{act}",
        "prelu",
        f"dropout {draw(st.sampled_from([0, 0.5, 0.1, 0.30000000000000004]))}",
        f"repeat {draw(st.integers(1, 4))} [depthwise 3x3 same{bias}{act}, batchnorm]",
    )
    return draw(st.sampled_from(texts) | newer_texts())


@st.composite
def newer_texts(draw: st.DrawFn) -> str:
    """Layers of version 2 of the format."""
    act = draw(st.sampled_from([*ACTIVATIONS, " relu6"]))
    stride = draw(st.sampled_from(["", " stride 2", " stride 1x3", " stride 5x2"]))
    kernel = draw(st.sampled_from(["3x3", "8x1", "1x63", "11x9"]))
    channels = draw(st.integers(1, 4))
    pools = draw(st.sampled_from(["1x4", "3 stride 2", "2 stride 1x2", "2x1"]))
    texts = (
        f"conv {channels}x{kernel}{stride} same{act}",
        f"depthwise {kernel} shared {channels}{stride} same nobias{act}",
        f"pointwise {channels}{stride}{act}",
        f"maxpool {pools}",
        f"avgpool {pools}",
        f"dense 4{act}, crelu",
        f"batchnorm{act}, crelu",
        f"residual [depthwise 3x3 same{act}, residual [prelu, batchnorm], dropout 0.5]{act}",
        f"residual [conv {channels}x3x3{stride} same, prelu | pointwise {channels}{stride} nobias, batchnorm]{act}",
        f"repeat 3 [repeat 2 [depthwise 3x3 same{act}], residual [batchnorm{act}, prelu]]",
    )
    return draw(st.sampled_from(texts))


@st.composite
def networks(draw: st.DrawFn) -> tuple[NetSpec, Shape]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)))
    kept: list[str] = []
    for text in draw(st.lists(layer_texts(), max_size=6)):
        try:
            parse_spec(", ".join([*kept, text])).plan(shape)
        except SpecError:
            continue
        kept.append(text)
    return parse_spec(", ".join([*kept, f"dense {draw(st.integers(1, 12))}"])), shape


@st.composite
def tensors(draw: st.DrawFn, axes: tuple[int, ...]) -> Tensor:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["step", "coarse step", "steps", "coarse steps", "codebook", "half codebook", "full"]))
    if kind == "full":
        return full_precision(rng.standard_normal(axes).astype(np.float32))
    largest = draw(st.sampled_from([0, 1, 3, 7, 100]))
    levels = np.clip(np.rint(rng.laplace(0, largest / 2, axes)), -largest, largest).astype(np.int32)
    grid: Uniform | Codebook
    if "codebook" in kind:
        entries = np.sort(rng.standard_normal(2 * largest + 1)).astype(np.float16 if "half" in kind else np.float32)
        grid = Codebook(entries.astype(np.float32), largest)
    else:
        steps = rng.uniform(1e-4, 1, axes[0] if "steps" in kind and len(axes) > 1 else 1).astype(np.float32)
        grid = Uniform(np.array([nearest_step(step) for step in steps]) if "coarse" in kind else steps)
    coder = draw(st.sampled_from(["auto", "auto", *CODERS]))
    return Tensor(np.sort(levels.ravel()).reshape(axes) if coder == "rising" else levels, grid, coder)


@st.composite
def quantized_networks(draw: st.DrawFn) -> QuantizedModel:
    spec, shape = draw(networks())
    made = {name: draw(tensors(axes)) for name, axes in tensor_shapes(spec, shape).items()}
    classes = classes_of(spec.output_shape(shape)[0])
    numbers = tuple(map(str, range(classes)))
    names = tuple(draw(st.lists(st.text(max_size=20), min_size=classes, max_size=classes)))
    return QuantizedModel(spec, shape, draw(st.sampled_from([numbers, names])), made)
