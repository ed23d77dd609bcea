"""The .smidgen file: exact, small, the same for ever, and refused with the byte when it is not whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import second_decoder
from smidgen.errors import ModelFileError, SpecError
from smidgen.model import (
    CODERS,
    Codebook,
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    decode,
    dequantize,
    encode,
    equal_networks,
    flat_weights,
    full_precision,
    load_smidgen,
    nearest_step,
    quantize_tensor,
    save_smidgen,
    size_report,
    tensor_shapes,
    values_of,
)
from smidgen.model.coding.contexts import fresh_models
from smidgen.model.smidgen_file import LARGE_BYTES
from smidgen.spec import NetSpec, Shape, parse_spec
from smidgen.streams import initial_weights
from smidgen.transforms import fold_batch_norm, sort_channels

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.smidgen"))
SMALL = "conv 4x3x3 relu, maxpool 2, conv 4x3x3 relu, maxpool 2, conv 4x3x3 relu, globalavgpool, dense 10"


def a_quantized_model(
    text: str = SMALL, shape: Shape = (1, 28, 28), scale: float = 2.0, seed: int = 0
) -> QuantizedModel:
    """A network of random levels, 4 bits and a step a tensor."""
    spec, rng, tensors = parse_spec(text), np.random.default_rng(seed), {}
    for name, axes in tensor_shapes(spec, shape).items():
        levels = np.clip(np.rint(rng.laplace(0, scale, axes)), -7, 7).astype(np.int32)
        tensors[name] = Tensor(levels, Uniform(np.array([nearest_step(rng.uniform(0.01, 0.5))])))
    return QuantizedModel(spec, shape, tuple(map(str, range(spec.output_shape(shape)[0]))), tensors)


# --- random networks -------------------------------------------------------------------------

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
    return draw(st.sampled_from(texts))


@st.composite
def networks(draw: st.DrawFn) -> tuple[NetSpec, Shape]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)))
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
    classes = spec.output_shape(shape)[0]
    numbers = tuple(map(str, range(classes)))
    names = tuple(draw(st.lists(st.text(max_size=20), min_size=classes, max_size=classes)))
    return QuantizedModel(spec, shape, draw(st.sampled_from([numbers, names])), made)


# --- round trips -----------------------------------------------------------------------------


def check_round_trip(quantized: QuantizedModel) -> None:
    content = encode(quantized)
    back = decode(content)
    assert equal_networks(back, quantized)
    assert flat_weights(back).tobytes() == flat_weights(quantized).tobytes()
    assert encode(back) == content, "a file that was read is written as it was"
    parts = size_report(content)
    assert sum(part.bits for part in parts) == pytest.approx(8 * len(content))
    assert all(part.bits >= -1e-9 for part in parts[:-2])


def check_second_decoder(quantized: QuantizedModel) -> None:
    found = second_decoder.decode(encode(quantized))
    bits = [word for tensor in found["tensors"] for word in tensor]
    assert np.array(bits, np.uint32).tobytes() == flat_weights(quantized).tobytes()
    assert (found["input"], tuple(found["names"])) == (quantized.input_shape, quantized.class_names)
    assert ", ".join(map(text_of, found["layers"])) == str(quantized.spec)


def text_of(layer: dict[str, Any]) -> str:
    """A layer of the second decoder as the package writes it."""
    kind, words = layer["kind"], []
    if kind == "repeat":
        return f"repeat {layer['times']} [{', '.join(map(text_of, layer['layers']))}]"
    kernel = [str(axis) for axis in layer.get("kernel", ())]
    words += ["x".join([*([str(layer["out"])] if "out" in layer else []), *kernel])] if kernel or "out" in layer else []
    words += [str(layer["size"])] if "size" in layer else []
    words += [str(layer["rate"]).removesuffix(".0")] if "rate" in layer else []
    words += ["same"] if layer.get("same") else []
    words += [] if layer.get("bias", True) else ["nobias"]
    slope = layer.get("slope", 1.0)
    words += [] if slope == 1.0 else ["relu"] if slope == 0.0 else [f"leaky_relu({slope})"]
    return " ".join([kind, *words])


@settings(max_examples=60)
@given(quantized_networks())
def test_what_is_encoded_comes_back_exactly(quantized: QuantizedModel) -> None:
    check_round_trip(quantized)
    check_second_decoder(quantized)


@pytest.mark.slow
@settings(max_examples=3000)
@given(quantized_networks())
def test_what_is_encoded_comes_back_exactly_thousands_of_times(quantized: QuantizedModel) -> None:
    check_round_trip(quantized)
    check_second_decoder(quantized)


@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_a_large_network_takes_two_percent_more_than_its_entropy_at_most(scale: float) -> None:
    spec, rng, made, entropy = parse_spec("dense 120 relu, dense 10"), np.random.default_rng(0), {}, 0.0
    for name, axes in tensor_shapes(spec, (1, 28, 28)).items():
        levels = np.rint(rng.laplace(0, scale, axes)).astype(np.int32)
        made[name] = Tensor(levels, Uniform(np.array([0.125], np.float32)))
        _, counts = np.unique(levels, return_counts=True)
        entropy -= float((counts * np.log2(counts / counts.sum())).sum())
    content = encode(QuantizedModel(spec, (1, 28, 28), tuple("0123456789"), made))
    assert entropy / 8 < len(content) < 1.02 * entropy / 8 + 60


def test_a_network_of_four_bits_a_weight_takes_a_few_bytes_more() -> None:
    content = encode(a_quantized_model())
    header = sum(part.bits for part in size_report(content) if "levels" not in part.name)
    assert header < 8 * 22
    assert len(content) == 189


def test_auto_is_no_longer_than_any_coder() -> None:
    quantized = a_quantized_model(scale=1.0, seed=3)
    sizes = [
        len(encode(replace(quantized, tensors={n: replace(t, coder=c) for n, t in quantized.tensors.items()})))
        for c in CODERS
        if c != "rising"
    ]
    assert len(encode(quantized)) <= min(sizes)


def test_models_that_learn_beat_tables_on_few_weights() -> None:
    """The figures of docs/decisions/smidgen-file.md."""
    quantized = load_smidgen(Path(__file__).parents[1] / "golden" / "v1-digits.smidgen")

    def size_bytes(coder: str) -> int:
        return len(
            encode(replace(quantized, tensors={n: replace(t, coder=coder) for n, t in quantized.tensors.items()}))
        )

    assert (size_bytes("auto"), size_bytes("huffman")) == (171, 268)


def test_what_was_stored_before_is_gone_on_with() -> None:
    """Two tensors with one grid and one coder cost less than their headers apart."""
    quantized = a_quantized_model("conv 4x3x3, conv 4x3x3, dense 2", (1, 8, 8))
    step = Uniform(np.array([0.25], np.float32))
    shared = {name: replace(tensor, grid=step) for name, tensor in quantized.tensors.items()}
    parts = {part.name: part.bits for part in size_report(encode(replace(quantized, tensors=shared)))}
    assert parts["2.weight grid"] < 1
    assert parts["2.bias grid"] < 1


def test_a_value_is_a_level_times_a_step_rounded_once() -> None:
    tensor = quantize_tensor(np.array([[0.31, -0.29], [5.0, 0.0]], np.float32), 0.1, largest=7)
    assert tensor.levels.tolist() == [[3, -3], [7, 0]]
    assert values_of(tensor).tobytes() == (np.array([[3, -3], [7, 0]], np.float32) * np.float32(0.1)).tobytes()
    per_row = Tensor(np.array([[3, -3], [7, 1]], np.int32), Uniform(np.array([0.5, 2], np.float32)))
    assert values_of(per_row).tolist() == [[1.5, -1.5], [14, 2]]
    assert values_of(Tensor(np.array([-1, 2], np.int32), Codebook(np.array([9, 8, 7, 6], np.float32), 1))).tolist() == [
        9,
        6,
    ]


@pytest.mark.parametrize("step", [1e-9, 4.7684e-7, 0.013, 0.25, 0.26, 3.0, 1920, 1e6])
def test_the_nearest_step_is_near_and_takes_a_byte(step: float) -> None:
    near = float(nearest_step(step))
    if 4.8e-7 < step < 1920:
        assert near == pytest.approx(step, rel=1 / 16)
    quantized = a_quantized_model("dense 2", (1, 2, 2))
    made = {
        name: replace(tensor, grid=Uniform(np.array([near], np.float32))) for name, tensor in quantized.tensors.items()
    }
    parts = {part.name: part.bits for part in size_report(encode(replace(quantized, tensors=made)))}
    assert parts["0.weight grid"] < 8.5


def test_a_model_in_full_precision_goes_in_and_comes_out() -> None:
    spec, shape = parse_spec(SMALL), (1, 28, 28)
    model = Model(spec, shape, tuple("abcdefghij"), initial_weights(spec, shape, 3))
    back = dequantize(decode(encode(as_quantized(model))))
    assert back.weights.tobytes() == model.weights.tobytes()
    assert back.class_names == model.class_names


# --- files of before -------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_version_is_read_as_ever(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    quantized = load_smidgen(path)
    assert str(quantized.spec) == told["spec"]
    assert (list(quantized.input_shape), list(quantized.class_names)) == (told["input"], told["names"])
    assert [tensor.coder if tensor.grid else "" for tensor in quantized.tensors.values()] == told["coders"]
    weights = flat_weights(quantized)
    assert weights.size == told["weights"]
    assert hashlib.sha256(weights.astype("<f4").tobytes()).hexdigest() == told["values_sha256"]
    check_second_decoder(quantized)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_newest_version_is_written_as_it_was(path: Path) -> None:
    assert encode(load_smidgen(path)) == path.read_bytes()


def test_every_coder_is_in_some_golden_file() -> None:
    told = [json.loads(path.with_suffix(".json").read_text()) for path in GOLDEN]
    assert {coder for one in told for coder in one["coders"]} == {*CODERS, ""}
    assert {path.stat().st_size >= LARGE_BYTES for path in GOLDEN} == {True, False}


# --- on disk ---------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    quantized, path = a_quantized_model(), tmp_path / "winner.smidgen"
    assert save_smidgen(quantized, path) == path.stat().st_size == len(encode(quantized))
    assert equal_networks(load_smidgen(path), quantized)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_does_not_decode_to_the_network_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "winner.smidgen"
    path.write_bytes(b"what was there")
    monkeypatch.setattr("smidgen.model.smidgen_file.equal_networks", lambda *_: False)
    with pytest.raises(ModelFileError, match="what was read back is not what was written; nothing was kept"):
        save_smidgen(a_quantized_model(), path)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"cannot read .*none\.smidgen: No such file"):
        load_smidgen(tmp_path / "none.smidgen")
    (tmp_path / "text.smidgen").write_text("hello")
    with pytest.raises(ModelFileError, match=r"text\.smidgen: at byte 0 there is 6865"):
        load_smidgen(tmp_path / "text.smidgen")


# --- the order of channels -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "conv 9x3x3 relu, maxpool 2, conv 12x3x3 leaky_relu(0.1), dense 8 relu, dense 3",
        "conv 9x3x3 nobias, batchnorm relu, depthwise 3x3, pointwise 7, prelu, dropout 0.5, globalavgpool, dense 3",
    ],
)
def test_channels_in_the_order_of_their_biases_are_the_same_network(text: str) -> None:
    quantized = a_quantized_model(text, (2, 9, 9), scale=8.0)
    tensors = {
        n: replace(t, levels=np.abs(t.levels) + 1 if "variance" in n else t.levels)
        for n, t in quantized.tensors.items()
    }
    rows = Uniform(np.array([nearest_step(0.01 * (place + 1)) for place in range(9)]))
    quantized = replace(quantized, tensors={**tensors, "0.weight": replace(tensors["0.weight"], grid=rows)})
    ordered = sort_channels(quantized)
    assert not equal_networks(ordered, quantized)
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 9, 9)).astype(np.uint8)
    np.testing.assert_allclose(
        logits(dequantize(ordered), images), logits(dequantize(quantized), images), rtol=1e-3, atol=1e-4
    )
    hidden = next(tensor for name, tensor in ordered.tensors.items() if "bias" in name)
    assert (np.diff(hidden.levels) >= 0).all()


def test_biases_that_rise_take_fewer_bytes() -> None:
    quantized = a_quantized_model("dense 40 relu, dense 3", (1, 3, 3), scale=3.0)
    levels = np.random.default_rng(1).integers(-31, 32, 40).astype(np.int32)
    quantized = replace(
        quantized, tensors={**quantized.tensors, "0.bias": replace(quantized.tensors["0.bias"], levels=levels)}
    )
    ordered = sort_channels(quantized)
    assert decode(encode(ordered)).tensors["0.bias"].coder == "rising"
    assert len(encode(ordered)) < len(encode(quantized)) - 8


def test_channels_of_a_repeat_stay_where_they_are() -> None:
    quantized = a_quantized_model("conv 4x3x3, repeat 2 [pointwise 4 relu], dense 3", (1, 8, 8))
    assert sort_channels(quantized) is quantized


# --- batch norms -----------------------------------------------------------------------------


def with_moments(text: str, shape: Shape) -> Model:
    """Random weights, and variances that are above zero."""
    spec, rng = parse_spec(text), np.random.default_rng(4)
    pieces = [
        rng.uniform(0.2, 2, axes) if name.endswith("variance") else rng.standard_normal(axes)
        for name, axes in tensor_shapes(spec, shape).items()
    ]
    weights = np.concatenate([piece.ravel() for piece in pieces]).astype(np.float32)
    return Model(spec, shape, tuple(map(str, range(spec.output_shape(shape)[0]))), weights)


def logits(model: Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    from smidgen.engine import engines

    found: npt.NDArray[np.float32] = engines()["torch"].predict(model.spec, model.weights, images)
    return found


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        (
            "conv 3x3x3 nobias, batchnorm relu, depthwise 3x3, dropout 0.5, batchnorm, pointwise 4, batchnorm "
            "leaky_relu(0.1), dense 5, batchnorm relu, dense 2",
            "conv 3x3x3 relu, depthwise 3x3, pointwise 4 leaky_relu(0.1), dense 5 relu, dense 2",
        ),
        (
            "batchnorm, conv 3x3x3 relu, batchnorm, maxpool 2, batchnorm, dense 2",
            "batchnorm, conv 3x3x3 relu, batchnorm, maxpool 2, batchnorm, dense 2",
        ),
        (
            "conv 3x3x3, repeat 2 [pointwise 3, batchnorm relu], batchnorm, dense 2",
            "conv 3x3x3, repeat 2 [pointwise 3, batchnorm relu], batchnorm, dense 2",
        ),
    ],
)
def test_a_batch_norm_is_folded_into_the_linear_layer_before_it(text: str, folded: str) -> None:
    model = with_moments(text, (2, 9, 9))
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 9, 9)).astype(np.uint8)
    made = fold_batch_norm(model)
    assert str(made.spec) == folded
    np.testing.assert_allclose(logits(made, images), logits(model, images), rtol=2e-4, atol=2e-4)


def test_the_models_of_a_file_are_fresh_each_time() -> None:
    before = (list(fresh_models().probability), list(fresh_models().seen))
    content = encode(a_quantized_model())
    assert encode(a_quantized_model()) == content
    assert (fresh_models().probability, fresh_models().seen) == before
