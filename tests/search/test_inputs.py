"""From data in people's own units to a file that reads the same: tables, signals, pictures, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smidgen
from searches import SMALL, shrink_without_file
from smidgen.data import from_arrays, with_copies
from smidgen.errors import DataError, RequestError
from smidgen.exporters import classes_by_c
from smidgen.records import Floor
from smidgen.search.budget import WorkEstimate
from smidgen.search.effort import EFFORTS
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.parameter_search import first_networks
from smidgen.search.result import ShrinkResult
from smidgen.search.state import space_of
from smidgen.search.teacher_stage import teacher_trial
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext

TINY = replace(SMALL, first=6, generations=1, children=4, seeds=1, fresh_seeds=0, compares_recipes=False)
RANDOM = np.random.default_rng(0)


def found(X: np.ndarray, y: np.ndarray, floor: float, folder: Path) -> ShrinkResult:
    goal = {"floor": floor, "rule": "rate"}
    return smidgen.shrink((X, y), **goal, effort=TINY, out=folder / "run", store=folder / "store.sqlite", workers=1)


def sensor_rows(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Three columns as a board gives them: a share, a pressure in Pa, a 10-bit reading."""
    y = RANDOM.integers(0, 3, n)
    share = 0.02 * y + 0.004 * RANDOM.normal(size=n)
    pressure = 101_325 + 60 * (y == 1) + 12 * RANDOM.normal(size=n)
    reading = np.clip(300 + 150 * y + 40 * RANDOM.normal(size=n), 0, 1023).round()
    return np.stack([share, pressure, reading], axis=1), y


def light_corner(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of 8x8 bytes whose class is the corner that is light."""
    y = RANDOM.integers(0, 4, n)
    X = RANDOM.integers(0, 90, (n, 8, 8))
    for place, label in enumerate(y):
        X[place, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 120
    return X, y


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray, ShrinkResult]:
    folder = tmp_path_factory.mktemp("sensors")
    X, y = sensor_rows()
    return folder, X, y, found(X, y, 0.9, folder)


def test_columns_in_raw_units_need_no_scaling_by_the_user(
    sensors: tuple[Path, np.ndarray, np.ndarray, ShrinkResult],
) -> None:
    folder, X, y, result = sensors
    assert result.test.rate > 0.9 and result.outcome.parameters <= 30
    for name in ("winner.safetensors", "winner.smidgen"):
        assert (smidgen.load(folder / "run" / name).predict(X) == y).mean() > 0.9


def test_what_is_scored_on_test_is_the_file_with_the_folded_scale(
    sensors: tuple[Path, np.ndarray, np.ndarray, ShrinkResult],
) -> None:
    folder, X, y, result = sensors
    network, rows = smidgen.load(folder / "run" / "winner.safetensors"), result.data.test.rows
    assert not network.model.input.is_scaled
    assert int((network.predict(X[rows]) == y[rows]).sum()) == result.test.correct
    coded = smidgen.load(folder / "run" / "winner.smidgen")
    assert coded.model.input.is_scaled and result.file is not None
    assert int((coded.predict(X[rows]) == y[rows]).sum()) == result.file.test.correct


def test_a_network_that_reads_columns_is_exported_right(
    sensors: tuple[Path, np.ndarray, np.ndarray, ShrinkResult], tmp_path: Path
) -> None:
    folder, X, _, _ = sensors
    coded = folder / "run" / "winner.smidgen"
    with pytest.raises(RequestError, match="--form integer needs training data; give --data"):
        smidgen.export(coded, to="c", form="integer", out=tmp_path / "x.c")
    smidgen.export(coded, to="c", form="float", out=tmp_path / "x.c")
    assert (classes_by_c(tmp_path / "x.c", X.astype(np.float32)) == smidgen.load(coded).predict(X)).mean() > 0.99
    runtime, _ = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    smidgen.export(coded, to="onnx", out=tmp_path / "x.onnx")
    session = runtime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: X.astype(np.float32)[:, :, None, None]})
    assert (logits.argmax(axis=1) == smidgen.load(coded).predict(X)).mean() > 0.99


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray, np.ndarray]]:
    X, y = light_corner()
    made = {}
    for name, values in {
        "int64": X,
        "float32": X.astype(np.float32),
        "-1..1": X / 127.5 - 1,
        "z": (X - 70) / 60,
    }.items():
        folder = tmp_path_factory.mktemp("corners")
        found(values, y, 0.9, folder)
        made[name] = (folder / "run" / "winner.safetensors", values, y)
    return made


@pytest.mark.parametrize("name", ["int64", "float32", "-1..1", "z"])
def test_a_loaded_network_takes_what_it_was_trained_from(
    corners: dict[str, tuple[Path, np.ndarray, np.ndarray]], name: str
) -> None:
    path, X, y = corners[name]
    network = smidgen.load(path)
    assert (network.predict(X) == y).mean() > 0.9
    np.testing.assert_array_equal(network.predict(X.astype(np.float32)), network.predict(X))


def test_a_picture_is_brought_to_the_networks_range_or_refused(
    corners: dict[str, tuple[Path, np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    X, y = corners["int64"][1:]
    right = 0
    for place in range(20):
        Image.fromarray(X[place].astype(np.uint8)).save(tmp_path / "corner.png")
        for name in ("int64", "-1..1"):
            right += smidgen.predict(corners[name][0], tmp_path / "corner.png").name == str(y[place])
    assert right >= 36
    with pytest.raises(DataError, match=r"trained on numbers from -1\.1.*how a picture's bytes become such numbers"):
        smidgen.predict(corners["z"][0], tmp_path / "corner.png")


def test_windows_of_a_signal_are_one_data_set_in_every_layout() -> None:
    X, y = RANDOM.normal(size=(80, 40, 3)).astype(np.float32), np.arange(80) % 4
    forms = (X, X.transpose(0, 2, 1), X.transpose(0, 2, 1)[:, :, None])
    made = [from_arrays(form, y) for form in forms]
    assert {data.input_shape for data in made} == {(3, 1, 40)}
    assert {data.train.images.tobytes() for data in made} == {made[0].train.images.tobytes()}


def crops_of_photographs(side: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Squares cut from the two photographs of scikit-learn: uint8 [n, side, side, 3], and the photograph of each."""
    photographs = pytest.importorskip("sklearn.datasets").load_sample_images().images
    random, y = np.random.default_rng(side), np.arange(n) % 2
    X = np.empty((n, side, side, 3), np.uint8)
    for place, label in enumerate(y):
        size = int(random.integers(120, 320))
        top, left = (int(random.integers(0, length - size)) for length in photographs[label].shape[:2])
        crop = Image.fromarray(photographs[label][top : top + size, left : left + size])
        X[place] = np.asarray(crop.resize((side, side), Image.Resampling.BICUBIC))
    return X, y


@pytest.mark.slow
@pytest.mark.parametrize("side", [400, 512])
def test_large_photographs_are_trained_on_from_end_to_end(side: int, tmp_path: Path) -> None:
    X, y = crops_of_photographs(side, 240)
    result = found(X[:200], y[:200], 0.8, tmp_path)
    assert result.is_met and result.test.rate > 0.8
    seen = smidgen.load(tmp_path / "run" / "winner.smidgen").predict(X[200:])
    assert (seen == y[200:]).mean() > 0.8


def swings(n: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """Windows of three axes in g: still, slow, fast; gravity points anywhere: float32 [n, 64, 3]."""
    generator, time = np.random.default_rng(0), np.arange(64) / 50
    y, gravity = generator.integers(0, 3, n), generator.normal(size=(n, 1, 3))
    gravity /= np.linalg.norm(gravity, axis=2, keepdims=True)
    frequency = np.array([0.0, 2.0, 6.0])[y] * generator.uniform(0.8, 1.2, n)
    angle = 6.28 * frequency[:, None, None] * time[None, :, None] + generator.uniform(0, 6.28, (n, 1, 3))
    swing = (0.6 * (y > 0))[:, None, None] * np.sin(angle)
    return (gravity + swing + generator.normal(0, 0.08, (n, 64, 3))).astype(np.float32), y


def test_windows_of_an_accelerometer_get_a_small_network_along_time(tmp_path: Path) -> None:
    """A network that reads them as a grey picture merges the axes, and takes ten times as much."""
    data = from_arrays(*swings())
    assert data.input.kind == "signal" and data.input_shape == (3, 1, 64)
    result = shrink_without_file(data, Floor(0.95, "rate"), TINY, tmp_path / "store.sqlite")
    assert result.outcome.parameters <= 150 and result.test.rate > 0.9


@pytest.mark.xfail(strict=True, reason="rounds that make the smallest smaller take it to 1.5e12 for 360 photos")
def test_a_search_in_few_photos_is_expected_to_take_about_a_minute() -> None:
    photos = RANDOM.integers(0, 255, (600, 40, 32, 3)).astype(np.uint8)
    data = with_copies(from_arrays(photos, np.arange(600) % 3), 4)
    context, goal, quick = TrainingContext(data), Goal(Target(0.9)), EFFORTS["quick"]
    teacher = teacher_trial(context, 0)
    assert teacher.spec.parameters(data.input_shape) <= 24 * 360
    expected = WorkEstimate(context, lambda each: first_networks(space_of(data, goal, each), each, 0), teacher)
    assert expected(quick) < 8e11, "a minute on two threads at 7e9 multiply-accumulates a second"


@pytest.mark.slow
def test_breast_cancer_in_its_own_units_holds_95_percent(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    cancer = datasets.load_breast_cancer()
    rows = np.column_stack([cancer.data, cancer.target])
    header = ",".join([*(name.replace(" ", "_") for name in cancer.feature_names), "label"])
    np.savetxt(tmp_path / "cancer.csv", rows, delimiter=",", header=header, comments="", fmt="%.8g")
    result = smidgen.shrink(
        tmp_path / "cancer.csv", floor=0.95, rule="rate", effort="quick", store=tmp_path / "s.sqlite"
    )
    assert result.is_met and result.outcome.parameters <= 70 and result.test.rate > 0.93


def test_a_limit_of_parameters_counts_what_the_first_layer_cannot_take_up() -> None:
    X, y = sensor_rows()
    windows = np.stack([X, X, X, X, X, X, X, X], axis=1)  # [n, 8, 3]
    data = from_arrays(windows, y)
    assert data.input.kept_numbers == 6
    space = space_of(data, Goal(limits=Limits(parameters=60)), SMALL)
    folded = parse_spec("conv 4x1x3 relu, globalavgpool, dense 3")
    assert folded.parameters(data.input_shape) == 55 and space.contains(folded)
    kept = parse_spec("conv 4x1x3 same relu, globalavgpool, dense 3")
    assert kept.parameters(data.input_shape) == 55 and not space.contains(kept)
    assert space_of(data, Goal(limits=Limits(parameters=61)), SMALL).contains(kept)
