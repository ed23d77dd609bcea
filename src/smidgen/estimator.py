"""The question as a scikit-learn estimator, and a network file as a classifier of arrays.

    clf = SmallestClassifier(floor=0.95).fit(X, y)
    clf.spec_, clf.n_parameters_, clf.predict(X)
    clf.save("x.smidgen")
    smidgen.load("x.smidgen").predict(X)            # without scikit-learn

X is [n, features], [n, height, width] or [n, height, width, channels]. uint8 is read as value / 255; all else is
divided by its root mean square while networks are trained, and that number is then folded into the weights, so
that the network takes X as it is. Features of different sizes want a `StandardScaler` before, as any network does.

scikit-learn is loaded where the class is first asked for, which is why it is made in a function.
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
from smidgen.model import Model, flatten_arrays, named_arrays
from smidgen.predictor import Classifier, save
from smidgen.records import Weights
from smidgen.search.frontier import Point, pareto
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.spec import NetSpec, PReLU, Shape
from smidgen.trials.store import Store
from smidgen.trials.workers import default_workers


class SmallDataWarning(UserWarning):
    """So few samples that the floor is judged on those that were trained on."""


class FloorWarning(UserWarning):
    """Nothing that was tried holds the floor; the most accurate is what was fitted."""


# --- a network file as a classifier ---------------------------------------------------------------


def scaled(spec: NetSpec, shape: Shape, weights: Weights, scale: float) -> Weights:
    """The weights of a network that does with x what this one does with x * scale; `scale` is above 0.

    Pools, PReLUs and activations pass a factor on. It goes into the first layer whose weights no later round of a
    repeat uses again; a layer before that is given its input in the other scale, and gets its bias in it too.
    A batch norm's mean is in the scale of its input.
    """
    arrays = {name: array.copy() for name, array in named_arrays(spec, shape, weights).items()}
    plans = spec.plan(shape)
    shared = {plan.source for plan in plans}
    factor = np.float32(scale)
    for place, plan in enumerate(plans):
        if not plan.parameters or isinstance(plan.layer, PReLU):
            continue
        if f"{place}.mean" in arrays:
            arrays[f"{place}.mean"] /= factor
        if place not in shared:
            arrays[f"{place}.weight"] *= factor
            break
        if f"{place}.bias" in arrays:
            arrays[f"{place}.bias"] /= factor
    return flatten_arrays(spec, shape, arrays)


# --- the estimator ----------------------------------------------------------------------------


class Smallest:
    """What `SmallestClassifier` does; scikit-learn's own part of it is added where it is asked for.

    floor: the accuracy to hold, 0 to 1, or None where a limit is given
    rule: "rate" compares the plain rate, "wilson" the lower end of its 95 % interval, which takes many samples
    within: how far below `teacher` it may be; size_bytes, parameters, macs, ram_bytes: limits (see `Goal`)
    balanced, class_floor: accuracy as the mean over the classes; what each class must reach alone
    teacher: a fitted classifier, a torch module, a Keras model or a file to learn from
    effort: "glance", "quick", "normal" or "thorough"
    store: where trainings are remembered; None remembers nothing after `fit`
    n_jobs: trainings at once; None is 1, -1 is one a CPU

    After `fit`: classes_, n_features_in_, spec_ (the network), n_parameters_, frontier_ (the smallest networks for
    each accuracy that was reached), validation_score_, held_ (whether the floor is), network_ (`Classifier`).
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
        """Find the smallest network; an eighth of the samples choose it and an eighth confirm it.

        Raises:
            ValueError: X or y from which no classifier can be fitted.
        """
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import check_random_state, validate_data

        samples, y = validate_data(self, X, y, ensure_2d=_dimensions(X) < 3, allow_nd=True)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has 1 class ({classes[0]}), and a classifier needs 2 or more")
        state = self.random_state
        seed = int(state) if isinstance(state, int | np.integer) else int(check_random_state(state).randint(2**31))
        try:
            self._fit(samples, codes, classes, seed)
        except SmidgenError as error:
            raise ValueError(str(error)) from error
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The probability of each class: float64 [n, classes]."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        samples = validate_data(self, X, reset=False, ensure_2d=_dimensions(X) < 3, allow_nd=True)
        try:
            return self.network_.predict_proba(samples)
        except SmidgenError as error:
            raise ValueError(str(error)) from error

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The likeliest class of each sample."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def save(self, path: str | Path) -> int:
        """Write the network as .smidgen or .safetensors; the length of the file in bytes."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return save(self.network_.model, path)

    # --- how it is fitted ---

    def _fit(self, X: npt.NDArray[Any], codes: npt.NDArray[Any], classes: npt.NDArray[Any], seed: int) -> None:
        scale = 1.0 if X.dtype == np.uint8 else _scale(X)
        data = without_test_split(X if X.dtype == np.uint8 else X * scale, codes, "X", seed)
        answer = self._ask(replace(data, class_names=tuple(str(name) for name in classes)), seed)
        self._warn(data, answer)
        spec, shape = answer.winner.spec, data.input_shape
        model = Model(spec, shape, answer.data.class_names, scaled(spec, shape, answer.outcome.weights, scale))
        points = [
            Point(t.outcome.parameters, t.outcome.validation, str(t.trial.spec), t.trial.seed)
            for t in answer.candidates
        ]
        self.classes_ = classes
        self.spec_ = spec
        self.n_parameters_ = answer.outcome.parameters
        self.frontier_ = pareto(points)
        self.validation_score_ = answer.outcome.validation
        self.held_ = answer.is_met
        self.network_ = Classifier(model, classes)

    def _ask(self, data: Dataset, seed: int) -> ShrinkResult:
        goal = Goal(
            Target(self.floor, self.within, self.rule) if self.floor is not None or self.within is not None else None,
            Limits(self.size_bytes, self.parameters, self.macs, self.ram_bytes),
            balanced=self.balanced,
            class_floor=self.class_floor,
            fallback_to_best=True,
        )
        with TemporaryDirectory(prefix="smidgen-") as folder:
            store = self.store if isinstance(self.store, Store) else Store(self.store or Path(folder) / "store.sqlite")
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

    def _warn(self, data: Dataset, answer: ShrinkResult) -> None:
        if len(data.train) == len(data.selection):
            message = "a class has fewer than 5 samples, so the floor is judged on the samples that were trained on"
            warnings.warn(message, SmallDataWarning, stacklevel=4)
        if not answer.is_met:
            message = (
                f"nothing holds floor={answer.floor.accuracy:g}; the most accurate has {answer.outcome.validation}"
            )
            warnings.warn(message, FloorWarning, stacklevel=4)


def _scale(X: npt.NDArray[Any]) -> float:
    """One over the root mean square; 1 for nothing but zeros."""
    mean_square = float(np.mean(np.square(X, dtype=np.float64)))
    return mean_square**-0.5 if mean_square > 0 else 1.0


def _dimensions(X: Any) -> int:
    """Of an array, a table or a list; a sparse matrix, whose own are two, is refused by name later."""
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
    # Kept, so that there is one class, which pickle finds again.
    return globals().setdefault(name, _classifier())
