"""The shortest files of the paper's two structures that our own search finds.

Fewer channels and units are allowed, as in the best published results; a LeNet-5 stays convolution, pool, convolution,
pool, dense, dense. Files are chosen on the validation split as `smidgen compress` chooses, and scored on the test split
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from smidgen.data import with_copies
from smidgen.model import Model
from smidgen.records import Recipe, Score
from smidgen.search.byte_search import ByteSearch, ByteSearchEffort, FileCandidate
from smidgen.search.confirm import confirm
from smidgen.spec import parse_spec
from smidgen.studies.published import published
from smidgen.studies.teachers import COPIES, teacher
from smidgen.studies.trainings import Bench, Job
from smidgen.trials.evaluate import TrainingContext, score

EFFORT = ByteSearchEffort(
    networks=1, first=6, generations=2, children=6, steps=4_000, training_macs=3e12, total_macs=60e12
)


@dataclass(frozen=True)
class Aim:
    """What a file must reach, and who published the shortest one.

    Attributes:
        error: The largest error on either half of the validation split, by the plain rate.
        text: A smaller network of the same structure, where the search begins.
        recipe: How that network is trained, over copies.
    """

    error: float
    text: str
    recipe: Recipe
    best_bytes: int
    best_error: float
    who: str

    def is_met(self, file: FileCandidate, half: str) -> bool:
        """Return whether the file's error is small enough on "selection" or "confirmation"."""
        return 1 - file.outcome.halves[half].rate <= self.error


def _shortest(network: str) -> tuple[int, float]:
    """Return the published (bytes, error) of the shortest file of a structure."""
    of = partial(published, "deep-compression", network)
    return int(of("bytes of the shortest file")), of("error of the shortest file")


SMALLER = Recipe("kl", 2.0, learning_rate=0.02, epochs=12)
AIMS = {
    "LeNet-300-100": Aim(
        0.015,
        "dense 100 relu, dense 50 relu, dense 10",
        replace(SMALLER, learning_rate=0.003, epochs=6),
        *_shortest("LeNet-300-100"),
        "Oktay et al. 2020",
    ),
    "LeNet-5": Aim(
        0.0088,
        "conv 10x5x5 relu, maxpool 2, conv 20x5x5 relu, maxpool 2, dense 40 relu, dense 10",
        SMALLER,
        *_shortest("LeNet-5"),
        "Havasi et al. 2019",
    ),
}


@dataclass(frozen=True, eq=False)
class Shortest:
    """The shortest file that meets an aim, and its test score."""

    aim: Aim
    file: FileCandidate
    test: Score


def shortest_files(
    bench: Bench, context: TrainingContext, aims: Mapping[str, Aim] = AIMS, effort: ByteSearchEffort = EFFORT
) -> dict[str, Shortest]:
    """Search the shortest file for each aim; return nothing where the effort cuts epochs."""
    if not bench.effort.is_whole:
        return {}
    runs, _ = teacher(bench, context)
    data = with_copies(context.dataset, COPIES, bench.study.workers)
    copied = bench.taught(replace(context, dataset=data), runs)
    found = {}
    for name, aim in aims.items():
        job = Job(parse_spec(aim.text), aim.recipe, 1, needed=True)
        weights = bench.train(copied, {name: job}, "smaller: ")[name].outcomes[0].weights
        search = ByteSearch(bench.study, copied, effort, aim.error, 0)
        search.run([Model(job.spec, data.input_shape, data.class_names, weights)])
        file = confirm(search.ordered(), aim.is_met).candidate
        if file is not None:
            test = score(context, file.quantized.spec, file.outcome.weights, data.test, bench.study.workers)
            found[name] = Shortest(aim, file, test)
    return found
