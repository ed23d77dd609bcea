"""Teachers that people bring: run as their own libraries run them, fed as they want, and refused where they must be."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smidgen
from smidgen import from_arrays, shrink
from smidgen.data import Dataset
from smidgen.engine import Examples, native, softmax
from smidgen.engine.losses import log_softmax
from smidgen.errors import TeacherError
from smidgen.model import Model, load_safetensors
from smidgen.records import Recipe, Score
from smidgen.reporter import SilentReporter
from smidgen.search.goal import Goal, Target
from smidgen.spec import parse_spec
from smidgen.teacher import Teacher, TeacherOutputs, run_teacher
from smidgen.teacher import external as brought
from smidgen.teacher.input_format import LAYOUTS, input_formats
from smidgen.teacher.loaders import Network
from smidgen.teacher.logits import (
    LEAST_PROBABILITY,
    LOGITS,
    ONE_LOGIT,
    ONE_PROBABILITY,
    PROBABILITIES,
    kind_of,
    to_logits,
)
from smidgen.trials.store import Store


class Told(SilentReporter):
    """Hands on what it is told to the functions that are given."""

    def __init__(self, **to: Callable[..., object]) -> None:
        vars(self).update(to)


@pytest.fixture
def store(own_store: Path) -> Iterator[Store]:
    with Store(own_store) as opened:
        yield opened


@pytest.fixture
def colours() -> Dataset:
    """Colour images of three classes, of which each has its own place and colour, more or less bright."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 900)
    images = generator.normal(60, 40, (900, 7, 9, 3))
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 3, 3:, label] += 30
        image *= generator.uniform(0.4, 1.6)
    images = np.clip(images, 0, 255).astype(np.uint8)
    return from_arrays(images, labels, "colours")


def taught_by(store: Store, data: Dataset, source: object, **more: Any) -> TeacherOutputs:
    return run_teacher(store, data, Teacher(source, **more), SilentReporter())


def prototypes(data: Dataset, text: str) -> Callable[[np.ndarray], np.ndarray]:
    """A teacher that knows the mean image of each class, in one layout and one range: logits are distances."""
    (way,) = input_formats(text, data.train, None, "prototypes")
    images, labels = way(data.train.images), data.train.labels
    means = np.stack([images[labels == place].mean(axis=0) for place in range(data.classes)])

    def run(batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != means.shape[1:]:
            raise ValueError(f"shape {batch.shape[1:]}")
        return -((batch[:, None] - means[None]) ** 2).reshape(len(batch), data.classes, -1).sum(axis=2)

    return run


# --- how it wants its images --------------------------------------------------------------------


@pytest.mark.parametrize("values", ["0..1", "0..255", "-1..1", "standardised"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "nhw", "flat"])
def test_layout_and_range_of_grey_images_are_found(digits: Dataset, store: Store, layout: str, values: str) -> None:
    taught = taught_by(store, digits, prototypes(digits, f"{layout} {values}"))
    assert f"takes its images as '{layout} {values}'" in taught.notes[0]
    assert taught.validation.rate > 0.85


@pytest.mark.parametrize("values", ["0..255", "standardised", "imagenet"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "flat", "flat-hwc"])
def test_layout_and_range_of_colour_images_are_found(colours: Dataset, store: Store, layout: str, values: str) -> None:
    taught = taught_by(store, colours, prototypes(colours, f"{layout} {values}"))
    assert f"'{layout} {values}'" in taught.notes[0]
    assert taught.validation.rate > 0.7, "chance is a third"


def test_a_vector_of_numbers_is_taken_as_it_is_or_standardised(store: Store) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    X = (3 * np.eye(3, 6)[labels] + generator.normal(0, 0.4, (400, 6))) * [1, 100, 1, 1, 0.01, 1] + 7
    data = from_arrays(X, labels)
    for text in ("flat as-is", "flat standardised"):
        assert f"'{text}'" in taught_by(store, data, prototypes(data, text)).notes[0]


def test_of_ways_that_cannot_be_told_apart_the_commonest_is_taken_and_the_other_named(
    digits: Dataset, store: Store
) -> None:
    """The sign of a weighted sum is the same for 0..1 and 0..255."""
    flat = digits.train.images.reshape(-1, 64) / 255
    weights = np.stack([flat[digits.train.labels == place].mean(axis=0) - flat.mean(axis=0) for place in range(10)])
    taught = taught_by(store, digits, lambda batch: batch @ weights.T, input="flat")
    assert "'flat 0..1'" in taught.notes[0]
    assert "'flat 0..255' does as well: name the right one by --teacher-input" in taught.notes[0]


def test_what_is_given_is_not_tried(digits: Dataset, store: Store) -> None:
    taught = taught_by(store, digits, prototypes(digits, "nhwc -3..2"), input="nhwc -3..2")
    assert "'nhwc -3..2'" in taught.notes[0] and "as it was given" in taught.notes[0]
    half_given = taught_by(store, digits, prototypes(digits, "nhwc 0..1"), input="nhwc")
    assert "found by trying 4 ways" in half_given.notes[0]


def test_ranges_are_what_they_say(digits: Dataset) -> None:
    images, train = digits.train.images, digits.train

    def values(text: str) -> np.ndarray:
        return input_formats(f"nchw {text}", train, None, "")[0](images)

    np.testing.assert_allclose(values("0..1"), images / 255, atol=1e-6)
    np.testing.assert_allclose(values("-1..1"), images / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(values("0..255"), images)
    standardised = values("standardised")
    assert standardised.mean() == pytest.approx(0, abs=1e-4) and standardised.std() == pytest.approx(1, abs=1e-4)


def test_layouts_lose_nothing(colours: Dataset) -> None:
    images = colours.train.images.astype(np.float32)
    np.testing.assert_array_equal(LAYOUTS["nhwc"](images).transpose(0, 3, 1, 2), images)
    np.testing.assert_array_equal(LAYOUTS["flat-hwc"](images).reshape(-1, 7, 9, 3).transpose(0, 3, 1, 2), images)
    np.testing.assert_array_equal(LAYOUTS["flat"](images).reshape(images.shape), images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nchw nhwc", "too many words"),
        ("nchw 0-1", "'0-1' is no range"),
        ("nchw imagenet", "'imagenet' is no range for this data"),
        ("flat-hwx", "'flat-hwx' is no range"),
    ],
)
def test_an_input_that_cannot_be_is_refused(digits: Dataset, store: Store, text: str, message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        taught_by(store, digits, prototypes(digits, "nchw 0..1"), input=text)


# --- what it gives ------------------------------------------------------------------------------

ROWS = st.lists(st.lists(st.floats(-12, 12), min_size=3, max_size=3), min_size=2, max_size=5)


@given(ROWS)
def test_probabilities_become_logits_of_the_same_softmax(rows: list[list[float]]) -> None:
    logits = np.array(rows)
    shares = softmax(logits).astype(np.float32)
    assert kind_of(shares, 3, "t") == PROBABILITIES
    found = to_logits(shares, PROBABILITIES, "t")
    np.testing.assert_allclose(softmax(found.astype(np.float64)), shares, atol=3 * LEAST_PROBABILITY + 1e-6)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)


def test_a_probability_of_zero_is_a_finite_logit() -> None:
    found = to_logits(np.array([[1.0, 0.0, 0.0]]), PROBABILITIES, "t")
    np.testing.assert_allclose(found[0, 0] - found[0, 1], -np.log(LEAST_PROBABILITY), rtol=1e-5)


def test_logits_and_logarithms_of_probabilities_stay_as_they_are() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 4))
    for outputs in (logits, log_softmax(logits)):
        assert kind_of(outputs, 4, "t") == LOGITS
        np.testing.assert_array_equal(to_logits(outputs, LOGITS, "t"), outputs.astype(np.float32))


def test_one_output_for_two_classes() -> None:
    logits = np.array([[-3.0], [0.5], [2.0]])
    assert kind_of(logits, 2, "t") == ONE_LOGIT
    shares = 1 / (1 + np.exp(-logits))
    assert kind_of(shares, 2, "t") == ONE_PROBABILITY
    for outputs, kind in ((logits, ONE_LOGIT), (shares, ONE_PROBABILITY)):
        found = to_logits(outputs, kind, "t")
        np.testing.assert_allclose(found[:, 1] - found[:, 0], logits[:, 0], rtol=1e-5)


def test_a_softmax_is_said_and_undone(digits: Dataset, store: Store) -> None:
    run = prototypes(digits, "nchw 0..1")
    plain = taught_by(store, digits, run)
    soft = taught_by(store, digits, lambda batch: softmax(run(batch).astype(np.float64)))
    assert any(note.startswith("warning:") and "probabilities" in note for note in soft.notes)
    assert not any("warning" in note for note in plain.notes)
    assert soft.validation == plain.validation


# --- what is wrong with it ------------------------------------------------------------------------


def constant(digits: Dataset, value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda batch: np.full((len(batch), 10), value)


BAD_NETWORKS: dict[str, tuple[Callable[[Dataset], Any], str]] = {
    "other classes": (
        lambda data: lambda batch: batch.reshape(len(batch), -1)[:, :7],
        "gives 7 outputs an image and the data has 10",
    ),
    "NaN": (lambda data: constant(data, np.nan), "gives NaN or infinity for 128 of 128 images, the first at 0"),
    "infinity": (lambda data: constant(data, np.inf), "NaN or infinity"),
    "nothing learned": (lambda data: constant(data, 0.0), "naming the commonest class every time is right on"),
    "fails": (
        lambda data: lambda batch: 1 / 0,
        "fails on the data's images in every layout; nchw 0..1: division by zero",
    ),
    "text": (lambda data: lambda batch: np.full((len(batch), 10), "a"), "a teacher gives numbers"),
    "no teacher": (lambda data: 7, "a int is no teacher"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_a_bad_network_is_refused(digits: Dataset, store: Store, case: str) -> None:
    make, message = BAD_NETWORKS[case]
    with pytest.raises(TeacherError, match=message):
        taught_by(store, digits, make(digits))


def test_a_network_for_images_of_another_size_is_refused(
    digits: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network("big.onnx", prototypes(digits, "nhwc 0..1"), (32, 32, 3))
    monkeypatch.setattr(brought, "open_network", lambda *_: network)
    with pytest.raises(TeacherError, match=r"takes images of shape \[n, 32, 32, 3\], and the data's are 1x8x8"):
        taught_by(store, digits, "big.onnx")


def test_classes_in_another_order_are_named(digits: Dataset, store: Store) -> None:
    run, order = prototypes(digits, "nchw 0..1"), [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    with pytest.raises(TeacherError, match="another order, as it seems 3, 4, 5, 6, 7, 8, 9, 0") as told:
        taught_by(store, digits, lambda batch: run(batch)[:, order])
    assert "Put its outputs in the order of the data's classes" in str(told.value)


FILES = {
    "nothing there": ("gone.onnx", "no teacher at gone.onnx"),
    "a pickle": ("model.pkl", "a pickle can run any code, and is never read"),
    "scikit-learn's joblib": ("model.joblib", "never read"),
    "weights alone": ("w.pt", "weights without a network; give --teacher module.py:factory --weights"),
    "HDF5": ("model.h5", "HDF5 has no safe mode"),
    "a kind that nobody knows": ("model.xyz", "is no teacher that can be read"),
    "Python without a factory": ("net.py", "':factory'|module.py:factory"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_a_teacher(
    digits: Dataset, store: Store, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, message = FILES[case]
    monkeypatch.chdir(tmp_path)
    if case != "nothing there":
        Path(name).write_bytes(pickle.dumps([1]))
    with pytest.raises(TeacherError, match=message):
        taught_by(store, digits, name)


# --- logits from a file -------------------------------------------------------------------------


def all_logits(data: Dataset) -> np.ndarray:
    """A row for each image as the data came: 5 for its class, plus noise that tells rows apart."""
    rows = np.random.default_rng(0).normal(0, 0.5, (data.total_images, data.classes))
    for split in (data.train, data.selection, data.confirmation, data.test):
        rows[split.rows, split.labels] += 5
    return rows.astype(np.float32)


def test_each_image_has_the_row_of_its_place_in_the_data(digits: Dataset, store: Store, tmp_path: Path) -> None:
    rows = all_logits(digits)
    np.save(tmp_path / "logits.npy", rows)
    taught = taught_by(store, digits, tmp_path / "logits.npy")
    np.testing.assert_array_equal(taught.logits, rows[digits.train.rows])
    assert taught.validation.rate > 0.99
    test = taught.test()
    assert test is not None and test == Score(
        int((rows[digits.test.rows].argmax(1) == digits.test.labels).sum()), len(digits.test)
    )
    assert taught.parameters == 0
    assert taught.key == taught_by(store, digits, rows).key


def test_logits_without_those_of_a_test_split_that_came_with_the_data(store: Store) -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(300, 5)), generator.integers(0, 3, 300)
    data = from_arrays(X[:200], y[:200], test=(X[200:], y[200:]))
    assert (data.total_images, data.own_test_images) == (300, 100)
    rows = all_logits(data)
    assert taught_by(store, data, rows[:200]).test() is None
    assert taught_by(store, data, rows).test() is not None
    with pytest.raises(TeacherError, match="give an array of 300, or 200 without those of the test images rows"):
        taught_by(store, data, rows[:199])


def test_bad_logits_are_refused(digits: Dataset, store: Store, tmp_path: Path) -> None:
    rows = all_logits(digits)
    with pytest.raises(
        TeacherError, match=r"shape \(1000, 10\), and digits has 1,797 images; give an array of 1,797 rows"
    ):
        taught_by(store, digits, rows[:1000])
    with pytest.raises(TeacherError, match="gives 9 outputs an image and the data has 10 classes"):
        taught_by(store, digits, rows[:, :9])
    with pytest.raises(TeacherError, match="its rows are not in the order of the images"):
        taught_by(store, digits, np.random.default_rng(1).permutation(rows))
    rows[77, 3] = np.nan
    with pytest.raises(TeacherError, match="NaN or infinity for 1 of 1,797 images, the first at 77"):
        taught_by(store, digits, rows)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}] * 1797), allow_pickle=True)
    with pytest.raises(TeacherError, match="a file with Python objects in it is refused"):
        taught_by(store, digits, tmp_path / "objects.npy")
    with pytest.raises(TeacherError, match=r"no logits at .*gone\.npy"):
        taught_by(store, digits, tmp_path / "gone.npy")


# --- parts, time, and going on ----------------------------------------------------------------------


@pytest.fixture
def counted(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A teacher from a file, in parts of 300 images; how many images each of its batches had."""
    run, batches = prototypes(digits, "nchw 0..1"), list[int]()

    def count(batch: np.ndarray) -> np.ndarray:
        batches.append(len(batch))
        return run(batch)

    network = Network("big.onnx", count, (1, 8, 8), 40_000_000, "a digest")
    monkeypatch.setattr(brought, "open_network", lambda *_: network)
    monkeypatch.setattr(brought, "PART_IMAGES", 300)
    return batches


def test_a_teacher_that_is_stopped_goes_on_where_it_was(digits: Dataset, store: Store, counted: list[int]) -> None:
    whole = taught_by(store, digits, "big.onnx", input="nchw 0..1")
    needed = sum(counted)
    sampled = needed - len(digits.train) - len(digits.selection) - len(digits.confirmation)
    with Store(Path(store.location).with_name("other.sqlite")) as other:
        counted.clear()
        done = 0

        def stop(images: float) -> None:
            nonlocal done
            done += int(images)
            if done > 700:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_teacher(other, digits, Teacher("big.onnx", input="nchw 0..1"), Told(advance=stop))
        before = sum(counted)
        counted.clear()
        taught = taught_by(other, digits, "big.onnx", input="nchw 0..1")
        assert sum(counted) == needed - 600, "two parts of 300 were kept"
        assert before > 600 + sampled
    assert taught.logits.tobytes() == whole.logits.tobytes()
    counted.clear()
    assert taught_by(store, digits, "big.onnx", input="nchw 0..1").logits.tobytes() == whole.logits.tobytes()
    assert sum(counted) == sampled, "only the sample is run again"


def test_progress_comes_to_all_images(digits: Dataset, store: Store, counted: list[int]) -> None:
    told: list[float] = []
    for _ in range(2):
        told.clear()
        run_teacher(store, digits, Teacher("big.onnx"), Told(advance=told.append)).test()
        assert sum(told) == len(digits.train) + len(digits.selection) + len(digits.confirmation)
        assert max(told) <= 300


def test_how_long_a_large_teacher_takes_is_said_once(
    digits: Dataset, store: Store, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    run_teacher(store, digits, Teacher("big.onnx"), Told(say=said.append))
    assert said == [], "it is quick"
    monkeypatch.setattr(brought, "LONG_SECONDS", 0.0)
    changed = replace(digits, digest="other data")
    run_teacher(store, changed, Teacher("big.onnx"), Told(say=said.append))
    assert len(said) == 1
    left = len(digits.train) + len(digits.selection) + len(digits.confirmation)
    assert "40,000,000 parameters, about" in said[0]
    assert f"minutes for the {left:,} images left" in said[0]


# --- each kind as its own library runs it -------------------------------------------------------


@pytest.fixture
def weights(digits: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A linear classifier of 64 values from 0 to 1: the nearest class mean."""
    flat = digits.train.images.reshape(-1, 64) / 255
    means = np.stack([flat[digits.train.labels == place].mean(axis=0) for place in range(10)])
    return (2 * means).astype(np.float32), -(means**2).sum(axis=1).astype(np.float32)


def expected(weights: tuple[np.ndarray, np.ndarray], data: Dataset) -> np.ndarray:
    return data.train.images.reshape(-1, 64) / 255 @ weights[0].T + weights[1]


NET = """
import torch
from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 10))


def wrong():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))


def broken():
    raise OSError("no disk")


def nothing():
    return 3
"""


@pytest.fixture
def net(tmp_path: Path, weights: tuple[np.ndarray, np.ndarray]) -> Path:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    (tmp_path / "net.py").write_text(NET)
    state = {"2.weight": torch.from_numpy(weights[0].copy()), "2.bias": torch.from_numpy(weights[1].copy())}
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pt")
    save_file(state, tmp_path / "w.safetensors")
    return tmp_path


@pytest.mark.parametrize("file", ["w.pt", "w.safetensors", "checkpoint.pt"])
def test_a_torch_module_of_a_file(
    digits: Dataset, store: Store, net: Path, weights: tuple[np.ndarray, np.ndarray], file: str
) -> None:
    taught = taught_by(store, digits, f"{net}/net.py:build", weights=net / file, input="nchw 0..1")
    np.testing.assert_allclose(taught.logits, expected(weights, digits), atol=1e-4)
    assert taught.parameters == 650
    assert taught.name == "net.py:build"


def test_a_torch_module_in_memory_is_put_in_its_mode_for_use(digits: Dataset, store: Store, net: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(64, 10))
    module.load_state_dict(torch.load(net / "w.pt", weights_only=True))
    module.train()
    assert taught_by(store, digits, module).validation.rate > 0.85


class Danger:
    """What a pickle can do to who reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was-run"),))


def test_bad_torch_files_are_refused(digits: Dataset, store: Store, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(net)
    torch.save({"w": Danger()}, net / "danger.pt")
    cases = {
        ("net.py:build", "danger.pt"): "holds more than tensors, which could run any code",
        ("net.py:build", None): "has fresh weights; give its trained ones by --weights",
        ("net.py:build", "gone.pt"): "no weights at gone.pt",
        ("net.py:wrong", "w.pt"): "are not this network's",
        ("net.py:broken", "w.pt"): "net.py:broken failed: OSError: no disk",
        ("net.py:nothing", "w.pt"): r"gave a int; it must give a torch\.nn\.Module",
        ("net.py:gone", "w.pt"): "failed: AttributeError",
        ("gone.py:build", "w.pt"): "no Python file at gone.py",
    }
    for (source, file), message in cases.items():
        with pytest.raises(TeacherError, match=message):
            taught_by(store, digits, source, weights=Path(file) if file else None)
    assert not (net / "was-run").exists()


def test_a_classifier_of_scikit_learn(store: Store) -> None:
    """Also: its classes are matched by name, whatever their order and type."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 500)
    X = 3 * np.eye(3, 6)[y] + generator.normal(0, 0.5, (500, 6))
    names = np.array(["pear", "apple", "fig"])[y]
    data = from_arrays(X, names)
    model = linear_model.LogisticRegression().fit(X, names)
    taught = taught_by(store, data, model)
    assert taught.parameters == 21
    flat = data.train.images.reshape(len(data.train), -1)
    columns = [list(model.classes_).index(name) for name in data.class_names]
    np.testing.assert_allclose(
        softmax(taught.logits.astype(np.float64)), model.predict_proba(flat)[:, columns], atol=1e-5
    )

    numbers = from_arrays(X, y)
    assert taught_by(store, numbers, linear_model.LogisticRegression().fit(X, y.astype(float))).validation.rate > 0.9
    with pytest.raises(TeacherError, match="knows the classes apple, fig, pear and the data has 0, 1, 2"):
        taught_by(store, numbers, model)
    with pytest.raises(TeacherError, match="has no classes yet; fit it first"):
        taught_by(store, numbers, linear_model.LogisticRegression())


def onnx_file(path: Path, weights: tuple[np.ndarray, np.ndarray], batch: int | str, outputs: int = 1) -> Path:
    """The linear classifier for images [batch, 8, 8, 1], with a softmax; its label first where it has two outputs."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["z"], transB=1),
        helper.make_node("Softmax", ["z"], ["p"]),
        helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0),
    ]
    results = [helper.make_tensor_value_info("p", TensorProto.FLOAT, [batch, 10])]
    if outputs == 2:
        results.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [batch]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 8, 8, 1])
    constants = [numpy_helper.from_array(array, name) for array, name in zip(weights, "wb", strict=True)]
    graph = helper.make_graph(nodes, "linear", [given], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(("batch", "outputs"), [("n", 1), (1, 1), (7, 1), ("n", 2)])
def test_an_onnx_file(
    digits: Dataset,
    store: Store,
    tmp_path: Path,
    weights: tuple[np.ndarray, np.ndarray],
    batch: int | str,
    outputs: int,
) -> None:
    taught = taught_by(store, digits, onnx_file(tmp_path / "t.onnx", weights, batch, outputs), input="0..1")
    shares = softmax(expected(weights, digits))
    np.testing.assert_allclose(softmax(taught.logits.astype(np.float64)), shares, atol=1e-5)
    assert taught.parameters == 650
    assert "'nhwc 0..1'" in taught.notes[0]


def test_a_damaged_onnx_file_is_refused(digits: Dataset, store: Store, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "t.onnx").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=r"t\.onnx cannot be read as ONNX"):
        taught_by(store, digits, tmp_path / "t.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
def test_a_keras_model_and_its_file(
    digits: Dataset,
    store: Store,
    tmp_path: Path,
    weights: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.9), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.layers[-1].set_weights([weights[0].T, weights[1]])
    model.save(tmp_path / "t.keras")
    for source in (model, tmp_path / "t.keras"):
        taught = taught_by(store, digits, source, input="0..1")
        np.testing.assert_allclose(taught.logits, expected(weights, digits), atol=1e-4)
        assert taught.parameters == 650
    (tmp_path / "bad.keras").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=r"bad\.keras cannot be read as a Keras model"):
        taught_by(store, digits, tmp_path / "bad.keras")


@pytest.mark.parametrize("suffix", [".safetensors", ".smidgen"])
def test_a_network_of_our_own_file(digits: Dataset, store: Store, tmp_path: Path, suffix: str) -> None:
    spec = parse_spec("conv 3x3x3 relu, maxpool 2, dense 10")
    examples = Examples(digits.train.images, digits.train.labels)
    weights = native.train(spec, Recipe(epochs=20), examples, 0).weights
    smidgen.save(Model(spec, digits.input_shape, digits.class_names, weights), tmp_path / f"t{suffix}")
    taught = taught_by(store, digits, tmp_path / f"t{suffix}")
    wanted = native.predict(spec, weights, digits.train.images, 1)
    np.testing.assert_allclose(taught.logits, wanted, atol=1e-4)
    assert taught.parameters == spec.parameters(digits.input_shape)
    (tmp_path / f"bad{suffix}").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=f"bad{suffix}"):
        taught_by(store, digits, tmp_path / f"bad{suffix}")


# --- the whole way --------------------------------------------------------------------------------


def test_the_answer_is_within_what_was_asked_of_the_teacher(digits: Dataset, own_store: Path, small: None) -> None:
    goal = Goal(Target(within=0.03, rule="rate"))
    answer = shrink(digits, goal, teacher=all_logits(digits), effort="quick", store=Store(own_store))
    assert answer.teacher is not None and answer.teacher.trial is None
    wanted = answer.teacher.validation.rate - 0.03
    assert min(answer.outcome.selection.rate, answer.outcome.confirmation.rate) >= wanted - 1e-6
    assert answer.floor.accuracy == pytest.approx(wanted, abs=1e-6)
    learned = [tried for way, some in answer.recipes.items() if way != "labels" for tried in some]
    assert {tried.trial.teacher_key for tried in learned} == {answer.teacher.key}
    assert any("3 points of the 180 images of a half are 5.4 images" in note for note in answer.teacher.notes)
    assert any("trained on these validation images too" in note for note in answer.teacher.notes)


def test_logits_through_the_command(
    command: Callable[..., Any], digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("logits.npy", all_logits(digits))
    asked = ("--within", "3%", "--rule", "rate", "--effort", "quick")
    said = command("shrink", "digits", *asked, "--teacher-logits", "logits.npy")
    assert (said.code, said.err) == (0, "")
    out = " ".join(said.out.split())
    assert "logits.npy is right on" in out
    folder = tmp_path / "runs" / "digits-within-0.03"
    assert load_safetensors(folder / "winner.safetensors").spec
    assert not (folder / "teacher.safetensors").exists(), "it is the user's own"
    page = (folder / "report.html").read_text()
    assert "within 3 points of its teacher" in page
    assert "logits.npy is right on" in page


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--teacher a.onnx --teacher-logits b.npy", "are two teachers; give one of them"),
        ("--teacher-logits b.csv", "is no .npy file"),
        ("--weights w.pt", "belong to a teacher; give --teacher"),
        ("--teacher gone.onnx", "no teacher at gone.onnx"),
        ("--teacher a.onnx --weights w.pt", "has its own weights"),
    ],
)
def test_a_wrong_line_about_a_teacher(
    command: Callable[..., Any], line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("shrink", "digits", "--floor", "0.9", *line.split())
    assert (said.code, said.out) == (2, "")
    assert message in said.err
