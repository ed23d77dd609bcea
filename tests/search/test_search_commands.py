"""The search through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import is_quiet
from smidgen.model import load_safetensors


def rgb_blobs(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour images uint8 [n, 12, 12, 3] of three classes with names, each with its own colour and place."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, images)
    pixels = generator.integers(0, 60, (images, 12, 12, 3), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        top, left = generator.integers(0, 4, 2)
        image[top + 2 * label : top + 2 * label + 4, left : left + 6, label] += 150
    return pixels, np.array(["apple", "fig", "pear"])[labels]


def test_a_glance_trains_no_teacher_and_draws_no_curve(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--floor", "0.85", "--rule", "rate", "--effort", "glance", "--out", "out")
    assert said.code == 0
    assert is_quiet(said.err)
    assert "teacher" not in said.out
    names = {path.name for path in Path("out").iterdir()}
    assert "teacher.safetensors" not in names and {"report.html", "winner.safetensors", "trials.csv"} <= names


def test_colour_images_with_three_named_classes_through_the_command(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    monkeypatch.chdir(tmp_path)
    images, names = rgb_blobs(900, seed=0)
    np.savez_compressed("fruit.npz", X=images, y=names)
    said = command("shrink", "fruit.npz", "--floor", "0.9", "--effort", "quick", "--out", "found")
    assert said.code == 0
    assert is_quiet(said.err)
    assert "parameters hold 90 % on fruit" in " ".join(said.out.split())
    model = load_safetensors(Path("found/winner.safetensors"))
    assert model.class_names == ("apple", "fig", "pear")
    assert model.input_shape == (3, 12, 12)

    others, their_names = rgb_blobs(20, seed=1)
    right = 0
    for image, name in zip(others, their_names, strict=True):
        Image.fromarray(image).save("one.png")
        right += command("predict", "found/winner.safetensors", "one.png").out.splitlines()[0] == name
    assert right >= 17


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("--params 200 --ram 900", "digits-200-parameters-900-ram-bytes-quick"),
        ("--bytes 900", "digits-900-size-bytes-quick"),
    ],
)
def test_limits_through_the_command(
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known_store: Path,
    small: None,
    line: str,
    folder: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--effort", "quick", *line.split())
    assert said.code == 0
    assert is_quiet(said.err)
    page = (tmp_path / "runs" / folder / "report.html").read_text()
    assert "The best network of at most" in page
    written = tmp_path / "runs" / folder
    if "bytes" in folder.split("-") and "ram" not in folder:
        assert (written / "winner.smidgen").stat().st_size <= 900
    else:
        assert len(load_safetensors(written / "winner.safetensors").weights) <= 200


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "nothing is asked for; give --floor 0.97, --within 0.5% or a limit"),
        ("--within 0.5", "within=0.5 would be 50 points; write 0.5% for 0.5 points"),
        ("--within x%", "within=x% is not a number"),
        ("--params=-3", "params=-3 must be at least 1"),
        ("--floor 0.9 --resize 8", "resize=8 cannot be read; give whole numbers of at least 1, for example 28x28"),
        ("--floor 0.9 --resize 8x8", "--resize is for files and folders of your own"),
        ("--floor 0.9 --group-column who", "digits is a published data set and is used as it is"),
    ],
)
def test_a_wrong_line_about_a_goal(command: Callable[..., Any], line: str, message: str) -> None:
    said = command("shrink", "digits", *line.split())
    assert (said.code, said.out) == (2, "")
    assert message in " ".join(said.err.replace("│", " ").split())
