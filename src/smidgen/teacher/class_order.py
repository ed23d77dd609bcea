"""The order of a teacher's classes, found by what it gets right.

Folders named 0 to 10 are classes 0, 1, 2, ... here, and 0, 1, 10, 2, ... for a program that sorts names as text. A
teacher from such a program is right on few images although it knows them all. A table of its answers against the labels
shows the order: each of its outputs is given mostly for images of one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_RIGHT = 0.5
"""Share of images that must be right in another order before that order is believed."""

CERTAIN_ERRORS = 4.0
"""Standard errors of the difference between two orders on the same images before the other order is believed."""


def class_order(logits: npt.NDArray[Any], labels: npt.NDArray[np.int32]) -> tuple[int, ...]:
    """Find which output of a teacher belongs to each class.

    Args:
        logits: float [n, classes], the teacher's outputs.
        labels: int32 [n], the class of each image.

    Returns:
        The output of each class, so that `logits[:, order]` has the data's order; () if the outputs are in it already,
        or no other order is certain.
    """
    classes = logits.shape[1]
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (logits.argmax(axis=1), labels), 1)
    class_of_output = table.argmax(axis=1)
    if len(set(class_of_output.tolist())) < classes or not table.max(axis=1).all():
        return ()
    right, own = int(table.max(axis=1).sum()), int(np.trace(table))
    if right <= LEAST_RIGHT * len(labels) or right - own <= CERTAIN_ERRORS * (right + own) ** 0.5:
        return ()
    return tuple(np.argsort(class_of_output).tolist())


def order_note(order: Sequence[int], class_names: Sequence[str], name: str) -> tuple[str, ...]:
    """A sentence about an order that differs from the data's; () for the data's own order."""
    if not order:
        return ()
    of_output = [class_names[int(place)] for place in np.argsort(order)]
    listed = ", ".join(of_output[:12]) + (", ..." if len(of_output) > 12 else "")
    sorting = " (sorted as text)" if of_output == sorted(class_names) else ""
    return (f"the outputs of {name} are in another order than the data's classes: {listed}{sorting}; it is put right",)
