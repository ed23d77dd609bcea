"""What tests of the search share."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from smidgen.data import Dataset
from smidgen.records import Floor
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS
from smidgen.search.effort import EFFORTS, Effort
from smidgen.search.goal import Goal
from smidgen.search.judge import Judge, Requirement
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.search.shrink import shrink
from smidgen.search.state import Search
from smidgen.spec import NetSpec, Pointwise, Shape
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

QUICK = EFFORTS["quick"]
SHORTER = {name: steps // 8 for name, steps in asdict(QUICK).items() if name.endswith("_steps")}
SMALL_BYTE_SEARCH = replace(BYTE_SEARCH_EFFORTS["glance"], networks=1, children=2, steps=300)
SMALL = replace(
    QUICK,
    first=12,
    generations=2,
    children=8,
    middle=2,
    pruned=2,
    descents=2,
    patience=0,
    curve_sizes=1,
    seeds=2,
    fresh_seeds=2,
    byte_search=SMALL_BYTE_SEARCH,
    least_work=0.0,
    **SHORTER,
)
"""A search that takes a second or two on small data."""

TINY = replace(SMALL, first=6, generations=1, children=4, middle=1, pruned=1, near_misses=1, fresh_seeds=1)
"""A search of about a second, for tests that run the whole command again and again."""


def before_confirmation(answer: ShrinkResult) -> list[TrainedCandidate]:
    """The candidates that there were to choose from: fresh seeds and the curve are trained after the choice."""
    stages = [candidate.stage for candidate in answer.candidates]
    return list(answer.candidates[: stages.index("fresh seeds")])


def shrink_without_file(
    data: Dataset, goal: Goal | Floor | float, effort: Effort, store: Path, *, seed: int = 0
) -> ShrinkResult:
    """Search a network but no file, which takes a third of the time."""
    with Store(store) as opened:
        return shrink(data, goal, effort=effort, seed=seed, store=opened, with_file=False)


def a_search(data: Dataset, store: Store, effort: Effort, goal: Goal) -> Search:
    """A search of seed 0 that has trained nothing yet and learns from labels."""
    context = TrainingContext(data)
    return Search(Study(store), context, goal, effort, 0, Judge(Requirement.of(goal, data), context))


def is_deep(spec: NetSpec, shape: Shape) -> bool:
    """Whether pairs with pointwise convolutions end in a pool over the whole map."""
    pointwise = sum(isinstance(layer, Pointwise) for layer in spec.layers)
    return pointwise >= 2 and spec.plan(shape)[-2].output_shape[1:] == (1, 1)
