"""The losses of `records.Recipe` and their gradients, in NumPy and float64.

Both engines are tested against these definitions. Targets have the same bits on every processor (`elementary`). For
one image with K classes, the student's logits z, the teacher's logits t and the temperature T:

    labels                -log softmax(z)[label]
    kl                    T² KL(softmax(t/T) || softmax(z/T))
    logits                mean over K of (z - t)²
    standardised-logits   mean over K of ((z - t) / std)², std of each class over the teacher's logits
    probabilities         mean over K of (softmax(z) - softmax(t))²

The loss of a batch is the mean over its images. With a recipe's `label_weight` w, every loss but "labels" becomes
(1 - w) * loss + w * labels.

A network with one output z for two classes has the logits (0, z). Only the difference of a teacher's logits can then be
learned: for the losses on logits, the teacher's become (0, t2 - t1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.elementary import exponential, logarithm
from smidgen.errors import RequestError
from smidgen.records import Recipe

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LEAST_STD = 1e-6
"""Lower bound of a class's standard deviation, so that a constant logit is not divided by zero."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The teacher's outputs in the form that a loss needs, computed once per training.

    Attributes:
        values: float32 [n, classes], probabilities or logits, as the loss needs; None for "labels".
        inverse_std: float32 [classes]; ones, except for "standardised-logits"; empty for "labels".
    """

    values: Floats | None
    inverse_std: Floats


def class_logits(outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a network's outputs as a logit for each class: [n, classes], of one output z the logits (0, z)."""
    return np.pad(outputs, ((0, 0), (1, 0))) if outputs.shape[1] == 1 else outputs


def prepare(recipe: Recipe, teacher_logits: Floats | None, outputs: int = 0) -> Targets:
    """Compute the targets of a recipe from a teacher's logits.

    Args:
        recipe: Names the loss and its temperature.
        teacher_logits: float32 [n, classes], or None.
        outputs: Outputs of the student; 0 for one for each class.

    Raises:
        RequestError: The recipe needs a teacher and there is none, or its logits are not finite.
    """
    if not recipe.needs_teacher:
        return Targets(None, np.ones(0, np.float32))
    logits = _checked(recipe, teacher_logits)
    if outputs == 1:
        logits = logits - logits[:, :1]
    inverse_std = np.ones(logits.shape[1])
    if recipe.loss in ("kl", "probabilities"):
        temperature = recipe.temperature if recipe.loss == "kl" else 1.0
        return Targets(
            _probabilities_at(logits.tobytes(), logits.shape, temperature).copy(), inverse_std.astype(np.float32)
        )
    if recipe.loss == "standardised-logits":
        inverse_std = 1 / np.maximum(logits.std(axis=0), LEAST_STD)
    return Targets(logits.astype(np.float32), inverse_std.astype(np.float32))


@lru_cache(maxsize=2)
def _probabilities_at(logits: bytes, shape: tuple[int, ...], temperature: float) -> Floats:
    """Return the softmax of float64 logits / temperature as float32; a search asks for the same again and again."""
    return softmax(np.frombuffer(logits, np.float64).reshape(shape) / temperature).astype(np.float32)


def loss_and_gradient(
    recipe: Recipe, logits: Doubles, labels: npt.NDArray[np.integer], targets: Targets
) -> tuple[float, Doubles]:
    """Compute the mean loss over n images and its gradient with respect to the logits.

    Args:
        recipe: Names the loss.
        logits: float64 [n, classes], the student's; or [n, 1], its one output for two classes.
        labels: int [n].
        targets: The targets of these n images.

    Returns:
        (loss, gradient), the gradient float64 in the shape of the logits.
    """
    if logits.shape[1] == 1:
        value, slopes = loss_and_gradient(recipe, class_logits(logits), labels, targets)
        return value, slopes[:, 1:]
    if not recipe.needs_teacher:
        values, gradient = _cross_entropy(logits, labels)
    else:
        values, gradient = _SOFT[recipe.loss](recipe, logits, targets)
        if recipe.label_weight:
            hard_values, hard_gradient = _cross_entropy(logits, labels)
            values = _mix(recipe.label_weight, values, hard_values)
            gradient = _mix(recipe.label_weight, gradient, hard_gradient)
    return float(values.mean()), gradient / len(logits)


def cross_entropy(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Return the mean of -log softmax(logits)[label] over n images; logits [n, classes], labels [n]."""
    logs = log_softmax(logits.astype(np.float64))
    return float(-logs[np.arange(len(logs)), labels].mean())


def softmax(logits: Doubles) -> Doubles:
    """Return the softmax of each row of float64 [n, classes], safe from overflow."""
    powers = exponential(logits - logits.max(axis=1, keepdims=True))
    probabilities: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def log_softmax(logits: Doubles) -> Doubles:
    """Return the logarithm of the softmax of each row of float64 [n, classes], safe from overflow."""
    shifted: Doubles = logits - logits.max(axis=1, keepdims=True)
    log_sums = logarithm(exponential(shifted).sum(axis=1, keepdims=True))
    return shifted - log_sums


# --- one function per loss: values [n] and gradients [n, classes], both per image ---------------


def _cross_entropy(logits: Doubles, labels: npt.NDArray[np.integer]) -> tuple[Doubles, Doubles]:
    rows = np.arange(len(logits))
    logs = log_softmax(logits)
    gradient = np.exp(logs)
    gradient[rows, labels] -= 1
    return -logs[rows, labels], gradient


def _kl(recipe: Recipe, logits: Doubles, targets: Targets) -> tuple[Doubles, Doubles]:
    expected, temperature = _values(targets), recipe.temperature
    logs = log_softmax(logits / temperature)
    # A probability of zero adds nothing: 0 log 0 is 0.
    expected_logs = logarithm(np.where(expected > 0, expected, 1.0))
    values = temperature**2 * (expected * (expected_logs - logs)).sum(axis=1)
    return values, temperature * (np.exp(logs) - expected)


def _squared(_recipe: Recipe, logits: Doubles, targets: Targets) -> tuple[Doubles, Doubles]:
    inverse_std = targets.inverse_std.astype(np.float64)
    errors = (logits - _values(targets)) * inverse_std
    return (errors**2).mean(axis=1), 2 / logits.shape[1] * errors * inverse_std


def _probabilities(_recipe: Recipe, logits: Doubles, targets: Targets) -> tuple[Doubles, Doubles]:
    outputs = softmax(logits)
    errors = outputs - _values(targets)
    slope = 2 / logits.shape[1] * errors
    # The Jacobian of the softmax is diag(outputs) - outputs outputsᵀ.
    return (errors**2).mean(axis=1), outputs * (slope - (slope * outputs).sum(axis=1, keepdims=True))


_SoftLoss = Callable[[Recipe, Doubles, Targets], tuple[Doubles, Doubles]]
_SOFT: dict[str, _SoftLoss] = {
    "kl": _kl,
    "logits": _squared,
    "standardised-logits": _squared,
    "probabilities": _probabilities,
}


def _mix(label_weight: float, soft: Doubles, hard: Doubles) -> Doubles:
    return (1 - label_weight) * soft + label_weight * hard


def _values(targets: Targets) -> Doubles:
    if targets.values is None:
        raise RequestError(
            "the targets have no teacher's values; make them with losses.prepare(recipe, teacher_logits)"
        )
    return targets.values.astype(np.float64)


def _checked(recipe: Recipe, teacher_logits: Floats | None) -> Doubles:
    if teacher_logits is None:
        raise RequestError(f"loss='{recipe.loss}' needs a teacher and there is none; give one, or use loss='labels'")
    bad = int((~np.isfinite(teacher_logits)).any(axis=1).sum())
    if bad:
        raise RequestError(
            f"the teacher's logits are not finite for {bad} of {len(teacher_logits)} examples; train the teacher again"
        )
    return teacher_logits.astype(np.float64)
