"""What tests of the search share."""

from __future__ import annotations

from pathlib import Path

from smidgen.data import Dataset
from smidgen.records import Floor
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store


def before_confirmation(answer: ShrinkResult) -> list[TrainedCandidate]:
    """The candidates that there were to choose from: fresh seeds and the curve are trained after the choice."""
    stages = [candidate.stage for candidate in answer.candidates]
    return list(answer.candidates[: stages.index("fresh seeds")])


def shrink_without_file(
    data: Dataset, goal: Goal | Floor | float, effort: Effort, store: Path, *, seed: int = 0
) -> ShrinkResult:
    """Search a network but no file, which takes a third of the time."""
    return shrink(data, goal, effort=effort, seed=seed, store=Store(store), with_file=False)
