"""logit-regression: the teacher's two dense layers replaced by one hidden layer of h neurons that regresses its logits.

The document does not say whether the two convolutions were frozen, fine-tuned or trained anew, nor where its dropout of
0.2 stands, nor for how long it trained. Here: frozen in the main table (their features are computed once), all three at
some sizes; the dropout before the hidden layer, for after it a student of one neuron would be silent for a fifth of the
time; and the 12 epochs of Adadelta of the Keras example that its teacher is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.records import Recipe, Weights
from smidgen.spec import NetSpec, parse_spec
from smidgen.streams import initial_weights
from smidgen.studies.border import border_of, ranges_key, ranges_of
from smidgen.studies.features import features_of
from smidgen.studies.logit_findings import Measured, findings, floor_table, loss_table, way_table
from smidgen.studies.pictures import Mark, Series, curves
from smidgen.studies.table import Document, Picture, Report, Row, accuracy_table, cost_table, seeds_table
from smidgen.studies.teachers import teacher as our_teacher
from smidgen.studies.teachers import teacher_job
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

SHAPE = (1, 28, 28)
CONVS = "conv 32x3x3 relu, conv 64x3x3 relu, maxpool 2"
TEACHER = f"{CONVS}, dropout 0.25, dense 128 relu, dropout 0.5, dense 10"
TEACHER_PUBLISHED = 0.99
HIDDEN = (64, 32, 16, 8, 6, 4, 3, 2, 1)
PUBLISHED = {6: 0.9626}
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

WAY_HIDDEN = (6,)
WAY_RECIPE = replace(REGRESSION, epochs=2)
"""The two ways that train the convolutions cost twenty times the frozen one: fewer epochs, for all three alike."""


def student(hidden: int, dropout: float = DROPOUT) -> NetSpec:
    """The whole student: the teacher's convolutions and its own head."""
    return parse_spec(f"{CONVS}, {head(hidden, dropout)}")


def head(hidden: int, dropout: float = DROPOUT) -> NetSpec:
    """What stands on the frozen layers."""
    before = f"dropout {dropout}, " if dropout else ""
    return parse_spec(f"{before}dense {hidden} relu, dense 10")


def size(hidden: int) -> int:
    return student(hidden).parameters(SHAPE)


def title(hidden: int) -> str:
    return f"h = {hidden}"


def student_jobs() -> dict[str, Job]:
    """The document's: frozen layers, every h."""
    return {title(h): Job(head(h), REGRESSION, seeds=10 if h in PUBLISHED else few(h)) for h in HIDDEN}


def few(hidden: int) -> int:
    """Seeds where no figure was published: two of the small ones, which scatter more."""
    return 2 if hidden <= 8 else 1


def frozen_jobs() -> dict[str, Job]:
    """All that the document's teacher teaches on frozen layers."""
    brief = {f"frozen, {title(h)}": Job(head(h), WAY_RECIPE, seeds=1) for h in WAY_HIDDEN}
    return {**student_jobs(), **dropout_jobs(), **brief}


def dropout_jobs() -> dict[str, Job]:
    return {f"dropout {rate:g}": Job(head(6, rate), REGRESSION, seeds=2) for rate in DROPOUTS}


def loss_jobs() -> dict[str, Job]:
    """Every loss at every h, by our recipe without dropout."""
    return {f"{loss}, {title(h)}": Job(head(h, 0.0), recipe, few(h)) for loss, recipe in LOSSES.items() for h in HIDDEN}


def way_jobs(teacher_weights: Weights) -> dict[str, Job]:
    """The whole student trained on from the teacher's convolutions, and anew."""
    jobs = {}
    for h in WAY_HIDDEN:
        start = partial(with_convolutions, student(h), teacher_weights)
        jobs[f"fine-tuned, {title(h)}"] = Job(student(h), WAY_RECIPE, seeds=1, start=start)
        jobs[f"anew, {title(h)}"] = Job(student(h), WAY_RECIPE, seeds=1)
    return jobs


def whole_jobs(teacher_weights: Weights) -> dict[str, Job]:
    """Ours where a figure was published: the whole student trained on from those convolutions, by our teacher."""
    starts = {h: partial(with_convolutions, student(h, 0.0), teacher_weights) for h in PUBLISHED}
    return {title(h): Job(student(h, 0.0), OURS_WHOLE, seeds=2, start=start) for h, start in starts.items()}


def with_convolutions(spec: NetSpec, teacher_weights: Weights, seed: int) -> Start:
    """The teacher's convolutions under a fresh head."""
    weights = initial_weights(spec, SHAPE, seed)
    count = parse_spec(CONVS).parameters(SHAPE)
    weights[:count] = teacher_weights[:count]
    return Start(weights)


# --- the whole of it -------------------------------------------------------------------------------


def reproduce(bench: Bench, data: Mapping[str, Dataset]) -> Report:
    """Train everything and say what it shows."""
    context = TrainingContext(data["mnist"], bench.engine)
    job = {"teacher": Job(parse_spec(TEACHER), ADADELTA, seeds=1, needed=True)}
    (teacher,) = bench.train(context, job, "logit-regression: the teacher", "document: ", teacher_job(context)).values()
    taught = bench.taught(context, teacher)
    ours, our_taught = our_teacher(bench, context, "logit-regression: our teacher")
    frozen, losses = on_features(
        bench,
        teacher,
        [(taught, frozen_jobs(), "document, frozen: "), (our_taught, loss_jobs(), "ours, frozen: ")],
    )
    weights = teacher.outcomes[teacher.best].weights
    ways = bench.train(taught, way_jobs(weights), "logit-regression: fine-tuned and anew", "document: ")
    chosen = {h: best_loss(losses, h) for h in HIDDEN}
    best = {title(h): losses[f"{loss}, {title(h)}"] for h, loss in chosen.items() if loss}
    whole = bench.train(our_taught, whole_jobs(weights), "logit-regression: our recipe, whole", "ours, fine-tuned: ")
    best |= {h: runs for h, runs in whole.items() if h not in best or runs.selection > best[h].selection}
    rows = table_rows(teacher, frozen, best)
    border = border_of(bench, context, teacher, frozen.get(title(6)), CONVS)
    measured = Measured(rows, frozen, ways, losses, chosen, border, context)
    return Report(
        name="logit-regression",
        title=DOCUMENT.title,
        notes=(*NOTES, f"Our teacher: {ours.outcomes[0].parameters:,} parameters, {ours.text} of the test images."),
        rows=tuple(rows),
        tables=(
            accuracy_table(rows, "Test accuracy in %, mean ± standard deviation (seeds)"),
            seeds_table(rows),
            floor_table(rows),
            loss_table(losses, HIDDEN, tuple(LOSSES)),
            way_table(measured, WAY_HIDDEN),
            cost_table(rows),
        ),
        findings=tuple(findings(measured)),
        pictures=tuple(pictures(frozen, losses, rows)),
        runs=dict(bench.runs),
    )


NOTES = (
    "The teacher is Keras's MNIST example, 12 epochs of Adadelta. Students: its convolutions frozen, dropout 0.2 "
    "before the hidden layer, squared error on the logits, Adadelta, 12 epochs; the document says neither place "
    "nor epochs.",
    "50,000 images train; the document trained on 60,000 and judged on the test images.",
    "Ours: the same convolutions, what a better teacher of our own says of the images, one-cycle Adam, the loss that "
    "is best on the selection half; at h = 6 also fine-tuned as a whole, if the selection half prefers that.",
    f"Fine-tuned, anew and frozen are compared after {WAY_RECIPE.epochs} epochs each.",
)


def on_features(
    bench: Bench, teacher: Runs, groups: Sequence[tuple[TrainingContext, Mapping[str, Job], str]]
) -> list[dict[str, Runs]]:
    """Heads trained on the outputs of the teacher's frozen layers, computed only if something must be trained.

    groups: context on the images with the logits that are learned from, the jobs, and the prefix of their names
    """
    trial, weights = teacher.trials[teacher.best], teacher.outcomes[teacher.best].weights
    features = features_of(groups[0][0], parse_spec(CONVS), weights, trial.key, bench.study.workers)
    key = ranges_key(features.digest)
    if bench.study.store.get_array(key) is None:
        bench.study.store.put_array(key, ranges_of(features))
    stage = "logit-regression: heads on frozen layers"
    return [bench.train(replace(taught, dataset=features), jobs, stage, prefix) for taught, jobs, prefix in groups]


def best_loss(losses: Mapping[str, Runs], hidden: int) -> str:
    """The loss with the best mean on the selection half at this h; "" where nothing was trained."""
    found = {loss: losses[key] for loss in LOSSES if (key := f"{loss}, {title(hidden)}") in losses}
    return max(found, key=lambda loss: found[loss].selection, default="")


def table_rows(teacher: Runs, frozen: Mapping[str, Runs], best: Mapping[str, Runs]) -> list[Row]:
    parameters = parse_spec(TEACHER).parameters(SHAPE)
    rows = [Row("teacher, h = 128", parameters, TEACHER_PUBLISHED, teacher, None)]
    for h in HIDDEN:
        rows.append(Row(title(h), size(h), PUBLISHED.get(h), frozen.get(title(h)), best.get(title(h))))
    return rows


# --- pictures --------------------------------------------------------------------------------------


def pictures(frozen: Mapping[str, Runs], losses: Mapping[str, Runs], rows: list[Row]) -> list[Picture]:
    ours = tuple((float(row.parameters), row.ours.rates) for row in rows if row.ours)
    theirs = tuple((float(row.parameters), row.theirs.rates) for row in rows if row.theirs)
    main = [Series("the document's recipe", theirs), Series("ours", ours, colour=1)]
    marks = [Mark(row.name, row.parameters, row.published) for row in rows if row.published]
    by_loss = [
        Series(loss, tuple((float(h), losses[k].rates) for h in HIDDEN if (k := f"{loss}, {title(h)}") in losses),
               colour=place)
        for place, loss in enumerate(LOSSES)
    ]  # fmt: skip
    first, second = "Accuracy against size, as hidden neurons go", "What the students learn from, by hidden neurons"
    frame = partial(curves, y_label="test accuracy, %", lowest=0.8)
    return [
        Picture("size.png", first, lambda path: frame(first, main, marks, path, x_label="parameters")),
        Picture("losses.png", second, lambda path: frame(second, by_loss, [], path, x_label="hidden neurons")),
    ]


DOCUMENT = Document(
    "logit-regression", "logit-regression: one hidden layer of h neurons for two dense layers, on MNIST", ("mnist",),
    reproduce,
)  # fmt: skip
