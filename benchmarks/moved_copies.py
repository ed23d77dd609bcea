"""Networks that lost channels, trained on: on their pictures, and on moved copies of them.

    python benchmarks/moved_copies.py mnist fashion-mnist --out results/DATE-moved-copies [--seeds 2]

For each data set, seed and width a design of `removal.py` is trained, loses channels `STEPS` times by the rules of the
search, and is trained on for the longest length of effort thorough in two ways: as rounds of single channels do, and as
`smidgen.search.moved` does. All learn from the teacher that the search would train. Accuracy is on both validation
halves, and the test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from evidence import asked_data_sets, collected, markdown, new_folder, write_readme
from removal import design
from smidgen.data import Dataset, load
from smidgen.search.edits import with_widths
from smidgen.search.effort import EFFORTS, TEACHER
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import Judge, Requirement
from smidgen.search.moved import retraining, with_moved_copies
from smidgen.search.pruning import least_harmful
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.search.teacher_stage import prepare_teacher
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

WIDTHS, STEPS = (0.7, 1, 2, 4), 4
HEADS = ("data", "width", "seed", "training", "parameters", "validation", "of", "network")
TRAININGS = ("before", "on pictures as they are", "on moved copies")


def rows_of(data: Dataset, seeds: int, store: Store) -> Iterator[dict[str, object]]:
    """A row for each width, seed and training."""
    for seed in range(seeds):
        search = taught_search(data, seed, store)
        for width in WIDTHS:
            for training, one in zip(TRAININGS, trained_on(search, width), strict=True):
                right, outcome = one.outcome.validation, one.outcome
                values = (data.name, width, seed, training, outcome.parameters, right.correct, right.total)
                yield dict(zip(HEADS, (*values, str(one.trial.spec)), strict=True))


def taught_search(data: Dataset, seed: int, store: Store) -> Search:
    """A search of effort thorough with its teacher; nothing here depends on its floor."""
    study, effort, goal = Study(store), EFFORTS["thorough"], Goal(Target(0.5, rule="rate"))
    teacher, context, _ = prepare_teacher(study, TrainingContext(data), goal, effort, seed, None)
    judge = Judge(Requirement.of(goal, data), context)
    return with_moved_copies(Search(study, context, goal, effort, seed, judge, recipe_name=TEACHER), teacher)


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
        rates = [rate([each for each in runs if each["training"] == training]) for training in TRAININGS]
        lines.append([data, width, f"{size:,.0f}", *(f"{value:.2f} %" for value in rates)])
    return markdown(("data", "width", "parameters", *TRAININGS), lines)


def rate(runs: Sequence[Mapping[str, object]]) -> float:
    """The mean share of the validation images that are right, in percent."""
    return fmean(100 * int(str(each["validation"])) / int(str(each["of"])) for each in runs)


def main() -> None:
    """Read the command line, train, and write the folder."""
    given = asked_data_sets(__doc__, "seeds", default=2)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        made = (each for name in given.data for each in rows_of(load(name), given.seeds, store))
        found = collected(out / "rows.csv", HEADS, made)
    write_readme(
        out, "Training on, on moved copies", f"{given.seeds} seeds of each width", f"{__doc__}\n{table(found)}"
    )


if __name__ == "__main__":
    main()
