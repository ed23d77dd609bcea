"""A teacher's outputs as logits: what they are is told from a sample, and what cannot be used is refused.

Rows of at least 0 that sum to 1 are probabilities. Their logarithm, at least that of `LEAST_PROBABILITY`, is the
logits up to a constant a row, which the softmax took away; the constant is chosen so that each row's mean is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import TeacherError

Logits = npt.NDArray[np.float32]

LEAST_PROBABILITY = 1e-7
"""Less than this a float32 softmax rounds to 0 beside a 1, and would be minus infinity as a logit."""

SUM_TOLERANCE = 1e-3
"""Of probabilities that went through float16 or a text."""

LOGITS, PROBABILITIES, ONE_LOGIT, ONE_PROBABILITY = "logits", "probabilities", "one logit", "one probability"


def kind_of(outputs: npt.NDArray[Any], classes: int, name: str) -> str:
    """What a sample of outputs is.

    Raises:
        TeacherError: outputs that are no numbers, or not one for each class.
    """
    if outputs.dtype.kind not in "fiu" or outputs.ndim < 1:
        raise TeacherError(f"{name} gives {outputs.dtype} of shape {outputs.shape}; a teacher gives numbers")
    rows = outputs.reshape(len(outputs), -1)
    in_unit = bool(((rows >= 0) & (rows <= 1 + SUM_TOLERANCE)).all())
    if rows.shape[1] == 1 and classes == 2:
        return ONE_PROBABILITY if in_unit else ONE_LOGIT
    if rows.shape[1] != classes:
        raise TeacherError(
            f"{name} gives {rows.shape[1]:,} outputs an image and the data has {classes} classes; "
            "give a teacher of these classes"
        )
    sums_to_one = bool((np.abs(rows.sum(axis=1, dtype=np.float64) - 1) < SUM_TOLERANCE).all())
    return PROBABILITIES if in_unit and sums_to_one else LOGITS


def to_logits(outputs: npt.NDArray[Any], kind: str, name: str, first_image: int = 0) -> Logits:
    """Outputs [n, ...] of this kind as logits: float32 [n, classes].

    Raises:
        TeacherError: values that are not finite; `first_image` is the place of the first one in the split.
    """
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise TeacherError(
            f"{name} gives NaN or infinity for {len(bad):,} of {len(rows):,} images, the first at "
            f"{bad[0] + first_image}; check its weights and the range of its input (--teacher-input)"
        )
    if kind == ONE_LOGIT:
        rows = np.concatenate([np.zeros_like(rows), rows], axis=1)
    elif kind == ONE_PROBABILITY:
        rows = _logs(np.concatenate([1 - rows, rows], axis=1))
    elif kind == PROBABILITIES:
        rows = _logs(rows)
    return rows.astype(np.float32)


def _logs(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))
