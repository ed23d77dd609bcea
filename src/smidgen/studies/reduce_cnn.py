"""reduce-cnn: a CNN of 591,786 parameters against two of about 3,000, with batch norm and repeated pooling.

The author stopped each training early by the *test* loss. Here the selection half of the validation split stops it;
stopping by the test loss is trained too, to show the difference, and is used for nothing else. The document does not
give its patience: `PATIENCE` epochs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.studies.datasets import all_training_images, selecting_on_test
from smidgen.studies.document import SHAPE, Document, Network, Results, rows
from smidgen.studies.pictures import Picture
from smidgen.studies.teachers import on_copies, teacher
from smidgen.studies.trainings import Bench, Job, Runs

PATIENCE = 3
EARLY_STOPPING = Recipe(
    optimizer="adam-keras", learning_rate=0.001, schedule="constant", epochs=30, batch_size=32, patience=PATIENCE
)
SMALL = Recipe("kl", 2.0, learning_rate=0.05, epochs=4, average=0.999)
"""Our recipe of the small networks; its epochs are over four copies of each image."""
OUR_SEEDS = 2


@dataclass(frozen=True)
class Net(Network):
    """A network of the document with its published accuracy and our recipe for its size."""

    text: str
    published: float
    ours: Recipe

    @property
    def stored_numbers(self) -> int:
        """Parameters and the running statistics of the batch norms, which are stored and not trained."""
        return self.parameters + sum(plan.running_stats for plan in self.spec.plan(SHAPE))


NETS = {
    "baseline": Net(
        "conv 32x4x4 relu, maxpool 2, dense 128 relu, dense 10",
        0.9859,
        Recipe("kl", 2.0, learning_rate=0.002, epochs=1),
    ),
    "approach 1": Net(
        "conv 32x4x4 relu, maxpool 2, batchnorm, maxpool 2, batchnorm, conv 16x2x2 relu, maxpool 2, batchnorm, "
        "dense 10",
        0.9793,
        SMALL,
    ),
    "approach 2": Net(
        "conv 32x3x3 relu, maxpool 2, batchnorm, maxpool 2, conv 16x2x2 relu, maxpool 2, batchnorm, dense 10",
        0.9666,
        replace(SMALL, epochs=9),
    ),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduced(Results):
    """The results, with (network, runs stopped by the selection half, runs stopped by the test loss)."""

    stopped: tuple[tuple[str, Runs, Runs], ...]


def documents_jobs(seeds: int) -> dict[str, Job]:
    return {name: Job(net.spec, EARLY_STOPPING, seeds) for name, net in NETS.items()}


def train(bench: Bench, data: Mapping[str, Dataset]) -> Reduced:
    """Train the three networks by the document's recipe, both ways to stop, and by ours."""
    mnist = data["mnist"]
    context, everything = bench.context(mnist), bench.context(all_training_images(mnist))
    our_teacher, _ = teacher(bench, context)
    theirs = bench.train(context, documents_jobs(3), "document: ")
    by_test = bench.train(bench.context(selecting_on_test(mnist)), documents_jobs(2), "the author's way: ")
    jobs = {name: Job(net.spec, net.ours, OUR_SEEDS) for name, net in NETS.items()}
    ours = on_copies(bench, context, our_teacher, jobs, "ours: ")
    small = {name: job for name, job in jobs.items() if name != "baseline" and bench.effort.is_whole}
    on_all = on_copies(bench, everything, our_teacher, small, "ours, all images: ")
    stopped = tuple((name, runs, by_test[name]) for name, runs in theirs.items() if name in by_test)
    return Reduced(rows=rows(NETS, theirs, ours), on_all=on_all, stopped=stopped)


def pictures(found: Reduced) -> Iterator[Picture]:
    title = "Three networks, by the document's recipe and by ours"
    yield Picture("accuracy.png", title, found.by_recipe("its recipe"), found.marks, lowest=0.9)


DOCUMENT = Document("reduce-cnn", "three CNNs on MNIST, early stopping", ("mnist",), train, pictures)
