"""logit-regression: the teacher's two dense layers replaced by one hidden layer of h neurons that regresses its logits.

The document does not say whether the two convolutions were frozen, fine-tuned or trained anew, nor where its dropout of
0.2 stands, nor how many epochs it trained. Here: frozen in the main table (their outputs are computed once), all three
at some sizes; the dropout before the hidden layer, because after it a student of one neuron would output nothing for a
fifth of the steps; and the 12 epochs of Adadelta of the Keras example that its teacher is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise

import numpy as np

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.records import Recipe, Weights
from smidgen.search.frontier import Point, smallest_holding
from smidgen.spec import NetSpec, parse_spec
from smidgen.streams import initial_weights
from smidgen.studies.border import Border, border_of, ranges_of
from smidgen.studies.datasets import features_of
from smidgen.studies.document import SHAPE, Document, Results, Row
from smidgen.studies.pictures import Picture, series
from smidgen.studies.published import optional, published
from smidgen.studies.statistics import Paired, compare
from smidgen.studies.teachers import teacher as our_teacher
from smidgen.studies.teachers import teacher_job
from smidgen.studies.trainings import Bench, Job, Runs, best_on_selection

CONVS = "conv 32x3x3 relu, conv 64x3x3 relu, maxpool 2"
TEACHER = f"{CONVS}, dropout 0.25, dense 128 relu, dropout 0.5, dense 10"
LARGEST = "teacher, h = 128"
HIDDEN = (64, 32, 16, 8, 6, 4, 3, 2, 1)
SHOWN = 6
"""The one h with a published accuracy; other kinds of students are compared at it."""
stated = partial(optional, "logit-regression")
DROPOUT = 0.2

ADADELTA = Recipe(optimizer="adadelta", learning_rate=1.0, schedule="constant", epochs=12, batch_size=128)
REGRESSION = replace(ADADELTA, loss="logits")
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)

OURS = Recipe(learning_rate=0.003, epochs=3)
LOSSES = {
    "labels": replace(OURS, loss="labels"),
    "logits (MSE)": replace(OURS, loss="logits"),
    **{f"KL, T = {t}": replace(OURS, loss="kl", temperature=t) for t in (1, 2, 4, 8, 20)},
}
OURS_WHOLE = Recipe("kl", 2.0, learning_rate=0.004, epochs=3)

FLOORS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99)
FLOOR = published("logit-regression", "s(f)", "floor")
KINDS = ("frozen", "fine-tuned", "anew")
COMPARED_RECIPE = replace(REGRESSION, epochs=2)
"""Training the convolutions takes twenty times as long as freezing them, so all three kinds have fewer epochs."""


def student(hidden: int, dropout: float = DROPOUT) -> NetSpec:
    """Return the whole student: the teacher's convolutions and a head of its own."""
    return parse_spec(f"{CONVS}, {head(hidden, dropout)}")


def head(hidden: int, dropout: float = DROPOUT) -> NetSpec:
    """Return the student's layers on top of the convolutions."""
    before = f"dropout {dropout}, " if dropout else ""
    return parse_spec(f"{before}dense {hidden} relu, dense 10")


def size(hidden: int) -> int:
    """Return the student's number of parameters."""
    return student(hidden).parameters(SHAPE)


def key(what: str, hidden: int) -> str:
    """Return the name of a job for one h."""
    return f"{what}, h = {hidden}"


def few(hidden: int) -> int:
    """Return the seeds where no figure was published: two of the small students, which vary more."""
    return 2 if hidden <= 8 else 1


def teacher_of_the_document() -> Job:
    """Return the job of the document's teacher; of its seeds the best on the selection half teaches the students."""
    return Job(parse_spec(TEACHER), ADADELTA, seeds=10, needed=True)


def student_jobs() -> dict[str, Job]:
    """Return the document's students: frozen convolutions, every h."""
    return {f"h = {h}": Job(head(h), REGRESSION, seeds=10 if h == SHOWN else few(h)) for h in HIDDEN}


def frozen_jobs() -> dict[str, Job]:
    """Return every student of the document's teacher on frozen convolutions."""
    dropouts = {f"dropout {rate:g}": Job(head(SHOWN, rate), REGRESSION, seeds=2) for rate in DROPOUTS}
    return student_jobs() | dropouts | {key("frozen", SHOWN): Job(head(SHOWN), COMPARED_RECIPE, seeds=1)}


def loss_jobs() -> dict[str, Job]:
    """Return every loss at every h, by our recipe without dropout."""
    return {key(loss, h): Job(head(h, 0.0), recipe, few(h)) for loss, recipe in LOSSES.items() for h in HIDDEN}


def compared_jobs(teacher_weights: Weights) -> dict[str, Job]:
    """Return the whole student trained from the teacher's convolutions (fine-tuned) and from fresh weights (anew)."""
    anew = Job(student(SHOWN), COMPARED_RECIPE, seeds=1)
    tuned = replace(anew, start=partial(with_convolutions, anew.spec, teacher_weights))
    return {key("fine-tuned", SHOWN): tuned, key("anew", SHOWN): anew}


def whole_jobs(teacher_weights: Weights) -> dict[str, Job]:
    """Return our fine-tuned student where a figure was published."""
    spec = student(SHOWN, dropout=0.0)
    return {f"h = {SHOWN}": Job(spec, OURS_WHOLE, 2, partial(with_convolutions, spec, teacher_weights))}


def with_convolutions(spec: NetSpec, teacher_weights: Weights, seed: int) -> Start:
    """Return a start with the teacher's convolutions below a fresh head."""
    weights = initial_weights(spec, SHAPE, seed)
    count = parse_spec(CONVS).parameters(SHAPE)
    weights[:count] = teacher_weights[:count]
    return Start(weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class Regressed(Results):
    """The results of logit-regression.

    Attributes:
        dropouts: Students of the document's teacher on its frozen convolutions, by dropout rate.
        kinds: The student of h = `SHOWN` by `KINDS`.
        losses: Our recipe by (loss, h).
        border: What the teacher's constant features would save; None where its student was left out.
    """

    our_teacher: Runs
    dropouts: Mapping[str, Runs]
    kinds: Mapping[str, Runs]
    losses: Mapping[tuple[str, int], Runs]
    border: Border | None

    def smallest(self, recipe: str, floor: float) -> Point | None:
        """Return the smallest size by "theirs" or "ours" whose middle seed's validation rate is at least `floor`."""
        pairs: list[tuple[Row, Runs | None]] = [(row, getattr(row, recipe)) for row in self.rows]
        points = [Point(row.parameters, runs.validation[runs.middle], row.name) for row, runs in pairs if runs]
        return smallest_holding(points, floor)

    @property
    def widest_step(self) -> tuple[float, float, Point] | None:
        """The lowest and the highest of most `FLOORS` that one size is the smallest to hold, by the document's recipe.

        None where no size is the smallest for two floors.
        """
        found = [(floor, size) for floor in FLOORS if (size := self.smallest("theirs", floor))]
        steps = [[*group] for _, group in groupby(found, key=lambda pair: pair[1].parameters)]
        widest = max(steps, key=len, default=[])
        return (widest[0][0], widest[-1][0], widest[0][1]) if len(widest) > 1 else None

    @property
    def students(self) -> list[tuple[Row, Runs]]:
        """The rows with a student by the document's recipe, the largest first, without the teacher."""
        return [(row, row.theirs) for row in self.rows[1:] if row.theirs]

    @property
    def neighbours(self) -> list[tuple[Row, Row, Paired]]:
        """Two rows that follow each other in size, the larger first, compared on the test images."""
        pairs = pairwise(self.students)
        return [(large, small, compare(first, second)) for (large, first), (small, second) in pairs]


def train(bench: Bench, data: Mapping[str, Dataset]) -> Regressed:
    """Train the document's teacher and students, and ours from a better teacher."""
    context = bench.context(data["mnist"])
    job = teacher_of_the_document()
    teacher = bench.train(context, {"teacher": job}, "document: ", teacher_job(context))["teacher"]
    taught = bench.taught(context, teacher)
    ours, our_taught = our_teacher(bench, context)
    # The outputs of the frozen layers are computed only if something on top of them must be trained.
    trial, outcome = teacher.best
    features = features_of(context, parse_spec(CONVS), outcome.weights, trial.key, bench.study.workers)
    ranges = bench.array(f"{features.digest} ranges", lambda: ranges_of(features))
    frozen = bench.train(replace(taught, dataset=features), frozen_jobs(), "document, frozen: ")
    by_name = bench.train(replace(our_taught, dataset=features), loss_jobs(), "ours, frozen: ")
    kinds = frozen | bench.train(taught, compared_jobs(outcome.weights), "document: ")
    whole = bench.train(our_taught, whole_jobs(outcome.weights), "ours, fine-tuned: ")
    losses = {(loss, h): by_name[key(loss, h)] for loss in LOSSES for h in HIDDEN if key(loss, h) in by_name}
    best = {f"h = {h}": losses[loss, h] for h, loss in best_losses(losses).items()}
    best |= {h: runs for h, runs in whole.items() if h not in best or runs.selection > best[h].selection}
    student = frozen.get(f"h = {SHOWN}")
    return Regressed(
        rows=table_rows(teacher, frozen, best),
        our_teacher=ours,
        dropouts={f"{rate:g}": frozen[name] for rate in DROPOUTS if (name := f"dropout {rate:g}") in frozen},
        kinds={kind: kinds[key(kind, SHOWN)] for kind in KINDS if key(kind, SHOWN) in kinds},
        losses=losses,
        border=border_of(bench, context, teacher, parse_spec(CONVS), ranges, student) if student else None,
    )


def best_losses(losses: Mapping[tuple[str, int], Runs]) -> dict[int, str]:
    """Return the loss with the best mean on the selection half at each h that was trained."""
    by_size = {h: {loss: losses[loss, h] for loss in LOSSES if (loss, h) in losses} for h in HIDDEN}
    return {h: best_on_selection(runs) for h, runs in by_size.items() if runs}


def table_rows(teacher: Runs, frozen: Mapping[str, Runs], best: Mapping[str, Runs]) -> tuple[Row, ...]:
    parameters = parse_spec(TEACHER).parameters(SHAPE)
    sizes = {LARGEST: parameters} | {f"h = {h}": size(h) for h in HIDDEN}
    theirs = {LARGEST: teacher, **frozen}
    return tuple(
        Row(name, count, stated(name, "test accuracy"), theirs.get(name), best.get(name))
        for name, count in sizes.items()
    )


def counted() -> dict[tuple[str, str], float]:
    """Return what the document states and no training is needed for, by (row, figure)."""
    plans = [plan for plan in parse_spec(TEACHER).plan(SHAPE) if plan.parameters]
    first, second, third, fourth = (plan.parameters for plan in plans)
    whole = first + second + third + fourth
    found: dict[tuple[str, str], float] = {(f"h = {h}", "parameters"): size(h) for h in HIDDEN}
    found[f"h = {SHOWN}", "times smaller"] = whole / size(SHOWN)
    of_teacher = {
        "parameters": whole,
        "parameters of the first convolution": first,
        "parameters of the second convolution": second,
        "parameters of the first dense layer": third,
        "parameters of the second dense layer": fourth,
        "flattened features": int(np.prod(parse_spec(CONVS).output_shape(SHAPE))),
        "parameters of both convolutions": first + second,
        "share of both convolutions": (first + second) / whole,
        "weights read in a forward pass": 4 * whole / 2**20,
    }
    return found | {(LARGEST, name): float(value) for name, value in of_teacher.items()}


def pictures(found: Regressed) -> Iterator[Picture]:
    title = "Accuracy against size, as hidden neurons go"
    yield Picture("size.png", title, found.by_recipe("the document's recipe"), found.marks)
    by_loss = (
        series(loss, ((h, found.losses.get((loss, h))) for h in HIDDEN), colour) for colour, loss in enumerate(LOSSES)
    )
    title = "What the students learn from, by hidden neurons"
    yield Picture("losses.png", title, tuple(by_loss), x_label="hidden neurons")


DOCUMENT = Document(
    "logit-regression", "one hidden layer of h neurons for two dense layers, on MNIST", ("mnist",), train, pictures
)
