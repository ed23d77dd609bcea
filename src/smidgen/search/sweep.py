"""A plain sweep: one family at several widths, several seeds each, and the turning point of the curve.

Nothing is chosen here but the turning point, which is found on the validation split; the test split is
reported for every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from smidgen.data import Dataset, load
from smidgen.errors import RequestError
from smidgen.records import Recipe, Score
from smidgen.reporter import Reporter
from smidgen.search.frontier import TurningPoint, turning_point
from smidgen.spec import NetSpec
from smidgen.spec.families import family
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.store import Store, default_path
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool


@dataclass(frozen=True, eq=False)
class Width:
    """One size of a sweep: the scores of its seeds, in the order of the seeds, and the engine that trained them."""

    width: int
    spec: NetSpec
    parameters: int
    validation: tuple[Score, ...]
    test: tuple[Score, ...]
    train_seconds: tuple[float, ...]
    engine: str = ""

    @property
    def name(self) -> str:
        return f"width {self.width}"


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The curve, smallest size first, and its turning point.

    written_to: the folder of its table and picture; None where none was written
    """

    data: Dataset = field(repr=False)
    family: str
    recipe: Recipe
    widths: tuple[Width, ...]
    turning_point: TurningPoint | None
    trained: int
    remembered: int
    written_to: Path | None = None


SHARED = 20
"""Multiply-accumulates a parameter from which on a network's weights see many places each: convolutions."""


def default_recipe(parameters: int, macs: int) -> Recipe:
    """One-cycle Adam, whose peak falls as networks grow, and whose epochs are fewer the more an epoch costs.

    parameters, macs: of the network, the latter for one image. Chosen on the selection half of MNIST.
    """
    shared = macs > SHARED * parameters
    small, medium, large = (0.02, 0.015, 0.015) if shared else (0.02, 0.01, 0.006)
    peak = small if parameters < 2_000 else medium if parameters < 10_000 else large if parameters < 100_000 else 0.001
    epochs = 12 if macs < 1e5 else 8 if macs < 3e5 else 6 if macs < 1e6 else 4 if macs < 4e6 else 2
    return Recipe(learning_rate=peak, epochs=epochs if shared else max(6, epochs))


def sweep(
    data: Dataset | str | Path,
    family_name: str,
    widths: Sequence[int],
    *,
    seeds: int = 3,
    recipe: Recipe | None = None,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
    pool: Pool | None = None,
) -> SweepResult:
    """Train a family at each of the widths from `seeds` seeds.

    recipe: the same for all widths; without one, `default_recipe` for each.
    pool: workers in other processes or on other machines (`smidgen.trials.dask_pool.connect`); the answer is the same.

    Raises:
        RequestError: no such family, no widths, or a width or number of seeds below 1.
    """
    if not widths or seeds < 1:
        raise RequestError(f"widths={list(widths)} and seeds={seeds} leave nothing to train; give at least one of each")
    data = data if isinstance(data, Dataset) else load(data)
    shape, context = data.input_shape, TrainingContext(data, engine)
    specs = {width: family(family_name, width, data.classes) for width in sorted(set(widths))}
    recipes = {w: recipe or default_recipe(spec.parameters(shape), spec.macs(shape)) for w, spec in specs.items()}
    trials = [context.trial(spec, recipes[w], seed) for w, spec in specs.items() for seed in range(seeds)]
    with store or Store(default_path()) as opened:
        study = Study(opened, workers, reporter, pool)
        outcomes = study.run(context, trials, f"{family_name} at {len(specs)} widths")
    rows = []
    for place, (width, spec) in enumerate(specs.items()):
        mine = outcomes[place * seeds : (place + 1) * seeds]
        tests = tuple(score(context, spec, outcome.weights, data.test) for outcome in mine)
        validation = tuple(outcome.validation for outcome in mine)
        seconds = tuple(outcome.train_seconds for outcome in mine)
        engine_name = trials[place * seeds].engine_name
        rows.append(Width(width, spec, spec.parameters(shape), validation, tests, seconds, engine_name))
    turning = turning_point({row.parameters: row.validation for row in rows})
    return SweepResult(
        data, family_name, next(iter(recipes.values())), tuple(rows), turning, study.trained, study.remembered
    )


def mean_and_spread(scores: Sequence[Score]) -> tuple[float, float]:
    """The mean rate of several seeds and its standard deviation; 0 for one seed."""
    rates = [score.rate for score in scores]
    return fmean(rates), stdev(rates) if len(rates) > 1 else 0.0
