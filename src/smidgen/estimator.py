"""`SmallestClassifier`: the search for the smallest network as a scikit-learn estimator.

    clf = SmallestClassifier(floor=0.95).fit(X, y)
    clf.spec_, clf.n_parameters_, clf.predict(X)
    clf.save("x.smidgen")
    smidgen.load("x.smidgen").predict(X)            # without scikit-learn

X is [n, features], a signal [n, time, channels], or pictures [n, height, width] or [n, height, width, channels], and is
read as `smidgen.data.from_arrays` reads it: features and signals are standardised while networks are trained, so no
`StandardScaler` is needed, and the network takes X as it is.

scikit-learn is imported when `SmallestClassifier` is first used, so the class is made by a function.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.data import MAX_REPEATS, Dataset, repeated, without_test_split
from smidgen.errors import RequestError, SmidgenError
from smidgen.exporters import Export, export
from smidgen.predictor import Classifier, save
from smidgen.records import Floor
from smidgen.reporter import PrintingReporter
from smidgen.search.frontier import Point, pareto
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store, open_store
from smidgen.trials.workers import default_workers


class SmallDataWarning(UserWarning):
    """The data are too few for a validation split, so the floor is judged on the training samples."""


class FloorWarning(UserWarning):
    """No network is shown to hold the floor; the most accurate one was fitted, or the smallest by plain accuracy."""


# --- the estimator ----------------------------------------------------------------------------


class Smallest:
    """Finds the smallest neural network that holds an accuracy floor, and classifies with it.

    The default promises what it says: of 100 fits, at most 5 have `met_` True and an accuracy below the floor on new
    samples like these, and at most 5 have an accuracy below `promise_`. That takes samples: an eighth of them confirms,
    and 75 samples, all classified correctly, show 95.2 %.

    Args:
        floor: The accuracy to hold, between 0 and 1; None if a limit or `within` is given.
        rule: How it is decided whether a network holds the floor. "strict" asks whether the confirmation half shows it
            by itself; "wilson" whether the lower end of the 95 % interval of both halves does, for one network; "rate"
            compares plain accuracies, which promises nothing. If the samples are too few for the rule, plain
            accuracies are compared, `met_` is False, and a `FloorWarning` says so.
        within: How far the accuracy may be below that of `teacher`; 0.005 is half a point.
        size_bytes: Limit on the bytes of the network's file.
        parameters: Limit on the trained parameters.
        macs: Limit on the multiply-accumulates of one prediction.
        ram_bytes: Limit on the bytes of RAM of one prediction.
        balanced: Whether accuracy is the mean of the accuracies of the classes.
        class_floor: The accuracy that each class must reach on its own.
        class_weight: How often training samples come: None for once each, "balanced" until all classes are equally
            frequent, or a weight for each class label. A sample comes at most 20 times; where the weights differ by
            more, samples of the lightest classes are left out.
        teacher: A fitted classifier, a torch module, a Keras model or a file to learn from; None trains a teacher.
        effort: "glance", "quick", "normal" or "thorough".
        engine: "auto", "native" or "torch".
        store: Where trainings are remembered; None forgets them after `fit`.
        n_jobs: Trainings at the same time; None is 1, -1 is one per CPU.
        random_state: Seed of the search and of every training.
        verbose: 0 prints nothing, 1 each stage of the search.

    Attributes:
        classes_: The class labels, [classes].
        n_features_in_: How many features `fit` saw.
        spec_: The network.
        n_parameters_: Its trained parameters.
        frontier_: The smallest networks for each accuracy that was reached.
        validation_score_: Its score on both halves of the validation split.
        met_: Whether it meets what was asked for, by `rule`.
        promise_: The accuracy on new samples that the confirmation half shows. At most 5 % of fits have less. 0 if
            there were too few samples to set any aside.
        network_: The network as a `smidgen.predictor.Classifier`.
    """

    def __init__(
        self,
        floor: float | None = 0.95,
        *,
        rule: str = "strict",
        within: float | None = None,
        size_bytes: int | None = None,
        parameters: int | None = None,
        macs: int | None = None,
        ram_bytes: int | None = None,
        balanced: bool = False,
        class_floor: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        teacher: object = None,
        effort: str = "quick",
        engine: str = "auto",
        store: Store | str | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.floor = floor
        self.rule = rule
        self.within = within
        self.size_bytes = size_bytes
        self.parameters = parameters
        self.macs = macs
        self.ram_bytes = ram_bytes
        self.balanced = balanced
        self.class_floor = class_floor
        self.class_weight = class_weight
        self.teacher = teacher
        self.effort = effort
        self.engine = engine
        self.store = store
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Any:
        """Find the smallest network. An eighth of the samples selects it, another eighth confirms it.

        Args:
            X: Samples, [n, features], [n, height, width] or [n, height, width, channels].
            y: Class labels, [n].

        Returns:
            The fitted estimator itself.

        Raises:
            ValueError: No classifier can be fitted to X and y, or a parameter is out of its range.
        """
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import check_random_state, validate_data

        samples, y = validate_data(self, X, y, ensure_2d=_dimensions(X) < 3, allow_nd=True)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has 1 class ({classes[0]}); give at least 2")
        state = self.random_state
        seed = int(state) if isinstance(state, int | np.integer) else int(check_random_state(state).randint(2**31))
        try:
            self._fit(samples, codes, classes, seed)
        except SmidgenError as error:
            raise ValueError(str(error)) from error
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each class, in the order of `classes_`: float64 [n, classes]."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        samples = validate_data(self, X, reset=False, ensure_2d=_dimensions(X) < 3, allow_nd=True)
        try:
            return self.network_.predict_proba(samples)
        except SmidgenError as error:
            raise ValueError(str(error)) from error

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each sample: [n]."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what is taken: vectors, signals and pictures, without missing values, of any classes."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = False
        return tags

    def save(self, path: str | Path) -> int:
        """Write the network as .smidgen or .safetensors; return the length of the file in bytes."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return save(self.network_.model, path)

    def export(self, path: str | Path, *, to: str, form: str | None = None) -> Export:
        """Write the network for another program.

        Args:
            path: The file to write.
            to: "onnx", "tflite", "c", "arduino", "js", "html" or "safetensors".
            form: How C stores the weights, as in `smidgen.export`.

        Returns:
            The file that was written and its size.
        """
        with TemporaryDirectory(prefix="smidgen-") as folder:
            file = Path(folder) / f"{Path(path).stem}.smidgen"
            self.save(file)
            return export(file, to=to, form=form, out=path)

    # --- the steps of fit ---

    def _fit(self, X: npt.NDArray[Any], codes: npt.NDArray[Any], classes: npt.NDArray[Any], seed: int) -> None:
        data = without_test_split(X, codes, "X", seed)
        data = repeated(data, self._factors(classes, np.bincount(codes)))
        result = self._shrink(replace(data, class_names=tuple(str(name) for name in classes)), seed)
        is_set_aside = not np.array_equal(data.selection.rows, data.confirmation.rows)
        points = [
            Point(t.outcome.parameters, t.outcome.validation, str(t.trial.spec), t.trial.seed)
            for t in result.candidates
        ]
        self.classes_ = classes
        self.spec_ = result.winner.spec
        self.n_parameters_ = result.outcome.parameters
        self.frontier_ = pareto(points)
        self.validation_score_ = result.outcome.validation
        self.promise_ = result.promise if is_set_aside else 0.0
        self.met_ = result.is_met and is_set_aside and self._has_images_for_the_rule(data)
        self._warn(result, is_set_aside)
        self.network_ = Classifier(result.model, classes)

    def _shrink(self, data: Dataset, seed: int) -> ShrinkResult:
        rule = self.rule if self._has_images_for_the_rule(data) else "rate"
        goal = Goal(
            Target(self.floor, self.within, rule) if self.floor is not None or self.within is not None else None,
            Limits(self.size_bytes, self.parameters, self.macs, self.ram_bytes),
            balanced=self.balanced,
            class_floor=self.class_floor,
            fallback_to_best=True,
        )
        with (
            TemporaryDirectory(prefix="smidgen-") as folder,
            open_store(self.store or Path(folder) / "store.sqlite") as store,
        ):
            return shrink(
                data,
                goal,
                teacher=self.teacher,
                effort=self.effort,
                seed=seed,
                store=store,
                workers=default_workers() if self.n_jobs == -1 else self.n_jobs or 1,
                engine=self.engine,
                with_file=self.size_bytes is not None,
                reporter=PrintingReporter() if self.verbose else None,
            )

    def _has_images_for_the_rule(self, data: Dataset) -> bool:
        """Whether the validation samples could show the floor at all, if a network had all of them right."""
        if self.floor is None:
            return True
        floor = Floor(self.floor, self.rule)
        try:
            needed_rate(data, floor, self.balanced)
        except RequestError:
            return False
        return True

    def _factors(self, classes: npt.NDArray[Any], counts: npt.NDArray[Any]) -> list[float]:
        """The training samples of each class that are wanted, as a multiple of those there are."""
        if self.class_weight is None:
            return [1.0] * len(classes)
        if self.class_weight == "balanced":
            weights = counts.max() / counts
        elif isinstance(self.class_weight, Mapping):
            known = dict(self.class_weight)
            weights = np.array([float(known.get(label, 1.0)) for label in classes.tolist()])
        else:
            raise RequestError(f"class_weight={self.class_weight!r} is not known; give 'balanced' or a weight a class")
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise RequestError(f"class_weight={self.class_weight!r} must have weights above 0")
        least = max(float(weights.min()), float(weights.max()) / MAX_REPEATS)
        return [float(weight) / least for weight in weights]

    def _warn(self, result: ShrinkResult, is_set_aside: bool) -> None:
        if not is_set_aside:
            message = "a class has fewer than 5 samples, so the floor is judged on the training samples; add samples"
            warnings.warn(message, SmallDataWarning, stacklevel=4)
        elif not result.is_met:
            message = (
                f"no network reached floor={result.floor.accuracy:g}; the most accurate has "
                f"{result.outcome.validation}. Lower floor, raise effort or add samples"
            )
            warnings.warn(message, FloorWarning, stacklevel=4)
        elif not self.met_:
            message = (
                f"{len(result.data.confirmation)} confirmation samples cannot show floor={self.floor:g} by rule="
                f"'{self.rule}'; the smallest network with that plain accuracy was fitted, and {result.promise:.3f} of "
                "it is shown (promise_). Add samples, lower floor, or set rule='rate'"
            )
            warnings.warn(message, FloorWarning, stacklevel=4)


def _dimensions(X: Any) -> int:
    """The dimensions of an array, a table or a list. A sparse matrix has two; scikit-learn's check refuses it later."""
    return int(X.ndim) if hasattr(X, "ndim") else np.asarray(X).ndim


def _classifier() -> type:
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin
    except ImportError as error:
        raise RequestError(f"SmallestClassifier needs scikit-learn: {error}; pip install 'smidgen[sklearn]'") from error
    body = {"__doc__": Smallest.__doc__, "__module__": __name__, "__init__": Smallest.__init__}
    return type("SmallestClassifier", (Smallest, ClassifierMixin, BaseEstimator), body)


if TYPE_CHECKING:
    from sklearn.base import BaseEstimator, ClassifierMixin

    class SmallestClassifier(Smallest, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """The class as editors and type checkers see it."""

else:

    def __getattr__(name: str) -> Any:
        if name != "SmallestClassifier":
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        # Stored in the module, so that there is one class and pickle finds it.
        return globals().setdefault(name, _classifier())
