"""Networks that lost channels, trained further on their pictures and on moved copies of them.

    python benchmarks/moved_copies.py mnist fashion-mnist --out results/DATE-moved-copies [--seeds 2]

For each data set, seed and width a design of `removal.py` is trained, loses channels `STEPS` times by the rules of the
search, and is trained further for the longest length of effort thorough in two ways: as rounds of single channels do,
and as `smidgen.search.moved` does. All learn from the teacher that the search would train. Accuracy is on both
validation halves, and the test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from evidence import markdown
from removal import design, figures, percent_right, search_of, write_folder
from smidgen.data import Dataset
from smidgen.search.edits import with_widths
from smidgen.search.effort import TEACHER
from smidgen.search.moved import retraining, with_moved_copies
from smidgen.search.pruning import least_harmful
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.search.teacher_stage import prepare_teacher
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

WIDTHS, STEPS = (0.7, 1, 2, 4), 4
HEADS = ("data", "width", "seed", "training", "parameters", "validation", "of", "network")
TRAININGS = ("before", "on pictures as they are", "on moved copies")


def rows_of(data: Dataset, seeds: int, store: Store) -> Iterator[dict[str, object]]:
    """A row for each width, seed and training."""
    for seed in range(seeds):
        search = taught_search(data, seed, store)
        for width in WIDTHS:
            for training, one in zip(TRAININGS, trained_on(search, width), strict=True):
                yield {"data": data.name, "width": width, "seed": seed, "training": training, **figures(one)}


def taught_search(data: Dataset, seed: int, store: Store) -> Search:
    """A search of effort thorough with its teacher and with moved copies."""
    labels = search_of(data, seed, store, "thorough")
    teacher, context, _ = prepare_teacher(labels.study, labels.context, labels.goal, labels.effort, seed, None)
    return with_moved_copies(replace(labels, context=context, recipe_name=TEACHER), teacher)


def trained_on(search: Search, width: float) -> tuple[TrainedCandidate, ...]:
    """The network after its last removal, and after each of the two trainings that follow."""
    spec = with_widths(parse_spec(design(search.data)), width)
    (one,) = search.train(search.trials([spec], "middle"), "wide")
    for _ in range(STEPS):
        if smaller := least_harmful(search, search.model(one)):
            (one,) = search.train([search.retraining(smaller, "short", 1)], "removal")
    (longer,) = search.train([search.retraining(search.model(one), "long")], "single channels")
    (moved,) = search.train([retraining(search, one)], "moved copies")
    return one, longer, moved


def table(found: Sequence[Mapping[str, object]]) -> str:
    """Mean parameters and rates over seeds, a column for each training."""
    lines = []
    for data, width in dict.fromkeys((each["data"], each["width"]) for each in found):
        runs = [each for each in found if (each["data"], each["width"]) == (data, width)]
        size = fmean(int(str(each["parameters"])) for each in runs)
        rates = [fmean(percent_right(each) for each in runs if each["training"] == training) for training in TRAININGS]
        lines.append([data, width, f"{size:,.0f}", *(f"{value:.2f} %" for value in rates)])
    return markdown(("data", "width", "parameters", *TRAININGS), lines)


if __name__ == "__main__":
    write_folder(__doc__, "Training further on moved copies", HEADS, rows_of, table)
