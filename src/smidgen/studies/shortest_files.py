"""The paper's two networks again, trained for the length of their files: what our own search makes of the structures.

Fewer channels and units are allowed, as in the best published results; a LeNet-5 stays convolution, pool, convolution,
pool, dense, dense. Chosen on the validation split as `smidgen compress` chooses, and scored on the test split once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from smidgen.data import with_copies
from smidgen.model import Model
from smidgen.records import Recipe, Score
from smidgen.search.byte_search import ByteSearch, ByteSearchEffort, FileCandidate
from smidgen.search.confirm import confirm
from smidgen.spec import parse_spec
from smidgen.studies.copies import COPIES
from smidgen.studies.table import Table
from smidgen.studies.teachers import teacher
from smidgen.studies.trainings import Bench, Job
from smidgen.trials.evaluate import TrainingContext, score

EFFORT = ByteSearchEffort(networks=1, generations=2, children=6, steps=4_000, training_macs=3e12, total_macs=60e12)


@dataclass(frozen=True)
class Aim:
    """How few errors are asked for, where it begins, and the shortest that was published.

    error: on either half of the validation split, by the plain rate
    text, recipe: a smaller network of the same structure, and how it is trained, over copies
    best_bytes, best_error: published; who: by whom
    """

    error: float
    text: str
    recipe: Recipe
    best_bytes: int
    best_error: float
    who: str

    def is_met(self, file: FileCandidate, half: str) -> bool:
        return 1 - file.outcome.halves[half].rate <= self.error


SMALLER = Recipe("kl", 2.0, learning_rate=0.02, epochs=12)
AIMS = {
    "LeNet-300-100": Aim(
        0.015,
        "dense 100 relu, dense 50 relu, dense 10",
        replace(SMALLER, learning_rate=0.003, epochs=6),
        8_560,
        0.019,
        "Oktay et al. 2020",
    ),
    "LeNet-5": Aim(
        0.0088,
        "conv 10x5x5 relu, maxpool 2, conv 20x5x5 relu, maxpool 2, dense 40 relu, dense 10",
        SMALLER,
        2_600,
        0.0079,
        "Havasi et al. 2019",
    ),
}


@dataclass(frozen=True, eq=False)
class Shortest:
    """The file of one aim, and its test score."""

    found: FileCandidate
    test: Score


def shortest_files(bench: Bench, context: TrainingContext) -> dict[str, Shortest]:
    """By the paper's name of the network; empty where the effort cuts epochs."""
    if not bench.effort.whole:
        return {}
    runs, _ = teacher(bench, context, "deep-compression: our teacher")
    data = with_copies(context.dataset, COPIES, bench.study.workers)
    copied = bench.taught(replace(context, dataset=data), runs)
    found = {}
    for name, aim in AIMS.items():
        squeeze = ByteSearch(bench.study, copied, EFFORT, aim.error, 0)
        squeeze.run([_trained(bench, copied, name, aim)])
        file = confirm(squeeze.ordered(), aim.is_met).candidate
        if file is not None:
            test = score(context, file.quantized.spec, file.outcome.weights, data.test, bench.study.workers)
            found[name] = Shortest(file, test)
    return found


def _trained(bench: Bench, copied: TrainingContext, name: str, aim: Aim) -> Model:
    stage = "deep-compression: a smaller network"
    job = {name: Job(parse_spec(aim.text), aim.recipe, 1, needed=True)}
    runs = bench.train(copied, job, stage, "smaller: ")[name]
    data = copied.dataset
    return Model(runs.job.spec, data.input_shape, data.class_names, runs.outcomes[0].weights)


def shortest_table(files: Mapping[str, Shortest], float_bytes: Mapping[str, int]) -> Table:
    """Ours beside the shortest that was published."""
    rows = []
    for name, file in files.items():
        aim, size = AIMS[name], file.found.file_bytes
        wrong = file.test.total - file.test.correct
        rows.append(
            (
                name,
                str(file.found.quantized.spec),
                f"{size:,}",
                f"{float_bytes[name] / size:,.0f}",
                f"{100 * (1 - file.test.rate):.2f} ({wrong}/{file.test.total})",
                f"{aim.best_bytes:,} at {100 * aim.best_error:.2f} % ({aim.who})",
            )
        )
    heads = ("", "network", ">bytes", ">times", ">test error, %", "shortest published")
    return Table("Trained for the length of the file", heads, tuple(rows))


def shortest_answer(files: Mapping[str, Shortest]) -> str:
    answers = []
    for name, file in files.items():
        aim, size, error = AIMS[name], file.found.file_bytes, 1 - file.test.rate
        verdict = "shorter" if size < aim.best_bytes else "not shorter"
        fewer = "at no more error" if error <= aim.best_error else f"at {100 * error:.2f} % error"
        answers.append(
            f"{name}: {size:,} bytes, {verdict} than the {aim.best_bytes:,} of {aim.who}, {fewer} "
            f"({100 * aim.best_error:.2f} %)."
        )
    return " ".join(answers)
