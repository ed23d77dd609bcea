"""The .smidgen file: exact round trips, the same bytes for ever, and written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import second_decoder
import second_decoder_layers
from golden_networks import DECODE_ONLY, GOLDEN, NETWORKS, content_of
from quantized_networks import GOLDEN_FILES, SMALL, a_quantized_model, quantized_networks
from smidgen.errors import ModelFileError
from smidgen.model import (
    CODERS,
    Model,
    QuantizedModel,
    as_quantized,
    decode,
    dequantize,
    encode,
    equal_networks,
    flat_weights,
    load_smidgen,
    save_smidgen,
    size_report,
)
from smidgen.model.coding.contexts import fresh_models
from smidgen.model.smidgen_file import LARGE_BYTES
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights


def check_round_trip(quantized: QuantizedModel) -> bytes:
    """Encode, decode and compare; return the bytes."""
    content = encode(quantized)
    back = decode(content)
    assert equal_networks(back, quantized)
    assert flat_weights(back).tobytes() == flat_weights(quantized).tobytes()
    assert encode(back) == content, "a file that was read is written as it was"
    parts = size_report(content)
    assert sum(part.bits for part in parts) == pytest.approx(8 * len(content))
    assert all(part.bits >= -1e-9 for part in parts[:-2])
    return content


def check_second_decoder(quantized: QuantizedModel, content: bytes) -> None:
    found = second_decoder.decode(content)
    bits = [word for tensor in found["tensors"] for word in tensor]
    assert np.array(bits, np.uint32).tobytes() == flat_weights(quantized).tobytes()
    assert (found["input"], tuple(found["names"])) == (quantized.input_shape, quantized.class_names)
    assert ", ".join(map(text_of, found["layers"])) == str(quantized.spec)


def text_of(layer: dict[str, Any]) -> str:
    """A layer of the second decoder as the package writes it."""
    kind, words = layer["kind"], []
    inner = ", ".join(map(text_of, layer.get("layers", ())))
    if kind == "repeat":
        return f"repeat {layer['times']} [{inner}]"
    if kind == "residual":
        beside = ", ".join(map(text_of, layer["shortcut"]))
        words = [f"[{inner} | {beside}]" if beside else f"[{inner}]"]
    kernel = [str(axis) for axis in layer.get("kernel", ())]
    words += ["x".join([*([str(layer["out"])] if "out" in layer else []), *kernel])] if kernel or "out" in layer else []
    words += [square(layer["window"])] if "window" in layer else []
    words += [f"shared {layer['shared']}"] if "shared" in layer else []
    usual = layer.get("window", (1, 1))
    words += [f"stride {square(layer['stride'])}"] if layer.get("stride", usual) != usual else []
    words += [str(layer["rate"]).removesuffix(".0")] if "rate" in layer else []
    words += ["same"] if layer.get("same") else []
    words += [] if layer.get("bias", True) else ["nobias"]
    slope = layer.get("slope", 1.0)
    relu = "relu6" if layer.get("relu6") else "relu"
    words += [] if slope == 1.0 else [relu] if slope == 0.0 else [f"leaky_relu({slope})"]
    return " ".join([kind, *words])


def square(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def norms_are_no_weights(place: Any) -> Any:
    def wrong(layer: dict[str, Any], shape: Any) -> Any:
        own, after = place(layer, shape)
        other = [("other", *tensor[1:]) for tensor in own]
        return (other if layer["kind"] in ("batchnorm", "prelu") else own), after

    return wrong


def tables_are_read_once(read_levels: Any) -> Any:
    kept: list[tuple[int, int]] = []

    def wrong(s: Any, coder: int, models: Any, rows: int, columns: int) -> Any:
        if coder != 2:
            return read_levels(s, coder, models, rows, columns)
        if not kept:
            kept.append((second_decoder.unzigzag(s.exp_golomb(3)), s.number(5)))
        lowest, width = kept[0]
        return [lowest + s.number(width) for _ in range(rows * columns)]

    return wrong


def one_axis_is_many_rows(read_tensor: Any) -> Any:
    return lambda s, previous, shape: read_tensor(s, previous, shape if len(shape) > 1 else [*shape, 1])


def octaves_end_at_the_table(read_static: Any) -> Any:
    def wrong(s: Any, size: int) -> Any:
        fresh = second_decoder.fresh_models
        second_decoder.fresh_models = lambda: {name: second_decoder.Model(2**21, 0, True) for name in fresh()}
        try:
            return read_static(s, size)
        finally:
            second_decoder.fresh_models = fresh

    return wrong


@settings(max_examples=25)
@given(quantized_networks())
def test_what_is_encoded_comes_back_exactly(quantized: QuantizedModel) -> None:
    check_second_decoder(quantized, check_round_trip(quantized))


@pytest.mark.slow
@settings(max_examples=3000)
@given(quantized_networks())
def test_what_is_encoded_comes_back_exactly_thousands_of_times(quantized: QuantizedModel) -> None:
    check_second_decoder(quantized, check_round_trip(quantized))


def test_a_model_in_full_precision_goes_in_and_comes_out() -> None:
    spec, shape = parse_spec(SMALL), (1, 28, 28)
    model = Model(spec, shape, tuple("abcdefghij"), initial_weights(spec, shape, 3))
    back = dequantize(decode(encode(as_quantized(model))))
    assert back.weights.tobytes() == model.weights.tobytes()
    assert back.class_names == model.class_names


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_version_is_read_as_ever(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    quantized = load_smidgen(path)
    assert str(quantized.spec) == told["spec"]
    assert (list(quantized.input_shape), list(quantized.class_names)) == (told["input"], told["names"])
    assert [tensor.coder if tensor.grid else "" for tensor in quantized.tensors.values()] == told["coders"]
    weights = flat_weights(quantized)
    assert weights.size == told["weights"]
    assert hashlib.sha256(weights.astype("<f4").tobytes()).hexdigest() == told["values_sha256"]
    check_second_decoder(quantized, path.read_bytes())


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_the_newest_version_is_written_as_it_was(path: Path) -> None:
    assert (encode(load_smidgen(path)) == path.read_bytes()) == (path.stem != DECODE_ONLY)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_about_an_unclear_place_holds_its_network(name: str) -> None:
    path, quantized = GOLDEN / f"{name}.smidgen", NETWORKS[name]()
    assert equal_networks(load_smidgen(path), quantized)
    assert path.read_bytes() == content_of(name)


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("v1-two-kinds", {"place": norms_are_no_weights}),
        ("v1-same-coder", {"read_levels": tables_are_read_once}),
        ("v1-one-axis", {"read_tensor": one_axis_is_many_rows}),
        ("v1-static-octave", {"read_static": octaves_end_at_the_table}),
    ],
)
def test_a_decoder_that_misreads_the_place_fails_at_its_file(
    name: str, mistake: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for function, wrong in mistake.items():
        module = second_decoder_layers if function == "place" else second_decoder
        monkeypatch.setattr(module, function, wrong(getattr(module, function)))
    with pytest.raises((ValueError, AssertionError, KeyError, IndexError)):
        check_second_decoder(NETWORKS[name](), (GOLDEN / f"{name}.smidgen").read_bytes())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (SMALL, 1),
        ("conv 2x7x7 same leaky_relu(0.1), maxpool 3, repeat 2 [prelu], dense 2", 1),
        ("conv 2x1x8, dense 2", 2),
        ("conv 2x3x3 stride 2, dense 2", 2),
        ("pointwise 2 stride 1x2, dense 2", 2),
        ("maxpool 2x1, dense 2", 2),
        ("avgpool 2 stride 1, dense 2", 2),
        ("depthwise 3x3 shared 1, dense 2", 2),
        ("dense 2 relu6, dense 2", 2),
        ("crelu, dense 2", 2),
        ("residual [prelu], dense 2", 2),
        ("dense 1", 2),
        ("repeat 2 [repeat 2 [prelu]], dense 2", 2),
    ],
)
def test_a_network_is_written_in_the_lowest_version_that_can_say_it(text: str, version: int) -> None:
    quantized = a_quantized_model(text, (1, 28, 28))
    content = check_round_trip(quantized)
    assert content[1] % 16 == version
    check_second_decoder(quantized, content)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("conv 8x3x3 stride 2 same relu, globalavgpool, dense 3", 6),
        ("pointwise 2, avgpool 1x2, conv 4x1x7 stride 1x2 relu, globalavgpool, dense 4", 11),
        (
            "residual [conv 8x3x3 same, batchnorm relu, conv 8x3x3 same, batchnorm] relu, "
            "residual [conv 16x3x3 stride 2 same, batchnorm relu, conv 16x3x3 same, batchnorm "
            "| pointwise 16 stride 2] relu, globalavgpool, dense 10",
            19,
        ),
    ],
)
def test_layers_of_version_2_take_few_bytes(text: str, size_bytes: int) -> None:
    parts = size_report(encode(a_quantized_model(text, (8, 24, 24))))
    (bits,) = (part.bits for part in parts if part.name == "input and layers")
    assert bits / 8 <= size_bytes


def test_every_coder_is_in_some_golden_file() -> None:
    told = [json.loads(path.with_suffix(".json").read_text()) for path in GOLDEN_FILES]
    assert {coder for one in told for coder in one["coders"]} == {*CODERS, ""}
    assert {path.stat().st_size >= LARGE_BYTES for path in GOLDEN_FILES} == {True, False}


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
    with pytest.raises(ModelFileError, match=r"text\.smidgen: at byte 0 there is 6865.*; give one that Smidgen wrote"):
        load_smidgen(tmp_path / "text.smidgen")


def test_the_models_of_a_file_are_fresh_each_time() -> None:
    before = (list(fresh_models().probability), list(fresh_models().seen))
    content = encode(a_quantized_model())
    assert encode(a_quantized_model()) == content
    assert (fresh_models().probability, fresh_models().seen) == before
