"""mimic: seminar slides after Ba & Caruana (2014), "Do Deep Nets Really Need to be Deep?", on Fashion-MNIST.

A CNN teaches shallow networks with one hidden layer behind a linear bottleneck. The slides train for 30 epochs. Three
facts that the slides do not give and the author's notebook does: its "L2" compares softmax *probabilities*, not logits,
its DNN has 3 x 64 units, not 3 x 2000, and it trains the DNN for 50 epochs and the students for 20. Both DNNs are
trained here, the L2 row three ways, and the rows of the notebook for its epochs too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.studies.datasets import all_training_images
from smidgen.studies.document import Document, Network, Results, Row, rows
from smidgen.studies.pictures import Picture, Series, series
from smidgen.studies.published import optional, published
from smidgen.studies.statistics import Paired, compare
from smidgen.studies.teachers import teacher as our_teacher
from smidgen.studies.teachers import teacher_job
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext, classify

SGD = Recipe(optimizer="sgd", learning_rate=0.01, schedule="constant", epochs=30, batch_size=128)
KL, PROBABILITIES = replace(SGD, loss="kl"), replace(SGD, loss="probabilities")


BOTTLENECK = 20


def bottleneck(hidden: int) -> str:
    """Return a student with one hidden layer behind a linear bottleneck."""
    return f"dense {BOTTLENECK}, dense {hidden} relu, dense 10"


@dataclass(frozen=True)
class Net(Network):
    """A network of the document: how it was trained, and our seeds and recipe.

    Ours is None where it would cost minutes and show nothing new.
    """

    text: str
    recipe: Recipe
    seeds: int
    ours: Recipe | None


STUDENT = bottleneck(8000)
TEACHER = "conv 16x3x3 same relu, maxpool 2, dense 64 relu, dense 64 relu, dense 64 relu, dense 10"
OURS = Recipe("kl", 2.0, label_weight=0.3, learning_rate=0.0005, epochs=40, batch_size=16)
"""Our recipe for students of 8,000 units behind a bottleneck; they learn from our teacher. Small batches are worth more
than anything else that was tried on the validation split."""
OUR_SEEDS = 2
stated = partial(optional, "mimic")
PUBLISHED_L2 = published("mimic", "SNN-mimic-8k L2", "test accuracy")

NETS = {
    "CNN (teacher)": Net(TEACHER, SGD, 10, Recipe("kl", 2.0, learning_rate=0.003, epochs=15)),
    "DNN 3 x 2000": Net("dense 2000 relu, dense 2000 relu, dense 2000 relu, dense 10", SGD, 3, None),
    "DNN 3 x 64": Net("dense 64 relu, dense 64 relu, dense 64 relu, dense 10", SGD, 10,
                      Recipe("kl", 2.0, learning_rate=0.003, epochs=15)),
    "SNN": Net("dense 8000 relu, dropout 0.5, dense 10", SGD, 3, None),
    "SNN-mimic-8k L2": Net(STUDENT, PROBABILITIES, 10, OURS),
    "SNN-mimic-8k KL": Net(STUDENT, KL, 10, OURS),
    "mimic-400 KL": Net(bottleneck(400), KL, 3, Recipe("kl", 2.0, learning_rate=0.003, epochs=40)),
    "mimic-20k KL": Net(bottleneck(20_000), KL, 1, None),
}  # fmt: skip

NOTEBOOK_EPOCHS = {"DNN 3 x 64": 50, "SNN-mimic-8k L2": 20, "SNN-mimic-8k KL": 20}
"""Epochs of the rows that the author's notebook trains for another time than the slides."""

LOSSES = {
    "L2 on probabilities": PROBABILITIES,
    "L2 on logits": replace(SGD, loss="logits"),
    "L2 on standardised logits": replace(SGD, loss="standardised-logits"),
    **{f"KL, T = {t}": replace(KL, temperature=t) for t in (1, 2, 4, 8)},
}

PLAIN_HIDDEN = 332
"""Hidden units: 784 h + h + 10 h + 10 = 263,950 is nearest to the 263,710 parameters of the mimic."""
HALF_EPOCHS, ABLATION_EPOCHS = 6, 12
"""The ablation is trained for both, which shows whether its answers depend on how long it trains."""
ABLATION = {
    "bottleneck, labels": Job(parse_spec(STUDENT), SGD),
    "bottleneck, KL": Job(parse_spec(STUDENT), KL),
    "no bottleneck, labels": Job(parse_spec(f"dense {PLAIN_HIDDEN} relu, dense 10"), SGD),
    "no bottleneck, KL": Job(parse_spec(f"dense {PLAIN_HIDDEN} relu, dense 10"), KL),
    "SNN, labels": Job(NETS["SNN"].spec, SGD, seeds=1),
    "SNN, KL": Job(NETS["SNN"].spec, KL, seeds=1),
}

COURSE_EPOCHS = (1, 2, 4, 8, 16)
COURSE_STUDENT_EPOCHS = 8


def documents_jobs(*, with_teacher: bool) -> dict[str, Job]:
    """Return the rows that learn from labels, one of them the others' teacher, or those that learn from it."""
    return {
        name: Job(net.spec, net.recipe, net.seeds, needed=net.text == TEACHER)
        for name, net in NETS.items()
        if net.recipe.needs_teacher == with_teacher
    }


def notebook_jobs(*, with_teacher: bool) -> dict[str, Job]:
    """Return the rows whose epochs differ in the notebook, with its epochs."""
    rows = documents_jobs(with_teacher=with_teacher)
    return {
        name: replace(rows[name], recipe=replace(rows[name].recipe, epochs=epochs))
        for name, epochs in NOTEBOOK_EPOCHS.items()
        if name in rows
    }


def ablation_jobs(epochs: int) -> dict[str, Job]:
    return {name: replace(job, recipe=replace(job.recipe, epochs=epochs)) for name, job in ABLATION.items()}


def loss_jobs() -> dict[str, Job]:
    """Return the student with 8,000 units by every loss; two are also rows and have their seeds."""
    rows = {net.recipe: net.seeds for net in NETS.values() if net.text == STUDENT}
    return {name: Job(parse_spec(STUDENT), recipe, rows.get(recipe, 1)) for name, recipe in LOSSES.items()}


def our_jobs() -> dict[str, Job]:
    return {name: Job(net.spec, net.ours, min(net.seeds, OUR_SEEDS)) for name, net in NETS.items() if net.ours}


def teacher_jobs(epochs: int) -> dict[str, Job]:
    return {"teacher": Job(parse_spec(TEACHER), replace(SGD, epochs=epochs), seeds=1, needed=True)}


def counted() -> dict[tuple[str, str], float]:
    """Return what the slides state and no training is needed for, by (row, figure)."""
    return {(name, "parameters"): net.parameters for name, net in NETS.items()}


@dataclass(frozen=True)
class Lesson:
    """A teacher trained for some epochs, and the student that learned from it."""

    epochs: int
    teacher: Runs
    student: Runs


STEPS = (
    ("the loss, at the SNN's size", "SNN, labels", "SNN, KL"),
    ("the parameters (6,360,010 to about 263,710), from labels", "SNN, labels", "no bottleneck, labels"),
    ("the bottleneck at equal parameters, from labels", "no bottleneck, labels", "bottleneck, labels"),
    ("the bottleneck at equal parameters, by KL", "no bottleneck, KL", "bottleneck, KL"),
    ("the loss behind the bottleneck", "bottleneck, labels", "bottleneck, KL"),
)
"""What changes from the SNN to the mimic, with the networks of the ablation before and after."""


@dataclass(frozen=True)
class Step:
    """What one change from the SNN to the mimic does to the test accuracy, after two lengths of training.

    Attributes:
        data: The data set.
        name: What changes.
        seeds: Of the network before the change, and of the one after it.
        late: The middle seed after the change against the one before it, trained for `ABLATION_EPOCHS`.
        early: The same, trained for `HALF_EPOCHS`.
    """

    data: str
    name: str
    seeds: tuple[int, int]
    late: Paired
    early: Paired

    @property
    def stability(self) -> str:
        """Return "same" or "other", for the sign after both lengths, or "open" where a difference may be chance."""
        if not (self.early.is_significant and self.late.is_significant):
            return "open"
        return "same" if (self.early.difference > 0) == (self.late.difference > 0) else "other"

    def __str__(self) -> str:
        return f"{self.data}, {self.name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mimicked(Results):
    """The results of mimic.

    Attributes:
        theirs: By the document's recipe: its rows, and the student with 8,000 units by every loss.
        notebook: The rows of `NOTEBOOK_EPOCHS`.
        ablation: By data set, the networks of `ABLATION` after `ABLATION_EPOCHS`.
        half_ablation: The same after `HALF_EPOCHS`.
        course: Students of a teacher that is still training.
        logit_seconds: The time the document's teacher takes for the logits of one epoch.
    """

    theirs: Mapping[str, Runs]
    notebook: Mapping[str, Runs]
    ablation: Mapping[str, Mapping[str, Runs]]
    half_ablation: Mapping[str, Mapping[str, Runs]]
    course: tuple[Lesson, ...]
    logit_seconds: float

    @property
    def losses(self) -> dict[str, Runs]:
        """The student with 8,000 units, by what it learns from."""
        return {name: self.theirs[name] for name in LOSSES if name in self.theirs}

    def losses_of(self, start: str) -> dict[str, Runs]:
        """Return those whose name begins so: "KL", or "L2" for squared errors."""
        return {name: runs for name, runs in self.losses.items() if name.startswith(start)}

    @property
    def nearest_l2(self) -> str:
        """The squared error whose accuracy is nearest to the published one."""
        squares = self.losses_of("L2")
        return min(squares, key=lambda name: abs(squares[name].mean - PUBLISHED_L2))

    @property
    def ablation_epochs(self) -> tuple[int, int]:
        """The two lengths for which the ablation was trained; both are the same where the effort cuts them to one."""
        half, whole = (
            next((runs.job.recipe.epochs for each in found.values() for runs in each.values()), epochs)
            for found, epochs in ((self.half_ablation, HALF_EPOCHS), (self.ablation, ABLATION_EPOCHS))
        )
        return half, whole

    @property
    def steps(self) -> list[Step]:
        """The steps of `STEPS` that were trained, on each data set."""
        return [
            step(data, name, (runs[before], runs[after]), (half[before], half[after]))
            for data, runs in self.ablation.items()
            for name, before, after in STEPS
            if {before, after} <= runs.keys() & (half := self.half_ablation[data]).keys()
        ]

    def steps_that_are(self, stability: str) -> list[Step]:
        """Return the steps with this `Step.stability`."""
        return [each for each in self.steps if each.stability == stability]


def step(data: str, name: str, late: tuple[Runs, Runs], early: tuple[Runs, Runs]) -> Step:
    """Compare the networks (before, after) of a step, after the whole training and after half of it."""
    before, after = late
    return Step(
        data, name, (len(before.trials), len(after.trials)), compare(after, before), compare(early[1], early[0])
    )


def train(bench: Bench, data: Mapping[str, Dataset]) -> Mimicked:
    """Train the document's rows, its ablation and its course, and our recipes."""
    fashion, mnist = data["fashion-mnist"], data["mnist"]
    context = bench.context(fashion)
    theirs = bench.train(context, documents_jobs(with_teacher=False), "document: ", teacher_job(context))
    teacher = theirs["CNN (teacher)"]
    taught = bench.taught(context, teacher)
    theirs |= bench.train(taught, documents_jobs(with_teacher=True) | loss_jobs(), "document: ")
    notebook = bench.train(context, notebook_jobs(with_teacher=False), "notebook: ")
    notebook |= bench.train(taught, notebook_jobs(with_teacher=True), "notebook: ")
    _, our_taught = our_teacher(bench, context)
    ours = bench.train(our_taught, our_jobs(), "ours: ")
    contexts = {"fashion-mnist": taught, "mnist": taught_on_mnist(bench, bench.context(mnist))}
    return Mimicked(
        rows=rows("mimic", NETS, theirs, ours),
        on_all=on_all_images(bench, fashion),
        theirs=theirs,
        notebook=notebook,
        ablation=ablation(bench, contexts, ABLATION_EPOCHS),
        half_ablation=ablation(bench, contexts, HALF_EPOCHS),
        course=teacher_course(bench, context),
        logit_seconds=logit_seconds(bench, context, teacher),
    )


def ablation(bench: Bench, contexts: Mapping[str, TrainingContext], epochs: int) -> dict[str, dict[str, Runs]]:
    """Train the networks of the ablation on each data set."""
    return {
        data: bench.train(context, ablation_jobs(epochs), f"ablation, {data}, {epochs} epochs: ")
        for data, context in contexts.items()
    }


def on_all_images(bench: Bench, dataset: Dataset) -> dict[str, Runs]:
    """Train the two rows with 8,000 hidden units by our recipe, teacher and students on all 60,000 images."""
    if not bench.effort.is_whole:
        return {}
    context = bench.context(all_training_images(dataset))
    _, taught = our_teacher(bench, context, "all images: ")
    first, second = (name for name, net in NETS.items() if net.text == STUDENT)
    found = bench.train(taught, {first: Job(parse_spec(STUDENT), OURS, OUR_SEEDS)}, "ours, all images: ")
    return {name: runs for runs in found.values() for name in (first, second)}


def taught_on_mnist(bench: Bench, context: TrainingContext) -> TrainingContext:
    """Return MNIST with the logits of the document's CNN, trained there for as long as the ablation."""
    teacher = bench.train(context, teacher_jobs(ABLATION_EPOCHS), "ablation, mnist: ")["teacher"]
    return bench.taught(context, teacher)


def teacher_course(bench: Bench, context: TrainingContext) -> tuple[Lesson, ...]:
    """Train teachers for more and more epochs, and a student from each."""
    job = Job(parse_spec(STUDENT), replace(KL, epochs=COURSE_STUDENT_EPOCHS), seeds=2)
    course: dict[int, Lesson] = {}
    for epochs in COURSE_EPOCHS:
        prefix = f"course, teacher of {epochs} epochs: "
        teacher = bench.train(context, teacher_jobs(epochs), prefix)["teacher"]
        for student in bench.train(bench.taught(context, teacher), {"student": job}, prefix).values():
            trained = teacher.job.recipe.epochs
            course[trained] = Lesson(trained, teacher, student)
    return tuple(course.values())


def logit_seconds(bench: Bench, context: TrainingContext, teacher: Runs) -> float:
    """Return the seconds the teacher takes for the logits of one epoch on one thread; measured once and stored."""
    trial, outcome = teacher.best
    key = f"{trial.key} {context.dataset.digest} seconds for the training images"
    found = bench.study.store.get_measurement(key)
    if found is None:
        began = time.perf_counter()
        classify(context, trial.spec, outcome.weights, context.dataset.train)
        found = time.perf_counter() - began
        bench.study.store.put_measurement(key, found, unit="s")
    return found


def pictures(found: Mimicked) -> Iterator[Picture]:
    students = sorted((row for row in found.rows if "KL" in row.name), key=lambda row: row.parameters)
    lines = (
        theirs("students by KL, its recipe", students, 0, "-"),
        theirs("the student by L2, its recipe", [row for row in found.rows if "L2" in row.name], 4),
        theirs("nets without a teacher, its recipe", [row for row in found.rows if "mimic" not in row.name], 2),
        series("ours", ((row.parameters, row.ours) for row in students), 1),
    )
    yield Picture("size.png", "Accuracy against size on Fashion-MNIST", lines, found.marks)
    course = sorted(((100 * lesson.teacher.mean, lesson.student) for lesson in found.course), key=lambda pair: pair[0])
    if course:
        label, title = "test accuracy of the teacher, %", "The student while its teacher trains"
        yield Picture("course.png", title, (series("the student", course),), x_label=label, log=False)


def theirs(label: str, rows: Sequence[Row], colour: int, line: str = "") -> Series:
    """Return the rows' runs by the document's recipe as a series."""
    return series(label, ((row.parameters, row.theirs) for row in rows), colour, line=line)


DOCUMENT = Document("mimic", "shallow students of a CNN, on Fashion-MNIST", ("fashion-mnist", "mnist"), train, pictures)
