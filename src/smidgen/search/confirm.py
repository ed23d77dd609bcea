"""Confirmation: a candidate was chosen on one half of the validation split and must pass on the other half.

Of many candidates, those that look best on the images that chose them are in part lucky. The confirmation half takes
no part in choosing, so a candidate that passes there too does not owe its score to the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Candidate = TypeVar("Candidate")


@dataclass(frozen=True, eq=False)
class Confirmed(Generic[Candidate]):
    """The first candidate that passed both halves, or None, and those before it that failed confirmation."""

    candidate: Candidate | None
    rejected: tuple[Candidate, ...]


class Looks:
    """Counts the candidates that the confirmation half was asked about; each has the turn at which it first was."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def turn(self, key: str) -> int:
        """The turn of the candidate with this key, from 1."""
        return self._turns.setdefault(key, len(self._turns) + 1)


def confirm(ordered: Iterable[Candidate], is_met: Callable[[Candidate, str], bool]) -> Confirmed[Candidate]:
    """Find the first candidate that meets the requirement on the selection half and on the confirmation half.

    Args:
        ordered: Candidates, the most wanted first, ordered without looking at the confirmation half.
        is_met: `is_met(candidate, half)` for half "selection" or "confirmation".
    """
    rejected: list[Candidate] = []
    for candidate in ordered:
        if not is_met(candidate, "selection"):
            continue
        if is_met(candidate, "confirmation"):
            return Confirmed(candidate, tuple(rejected))
        rejected.append(candidate)
    return Confirmed(None, tuple(rejected))
