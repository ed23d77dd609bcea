"""Networks that lost channels, trained on at several learning rates.

    python benchmarks/retraining_rates.py DATA... --out results/DATE-retraining-rates [--seeds 2]

DATA is what `smidgen shrink` takes, or `digits`. For each data set, seed and width a design of `removal.py` is trained,
and loses channels `STEPS` times by the rules of the search (`smidgen.search.pruning`). After each loss it is trained on
for the short length of effort normal, twice as long, at one of `RATES`. The last network of each chain is trained on
once more, without a loss, for each length. Everything learns from labels; accuracy is on both validation halves, and
the test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from evidence import asked_data_sets, collected, markdown, new_folder, write_readme
from removal import design, search_of
from smidgen.data import Dataset, load
from smidgen.model import Model
from smidgen.records import Trial
from smidgen.search.edits import with_widths
from smidgen.search.effort import RUNGS
from smidgen.search.pruning import least_harmful
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

RATES, WIDTHS, STEPS = (0.03, 0.01, 0.003), (1, 2, 4), 6
HEADS = ("data", "width", "seed", "rate", "training", "parameters", "validation", "of", "network")
Row = dict[str, object]


def rows_of(data: Dataset, seeds: int, store: Store) -> Iterator[Row]:
    """The chains of each width and seed."""
    for seed in range(seeds):
        search = search_of(data, seed, store)
        for width in WIDTHS:
            spec = with_widths(parse_spec(design(data)), width)
            (wide,) = search.train(search.trials([spec], "middle"), "wide")
            for rate in RATES:
                for training, one in chain(search, wide, rate):
                    yield row(data, width, rate, training, one)


def chain(search: Search, one: TrainedCandidate, rate: float) -> Iterator[tuple[str, TrainedCandidate]]:
    """The wide network, those on the way down, and the last one after a training of each length."""
    yield "wide", one
    for step in range(STEPS):
        smaller = least_harmful(search, search.model(one))
        if smaller is None:
            return
        (one,) = search.train([retraining(search, smaller, "short", 1, rate)], "removal")
        yield f"loss {step + 1}", one
    for rung in RUNGS:
        (longer,) = search.train([retraining(search, search.model(one), rung, 0, rate)], "removal")
        yield f"no loss, {rung}", longer


def retraining(search: Search, model: Model, rung: str, doublings: int, rate: float) -> Trial:
    """A training that goes on from a network's weights, at this learning rate."""
    trial = search.retraining(model, rung, doublings)
    return replace(trial, recipe=replace(trial.recipe, learning_rate=rate))


def row(data: Dataset, width: int, rate: float, training: str, one: TrainedCandidate) -> Row:
    """What is kept of a training."""
    right, outcome = one.outcome.validation, one.outcome
    values = (data.name, width, one.trial.seed, rate, training, outcome.parameters, right.correct, right.total)
    return dict(zip(HEADS, (*values, str(one.trial.spec)), strict=True))


def table(found: Sequence[Mapping[str, object]]) -> str:
    """Mean parameters and rates over seeds, a column for each learning rate."""
    groups: dict[tuple[str, str, str], dict[float, list[tuple[int, float]]]] = {}
    for each in found:
        group = groups.setdefault((str(each["data"]), str(each["width"]), str(each["training"])), {})
        rate = 100 * int(str(each["validation"])) / int(str(each["of"]))
        group.setdefault(float(str(each["rate"])), []).append((int(str(each["parameters"])), rate))
    lines = []
    for key, group in groups.items():
        lines.append([*key, *(_cell(group.get(rate, [])) for rate in RATES)])
    return markdown(("data", "width", "training", *(f"rate {rate}" for rate in RATES)), lines)


def _cell(trained: Sequence[tuple[int, float]]) -> str:
    """The mean accuracy and, in brackets, the mean size; empty if no chain came so far."""
    if not trained:
        return ""
    return f"{fmean(rate for _, rate in trained):.2f} % ({fmean(count for count, _ in trained):,.0f})"


def main() -> None:
    """Read the command line, train, and write the folder."""
    given = asked_data_sets(__doc__, "seeds", default=2)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        made = (each for name in given.data for each in rows_of(load(name), given.seeds, store))
        found = collected(out / "rows.csv", HEADS, made)
    write_readme(out, "Learning rates after a removal", f"{given.seeds} seeds a chain", f"{__doc__}\n{table(found)}")


if __name__ == "__main__":
    main()
