"""Deep designs beside the first generation's, at several sizes.

    python benchmarks/deep_designs.py mnist fashion-mnist --out results/2026-11-30-deep-designs [--networks 16]

For each data set and range of sizes so many networks are drawn of each kind, with the same limits, and trained for the
short length of effort thorough, from labels and from one seed; the best few of those by the selection half are trained
for the long length too. Accuracy is on both validation halves; the test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from evidence import asked_data_sets, collected, markdown, new_folder, write_readme
from smidgen.data import load
from smidgen.records import Outcome, Trial
from smidgen.search.effort import DEEP_MACS, DISTILLATION_RECIPES, EFFORTS, LABELS, epochs_of
from smidgen.search.proposals import Space, deep_networks, first_generation
from smidgen.search.state import space_of
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

SIZES = ((300, 450), (450, 700), (700, 1100), (1100, 1700))
SEED, BEST = 1, 3
HEADS = ("data", "sizes", "design", "epochs", "parameters", "validation", "of", "network")
Row = Mapping[str, object]


def drawn(space: Space, networks: int) -> dict[str, tuple[NetSpec, ...]]:
    """The networks of each kind."""
    return {
        "deep": deep_networks(space, networks, SEED),
        "first generation": first_generation(space, networks, SEED),
    }


def rows_of(name: str, networks: int, path: Path) -> Iterator[Row]:
    """Train the networks of each size and kind, a row for each training."""
    context = TrainingContext(load(name))
    space = space_of(context.dataset, None, EFFORTS["thorough"], DEEP_MACS)
    with Store(path) as store:
        study = Study(store)
        for least, most in SIZES:
            within = replace(space, least_parameters=least, most_parameters=most)
            for design, specs in drawn(within, networks).items():
                group = {"data": name, "sizes": f"{least} to {most}", "design": design}
                short = trained(study, context, specs, "short")
                best = sorted(short, key=lambda one: -one[1].selection.correct)[:BEST]
                long = trained(study, context, [trial.spec for trial, _ in best], "long")
                yield from (group | row(*one) for one in (*short, *long))


def trained(study: Study, context: TrainingContext, specs: Sequence[NetSpec], rung: str) -> list[tuple[Trial, Outcome]]:
    """Train networks from labels, for the length of a rung."""
    epochs = epochs_of(EFFORTS["thorough"], rung, len(context.dataset.train))
    recipe = replace(DISTILLATION_RECIPES[LABELS], epochs=epochs)
    trials = [context.trial(spec, recipe, SEED) for spec in specs]
    return list(zip(trials, study.run(context, trials, rung), strict=True))


def row(trial: Trial, outcome: Outcome) -> dict[str, object]:
    """What is kept of a training."""
    found, score = {"epochs": trial.recipe.epochs, "parameters": outcome.parameters}, outcome.validation
    return found | {"validation": score.correct, "of": score.total, "network": str(trial.spec)}


def summary(rows: Sequence[Row]) -> str:
    """A table of each kind's accuracy at each size and length."""
    groups: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        key = tuple(str(row[head]) for head in ("data", "sizes", "epochs", "design"))
        groups.setdefault(key, []).append(100 * float(str(row["validation"])) / float(str(row["of"])))
    cells = [[*key, str(len(rates)), f"{median(rates):.2f}", f"{max(rates):.2f}"] for key, rates in groups.items()]
    return markdown(("data", "parameters", "epochs", "design", "networks", "median %", "best %"), cells)


def main() -> None:
    """Read the command line, run, and write the folder."""
    given = asked_data_sets(__doc__, "networks", default=16)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder:
        made = (row for name in given.data for row in rows_of(name, given.networks, Path(folder) / "store.sqlite"))
        rows = collected(out / "rows.csv", HEADS, made)
    write_readme(out, "Deep designs at several sizes", f"{given.networks} networks of a kind, one seed", summary(rows))


if __name__ == "__main__":
    main()
