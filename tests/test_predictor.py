"""A picture file and a network file -> a class, against networks whose answer can be told by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smidgen.data import Dataset, Split
from smidgen.engine import softmax
from smidgen.errors import DataError, ModelFileError
from smidgen.model import Model, save_safetensors
from smidgen.predictions import predict, read_picture
from smidgen.search.result import ShrinkResult
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import classify


def side_model() -> Model:
    """28x28 grey: "left" or "right", whichever half is brighter."""
    left = np.zeros((28, 28), np.float32)
    left[:, :14] = 1
    weights = np.concatenate([left.ravel(), 1 - left.ravel(), np.zeros(2)]).astype(np.float32)
    return Model(parse_spec("dense 2"), (1, 28, 28), ("left", "right"), weights)


def colour_model() -> Model:
    """8x8 in colour: the channel that is brightest."""
    weights = np.concatenate([np.repeat(np.eye(3), 64, axis=1).ravel(), np.zeros(3)]).astype(np.float32)
    return Model(parse_spec("dense 3"), (3, 8, 8), ("red", "green", "blue"), weights)


def bar(height: int, width: int, at: float) -> np.ndarray:
    """A light stroke on black, as in MNIST, at a share of the width: uint8 [height, width]."""
    pixels = np.zeros((height, width), np.uint8)
    column = int(at * width)
    pixels[height // 8 : -height // 8, column : column + max(1, width // 9)] = 254
    return pixels


def saved(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


# --- the class --------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "name"), [(0.2, "left"), (0.7, "right")])
@pytest.mark.parametrize("size", [(28, 28), (280, 280), (14, 14), (100, 61)], ids=str)
def test_a_digit_of_any_size_is_read(tmp_path: Path, at: float, name: str, size: tuple[int, int]) -> None:
    picture = saved(bar(*size, at), tmp_path / "digit.png")
    prediction = predict(side_model(), picture)
    assert prediction.name == name
    assert prediction.probabilities[0][0] == name
    assert prediction.probabilities[0][1] > 0.9


def test_the_probabilities_are_the_softmax_likeliest_first(tmp_path: Path) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, :2] = 255  # two light pixels on the left: logits 2 and 0
    prediction = predict(side_model(), saved(pixels, tmp_path / "dots.png"))
    expected = softmax(np.array([[2.0, 0.0]]))[0]
    assert [name for name, _ in prediction.probabilities] == ["left", "right"]
    np.testing.assert_allclose([share for _, share in prediction.probabilities], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["red", "green", "blue"])
@pytest.mark.parametrize("size", [8, 32])
def test_colours_come_in_their_order(tmp_path: Path, name: str, size: int) -> None:
    pixels = np.full((size, size, 3), 10, np.uint8)
    pixels[..., ["red", "green", "blue"].index(name)] = 200
    assert predict(colour_model(), saved(pixels, tmp_path / "flat.png")).name == name


def test_modes_are_turned_to_the_networks(tmp_path: Path) -> None:
    grey = bar(28, 28, 0.7)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    rgba = np.dstack([rgb, np.full_like(grey, 255)])
    for pixels in (grey, rgb, rgba):
        image = read_picture(saved(pixels, tmp_path / "one.png"), side_model())
        assert image.dtype == np.uint8
        assert (image == grey[None]).all()
    assert read_picture(saved(bar(8, 8, 0.5), tmp_path / "grey.png"), colour_model()).shape == (3, 8, 8)
    Image.fromarray(grey).save(tmp_path / "one.jpg", quality=95)
    assert predict(side_model(), tmp_path / "one.jpg").name == "right"


def test_a_found_network_says_of_a_file_what_it_says_of_the_array(
    answer: ShrinkResult, digits: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "winner.safetensors"
    save_safetensors(Model(answer.winner.spec, digits.input_shape, digits.class_names, answer.outcome.weights), file)
    some = Split(digits.test.images[:20], digits.test.labels[:20])
    expected = classify(answer.context, answer.winner.spec, answer.outcome.weights, some).argmax(axis=1)
    for image, place in zip(some.images, expected, strict=True):
        picture = saved(image[0], tmp_path / "digit.png")
        larger = saved(image[0].repeat(3, axis=0).repeat(3, axis=1), tmp_path / "larger.png")
        assert predict(file, picture).name == predict(str(file), str(larger)).name == digits.class_names[place]


def test_the_command_prints_the_class_and_three_likely_ones(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_safetensors(colour_model(), Path("net.safetensors"))
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[..., 1] = 255
    saved(flat, Path("flat.png"))
    said = command("predict", "net.safetensors", "flat.png")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines == [["green"], ["100.0", "%", "green"], ["0.0", "%", "red"], ["0.0", "%", "blue"]]


# --- what is no picture, and no network -------------------------------------------------------


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    model = side_model()
    with pytest.raises(DataError, match=r"no picture at .*gone\.png; give the path"):
        predict(model, tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for path in (tmp_path / "text.png", tmp_path / "empty.png", tmp_path):
        with pytest.raises(DataError, match=r"(cannot read .*|is no regular file); replace or remove it"):
            predict(model, path)


def test_a_damaged_picture_is_refused_or_read_and_never_a_traceback(tmp_path: Path) -> None:
    """Cut off anywhere, or with a byte turned over anywhere."""
    whole = saved(bar(28, 28, 0.7), tmp_path / "whole.png").read_bytes()
    damaged = tmp_path / "damaged.png"
    flipped = [whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :] for place in range(len(whole))]
    refused = 0
    for content in (*(whole[:length] for length in range(len(whole))), *flipped):
        damaged.write_bytes(content)
        try:
            predict(side_model(), damaged)
        except DataError as error:
            assert str(damaged) in str(error)
            refused += 1
    assert refused > len(whole)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(bar(28, 28, 0.7), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match=r"cannot read .*; replace or remove it"):
        predict(side_model(), path)


@pytest.mark.parametrize("shape", [(6, 1, 1), (2, 8, 8), (1, 1, 40)], ids=str)
def test_a_network_of_vectors_takes_no_pictures(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    spec = parse_spec("dense 2")
    model = Model(spec, shape, ("a", "b"), np.zeros(spec.parameters(shape), np.float32))
    with pytest.raises(DataError, match=r"values and not pictures; give a table or a \.npz file, or use smidgen\.load"):
        predict(model, saved(bar(28, 28, 0.7), tmp_path / "digit.png"))


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    picture = saved(bar(28, 28, 0.7), tmp_path / "digit.png")
    for path in (tmp_path / "gone.safetensors", picture):
        with pytest.raises(ModelFileError):
            predict(path, picture)
