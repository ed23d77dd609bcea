"""What a search says of its time: how long it is expected to take, and how long it still will."""

from __future__ import annotations

import time
from dataclasses import dataclass

STATED_SECONDS = 2.0
"""A search that is expected to be shorter is not announced."""


@dataclass(frozen=True)
class Progress:
    """Estimates the time that is left from the work that was done; nothing that is trained depends on it.

    Attributes:
        expected_work: Multiply-accumulates that the candidates of the whole search are expected to take.
        started: When the first of them began (`time.perf_counter`).
        trained_before: What had been trained here by then, the teacher.
    """

    expected_work: float
    started: float
    trained_before: float = 0.0

    @classmethod
    def begin(cls, expected_work: float, trained_before: float = 0.0) -> Progress:
        """Start the clock."""
        return cls(expected_work, time.perf_counter(), trained_before)

    def left(self, work: float, trained: float) -> str:
        """For a sentence: "about 2 minutes left", from the speed so far; "" before it is known.

        Args:
            work: Multiply-accumulates of all candidates so far, whether they were trained or remembered.
            trained: What was trained here, the teacher included: remembered trainings take no time.
        """
        trained -= self.trained_before
        if not (0 < work < self.expected_work and trained > 0):
            return ""
        seconds = (time.perf_counter() - self.started) * (self.expected_work - work) / trained
        return f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """A time as one says it: "20 seconds", "3 minutes", "1.5 hours"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def expectation(work: float, speed: float, workers: int) -> str:
    """A sentence about how long a search of so much work will take.

    Args:
        work: Multiply-accumulates.
        speed: Multiply-accumulates that one thread does in a second.
        workers: Threads.
    """
    cores = f"{workers} threads" if workers > 1 else "one thread"
    return (
        f"expected: about {duration(work / (speed * workers))} on {cores}, less what the store remembers "
        f"({work:.2g} multiply-accumulates at {speed / 1e9:.2g} thousand million a second, measured)"
    )
