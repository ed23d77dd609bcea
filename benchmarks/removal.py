"""Small networks that lost channels beside the same networks trained from drawn weights.

    python benchmarks/removal.py DATA... --out results/2026-11-29-removal-of-channels [--seeds 3]

DATA is what `smidgen shrink` takes, or `digits`. For each data set and seed a design of this file is trained wide, and
loses channels by the rules of the search (`smidgen.search.pruning`) until it errs more than three times as much as at
first. Each network on the way is also trained from drawn weights, as long as the search's longest trainings. Everything
learns from labels; accuracy is on both validation halves, and the test split is not looked at.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import smidgen
from evidence import asked_data_sets, collected, new_folder, write_readme
from smidgen.data import Dataset, load
from smidgen.search.effort import EFFORTS
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import Judge, Requirement
from smidgen.search.pruning import least_harmful
from smidgen.search.result import TrainedCandidate
from smidgen.search.state import Search
from smidgen.spec import outputs_for, parse_spec
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

PICTURE = (
    "conv 8x3x3 same relu, avgpool 2, depthwise 3x3 same nobias, pointwise 6, avgpool 2, depthwise 3x3 same nobias, "
    "pointwise 16, prelu, depthwise 1x{side} nobias, depthwise {side}x1 nobias, dense {outputs}"
)
SIGNAL = (
    "pointwise 4 nobias, avgpool 1x2, conv 16x1x7 stride 1x2 relu, pointwise 12 relu, globalavgpool, dense {outputs}"
)
TABLE = "dense 24 relu, dense 12 relu, dense {outputs}"
LARGEST_ERROR = 3.0


def design(data: Dataset) -> str:
    """The wide network for this kind of input."""
    height, width = data.input_shape[1:]
    text = TABLE if width == 1 else SIGNAL if height == 1 else PICTURE
    return text.format(outputs=outputs_for(data.classes), side=height // 4)


def search_of(data: Dataset, seed: int, store: Store, effort: str = "normal") -> Search:
    """A search that learns from labels; nothing here depends on its floor."""
    goal, context = Goal(Target(0.5, rule="rate")), TrainingContext(data)
    return Search(Study(store), context, goal, EFFORTS[effort], seed, Judge(Requirement.of(goal, data), context))


def figures(one: TrainedCandidate) -> dict[str, object]:
    """What is kept of a training: the network, its size, and its right answers on both validation halves."""
    right, outcome = one.outcome.validation, one.outcome
    return {
        "parameters": outcome.parameters,
        "validation": right.correct,
        "of": right.total,
        "network": str(one.trial.spec),
    }


def percent_right(row: Mapping[str, object]) -> float:
    """The share of the validation images that are right, from what `figures` keeps."""
    return 100 * int(str(row["validation"])) / int(str(row["of"]))


def write_folder(
    doc: str | None,
    title: str,
    heads: Sequence[str],
    rows_of: Callable[[Dataset, int, Store], Iterable[Mapping[str, object]]],
    table: Callable[[Sequence[Mapping[str, object]]], str],
) -> None:
    """Read the command line, write the rows of each data set, and README.md with their table."""
    given = asked_data_sets(doc, "seeds", default=2)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        made = (each for name in given.data for each in rows_of(load(name), given.seeds, store))
        found = collected(out / "rows.csv", heads, made)
    write_readme(out, title, f"{given.seeds} seeds of each", f"{doc}\n{table(found)}")


def chain(data: Dataset, seed: int, path: Path) -> Iterator[dict[str, object]]:
    """A row for each network on the way from the wide one down."""
    with Store(path) as store:
        search = search_of(data, seed, store)
        (one,) = search.train(search.trials([parse_spec(design(data))], "middle"), "wide")
        epochs, most = one.trial.recipe.epochs, LARGEST_ERROR * (1 - one.outcome.validation.rate)
        while True:
            (drawn,) = search.train(search.trials([one.trial.spec], "long"), "from drawn weights")
            yield {
                "data": data.name,
                "seed": seed,
                "parameters": one.outcome.parameters,
                "epochs": epochs,
                "drawn_epochs": drawn.trial.recipe.epochs,
                "after_removal": one.outcome.validation.correct,
                "from_drawn_weights": drawn.outcome.validation.correct,
                "of": one.outcome.validation.total,
                "network": str(one.trial.spec),
            }
            smaller = least_harmful(search, search.model(one))
            if smaller is None or 1 - one.outcome.validation.rate > most:
                return
            (one,) = search.train([search.retraining(smaller, "short", doublings=1)], "removal")
            epochs += one.trial.recipe.epochs


def main() -> None:
    """Read the command line and write the table."""
    given = asked_data_sets(__doc__, "seeds", default=3)
    given.out.mkdir(parents=True, exist_ok=True)
    began, used = time.time(), time.process_time()
    with (given.out / "rows.csv").open("w", newline="") as file, TemporaryDirectory() as folder:
        writer = None
        for name in given.data:
            data = load(name)
            for seed in range(given.seeds):
                for row in chain(data, seed, Path(folder) / "store.sqlite"):
                    writer = writer or csv.DictWriter(file, list(row), lineterminator="\n")
                    if file.tell() == 0:
                        writer.writeheader()
                    writer.writerow(row)
                    file.flush()
    print(f"{time.time() - began:.0f} s, {time.process_time() - used:.0f} processor seconds, {smidgen.__version__}")


if __name__ == "__main__":
    main()
