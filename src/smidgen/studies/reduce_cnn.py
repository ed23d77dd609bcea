"""reduce-cnn: a CNN of 591,786 parameters against two of about 3,000, with batch norm and repeated pooling.

The author stopped each training early by the *test* loss. Here the selection half of the validation split stops it;
the author's way is run too, to show the difference, and is used for nothing else. How long the author waited is not
said: `PATIENCE` epochs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.spec import NetSpec, parse_spec
from smidgen.studies.authors import all_training_images, selecting_on_test
from smidgen.studies.copies import COPIES, on_copies
from smidgen.studies.pictures import Mark, Series, curves
from smidgen.studies.table import (
    NOTHING,
    Document,
    Finding,
    Picture,
    Report,
    Row,
    Table,
    accuracy_table,
    beaten,
    beaten_on_all,
    cost_table,
    met,
    our_images_table,
    seeds_table,
)
from smidgen.studies.teachers import teacher
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

SHAPE = (1, 28, 28)
PATIENCE = 3
EARLY_STOPPING = Recipe(
    optimizer="adam-keras", learning_rate=0.001, schedule="constant", epochs=30, batch_size=32, patience=PATIENCE
)


@dataclass(frozen=True)
class Net:
    """A network of the document: its layers, what was published, and our recipe for its size."""

    text: str
    published: float
    ours: Recipe
    our_seeds: int = 2

    @property
    def spec(self) -> NetSpec:
        return parse_spec(self.text)

    @property
    def parameters(self) -> int:
        return self.spec.parameters(SHAPE)

    @property
    def numbers(self) -> int:
        """Parameters and the moments of the batch norms, which are stored and not trained."""
        return self.parameters + sum(plan.running_stats for plan in self.spec.plan(SHAPE))


SMALL = Recipe("kl", 2.0, learning_rate=0.05, epochs=4, average=0.999)
"""Its epochs are over four copies of each image."""
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


def documents_jobs(seeds: int) -> dict[str, Job]:
    return {name: Job(net.spec, EARLY_STOPPING, seeds) for name, net in NETS.items()}


def our_jobs() -> dict[str, Job]:
    return {name: Job(net.spec, net.ours, net.our_seeds) for name, net in NETS.items()}


def reproduce(bench: Bench, data: Mapping[str, Dataset]) -> Report:
    """Train everything and say what it shows."""
    context = TrainingContext(data["mnist"], bench.engine)
    our_teacher, _ = teacher(bench, context, "reduce-cnn: our teacher")
    theirs = bench.train(context, documents_jobs(3), "reduce-cnn: early stopping on validation", "document: ")
    peeking = TrainingContext(selecting_on_test(data["mnist"]), bench.engine)
    authors = bench.train(peeking, documents_jobs(2), "reduce-cnn: the author's way", "the author's way: ")
    ours = on_copies(bench, context, our_teacher, our_jobs(), "reduce-cnn: our recipe", "ours: ")
    rows = [Row(name, net.parameters, net.published, theirs.get(name), ours.get(name)) for name, net in NETS.items()]
    everything = replace(context, dataset=all_training_images(data["mnist"]))
    small = {name: job for name, job in our_jobs().items() if name != "baseline" and bench.effort.whole}
    on_all = on_copies(bench, everything, our_teacher, small, "reduce-cnn: ours, all images", "ours, all images: ")
    return Report(
        name="reduce-cnn",
        title=DOCUMENT.title,
        notes=NOTES,
        rows=tuple(rows),
        tables=(
            accuracy_table(rows, "Test accuracy in %, mean ± standard deviation (seeds)"),
            *our_images_table(rows, on_all),
            seeds_table(rows),
            stopping_table(theirs, authors),
            count_table(),
            cost_table(rows),
        ),
        findings=(
            met(rows),
            beaten(rows),
            beaten_on_all(rows, on_all),
            Finding("What does it gain to stop by the test loss?", stopping_answer(theirs, authors)),
            Finding("How much smaller, at what cost?", smaller_answer(rows)),
        ),
        pictures=(picture(rows),),
        runs=dict(bench.runs),
    )


NOTES = (
    f"The document's recipe: Adam, batch 32, early stopping. Its patience is not said: {PATIENCE} epochs here, at most "
    f"{EARLY_STOPPING.epochs}, and the weights of the best epoch are kept. 50,000 images train; it trained on 60,000.",
    "The column 'its recipe' stops by the selection half of the validation split; the second table also stops by the "
    "test loss, as the author did.",
    f"Ours: one-cycle Adam from what a teacher says (KL at T = 2) to {COPIES} copies of each image, moved by up to a "
    "pixel, 8 degrees and 8 % of the size; of the two small nets the average of the weights.",
)


def stopping_table(theirs: Mapping[str, Runs], authors: Mapping[str, Runs]) -> Table:
    """The same training, stopped by each split: test accuracy and the mean number of epochs."""
    rows = tuple(
        (name, str(runs), f"{epochs(runs):.1f}", str(authors[name]), f"{epochs(authors[name]):.1f}")
        for name, runs in theirs.items()
        if name in authors
    )
    heads = ("stopped by", ">validation", ">epochs", ">the test loss", ">epochs")
    return Table("Early stopping on validation, and on test as the author did; test accuracy in %", heads, rows)


def count_table() -> Table:
    """Trainable parameters, all numbers that are stored, multiply-accumulates."""
    rows = tuple(
        (name, f"{net.parameters:,}", f"{net.numbers:,}", f"{net.spec.macs(SHAPE):,}") for name, net in NETS.items()
    )
    return Table("Counts", ("", ">trained", ">all", ">multiply-adds"), rows)


def epochs(runs: Runs) -> float:
    """How many epochs a training took, on average."""
    return sum(len(outcome.losses) for outcome in runs.outcomes) / len(runs.outcomes)


def stopping_answer(theirs: Mapping[str, Runs], authors: Mapping[str, Runs]) -> str:
    answers = []
    for name, runs in theirs.items():
        if name in authors:
            gain = 100 * (authors[name].mean - runs.mean)
            if len(runs.test) == len(authors[name].test) == 1:
                answers.append(f"{name}: {gain:+.2f} points, one seed each.")
                continue
            spread = 100 * max(runs.spread, authors[name].spread)
            inside = "within" if abs(gain) <= spread else "outside"
            answers.append(f"{name}: {gain:+.2f} points, {inside} the seeds' standard deviation of {spread:.2f}.")
    return " ".join(answers) or NOTHING


def smaller_answer(rows: list[Row]) -> str:
    base = rows[0]
    answers = []
    for row in rows[1:]:
        said = f"{row.name} has {row.parameters:,} parameters, 1/{base.parameters / row.parameters:.0f} of the baseline"
        costs = [
            f"{100 * (small.mean - large.mean):+.2f} points with {whose} recipe"
            for small, large, whose in ((row.theirs, base.theirs, "its"), (row.ours, base.ours, "our"))
            if small and large
        ]
        answers.append(f"{said}{': ' if costs else ''}{', '.join(costs)}.")
    return " ".join(answers)


def picture(rows: list[Row]) -> Picture:
    title = "Three networks, by the document's recipe and by ours"
    series = [
        Series(label, tuple(points), colour=colour)
        for colour, (label, points) in enumerate(
            (
                ("its recipe", [(row.parameters, row.theirs.rates) for row in rows if row.theirs]),
                ("ours", [(row.parameters, row.ours.rates) for row in rows if row.ours]),
            )
        )
    ]
    marks = [Mark(row.name, row.parameters, row.published) for row in rows if row.published]

    def draw(path: Path) -> None:
        curves(title, series, marks, path, x_label="parameters", y_label="test accuracy, %", lowest=0.9)

    return Picture("accuracy.png", title, draw)


DOCUMENT = Document("reduce-cnn", "reduce-cnn: three CNNs on MNIST, early stopping", ("mnist",), reproduce)
