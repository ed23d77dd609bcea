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
from statistics import fmean

from evidence import markdown
from removal import design, figures, percent_right, search_of, write_folder
from smidgen.data import Dataset
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
                    run = {"data": data.name, "width": width, "seed": seed, "rate": rate, "training": training}
                    yield run | figures(one)


def chain(search: Search, one: TrainedCandidate, rate: float) -> Iterator[tuple[str, TrainedCandidate]]:
    """The wide network, those on the way down, and the last one after a training of each length."""
    yield "wide", one
    for step in range(STEPS):
        smaller = least_harmful(search, search.model(one))
        if smaller is None:
            return
        (one,) = search.train([search.retraining(smaller, "short", 1, learning_rate=rate)], "removal")
        yield f"loss {step + 1}", one
    for rung in RUNGS:
        (longer,) = search.train([search.retraining(search.model(one), rung, learning_rate=rate)], "removal")
        yield f"no loss, {rung}", longer


def table(found: Sequence[Mapping[str, object]]) -> str:
    """Mean parameters and rates over seeds, a column for each learning rate."""
    groups: dict[tuple[str, str, str], dict[float, list[tuple[int, float]]]] = {}
    for each in found:
        group = groups.setdefault((str(each["data"]), str(each["width"]), str(each["training"])), {})
        group.setdefault(float(str(each["rate"])), []).append((int(str(each["parameters"])), percent_right(each)))
    lines = []
    for key, group in groups.items():
        lines.append([*key, *(_cell(group.get(rate, [])) for rate in RATES)])
    return markdown(("data", "width", "training", *(f"rate {rate}" for rate in RATES)), lines)


def _cell(trained: Sequence[tuple[int, float]]) -> str:
    """The mean accuracy and, in brackets, the mean size; empty if no chain came so far."""
    if not trained:
        return ""
    return f"{fmean(rate for _, rate in trained):.2f} % ({fmean(count for count, _ in trained):,.0f})"


if __name__ == "__main__":
    write_folder(__doc__, "Learning rates after a removal", HEADS, rows_of, table)
