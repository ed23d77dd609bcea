"""What small networks learn from: teachers trained on images moved more or less, with and without the labels.

    python benchmarks/teacher_recipes.py mnist fashion-mnist --out results/DATE-labels-beside-a-teacher [--seeds 4]

For each data set the search's teacher is trained on images that are moved as far as the search moves them, and twice as
far. The networks of `NETWORKS` then learn from labels, and from the better teacher with each label weight of `WEIGHTS`,
for `EPOCHS` epochs; and from three stronger teachers with the search's label weight: the mean logits of `MEMBERS` that
differ in their seeds, one of twice the width that is trained twice as long, and one that is trained as long as effort
thorough trains it. Accuracy is on both validation halves; the test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from evidence import asked_data_sets, collected, markdown, new_folder, write_readme
from smidgen.data import load
from smidgen.records import Augmentation, Outcome, Recipe, Trial
from smidgen.search.edits import with_widths
from smidgen.search.effort import DISTILLATION_RECIPES, EFFORTS, LABEL_WEIGHT, LABELS, TEACHER
from smidgen.search.teacher_stage import teacher_trial
from smidgen.spec import parse_spec
from smidgen.teacher import context_with_teacher
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store
from smidgen.trials.study import Study

NETWORKS = (
    "conv 5x3x3 same relu, avgpool 2, depthwise 3x3 same nobias, pointwise 6 nobias, avgpool 2, "
    "depthwise 3x3 same nobias, pointwise 6 relu, depthwise 1x7 nobias, depthwise 7x1 nobias, dense 10",
    "conv 9x3x3 same relu, avgpool 2, depthwise 3x3 same nobias, pointwise 12 nobias, avgpool 2, "
    "depthwise 3x3 same nobias, depthwise 1x7 nobias, depthwise 7x1 nobias, dense 10",
    "conv 10x3x3 same relu, maxpool 2, depthwise 3x3 same nobias, pointwise 8 relu, depthwise 3x3 same nobias, "
    "pointwise 16 relu, avgpool 2, depthwise 3x3 same nobias, pointwise 24 relu, depthwise 1x7 nobias, "
    "depthwise 7x1 nobias, dense 10",
)
WEIGHTS, EPOCHS, MEMBERS = (0.0, 0.3, 0.6), 16, 3
HEADS = ("data", "network", "parameters", "learns from", "label weight", "seed", "right", "of")


def rows_of(name: str, seeds: int, store: Store) -> Iterator[dict[str, Any]]:
    """The teachers of a data set, then the networks that learn from labels and from the better teacher."""
    context, study = TrainingContext(load(name)), Study(store)
    trials = {
        "as in the search": teacher_trial(context, 0),
        "twice as far": _moved_twice_as_far(teacher_trial(context, 0)),
    }
    found = {how: study.run(context, [trial], "teacher")[0] for how, trial in trials.items()}
    for how, outcome in found.items():
        yield _row(name, "teacher", outcome, f"labels, images moved {how}", 1.0, 0)
    best = max(found, key=lambda how: found[how].validation.rate)
    sources = {
        "teacher": context_with_teacher(store, context, trials[best], found[best]),
        f"mean of {MEMBERS} teachers": _ensemble(study, context, trials[best]),
    }
    length = EFFORTS["thorough"].teacher_length
    for who, stronger in {
        "wider teacher": _longer(replace(trials[best], spec=with_widths(trials[best].spec, 2)), 2),
        f"teacher trained {length} times as long": _longer(trials[best], length),
    }.items():
        (strong,) = study.run(context, [stronger], "teacher")
        yield _row(name, who, strong, "labels", 1.0, 0)
        sources[who] = context_with_teacher(store, context, stronger, strong)
    weighted = [*(("teacher", weight) for weight in WEIGHTS), *((who, LABEL_WEIGHT) for who in sources)]
    recipes = {("labels", 1.0): DISTILLATION_RECIPES[LABELS]}
    recipes |= {pair: replace(DISTILLATION_RECIPES[TEACHER], label_weight=pair[1]) for pair in weighted}
    for network in NETWORKS:
        for (source, weight), recipe in recipes.items():
            taught = sources.get(source, context)
            trained = _trained(study, taught, network, replace(recipe, epochs=EPOCHS), seeds)
            for seed, outcome in enumerate(trained):
                yield _row(name, network, outcome, source, weight, seed)


def _longer(trial: Trial, times: int) -> Trial:
    return replace(trial, recipe=replace(trial.recipe, epochs=times * trial.recipe.epochs))


def _ensemble(study: Study, context: TrainingContext, trial: Trial) -> TrainingContext:
    """The context with the mean logits of teachers from several seeds."""
    trials = [trial.with_seed(seed) for seed in range(MEMBERS)]
    outcomes = study.run(context, trials, "teachers")
    taught = (context_with_teacher(study.store, context, *pair) for pair in zip(trials, outcomes, strict=True))
    members = np.stack([one.teacher_logits for one in taught if one.teacher_logits is not None])
    logits = np.asarray(members.mean(axis=0), np.float32)
    return replace(context, teacher_key=" ".join(trial.key for trial in trials), teacher_logits=logits)


def _moved_twice_as_far(trial: Trial) -> Trial:
    moved = trial.recipe.augment
    twice = Augmentation(shift=2 * moved.shift, rotation=2 * moved.rotation, scale=2 * moved.scale)
    return replace(trial, recipe=replace(trial.recipe, augment=twice))


def _trained(study: Study, context: TrainingContext, network: str, recipe: Recipe, seeds: int) -> list[Outcome]:
    trials = [context.trial(parse_spec(network), recipe, seed) for seed in range(seeds)]
    return study.run(context, trials, "networks")


def _row(name: str, network: str, outcome: Outcome, source: str, weight: float, seed: int) -> dict[str, Any]:
    right = outcome.validation
    values = (name, network, outcome.parameters, source, weight, seed, right.correct, right.total)
    return dict(zip(HEADS, values, strict=True))


def table(found: list[Any]) -> str:
    """Mean rates over seeds."""
    groups: dict[tuple[str, ...], list[float]] = {}
    for row in found:
        key = (str(row["data"]), str(row["parameters"]), str(row["learns from"]), str(row["label weight"]))
        groups.setdefault(key, []).append(100 * int(row["right"]) / int(row["of"]))
    cells = [[*key, str(len(rates)), f"{fmean(rates):.2f}"] for key, rates in groups.items()]
    return markdown(("data", "parameters", "learns from", "label weight", "trainings", "validation, %"), cells)


def main() -> None:
    """Read the command line, train, and write the folder."""
    given = asked_data_sets(__doc__, "seeds", default=4)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        made = (row for name in given.data for row in rows_of(name, given.seeds, store))
        found = collected(out / "rows.csv", HEADS, made)
    write_readme(out, "Labels beside a teacher", f"{given.seeds} seeds a network", f"{__doc__}\n{table(found)}")


if __name__ == "__main__":
    main()
