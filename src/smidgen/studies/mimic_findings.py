"""What mimic's numbers say: its tables beside the main one, and the slides' claims and questions answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.spec import Shape
from smidgen.studies.statistics import fit, paired
from smidgen.studies.table import NOTHING, Finding, Row, Table, beaten, met
from smidgen.studies.trainings import Runs
from smidgen.trials.evaluate import TrainingContext

Course = Sequence[tuple[int, Runs, Runs]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured.

    rows: of the main table; theirs: every run by the document's recipe; losses: of the mimic with 8,000 units
    ablation: by data set; course: (the teacher's epochs, the teacher, its student)
    teacher: ours; logit_seconds: for the document's teacher to give its logits for one epoch
    labels: of the test images, by data set; minutes: published times by row
    """

    rows: list[Row]
    theirs: Mapping[str, Runs]
    losses: Mapping[str, Runs]
    ablation: Mapping[str, Mapping[str, Runs]]
    course: Course
    teacher: Runs
    logit_seconds: float
    context: TrainingContext = field(repr=False)
    labels: Mapping[str, npt.NDArray[np.int32]] = field(repr=False)
    minutes: Mapping[str, float | None]


# --- tables ------------------------------------------------------------------------------------------


def loss_table(measured: Measured) -> Table:
    """The same student by each loss."""
    rows = tuple((name, str(runs), f"{runs.seconds:.1f} s") for name, runs in measured.losses.items())
    return Table("SNN-mimic-8k by what it learns from, the document's recipe", ("loss", ">test %", ">time"), rows)


def ablation_table(measured: Measured) -> Table:
    """Bottleneck, size, loss and data set."""
    names = [name for name in measured.ablation["fashion-mnist"] if name != "teacher"]
    rows = []
    for name in names:
        runs = measured.ablation["fashion-mnist"][name]
        mnist = measured.ablation["mnist"].get(name)
        parameters = f"{runs.outcomes[0].parameters:,}"
        rows.append((name, parameters, str(runs), str(mnist or "")))
    heads = ("", ">parameters", ">Fashion-MNIST", ">MNIST")
    return Table("Ablation: bottleneck, size, loss and data set; test accuracy in %", heads, tuple(rows))


def course_table(course: Course) -> Table:
    rows = tuple((f"{epochs}", str(teacher), str(student)) for epochs, teacher, student in course)
    return Table(
        "While the teacher trains: test accuracy in %", (">teacher's epochs", ">teacher", ">student (KL)"), rows
    )


def published_cost_table(measured: Measured, shape: Shape) -> Table:
    """Published minutes, our seconds for the same recipe, and multiply-accumulates of the training."""
    rows = []
    for row in measured.rows:
        if row.theirs:
            minutes = measured.minutes[row.name]
            published = f"{60 * minutes:,.0f} s" if minutes else ""
            tera = training_macs(row.theirs, measured.context, shape) / 1e12
            rows.append((row.name, published, f"{row.theirs.seconds:.1f} s", f"{tera:.2f}"))
    heads = ("", ">published", ">measured", ">10^12 multiply-adds")
    return Table("Cost of one training by the document's recipe", heads, tuple(rows))


def training_macs(runs: Runs, context: TrainingContext, shape: Shape) -> float:
    """Forward once and backward twice, for every image of every epoch."""
    images = len(context.dataset.train) * runs.job.recipe.epochs
    return 3.0 * images * runs.job.spec.macs(shape)


# --- findings ------------------------------------------------------------------------------------------


def findings(measured: Measured) -> list[Finding]:
    runs = measured.theirs
    return [
        met(measured.rows),
        beaten(measured.rows),
        Finding("Which L2 was it?", loss_answer(measured), True),
        Finding("Does KL beat L2?", kl_answer(measured)),
        Finding("Does the CNN beat the DNN?", versus(measured, "CNN (teacher)", ("DNN 3 x 2000", "DNN 3 x 64"))),
        Finding("Why does the SNN beat the mimic?", why_answer(measured)),
        Finding("Does the bottleneck make training faster?", speed_answer(measured)),
        Finding("How do SNN and SNN-mimic come to the same number of parameters in the paper?", count_answer(measured)),
        Finding("How many hidden units?", hidden_answer(runs)),
        Finding("Does a better teacher make a better student?", course_answer(measured.course)),
        Finding("What does it cost to run the teacher for every batch?", cache_answer(measured)),
    ]


def difference(first: Runs, second: Runs, labels: npt.NDArray[np.int32]) -> str:
    """Of the middle seeds of two runs, on the same test images."""
    return str(paired(first.answers[first.middle], second.answers[second.middle], labels))


def versus(measured: Measured, name: str, others: Sequence[str]) -> str:
    first = measured.theirs.get(name)
    known = [(other, measured.theirs[other]) for other in others if other in measured.theirs]
    if first is None or not known:
        return NOTHING
    return " ".join(
        f"{name} against {other}: {difference(first, runs, measured.labels['fashion-mnist'])}." for other, runs in known
    )


def loss_answer(measured: Measured) -> str:
    published = next((row.published for row in measured.rows if row.name == "SNN-mimic-8k L2"), None)
    ways = {name: runs for name, runs in measured.losses.items() if name.startswith("L2")}
    if not ways or published is None:
        return NOTHING
    nearest = min(ways, key=lambda name: abs(ways[name].mean - published))
    values = ", ".join(f"{name} {runs.text}" for name, runs in ways.items())
    return f"Published {100 * published:.2f} %. Measured: {values}. The nearest is {nearest}."


def kl_answer(measured: Measured) -> str:
    squares = {name: runs for name, runs in measured.losses.items() if name.startswith("L2")}
    softer = {name: runs for name, runs in measured.losses.items() if name.startswith("KL")}
    if not squares or not softer:
        return NOTHING
    kl = max(softer, key=lambda name: softer[name].selection)
    answers = [
        f"against {name}: {difference(softer[kl], runs, measured.labels['fashion-mnist'])}"
        for name, runs in squares.items()
    ]
    return f"By the document's recipe the best temperature on the selection half is {kl}; {'; '.join(answers)}."


def why_answer(measured: Measured) -> str:
    """One step at a time from the SNN to the mimic."""
    steps = (
        ("the loss, at the SNN's size", "SNN, labels", "SNN, KL"),
        ("the parameters (6,360,010 to about 263,710), from labels", "SNN, labels", "no bottleneck, labels"),
        ("the bottleneck at equal parameters, from labels", "no bottleneck, labels", "bottleneck, labels"),
        ("the bottleneck at equal parameters, by KL", "no bottleneck, KL", "bottleneck, KL"),
        ("the loss behind the bottleneck", "bottleneck, labels", "bottleneck, KL"),
    )
    answers = []
    for data, runs in measured.ablation.items():
        for name, before, after in steps:
            if before in runs and after in runs:
                answers.append(f"{data}, {name}: {difference(runs[after], runs[before], measured.labels[data])}")
    return f"One step at a time. {'; '.join(answers)}." if answers else NOTHING


def speed_answer(measured: Measured) -> str:
    wide = measured.ablation["fashion-mnist"].get("SNN, KL")
    narrow = measured.ablation["fashion-mnist"].get("bottleneck, KL")
    if wide is None or narrow is None:
        return NOTHING
    shape = measured.context.dataset.input_shape
    macs = wide.job.spec.macs(shape) / narrow.job.spec.macs(shape)
    return (
        f"With the same 8,000 hidden units and the same number of epochs: {macs:.1f}x fewer multiply-adds, "
        f"{wide.seconds / narrow.seconds:.1f}x less time ({narrow.seconds:.1f} s for {wide.seconds:.1f} s). At equal "
        "parameters it saves next to nothing: multiply-adds of dense layers are their weights."
    )


def count_answer(measured: Measured) -> str:
    """784 k + k + k h + h + 10 h + 10 parameters for a bottleneck of k units."""
    counts = {row.name: row.parameters for row in measured.rows}
    wanted, inputs, units = counts["SNN"], 784, 20
    hidden = (wanted - 10 - units * (inputs + 1)) / (units + 11)
    return (
        f"By more hidden units. With 8,000 each they have {wanted:,} and {counts['SNN-mimic-8k KL']:,} parameters; "
        f"behind a bottleneck of {units} it takes {hidden:,.0f} hidden units to have as many as the SNN."
    )


def hidden_answer(runs: Mapping[str, Runs]) -> str:
    names = ("mimic-400 KL", "SNN-mimic-8k KL", "mimic-20k KL")
    known = [
        f"{name} ({runs[name].outcomes[0].parameters:,} parameters) {runs[name].text}" for name in names if name in runs
    ]
    return f"By the document's recipe: {', '.join(known)}." if known else NOTHING


def course_answer(course: Course) -> str:
    if len(course) < 2:
        return NOTHING
    teachers, students = [t.mean for _, t, _ in course], [s.mean for _, _, s in course]
    line = fit(teachers, students)
    over = [f"{epochs}" for epochs, t, s in course if s.mean > t.mean]
    above = f" The student is above its teacher after {', '.join(over)} teacher's epochs." if over else ""
    return (
        f"From a teacher of {100 * teachers[0]:.2f} % the student has {100 * students[0]:.2f} %, from one of "
        f"{100 * teachers[-1]:.2f} % {100 * students[-1]:.2f} %: {line.slope:.2f} points a teacher's point, R² = "
        f"{line.r_squared:.2f} over {len(course)} teachers.{above}"
    )


def cache_answer(measured: Measured) -> str:
    mimic = measured.theirs.get("SNN-mimic-8k KL")
    if mimic is None:
        return NOTHING
    shape, epochs = measured.context.dataset.input_shape, mimic.job.recipe.epochs
    teacher = measured.theirs["CNN (teacher)"].job.spec.macs(shape)
    again = epochs * measured.logit_seconds
    return (
        f"The teacher's logits for all training images take {measured.logit_seconds:.2f} s on one thread. Once: that; "
        f"for each of {epochs} epochs: {again:.1f} s beside {mimic.seconds:.1f} s of training, "
        f"{100 * again / mimic.seconds:.0f} % more. In multiply-adds an image: {teacher:,} for the teacher forward and "
        f"{3 * mimic.job.spec.macs(shape):,} for a step of the student."
    )
