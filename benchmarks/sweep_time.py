"""Seconds of the six-point cnn2 sweep: the published recipe against the default one, at what accuracy.

    python benchmarks/sweep_time.py                             both recipes, five seeds
    python benchmarks/sweep_time.py --widths 4,2,1 --seeds 2    for a look
    python benchmarks/sweep_time.py --choose --store a.sqlite   the search that the default recipe comes from

Timed is `sweep` with one seed a width and an empty store, the data in memory: training, scoring and storing.
The published recipe is 12 epochs of Adadelta(1.0) at batch 128. Then the other seeds are trained, and the
mean accuracies stand side by side. The default recipe was chosen on the selection half alone (`--choose`);
the test split is scored here and chooses nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

from smidgen.data import Dataset, load
from smidgen.records import Recipe, Score
from smidgen.search.sweep import Width, default_recipe, sweep
from smidgen.spec.families import family
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study
from training_speed import QUIET_LOAD, load_average, machine

FAMILY = "cnn2"
WIDTHS = (32, 16, 8, 4, 2, 1)
PUBLISHED = Recipe(optimizer="adadelta", learning_rate=1.0, schedule="constant", epochs=12)

GRID: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {
    32: ((1, 2), (0.003, 0.006, 0.01)),
    16: ((1, 2, 3, 4), (0.004, 0.006, 0.01, 0.015)),
    8: ((2, 3, 4, 6), (0.006, 0.01, 0.015, 0.02)),
    4: ((2, 3, 4, 6, 8), (0.01, 0.015, 0.02, 0.03)),
    2: ((2, 3, 4, 6, 8, 12), (0.01, 0.02, 0.03, 0.04)),
    1: ((4, 6, 8, 12, 16, 24), (0.01, 0.02, 0.03, 0.04)),
}
"""What is tried at each width: epochs, and the peak of a one-cycle Adam."""


@dataclass(frozen=True)
class Timed:
    """One recipe's sweep: the seconds of one seed a width, and every seed's scores by width."""

    name: str
    seconds: float
    recipes: dict[int, Recipe]
    validation: dict[int, tuple[Score, ...]]
    test: dict[int, tuple[Score, ...]]


# --- the two recipes side by side -------------------------------------------------------------


def timed(data: Dataset, name: str, recipe: Recipe | None, widths: Sequence[int], seeds: int) -> Timed:
    """The sweep once for the clock, then with all its seeds; the first ones are remembered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        start = time.perf_counter()
        rows = sweep(data, FAMILY, widths, seeds=1, recipe=recipe, store=Store(path)).widths
        seconds = time.perf_counter() - start
        if seeds > 1:
            rows = sweep(data, FAMILY, widths, seeds=seeds, recipe=recipe, store=Store(path)).widths
    recipes = {row.width: recipe or default_recipe(row.parameters, row.spec.macs(data.input_shape)) for row in rows}
    return Timed(name, seconds, recipes, scores(rows, "validation"), scores(rows, "test"))


def scores(rows: Sequence[Width], split: str) -> dict[int, tuple[Score, ...]]:
    return {row.width: getattr(row, split) for row in rows}


def print_comparison(published: Timed, default: Timed) -> None:
    seeds = len(next(iter(default.test.values())))
    print(f"\nmean accuracy in % of {seeds} seeds (standard deviation)")
    print(f"{'width':>5}  {'published, validation':>22}{'default':>16}  {'published, test':>16}{'default':>16}")
    for width in sorted(default.test, reverse=True):
        cells = [percent(side.validation[width]) for side in (published, default)]
        cells += [percent(side.test[width]) for side in (published, default)]
        print(f"{width:>5}  {cells[0]:>22}{cells[1]:>16}  {cells[2]:>16}{cells[3]:>16}")
    for split in ("validation", "test"):
        lower = [
            width for width, ours in getattr(default, split).items() if mean(ours) < mean_of(published, split, width)
        ]
        print(
            f"{split}: the default recipe is equal or better at every width"
            if not lower
            else f"{split}: lower at {lower}"
        )


def mean_of(side: Timed, split: str, width: int) -> float:
    return mean(getattr(side, split)[width])


def mean(found: Sequence[Score]) -> float:
    return fmean(score.rate for score in found)


def percent(found: Sequence[Score]) -> str:
    spread = stdev(score.rate for score in found) if len(found) > 1 else 0.0
    return f"{100 * mean(found):.2f} ({100 * spread:.2f})"


# --- the choice -------------------------------------------------------------------------------


def choose(data: Dataset, widths: Sequence[int], seeds: int, path: Path) -> None:
    """For each width every recipe of the grid, and what the published one reaches, on the selection half."""
    with Store(path) as store:
        for width in widths:
            found = selection(data, store, width, seeds)
            wanted = mean(found.pop(PUBLISHED))
            print(f"\nwidth {width}: the published recipe {100 * wanted:.2f}; * reaches it", flush=True)
            for recipe, own in found.items():
                mark = "*" if mean(own) >= wanted else ""
                print(f"  {recipe.epochs:>2} epochs, peak {recipe.learning_rate:<6g}{percent(own):>14} {mark}")


def selection(data: Dataset, store: Store, width: int, seeds: int) -> dict[Recipe, tuple[Score, ...]]:
    """The selection scores of every recipe of the grid and of the published one."""
    context, spec = TrainingContext(data), family(FAMILY, width, data.classes)
    recipes = [PUBLISHED, *(Recipe(epochs=epochs, learning_rate=peak) for epochs, peak in product(*GRID[width]))]
    trials = [context.trial(spec, recipe, seed) for recipe in recipes for seed in range(seeds)]
    outcomes = Study(store).run(context, trials, f"{FAMILY} at width {width}")
    return {
        recipe: tuple(outcome.selection for outcome in outcomes[place * seeds : (place + 1) * seeds])
        for place, recipe in enumerate(recipes)
    }


# --- the command ------------------------------------------------------------------------------


def main() -> None:
    """Measure or choose, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=numbers, default=WIDTHS, help="default 32,16,8,4,2,1")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="search the recipes instead")
    parser.add_argument("--store", type=Path, help="where --choose remembers its trainings; needed for it")
    parser.add_argument("--json", type=Path, metavar="PATH")
    wish = parser.parse_args()
    if wish.choose and not wish.store:
        parser.error("--choose takes long; give a --store that remembers what was trained")
    data = load("mnist")
    if wish.choose:
        choose(data, wish.widths, wish.seeds, wish.store)
    else:
        compare(data, wish)


def compare(data: Dataset, wish: argparse.Namespace) -> None:
    load_before = load_average()
    if load_before > QUIET_LOAD:
        print(f"the machine is busy: load {load_before:.2f}, above {QUIET_LOAD}; the seconds are not worth keeping")
    sides = []
    for name, recipe in (("published", PUBLISHED), ("default", None)):
        sides.append(timed(data, name, recipe, wish.widths, wish.seeds))
        print(f"{name}: {sides[-1].seconds:.1f} s for {len(wish.widths)} widths, one seed each", flush=True)
    print_comparison(*sides)
    if wish.json:
        record = {"machine": machine(), "load_before": load_before, "sweeps": [asdict(side) for side in sides]}
        wish.json.write_text(json.dumps(record, indent=1) + "\n")


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
