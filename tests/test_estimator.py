"""`SmallestClassifier`: scikit-learn's own checks, reproducible fits, and files that predict the same."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smidgen
from smidgen.errors import DataError, ModelFileError, RequestError
from smidgen.estimator import FloorWarning, SmallDataWarning
from smidgen.model import Model
from smidgen.predictor import save
from smidgen.search.effort import EFFORTS
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

sklearn = pytest.importorskip("sklearn")

TINY = replace(
    EFFORTS["glance"], first=6, generations=0, children=0, finalists=1, near_misses=1, short_steps=150, long_steps=600
)
"""A search that takes 0.1 to 0.2 seconds."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFORTS, "glance", TINY)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """float64 [n, 5] around three centres, and their names."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    X = 3 * np.eye(3, 5)[labels] + generator.normal(0, 0.5, (300, 5))
    return X, np.array(["apple", "fig", "pear"])[labels]


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, 8, 8], bright in one of two halves, and 0 or 1."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 200)
    X = generator.integers(0, 90, (200, 8, 8), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        image[:, 4 * label : 4 * label + 4] += 100
    return X, y


def classifier(**settings: Any) -> Any:
    """A classifier that compares plain rates, so that it does not warn of few samples."""
    return smidgen.SmallestClassifier(**{"effort": "glance", "rule": "rate", **settings})


@pytest.fixture(scope="module")
def fitted(blobs: tuple[np.ndarray, np.ndarray]) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EFFORTS, "glance", TINY)
        yield classifier(floor=0.8, rule="strict").fit(*blobs)


# --- scikit-learn's own checks ------------------------------------------------------------------

MAY_BE_SKIPPED = {
    "check_array_api_input",
    "check_array_api_input_and_values",
    "check_dataframe_column_names_consistency",
}
"""scikit-learn itself skips these: the first two need SCIPY_ARRAY_API in the environment, the last needs pandas."""


@pytest.mark.filterwarnings("ignore")  # many checks fit noise or a dozen samples, which gives a warning
def test_check_estimator_passes() -> None:
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(smidgen.SmallestClassifier(effort="glance"), on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert failed == {}
    assert skipped <= MAY_BE_SKIPPED
    assert len(results) > 45


def test_it_works_in_a_pipeline_a_grid_and_a_cross_validation(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = blobs
    pipeline = make_pipeline(StandardScaler(), classifier(floor=0.9))
    assert cross_val_score(pipeline, X * [1, 1000, 1, 1, 0.001], y, cv=2).min() > 0.85
    grid = GridSearchCV(classifier(), {"floor": [0.5, 0.9]}, cv=2).fit(X, y)
    assert grid.best_score_ > 0.85
    assert grid.best_estimator_.score(X, y) > 0.85


def test_pickle_and_clone(fitted: Any, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.base import clone

    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(blobs[0]), fitted.predict_proba(blobs[0]))
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "spec_")


# --- results of a fit --------------------------------------------------------------------------------


def test_a_fit_is_small_and_accurate_and_describes_itself(fitted: Any, blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    assert fitted.score(X, y) > 0.8
    assert fitted.met_ and fitted.validation_score_.rate >= 0.8
    assert 0.8 <= fitted.promise_ < 1
    assert fitted.n_parameters_ == fitted.spec_.parameters((5, 1, 1)) == len(fitted.network_.model.weights) < 60
    assert list(fitted.classes_) == ["apple", "fig", "pear"]
    sizes = [point.parameters for point in fitted.frontier_]
    assert sizes == sorted(sizes) and fitted.n_parameters_ in range(min(sizes), 61)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1)


def test_a_fit_has_the_same_bits_for_any_number_of_workers(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    first, second, other = (
        classifier(**settings).fit(*blobs).predict_proba(blobs[0])
        for settings in ({}, {"n_jobs": 2}, {"random_state": 1})
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("shape", [(200, 8, 8), (200, 8, 8, 1), (200, 1, 8, 8)])
def test_images_of_every_documented_shape(pictures: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]) -> None:
    X, y = pictures
    X = X.reshape(shape)
    found = classifier().fit(X, y)
    assert found.score(X, y) > 0.95
    assert found.network_.model.input_shape == (1, 8, 8)
    with pytest.raises(ValueError, match="X has examples of 8x7"):
        found.predict(X.reshape(200, 8, 8)[:, :, :7])


def test_the_scale_of_X_does_not_matter(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    wanted = classifier().fit(X, y)
    for factor in (2.0**-10, 2.0**10):  # scales are powers of two
        found = classifier().fit(factor * X, y)
        assert found.spec_ == wanted.spec_
        np.testing.assert_allclose(found.predict_proba(factor * X), wanted.predict_proba(X), atol=1e-3)


def test_a_limit_is_respected(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    found = classifier(floor=None, parameters=20).fit(*blobs)
    assert found.n_parameters_ <= 20
    assert found.score(*blobs) > 0.8


def test_a_teacher_can_be_given(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = pictures
    teacher = LogisticRegression().fit(X.reshape(200, -1) / 255, y)
    assert classifier(floor=None, within=0.05, teacher=teacher).fit(X, y).score(X, y) > 0.9


# --- warnings and errors --------------------------------------------------------------------------------


def test_a_floor_out_of_reach_warns_and_fits_the_most_accurate() -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(100, 3)), generator.integers(0, 2, 100)
    with pytest.warns(FloorWarning, match=r"no network reached floor=0\.8; the most accurate has"):
        found = classifier(floor=0.8, rule="rate").fit(X, y)
    assert not found.met_ and found.promise_ < 0.999
    assert found.predict(X).shape == (100,)


@pytest.mark.parametrize(
    ("rule", "shown"), [("strict", r"37 confirmation samples cannot show floor=0\.99"), ("rate", "")]
)
def test_a_floor_that_so_few_samples_cannot_show_is_not_claimed(
    blobs: tuple[np.ndarray, np.ndarray], rule: str, shown: str
) -> None:
    """The smallest network of that plain accuracy is fitted; a rule that promises nothing says nothing."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = classifier(floor=0.99, rule=rule).fit(*blobs)
    told = " ".join(str(warning.message) for warning in heard if warning.category is FloorWarning)
    assert found.met_ == (rule == "rate" and not told)
    assert found.promise_ < 0.99
    assert not shown or re.search(shown, told)


def test_the_promise_is_the_exact_bound_of_the_confirmation_half(
    fitted: Any, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    from scipy.stats import beta

    bounds = {
        float(beta.ppf(0.05 / 2**look, right, 37 - right + 1)) for look in (1, 2, 3, 4) for right in range(29, 38)
    }
    assert min(abs(fitted.promise_ - bound) for bound in bounds) < 1e-9


def test_class_weights_move_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 40])
    X = generator.normal(size=(440, 2)) + y[:, None]
    found = {}
    for weight in (None, "balanced", {0: 1, 1: 10}, {0: 10.0, 1: 1.0}):
        some = classifier(floor=None, parameters=30, class_weight=weight, verbose=int(weight is None)).fit(X, y)
        found[str(weight)] = float(some.predict(X).mean())
    assert found["None"] < found["balanced"] and found["None"] < found["{0: 1, 1: 10}"]
    assert found["{0: 10.0, 1: 1.0}"] <= found["None"]
    assert "[smidgen] first generation" in capsys.readouterr().out


def test_an_export_classifies_as_the_estimator_does(pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = pictures
    found = classifier().fit(X, y)
    written = found.export(tmp_path / "x.safetensors", to="safetensors")
    assert written.path == tmp_path / "x.safetensors"
    np.testing.assert_array_equal(smidgen.load(written.path).predict(X), found.predict(X))
    assert b"const" in found.export(tmp_path / "x.c", to="c", form="float").path.read_bytes()


def test_few_samples_warn_and_are_fitted() -> None:
    X = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.1]])
    with pytest.warns(SmallDataWarning, match="a class has fewer than 5 samples"):
        found = classifier(floor=0.9).fit(X, [0, 0, 1, 1])
    assert found.predict(X).tolist() == [0, 0, 1, 1]
    assert not found.met_ and found.promise_ == 0, "nothing was set aside"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"floor": 95}, "floor=95 must lie between 0 and 1"),
        ({"floor": None}, "nothing is asked for"),
        ({"effort": "much"}, "effort='much' is not known"),
        ({"rule": "foo"}, "rule='foo' is not known"),
        ({"class_weight": "much"}, "class_weight='much' is not known"),
        ({"class_weight": {"fig": 0.0}}, "must have weights above 0"),
    ],
)
def test_fit_refuses_wrong_settings(
    blobs: tuple[np.ndarray, np.ndarray], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**settings).fit(*blobs)


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".smidgen", ".safetensors"])
def test_a_saved_file_predicts_what_the_estimator_does(
    fitted: Any, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path, suffix: str
) -> None:
    size_bytes = fitted.save(tmp_path / f"x{suffix}")
    assert size_bytes == (tmp_path / f"x{suffix}").stat().st_size
    network = smidgen.load(tmp_path / f"x{suffix}")
    X = blobs[0]
    np.testing.assert_array_equal(network.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(network.predict_proba(X), fitted.predict_proba(X))


def test_a_loaded_file_gives_integers_for_integer_classes(
    pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = pictures
    found = classifier().fit(X, y)
    found.save(tmp_path / "x.smidgen")
    predicted = smidgen.load(str(tmp_path / "x.smidgen")).predict(X)
    assert predicted.dtype.kind == "i"
    np.testing.assert_array_equal(predicted, found.predict(X))
    with pytest.raises(DataError, match=r"the network takes 1x8x8 .*; give examples of that size"):
        smidgen.load(tmp_path / "x.smidgen").predict(X[:, :4])
    with pytest.raises(DataError, match=r"of 64 and .* takes 1x8x8 .*; give X\.reshape\(-1, 8, 8\)"):
        smidgen.load(tmp_path / "x.smidgen").predict(X.reshape(len(X), -1))


def test_unknown_suffixes_and_missing_files_are_refused(fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"ends in \.smidgen or \.safetensors"):
        fitted.save(tmp_path / "x.onnx")
    with pytest.raises(ModelFileError):
        smidgen.load(tmp_path / "gone.smidgen")


SPECS = (
    "dense 4 relu, dense 3",
    "conv 3x3x3 relu, maxpool 2, dense 3",
    "maxpool 2, avgpool 2, depthwise 1x1 relu, pointwise 3 relu, dense 3",
    "batchnorm relu, dense 3",
    "prelu, conv 2x2x2 same relu, globalavgpool, dense 3",
    "avgpool 2, repeat 2 [conv 1x3x3 same relu], dense 3",
)


def test_without_scikit_learn_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from smidgen import estimator

    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(vars(estimator), "SmallestClassifier", raising=False)
    with pytest.raises(RequestError, match=r"pip install 'smidgen\[sklearn\]'"):
        _ = estimator.SmallestClassifier


def test_loading_a_file_needs_no_scikit_learn(tmp_path: Path, child: Any) -> None:
    spec = parse_spec("dense 3")
    model = Model(spec, (5, 1, 1), ("a", "b", "c"), initial_weights(spec, (5, 1, 1), 0))
    save(model, tmp_path / "x.smidgen")
    code = (
        "import sys, numpy, smidgen\nprint(*smidgen.load(sys.argv[1]).predict(numpy.eye(5)), 'sklearn' in sys.modules)"
    )
    out, err = child(code, str(tmp_path / "x.smidgen")).communicate(timeout=120)
    assert err == ""
    *labels, loaded = out.split()
    assert len(labels) == 5 and set(labels) <= {"a", "b", "c"}
    assert loaded == "False"


def test_fitting_is_quiet(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(floor=0.8).fit(*blobs)
