"""Fitted classifiers with scikit-learn's interface; the package itself is not imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from smidgen.errors import TeacherError
from smidgen.teacher.loaders.network import Batch, Network, Outputs


def from_sklearn(source: object, class_names: tuple[str, ...]) -> Network | None:
    """Wrap a fitted classifier; None if the object is something else.

    Args:
        source: Anything with `predict_proba` and `classes_`.
        class_names: The classes of the data; the classifier's columns are put in this order.

    Raises:
        TeacherError: It is not fitted, or knows other classes.
    """
    model: Any = source
    name = type(model).__name__
    if not hasattr(model, "predict_proba"):
        return None
    if not hasattr(model, "classes_"):
        raise TeacherError(f"the {name} is not fitted and has no classes yet; fit it first")
    column_of = {_class_name(value): place for place, value in enumerate(model.classes_)}
    if set(column_of) != set(class_names):
        raise TeacherError(
            f"the {name} knows the classes {_some(column_of)} and the data has {_some(class_names)}; "
            "give a teacher of these classes"
        )
    columns = [column_of[each] for each in class_names]
    features = getattr(model, "n_features_in_", None)
    shape = None if features is None else (int(features),)

    def run(images: Batch) -> Outputs:
        return np.asarray(model.predict_proba(images))[:, columns]

    return Network(name, run, shape, _count_parameters(model))


def _class_name(value: Any) -> str:
    """A class as the data's names have it: 3.0 is "3"."""
    return str(int(value)) if isinstance(value, float) and float(value).is_integer() else str(value)


def _count_parameters(model: Any) -> int:
    """The parameters of a linear model or a perceptron, also at the end of a pipeline; 0 for other models."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    arrays = [*getattr(last, "coefs_", ()), *getattr(last, "intercepts_", ())]
    arrays = arrays or [getattr(last, name) for name in ("coef_", "intercept_") if hasattr(last, name)]
    return sum(int(np.size(array)) for array in arrays)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
