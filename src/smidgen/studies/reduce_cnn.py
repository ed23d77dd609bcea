"""reduce-cnn: a CNN of 591,786 parameters against two of about 3,000, with batch norm and repeated pooling.

The document stops each training when the *test* loss has not fallen for two epochs (`monitor='val_loss', patience=2`,
with the test images as validation data); the author's notebook has a patience of one and at most ten epochs. Here the
selection half of the validation split stops the main rows; both ways to stop by the test loss are trained too, to show
the difference, and are used for nothing else.

The document's table has training accuracies and its notebook prints test accuracies; both stand here under their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.studies.datasets import all_training_images, selecting_on_test
from smidgen.studies.document import SHAPE, Document, Network, Results, rows
from smidgen.studies.pictures import Picture
from smidgen.studies.published import published
from smidgen.studies.teachers import on_copies, teacher
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

EARLY_STOPPING = Recipe(
    optimizer="adam-keras", learning_rate=0.001, schedule="constant", epochs=30, batch_size=32, patience=2
)
"""The document's recipe. It gives no limit of epochs; no training here comes near 30."""
NOTEBOOK = replace(EARLY_STOPPING, epochs=10, patience=1)
SMALL = Recipe("kl", 2.0, learning_rate=0.05, epochs=4, average=0.999)
"""Our recipe of the small networks; its epochs are over four copies of each image."""
SEEDS, OUR_SEEDS = 10, 2
NOTEBOOKS = "notebook, test"
"""The head of the columns that have the notebook's test accuracies; the document itself states none."""


stated = partial(published, "reduce-cnn")


@dataclass(frozen=True)
class Net(Network):
    """A network of the document with our recipe for its size."""

    text: str
    ours: Recipe

    @property
    def stored_numbers(self) -> int:
        """Parameters and the running statistics of the batch norms, which are stored and not trained."""
        return self.parameters + sum(plan.running_stats for plan in self.spec.plan(SHAPE))


NETS = {
    "baseline": Net(
        "conv 32x4x4 relu, maxpool 2, dense 128 relu, dense 10",
        Recipe("kl", 2.0, learning_rate=0.002, epochs=1),
    ),
    "approach 1": Net(
        "conv 32x4x4 relu, maxpool 2, batchnorm, maxpool 2, batchnorm, conv 16x2x2 relu, maxpool 2, batchnorm, "
        "dense 10",
        SMALL,
    ),
    "approach 2": Net(
        "conv 32x3x3 relu, maxpool 2, batchnorm, maxpool 2, conv 16x2x2 relu, maxpool 2, batchnorm, dense 10",
        replace(SMALL, epochs=9),
    ),
}


def counted() -> dict[tuple[str, str], float]:
    """Return what the document states and no training is needed for, by (row, figure)."""
    found: dict[tuple[str, str], float] = {}
    for name, net in NETS.items():
        found |= {(name, "parameters"): net.parameters, (name, "stored numbers"): net.stored_numbers}
        found[name, "layers"] = (
            len(net.spec.layers) + 1
        )  # Keras's flatten is a layer, and the spec language needs none.
    return found


@dataclass(frozen=True, eq=False)
class Stopped:
    """One network by each way to stop.

    Attributes:
        by_selection: The document's recipe, stopped by the selection half.
        by_test: The document's recipe, stopped by the test loss as the author did.
        notebook: The notebook's recipe, stopped by the test loss.
    """

    name: str
    by_selection: Runs
    by_test: Runs
    notebook: Runs

    @property
    def ways(self) -> tuple[Runs, Runs, Runs]:
        return self.by_selection, self.by_test, self.notebook


Rates = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduced(Results):
    """The results, with the ways to stop of each network that was trained. A row's published figure is the notebook's.

    Attributes:
        stopped: The ways to stop.
        training: By row, the accuracy of each seed of the document's recipe on the 50,000 training images.
        our_training: The same by our recipe, on the images as they are.
    """

    stopped: tuple[Stopped, ...]
    training: Rates
    our_training: Rates

    @property
    def notebook(self) -> dict[str, Runs]:
        """The runs of the notebook's recipe, by row."""
        return {each.name: each.notebook for each in self.stopped}


def documents_jobs(recipe: Recipe = EARLY_STOPPING) -> dict[str, Job]:
    return {name: Job(net.spec, recipe, SEEDS) for name, net in NETS.items()}


def our_jobs() -> dict[str, Job]:
    return {name: Job(net.spec, net.ours, OUR_SEEDS) for name, net in NETS.items()}


def train(bench: Bench, data: Mapping[str, Dataset]) -> Reduced:
    """Train the three networks by the document's recipe, the notebook's, and ours."""
    mnist = data["mnist"]
    context, everything = bench.context(mnist), bench.context(all_training_images(mnist))
    our_teacher, _ = teacher(bench, context)
    theirs = bench.train(context, documents_jobs(), "document: ")
    jobs = our_jobs()
    ours = on_copies(bench, context, our_teacher, jobs, "ours: ")
    small = {name: job for name, job in jobs.items() if name != "baseline" and bench.effort.is_whole}
    on_all = on_copies(bench, everything, our_teacher, small, "ours, all images: ")
    return Reduced(
        rows=rows("reduce-cnn", NETS, theirs, ours),
        on_all=on_all,
        stopped=ways_to_stop(bench, context, theirs),
        training={name: bench.training_rates(context, runs) for name, runs in theirs.items()},
        our_training={name: bench.training_rates(context, runs) for name, runs in ours.items()},
    )


def ways_to_stop(bench: Bench, context: TrainingContext, theirs: Mapping[str, Runs]) -> tuple[Stopped, ...]:
    """Train the networks stopped by the test loss, by the document's patience and by the notebook's."""
    on_test = bench.context(selecting_on_test(context.dataset))
    by_test = bench.train(on_test, documents_jobs(), "document, stopped by the test loss: ")
    notebook = bench.train(on_test, documents_jobs(NOTEBOOK), "notebook: ")
    both = by_test.keys() & notebook.keys()
    return tuple(Stopped(name, runs, by_test[name], notebook[name]) for name, runs in theirs.items() if name in both)


def pictures(found: Reduced) -> Iterator[Picture]:
    title = "Three networks, by the document's recipe and by ours"
    yield Picture("accuracy.png", title, found.by_recipe("its recipe"), found.marks, "the notebook's", lowest=0.9)


DOCUMENT = Document("reduce-cnn", "three CNNs on MNIST, early stopping", ("mnist",), train, pictures)
