"""A teacher's outputs on a data set: logits to learn from, and scores that show what it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.errors import TeacherError
from smidgen.records import Outcome, Score, Trial
from smidgen.teacher.logits import Logits

CHANCE_ERRORS = 4.0
"""A teacher must be better than naming the commonest class by this many standard errors of that rate."""


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """What a teacher says about a data set.

    Attributes:
        key: What identifies the teacher in the trials that learn from it.
        name: The text of its network, or the name of its file or type.
        parameters: The number of its parameters; 0 if unknown.
        logits: float32 [n, classes], row i for image i of the training split.
        halves: Its scores on "selection" and "confirmation", the halves of the validation split.
        validation_logits: Returns its logits of a half, by its name: float32 [n, classes].
        test: Returns its score on the test split, or None if it cannot be known. It is called once, at the end.
        notes: What was found out about it and what to beware of, one sentence each.
        trial: Its training, if it was trained here.
        outcome: The result of that training.
    """

    key: str
    name: str
    parameters: int
    logits: Logits = field(repr=False)
    halves: Mapping[str, Score]
    validation_logits: Callable[[str], Logits] = field(repr=False)
    test: Callable[[], Score | None] = field(repr=False)
    notes: tuple[str, ...] = ()
    trial: Trial | None = None
    outcome: Outcome | None = field(default=None, repr=False)

    @property
    def validation(self) -> Score:
        """The score on both halves of the validation split."""
        return sum(self.halves.values(), Score(0, 0))


def outputs_from_logits(
    logits_of: Callable[[str], Logits | None], data: Dataset, name: str, parameters: int, notes: tuple[str, ...]
) -> TeacherOutputs:
    """Score an external teacher's logits.

    Args:
        logits_of: Returns the logits of a split by its name; None if there are none, which only "test" may lack.
        data: The data set.
        name: What notes and errors call the teacher.
        parameters: The number of its parameters; 0 if unknown.
        notes: What is known about it already.

    Raises:
        TeacherError: It is no better than naming the commonest class every time.
    """
    found = {split: logits_of(split) for split in ("train", "selection", "confirmation")}
    known = {split: some for split, some in found.items() if some is not None}
    assert len(known) == len(found), "these splits are cut from the data that the logits belong to"
    logits = known.pop("train")
    own = score_of_logits(logits, data.train.labels)
    _check_above_chance(data, own, name)
    halves = {half: score_of_logits(some, data.splits[half].labels) for half, some in known.items()}

    def test() -> Score | None:
        test_logits = logits_of("test")
        return None if test_logits is None else score_of_logits(test_logits, data.test.labels)

    whole = sum(halves.values(), Score(0, 0))
    right = f"{name} is right on {own} of the training images and {whole} of the validation images"
    key = "logits " + hashlib.sha256(logits.tobytes()).hexdigest()
    return TeacherOutputs(key, name, parameters, logits, halves, known.__getitem__, test, (*notes, right))


def score_of_logits(logits: Logits, labels: npt.NDArray[np.int32]) -> Score:
    """Count the images whose largest logit is that of their label."""
    return Score(int((logits.argmax(axis=1) == labels).sum()), len(labels))


def chance_rate(data: Dataset) -> float:
    """The accuracy of always naming the commonest class, on the training images."""
    counts = np.bincount(data.train.labels, minlength=data.classes)
    return float(counts.max() / counts.sum())


def _check_above_chance(data: Dataset, own: Score, name: str) -> None:
    """Refuse a teacher that knows nothing about the images; rows in another order look like that."""
    chance = chance_rate(data)
    if own.rate > chance + CHANCE_ERRORS * (chance * (1 - chance) / own.total) ** 0.5:
        return
    raise TeacherError(
        f"{name} is right on {own} of the training images, and naming the commonest class every time is right on "
        f"{100 * chance:.2f} %: its rows are not in the order of the images, or it was trained on other data or "
        "another input; check the order of the rows, the classes and --teacher-input"
    )
