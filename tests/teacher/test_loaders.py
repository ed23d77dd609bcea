"""Files of ONNX, Keras and Smidgen, and classifiers of scikit-learn, each against its own library."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sample_teachers import expected, outputs_of

import smidgen
from smidgen.data import Dataset, from_arrays
from smidgen.engine import Examples, native, softmax
from smidgen.errors import TeacherError
from smidgen.model import Model
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.teacher.loaders import open_network
from smidgen.teacher.loaders.network import import_extra
from smidgen.teacher.loaders.onnx_file import external_files
from smidgen.trials.store import Store

FILES = {
    "nothing there": ("gone.onnx", "no teacher at gone.onnx"),
    "a pickle": ("model.pkl", "a pickle can run any code, and is never read"),
    "scikit-learn's joblib": ("model.joblib", "never read"),
    "weights alone": ("w.pt", "weights without a network; give --teacher module.py:factory --weights"),
    "HDF5": ("model.h5", "HDF5 has no safe mode"),
    "a kind that nobody knows": ("model.xyz", "cannot use model.xyz as a teacher: its format is unknown; give .onnx"),
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
        outputs_of(store, digits, name)


def onnx_file(path: Path, weights: tuple[np.ndarray, np.ndarray], batch: int | str, output_count: int = 1) -> Path:
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
    if output_count == 2:
        results.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [batch]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 8, 8, 1])
    constants = [numpy_helper.from_array(array, name) for array, name in zip(weights, "wb", strict=True)]
    graph = helper.make_graph(nodes, "linear", [given], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(("batch", "output_count"), [("n", 1), (1, 1), (7, 1), ("n", 2)])
def test_an_onnx_file(
    digits: Dataset,
    store: Store,
    tmp_path: Path,
    weights: tuple[np.ndarray, np.ndarray],
    batch: int | str,
    output_count: int,
) -> None:
    outputs = outputs_of(store, digits, onnx_file(tmp_path / "t.onnx", weights, batch, output_count), input="0..1")
    shares = softmax(expected(weights, digits))
    np.testing.assert_allclose(softmax(outputs.logits.astype(np.float64)), shares, atol=1e-5)
    assert outputs.parameters == 650
    assert "'nhwc 0..1'" in outputs.notes[0]


def test_a_damaged_onnx_file_is_refused(digits: Dataset, store: Store, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "t.onnx").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=r"cannot read .*t\.onnx as ONNX"):
        outputs_of(store, digits, tmp_path / "t.onnx")


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
        outputs = outputs_of(store, digits, source, input="0..1")
        np.testing.assert_allclose(outputs.logits, expected(weights, digits), atol=1e-4)
        assert outputs.parameters == 650
    (tmp_path / "bad.keras").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=r"cannot read .*bad\.keras as a Keras model"):
        outputs_of(store, digits, tmp_path / "bad.keras")


@pytest.mark.parametrize("suffix", [".safetensors", ".smidgen"])
def test_a_network_of_our_own_file(digits: Dataset, store: Store, tmp_path: Path, suffix: str) -> None:
    spec = parse_spec("conv 3x3x3 relu, maxpool 2, dense 10")
    examples = Examples(digits.train.images, digits.train.labels)
    weights = native.train(spec, Recipe(epochs=20), examples, 0).weights
    smidgen.save(Model(spec, digits.input_shape, digits.class_names, weights), tmp_path / f"t{suffix}")
    outputs = outputs_of(store, digits, tmp_path / f"t{suffix}")
    wanted = native.predict(spec, weights, digits.train.images, 1)
    np.testing.assert_allclose(outputs.logits, wanted, atol=1e-4)
    assert outputs.parameters == spec.parameters(digits.input_shape)
    (tmp_path / f"bad{suffix}").write_bytes(b"no network")
    with pytest.raises(TeacherError, match=f"bad{suffix}"):
        outputs_of(store, digits, tmp_path / f"bad{suffix}")


def test_a_classifier_of_scikit_learn(store: Store) -> None:
    """Also: its classes are matched by name, whatever their order and type."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 500)
    X = 3 * np.eye(3, 6)[y] + generator.normal(0, 0.5, (500, 6))
    names = np.array(["pear", "apple", "fig"])[y]
    data = from_arrays(X, names)
    model = linear_model.LogisticRegression().fit(X, names)
    outputs = outputs_of(store, data, model)
    assert outputs.parameters == 21
    flat = data.input.to_units(data.train.images).reshape(len(data.train), -1)
    columns = [list(model.classes_).index(name) for name in data.class_names]
    np.testing.assert_allclose(
        softmax(outputs.logits.astype(np.float64)), model.predict_proba(flat)[:, columns], atol=1e-5
    )

    numbers = from_arrays(X, y)
    assert outputs_of(store, numbers, linear_model.LogisticRegression().fit(X, y.astype(float))).validation.rate > 0.9
    with pytest.raises(TeacherError, match="knows the classes apple, fig, pear and the data has 0, 1, 2"):
        outputs_of(store, numbers, model)
    with pytest.raises(TeacherError, match="is not fitted and has no classes yet; fit it first"):
        outputs_of(store, numbers, linear_model.LogisticRegression())


def test_new_weights_beside_an_unchanged_onnx_file_are_another_teacher(
    digits: Dataset, store: Store, tmp_path: Path, weights: tuple[np.ndarray, np.ndarray]
) -> None:
    onnx = pytest.importorskip("onnx")
    inline = onnx_file(tmp_path / "inline.onnx", weights, "n")
    files = {}
    for factor in (1, -1):
        changed = onnx_file(tmp_path / "inline.onnx", (factor * weights[0], factor * weights[1]), "n")
        path = tmp_path / "t.onnx"
        (tmp_path / "t.weights").unlink(missing_ok=True)  # onnx would append to it
        onnx.save(onnx.load(changed), str(path), save_as_external_data=True, location="t.weights", size_threshold=0)
        files[factor] = path.read_bytes(), open_network(path, None, ()).digest
    assert files[1][0] == files[-1][0], "the .onnx file itself is the same"
    assert files[1][1] != files[-1][1]
    assert [file.name for file in external_files(path)] == ["t.weights"] and external_files(inline) == []


def test_keras_without_tensorflow_is_run_on_another_backend(
    tmp_path: Path, weights: tuple[np.ndarray, np.ndarray], child: Callable[..., subprocess.Popen[str]]
) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("torch")
    if find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed")
    code = """
import os, sys
from pathlib import Path
for name in ("KERAS_BACKEND", "KERAS_HOME"): os.environ.pop(name, None)
os.environ["KERAS_HOME"] = sys.argv[1]
from smidgen.teacher.loaders.keras_model import choose_backend
notes = choose_backend(Path("t.keras"))
import keras
print(keras.backend.backend(), *notes, sep="|")
"""
    out, err = child(code, str(tmp_path)).communicate(timeout=120)
    assert out.strip() == "torch|t.keras is run by Keras on torch, because tensorflow is not installed", err


def test_a_package_that_is_installed_and_fails_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacks_another.py").write_text("import not_there_at_all\n")
    (tmp_path / "breaks.py").write_text("raise OSError('libfoo.so: cannot open shared object file')\n")
    with pytest.raises(TeacherError, match="lacks a package that it needs: No module named 'not_there_at_all'") as told:
        import_extra("lacks_another", "onnx", "t.onnx")
    assert "smidgen[" not in str(told.value)
    with pytest.raises(TeacherError, match=r"fails to start: OSError: libfoo\.so: cannot open") as told:
        import_extra("breaks", "onnx", "t.onnx")
    assert "smidgen[" not in str(told.value)
    with pytest.raises(TeacherError, match=r"pip install 'smidgen\[onnx\]'"):
        import_extra("not_there_at_all", "onnx", "t.onnx")
