"""What is drawn becomes the picture that MNIST's makers would have made of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from smidgen.exporters.javascript import picture_program

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")

SIDE, ZOOM = 28, 10


def run(folder: Path, code: str, **given: object) -> list[float]:
    """Run JavaScript with the functions of `picture.mjs` and these constants; `code` is the value to return."""
    constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
    (folder / "main.mjs").write_text(f"{picture_program()}\n{constants}console.log(JSON.stringify({code}));", "utf-8")
    line = ["node", "main.mjs"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def as_mnist(image: np.ndarray) -> np.ndarray:
    """Centre and scale by plain loops over areas: float64 [28, 28]."""
    rows, columns = np.flatnonzero((image > 32).any(1)), np.flatnonzero((image > 32).any(0))
    part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(20 / max(part.shape) * side)) for side in part.shape)
    small = shares(part.shape[0], height) @ part @ shares(part.shape[1], width).T
    y, x = (np.average(np.indices(small.shape)[axis], weights=small) for axis in (0, 1))
    top, left = int(np.floor(SIDE / 2 - y + 0.5)), int(np.floor(SIDE / 2 - x + 0.5))
    made = np.zeros((SIDE, SIDE))
    for row in range(height):
        for column in range(width):
            if 0 <= row + top < SIDE and 0 <= column + left < SIDE:
                made[row + top, column + left] = small[row, column]
    return made


def shares(length: int, count: int) -> np.ndarray:
    """Which share of each new cell every old cell is, by counting in parts of both: float64 [count, length]."""
    fine = np.arange(length * count)
    found = np.zeros((count, length))
    np.add.at(found, (fine // length, fine // count), 1 / length)
    return found


def test_a_drawing_is_scaled_by_areas_and_centred_by_mass(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):
        image = np.zeros((SIDE * ZOOM, SIDE * ZOOM))
        height, width, top, left = rng.integers(20, 120, 4)
        image[top : top + height, left : left + width] = rng.integers(33, 256, (height, width))
        picture = {"channels": 1, "height": SIDE * ZOOM, "width": SIDE * ZOOM}
        code = "[...centred({ ...picture, values: Float64Array.from(values) }, 28).values]"
        made = run(tmp_path, code, picture=picture, values=image.ravel().tolist())
        np.testing.assert_allclose(np.reshape(made, (SIDE, SIDE)), as_mnist(image), atol=1e-9)


def test_a_picture_that_is_centred_already_stays_as_it_is(tmp_path: Path) -> None:
    image = np.zeros((SIDE, SIDE))
    image[4:24, 9:20] = 200  # 20 pixels high; its centre of mass is pixel 13.5 of rows, which rounds to a shift of none
    large = image.repeat(ZOOM, 0).repeat(ZOOM, 1)
    picture = {"channels": 1, "height": SIDE * ZOOM, "width": SIDE * ZOOM}
    code = "[...centred({ ...picture, values: Float64Array.from(values) }, 28).values]"
    made = np.reshape(run(tmp_path, code, picture=picture, values=large.ravel().tolist()), (SIDE, SIDE))
    assert made.max() == 200 and made.sum() == pytest.approx(image.sum())
    rows, columns = np.nonzero(made)
    assert (np.ptp(rows), np.ptp(columns)) == (19, 10)
    assert abs(rows.mean() - SIDE / 2) <= 0.5 and abs(columns.mean() - SIDE / 2) <= 0.5


def test_nothing_drawn_is_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "centred(blank(1, 280, 280), 28)") is None


def test_a_stroke_covers_what_is_near_it_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "(() => { const p = blank(2, 20, 30, 50); stroke(p, [5, 10], [20, 10], 2, [250, 0]); return [...p.values]; })()"
    )
    light, dark = np.reshape(run(tmp_path, code), (2, 20, 30))
    y, x = np.indices((20, 30)) + 0.5
    distance = np.hypot(np.maximum(0, np.maximum(5 - x, x - 20)), y - 10)
    assert (light[distance <= 1.5] == 250).all() and (dark[distance <= 1.5] == 0).all()
    assert (light[distance >= 2.5] == 50).all() and (dark[distance >= 2.5] == 50).all()
    between = (distance > 1.5) & (distance < 2.5)
    assert ((light[between] > 50) & (light[between] < 250)).all()


def test_another_size_keeps_the_mean(tmp_path: Path) -> None:
    values = np.random.default_rng(1).uniform(0, 255, (3, 35, 21))
    code = "[...resized({ channels: 3, height: 35, width: 21, values: Float64Array.from(values) }, 5, 6).values]"
    made = np.reshape(run(tmp_path, code, values=values.ravel().tolist()), (3, 5, 6))
    np.testing.assert_allclose(made, shares(35, 5) @ values @ shares(21, 6).T, atol=1e-9)
