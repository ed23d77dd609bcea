"""A sweep: one family of networks at several widths, several seeds each, and the turning point of the curve.

Nothing is chosen but the turning point, which is found on the validation split. Every size is scored on the test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from smidgen.data import Dataset
from smidgen.errors import RequestError, SpecError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.reporter import Reporter
from smidgen.search.frontier import TurningPoint
from smidgen.search.turning_point import turning_point
from smidgen.spec import NetSpec
from smidgen.spec.families import family
from smidgen.text_forms import counted
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.store import Store, open_store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool


@dataclass(frozen=True, eq=False)
class Width:
    """One size of a sweep.

    Attributes:
        width: The family's width.
        spec: The network.
        parameters: Its parameters.
        validation: The score of each seed on the validation split.
        test: The score of each seed on the test split.
        train_seconds: How long each seed's training took.
        engine: The name of the engine that trained it.
    """

    width: int
    spec: NetSpec
    parameters: int
    validation: tuple[Score, ...]
    test: tuple[Score, ...]
    train_seconds: tuple[float, ...]
    engine: str = ""

    @property
    def name(self) -> str:
        """For a table or a picture: "width 8"."""
        return f"width {self.width}"


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The curve of accuracy against size, and its turning point.

    Attributes:
        data: The data set.
        family: The name of the family.
        recipe: The recipe of the smallest width.
        widths: The sizes, smallest first.
        turning_point: None if the curve has none.
        trained: Trainings that were run.
        remembered: Trainings that were found in the store.
        written_to: The folder of its table and picture; None if none was written.
    """

    data: Dataset
    family: str
    recipe: Recipe
    widths: tuple[Width, ...]
    turning_point: TurningPoint | None
    trained: int
    remembered: int
    written_to: Path | None = None

    @property
    def headline(self) -> str:
        """What was swept, in a line."""
        return f"{self.family} on {self.data.name}, {counted(len(self.widths[0].test), 'seed')} for each width"

    def __str__(self) -> str:
        """The headline, the widths with their mean test accuracy, the turning point, and what was trained."""
        rates = (f"{row.width}: {100 * mean_and_spread(row.test)[0]:.2f} %" for row in self.widths)
        turn = self.turning_point
        return (
            f"{self.headline}\ntest accuracy by width: {', '.join(rates)}\n"
            f"{f'turning point at {turn.parameters:,} parameters' if turn else 'no turning point'}\n"
            f"{self.trained:,} trained, {self.remembered:,} remembered"
        )

    def __repr__(self) -> str:
        return f"<SweepResult: {self.headline}>"


CONVOLUTIONAL_MACS = 20
"""Multiply-accumulates per parameter from which on most weights are those of convolutions, used at many places."""


def default_recipe(parameters: int, macs: int) -> Recipe:
    """One-cycle Adam, with a lower peak for larger networks and fewer epochs for costlier ones.

    Chosen on the selection half of MNIST.

    Args:
        parameters: Parameters of the network.
        macs: Multiply-accumulates for one image.
    """
    convolutional = macs > CONVOLUTIONAL_MACS * parameters
    small, medium, large = (0.02, 0.015, 0.015) if convolutional else (0.02, 0.01, 0.006)
    peak = small if parameters < 2_000 else medium if parameters < 10_000 else large if parameters < 100_000 else 0.001
    epochs = 12 if macs < 1e5 else 8 if macs < 3e5 else 6 if macs < 1e6 else 4 if macs < 4e6 else 2
    return Recipe(learning_rate=peak, epochs=epochs if convolutional else max(6, epochs))


def sweep(
    data: Dataset,
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
    """Train a family at each of the widths.

    Args:
        data: The images or vectors, and their splits.
        family_name: A name in `smidgen.spec.families.FAMILIES`.
        widths: The widths; repetitions are ignored.
        seeds: Seeds of each width.
        recipe: The recipe of all widths; None is `default_recipe` for each.
        store: Remembers trials; the user's own by default.
        workers: Trainings at once; None is one a CPU.
        engine: "auto", "native" or "torch".
        reporter: Is told of the progress.
        pool: Workers in other processes or on other machines (`smidgen.trials.dask_pool.connect`); the result is the
            same.

    Raises:
        RequestError: The family is unknown, there are no widths, or a width or the number of seeds is below 1.
    """
    if not widths or seeds < 1:
        raise RequestError(f"widths={list(widths)} and seeds={seeds} leave nothing to train; give at least one of each")
    context = TrainingContext(data, engine)
    specs = {width: family(family_name, width, data.classes) for width in sorted(set(widths))}
    _check_fits_vectors(data, family_name, specs[min(specs)])
    recipes = {width: recipe or _default_recipe_of(spec, data) for width, spec in specs.items()}
    trials = [context.trial(spec, recipes[width], seed) for width, spec in specs.items() for seed in range(seeds)]
    with open_store(store) as opened:
        study = Study(opened, workers, reporter, pool)
        outcomes = study.run(context, trials, f"{family_name} at {len(specs)} widths")
    rows = [
        _row(context, width, trials[k * seeds : (k + 1) * seeds], outcomes[k * seeds : (k + 1) * seeds])
        for k, width in enumerate(specs)
    ]
    return SweepResult(
        data=data,
        family=family_name,
        recipe=next(iter(recipes.values())),
        widths=tuple(rows),
        turning_point=turning_point({row.parameters: row.validation for row in rows}),
        trained=study.trained,
        remembered=study.remembered,
    )


def _check_fits_vectors(data: Dataset, family_name: str, spec: NetSpec) -> None:
    if max(data.input_shape[1:]) > 1:
        return
    try:
        spec.plan(data.input_shape)
    except SpecError as error:
        raise RequestError(f"{data.name} has vectors and {family_name} takes images; give --family mlp1") from error


def _default_recipe_of(spec: NetSpec, data: Dataset) -> Recipe:
    return default_recipe(spec.parameters(data.input_shape), spec.macs(data.input_shape))


def _row(context: TrainingContext, width: int, trials: Sequence[Trial], outcomes: Sequence[Outcome]) -> Width:
    """The seeds of one width."""
    spec, test = trials[0].spec, context.dataset.test
    return Width(
        width=width,
        spec=spec,
        parameters=spec.parameters(context.dataset.input_shape),
        validation=tuple(outcome.validation for outcome in outcomes),
        test=tuple(score(context, spec, outcome.weights, test) for outcome in outcomes),
        train_seconds=tuple(outcome.train_seconds for outcome in outcomes),
        engine=trials[0].engine_name,
    )


def mean_and_spread(scores: Sequence[Score]) -> tuple[float, float]:
    """The mean rate of several seeds and its standard deviation, which is 0 for one seed."""
    rates = [score.rate for score in scores]
    return fmean(rates), stdev(rates) if len(rates) > 1 else 0.0
