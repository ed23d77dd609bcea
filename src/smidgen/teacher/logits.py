"""A teacher's outputs become logits: their kind is detected on a sample, and what cannot be used is refused.

Rows of non-negative numbers that sum to 1 are probabilities. Their logarithms are the logits up to a constant in each
row, which the softmax took away; the constant is chosen so that the mean of each row is 0. Probabilities below
`MIN_PROBABILITY` are raised to it first.

Numbers from 0 to 1 that do not sum to 1 come from a network with a sigmoid for each class, trained one class against
all others. Their log-odds, log(p / (1 - p)), are the logits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.elementary import logarithm
from smidgen.errors import TeacherError

Logits = npt.NDArray[np.float32]

MIN_PROBABILITY = 1e-7
"""A float32 softmax rounds less than this to 0 beside a 1, whose logarithm would be minus infinity."""

SUM_TOLERANCE = 1e-3
"""Slack on a sum of 1, for probabilities that were stored as float16 or as text."""


class OutputKind(StrEnum):
    """What a teacher's outputs are. The texts are part of keys in the store."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    SIGMOIDS = "sigmoids"
    ONE_LOGIT = "one logit"
    ONE_PROBABILITY = "one probability"


def detect_kind(outputs: npt.NDArray[Any], classes: int, name: str) -> OutputKind:
    """Find out what a teacher's outputs are.

    Args:
        outputs: Outputs [n, ...] for a sample of images.
        classes: The number of classes of the data; with two of them, one output an image is enough.
        name: What an error calls the teacher.

    Raises:
        TeacherError: The outputs are not numbers, or not one for each class.
    """
    if outputs.dtype.kind not in "fiu" or outputs.ndim < 1:
        raise TeacherError(f"{name} gives {outputs.dtype} of shape {outputs.shape}; a teacher must give numbers")
    rows = outputs.reshape(len(outputs), -1)
    in_unit = bool(((rows >= 0) & (rows <= 1 + SUM_TOLERANCE)).all())
    if rows.shape[1] == 1 and classes == 2:
        return OutputKind.ONE_PROBABILITY if in_unit else OutputKind.ONE_LOGIT
    if rows.shape[1] != classes:
        raise TeacherError(
            f"{name} gives {rows.shape[1]:,} outputs an example and the data has {classes} classes; "
            "give a teacher of these classes"
        )
    sums_to_one = bool((np.abs(rows.sum(axis=1, dtype=np.float64) - 1) < SUM_TOLERANCE).all())
    if not in_unit:
        return OutputKind.LOGITS
    return OutputKind.PROBABILITIES if sums_to_one else OutputKind.SIGMOIDS


def to_logits(outputs: npt.NDArray[Any], kind: OutputKind, name: str, first_image: int = 0) -> Logits:
    """Convert a teacher's outputs to logits.

    Args:
        outputs: Numbers [n, ...].
        kind: What they are.
        name: What an error calls the teacher.
        first_image: The index of the first image in its split, for an error.

    Returns:
        float32 [n, classes].

    Raises:
        TeacherError: A value is not finite, or one of a sigmoid lies outside 0 to 1.
    """
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise TeacherError(
            f"{name} gives NaN or infinity for {len(bad):,} of {len(rows):,} examples, the first at "
            f"{bad[0] + first_image}; check its weights and the range of its input (--teacher-input)"
        )
    match kind:
        case OutputKind.ONE_LOGIT:
            rows = np.concatenate([np.zeros_like(rows), rows], axis=1)
        case OutputKind.ONE_PROBABILITY:
            rows = _centred_logarithms(np.concatenate([1 - rows, rows], axis=1))
        case OutputKind.PROBABILITIES:
            rows = _centred_logarithms(rows)
        case OutputKind.SIGMOIDS:
            rows = _log_odds(rows, name, first_image)
    return rows.astype(np.float32)


def kind_note(kind: OutputKind, name: str) -> tuple[str, ...]:
    """What a user should know about outputs that are no logits; () for logits."""
    if kind == OutputKind.SIGMOIDS:
        return (f"{name} gives a probability for each class on its own (a sigmoid each); their log-odds are used",)
    if kind != OutputKind.PROBABILITIES:
        return ()
    return (
        f"warning: {name} gives probabilities instead of logits; their logarithms are used, which are less exact "
        "because float32 cannot represent very small probabilities beside large ones",
    )


def _log_odds(probabilities: npt.NDArray[np.float64], name: str, first_image: int) -> npt.NDArray[np.float64]:
    outside = np.flatnonzero(((probabilities < -SUM_TOLERANCE) | (probabilities > 1 + SUM_TOLERANCE)).any(axis=1))
    if len(outside):
        raise TeacherError(
            f"{name} gave numbers from 0 to 1 on a sample, as of a sigmoid for each class, and others at example "
            f"{outside[0] + first_image}; give a teacher that ends in its logits"
        )
    bounded = np.clip(probabilities, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return np.asarray(logarithm(bounded) - logarithm(1 - bounded))


def _centred_logarithms(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logarithms = logarithm(np.maximum(probabilities, MIN_PROBABILITY))
    return np.asarray(logarithms - logarithms.mean(axis=1, keepdims=True))
