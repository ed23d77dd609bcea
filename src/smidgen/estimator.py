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
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, without_test_split
from smidgen.errors import RequestError, SmidgenError
from smidgen.predictor import Classifier, save
from smidgen.search.frontier import Point, pareto
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store, open_store
from smidgen.trials.workers import default_workers


class SmallDataWarning(UserWarning):
    """The data are too few for a validation split, so the floor is judged on the training samples."""


class FloorWarning(UserWarning):
    """No network reached the floor; the most accurate one was fitted."""


# --- the estimator ----------------------------------------------------------------------------


class Smallest:
    """Finds the smallest neural network that holds an accuracy floor, and classifies with it.

    Args:
        floor: The accuracy to hold, between 0 and 1; None if a limit or `within` is given.
        rule: "rate" compares the plain accuracy with the floor, "wilson" the lower end of its 95 % interval, which
            needs many samples.
        within: How far the accuracy may be below that of `teacher`; 0.005 is half a point.
        size_bytes: Limit on the bytes of the network's file.
        parameters: Limit on the trained parameters.
        macs: Limit on the multiply-accumulates of one prediction.
        ram_bytes: Limit on the bytes of RAM of one prediction.
        balanced: Whether accuracy is the mean of the accuracies of the classes.
        class_floor: The accuracy that each class must reach on its own.
        teacher: A fitted classifier, a torch module, a Keras model or a file to learn from; None trains a teacher.
        effort: "glance", "quick", "normal" or "thorough".
        engine: "auto", "native" or "torch".
        store: Where trainings are remembered; None forgets them after `fit`.
        n_jobs: Trainings at the same time; None is 1, -1 is one per CPU.
        random_state: Seed of the search and of every training.

    Attributes:
        classes_: The class labels, [classes].
        n_features_in_: How many features `fit` saw.
        spec_: The network.
        n_parameters_: Its trained parameters.
        frontier_: The smallest networks for each accuracy that was reached.
        validation_score_: Its score on both halves of the validation split.
        held_: Whether it holds the floor.
        network_: The network as a `smidgen.predictor.Classifier`.
    """

    def __init__(
        self,
        floor: float | None = 0.95,
        *,
        rule: str = "rate",
        within: float | None = None,
        size_bytes: int | None = None,
        parameters: int | None = None,
        macs: int | None = None,
        ram_bytes: int | None = None,
        balanced: bool = False,
        class_floor: float = 0.0,
        teacher: object = None,
        effort: str = "quick",
        engine: str = "auto",
        store: Store | str | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
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
        self.teacher = teacher
        self.effort = effort
        self.engine = engine
        self.store = store
        self.n_jobs = n_jobs
        self.random_state = random_state

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

    def save(self, path: str | Path) -> int:
        """Write the network as .smidgen or .safetensors; return the length of the file in bytes."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return save(self.network_.model, path)

    # --- the steps of fit ---

    def _fit(self, X: npt.NDArray[Any], codes: npt.NDArray[Any], classes: npt.NDArray[Any], seed: int) -> None:
        data = without_test_split(X, codes, "X", seed)
        result = self._shrink(replace(data, class_names=tuple(str(name) for name in classes)), seed)
        self._warn(data, result)

        points = [
            Point(t.outcome.parameters, t.outcome.validation, str(t.trial.spec), t.trial.seed)
            for t in result.candidates
        ]
        self.classes_ = classes
        self.spec_ = result.winner.spec
        self.n_parameters_ = result.outcome.parameters
        self.frontier_ = pareto(points)
        self.validation_score_ = result.outcome.validation
        self.held_ = result.is_met
        self.network_ = Classifier(result.model, classes)

    def _shrink(self, data: Dataset, seed: int) -> ShrinkResult:
        goal = Goal(
            Target(self.floor, self.within, self.rule) if self.floor is not None or self.within is not None else None,
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
            )

    def _warn(self, data: Dataset, result: ShrinkResult) -> None:
        if len(data.train) == len(data.selection):
            message = "a class has fewer than 5 samples, so the floor is judged on the training samples; add samples"
            warnings.warn(message, SmallDataWarning, stacklevel=4)
        if not result.is_met:
            message = (
                f"no network reached floor={result.floor.accuracy:g}; the most accurate has "
                f"{result.outcome.validation}. Lower floor, raise effort or add samples"
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


def __getattr__(name: str) -> Any:
    if name != "SmallestClassifier":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    # Stored in the module, so that there is one class and pickle finds it.
    return globals().setdefault(name, _classifier())
