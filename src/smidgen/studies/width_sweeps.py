"""width-sweeps: four families swept over a width on MNIST, and where the curve of accuracy against size turns.

The document's layers have no dropout: with the two of Keras's example, cnn1 at width 2 comes nowhere near what was
published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.search.frontier import TurningPoint, turning_point
from smidgen.spec import Dropout, NetSpec
from smidgen.spec.families import family
from smidgen.studies.authors import all_training_images
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
    cost_table,
    met,
    percent,
    seeds_table,
)
from smidgen.studies.teachers import teacher, teacher_job
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.trials.evaluate import TrainingContext

SHAPE = (1, 28, 28)
RMSPROP = Recipe(optimizer="rmsprop", learning_rate=0.001, schedule="constant", epochs=20, batch_size=128)
ADADELTA = Recipe(optimizer="adadelta", learning_rate=1.0, schedule="constant", epochs=12, batch_size=128)

# family -> (widths, recipe, the author's turning point as a width, its published accuracy)
FAMILIES: dict[str, tuple[tuple[int, ...], Recipe, int, float]] = {
    "mlp1": ((512, 256, 128, 64, 32, 16), RMSPROP, 32, 0.9711),
    "mlp2": ((512, 256, 128, 64, 32, 16), RMSPROP, 64, 0.9704),
    "cnn1": ((32, 16, 8, 4, 2, 1), ADADELTA, 2, 0.9748),
    "cnn2": ((32, 16, 8, 4, 2, 1), ADADELTA, 2, 0.97),
}
TARGET = 0.97
IMAGES = 50_000
OUR_MACS, LEAST_EPOCHS, MOST_EPOCHS = 0.25e12, 2, 30
"""What a training of ours may take, in multiply-accumulates, and the bounds of its epochs."""
TINY, TINY_EPOCHS = 1_000, 100
"""Networks of fewer parameters cost little and gain from every epoch."""
HARD = 500
"""Networks of fewer parameters learn best from the teacher's probabilities as they are."""
CHEAP_MACS = 150_000
SEEDS = {"document": (10, 3, 1), "ours": (2, 1, 1), "distilled": (3, 2, 1)}
"""Where a figure was published, of other cheap networks, of the rest."""
LAYERS_SHOWN = (("mlp1", 32), ("cnn1", 2))

Key = tuple[str, int]


def net(name: str, width: int) -> NetSpec:
    """A family's network as the document has it, for ten classes."""
    return NetSpec(tuple(layer for layer in family(name, width).layers if not isinstance(layer, Dropout)))


def size(name: str, width: int) -> int:
    """Its parameters on MNIST."""
    return net(name, width).parameters(SHAPE)


def ours(name: str, width: int) -> Recipe:
    """One-cycle Adam, whose peak falls as networks grow, for as many epochs as `OUR_MACS` pays for."""
    parameters = size(name, width)
    if parameters < TINY:
        return Recipe(learning_rate=0.03, epochs=TINY_EPOCHS)
    rate = 0.01 if parameters < 10_000 else 0.005 if parameters < 100_000 else 0.002
    epochs = round(OUR_MACS / (3 * IMAGES * net(name, width).macs(SHAPE)))
    return Recipe(learning_rate=rate, epochs=min(MOST_EPOCHS, max(LEAST_EPOCHS, epochs)))


def distilled(name: str, width: int) -> Recipe:
    """The same from our teacher's probabilities, as they are for the smallest, softer for what has room for more."""
    return replace(ours(name, width), loss="kl", temperature=1.0 if size(name, width) < HARD else 2.0)


def networks() -> list[Key]:
    """Every network of the document, family by family, the widest first."""
    return [(name, width) for name, (widths, *_) in FAMILIES.items() for width in widths]


def jobs(recipe: str) -> dict[str, Job]:
    """All networks by "document", "ours" (labels) or "distilled"; more seeds where a figure was published."""
    made = {}
    for name, width in networks():
        _, documents, published_width, _ = FAMILIES[name]
        how = {"document": documents, "ours": ours(name, width), "distilled": distilled(name, width)}[recipe]
        seeds = SEEDS[recipe][0 if width == published_width else 1 if cheap(name, width) else 2]
        made[title(name, width)] = Job(net(name, width), how, seeds=seeds)
    return made


def cheap(name: str, width: int) -> bool:
    """Whether several seeds of it cost little."""
    return net(name, width).macs(SHAPE) < CHEAP_MACS


def title(name: str, width: int) -> str:
    return f"{name}, n = {width}"


def reproduce(bench: Bench, data: Mapping[str, Dataset]) -> Report:
    """Train everything and say what it shows."""
    context = TrainingContext(data["mnist"], bench.engine)
    theirs = bench.train(
        context, jobs("document"), "width-sweeps: the document's recipes", "document: ", teacher_job(context)
    )
    _, taught = teacher(bench, context, "width-sweeps: our teacher")
    plain = bench.train(context, jobs("ours"), "width-sweeps: our recipe", "ours, labels: ")
    soft = bench.train(taught, jobs("distilled"), "width-sweeps: our recipe, distilled", "ours, distilled: ")
    everything = TrainingContext(all_training_images(data["mnist"]), bench.engine)
    named = {title(name, FAMILIES[name][2]) for name in FAMILIES if bench.effort.whole}
    published = {name: job for name, job in jobs("document").items() if name in named}
    on_all = bench.train(everything, published, "width-sweeps: on all 60,000 images", "document, all images: ")
    rows = table_rows(theirs, soft)
    all_rows = [row for row in table_rows(on_all, {}) if row.published is not None]
    turns = {name: (turning(name, theirs), turning(name, soft)) for name in FAMILIES}
    return Report(
        name="width-sweeps",
        title=DOCUMENT.title,
        notes=NOTES,
        rows=tuple(rows),
        tables=(
            accuracy_table(rows, "Test accuracy in %, mean ± standard deviation (seeds)"),
            all_images_table(theirs, on_all),
            seeds_table(rows),
            turning_table(turns),
            layer_table(),
            cost_table(rows),
        ),
        findings=tuple(findings(rows, all_rows, theirs, plain, soft, turns)),
        pictures=tuple(pictures(theirs, plain, soft)),
        runs=dict(bench.runs),
    )


NOTES = (
    "The document trained on all 60,000 images and judged on the test images, one seed. Here 50,000 train, 10,000 "
    "validate, and the test split is scored once a network; the second table trains on all of them, as the author did.",
    "Ours: one-cycle Adam from the probabilities of a teacher (KL at T = 2; at T = 1 below 500 parameters), for more "
    "epochs the smaller the network is.",
)


def table_rows(theirs: Mapping[str, Runs], ours: Mapping[str, Runs]) -> list[Row]:
    """The document's rows, with what was published where it was."""
    rows = []
    for name, width in networks():
        _, _, published_width, rate = FAMILIES[name]
        key = title(name, width)
        published = rate if width == published_width else None
        rows.append(Row(key, size(name, width), published, theirs.get(key), ours.get(key)))
    return rows


def all_images_table(theirs: Mapping[str, Runs], on_all: Mapping[str, Runs]) -> Table:
    """What the validation images add to the document's recipe, where a figure was published."""
    lines = []
    for name, (_, _, width, rate) in FAMILIES.items():
        cells = (str(runs.get(title(name, width), "")) for runs in (theirs, on_all))
        lines.append((title(name, width), percent(rate), *cells))
    heads = ("", ">published", ">50,000 images", ">60,000 images")
    return Table("The document's recipe, and with the validation images too; test accuracy in %", heads, tuple(lines))


def turning(name: str, runs: Mapping[str, Runs]) -> TurningPoint | None:
    """A family's turning point by our rule, on the validation split."""
    groups = {
        size(name, width): runs[title(name, width)].validation
        for width in FAMILIES[name][0]
        if title(name, width) in runs
    }
    return turning_point(groups)


def holds_target(name: str, runs: Mapping[str, Runs]) -> int | None:
    """The fewest parameters of a family whose mean validation rate reaches the document's target."""
    rates = {
        size(name, width): sum(s.rate for s in runs[title(name, width)].validation)
        / len(runs[title(name, width)].validation)
        for width in FAMILIES[name][0]
        if title(name, width) in runs
    }
    return min((parameters for parameters, rate in rates.items() if rate >= TARGET), default=None)


Turns = Mapping[str, tuple[TurningPoint | None, TurningPoint | None]]


def turning_table(turns: Turns) -> Table:
    """The author's turning point beside ours, with the range under resampling of seeds."""
    rows = tuple(
        (name, f"{size(name, FAMILIES[name][2]):,}", turn_text(theirs), turn_text(ours))
        for name, (theirs, ours) in turns.items()
    )
    heads = ("family", ">the author's", ">its recipe (range)", ">ours (range)")
    return Table("Turning points in parameters, found on the validation split", heads, rows)


def turn_text(turn: TurningPoint | None) -> str:
    if turn is None:
        return "none"
    ends = f"{turn.low:,} to {turn.high:,}" if turn.low < turn.high else "always"
    return f"{turn.parameters:,} ({ends})"


def layer_table() -> Table:
    """Which layer holds the weights, by arithmetic."""
    rows = []
    for name, width in LAYERS_SHOWN:
        total = size(name, width)
        for plan in net(name, width).plan(SHAPE):
            if plan.parameters:
                share = f"{100 * plan.parameters / total:.1f} %"
                rows.append((title(name, width), str(plan.layer), f"{plan.parameters:,}", share))
    return Table("Which layer holds the weights", ("network", "layer", ">parameters", ">share"), tuple(rows))


# --- findings ------------------------------------------------------------------------------------


def findings(
    rows: list[Row],
    all_rows: list[Row],
    theirs: Mapping[str, Runs],
    plain: Mapping[str, Runs],
    soft: Mapping[str, Runs],
    turns: Turns,
) -> list[Finding]:
    """The document's questions, answered from the numbers."""
    with_all = met(all_rows)
    return [
        met(rows),
        Finding("And on all 60,000 training images, as the document trained?", with_all.answer, True),
        beaten(rows),
        Finding("Where does the curve turn?", turning_answer(turns), True),
        Finding(f"What is the smallest that holds {TARGET:.0%} on validation?", target_answer(theirs, soft), True),
        Finding("How much smaller are the turning points?", ratio_answer()),
        Finding("Which layer holds the weights?", layer_answer()),
        Finding("What does the teacher add to our recipe?", teacher_answer(plain, soft)),
    ]


def turning_answer(turns: Turns) -> str:
    sentences = []
    for name, (theirs, ours) in turns.items():
        author = size(name, FAMILIES[name][2])
        if theirs is None:
            verdict = f"the author says {author:,}"
        else:
            inside = theirs.low <= author <= theirs.high
            verdict = f"the range {'contains' if inside else 'does not contain'} the author's {author:,}"
        first, second = turn_text(theirs), turn_text(ours)
        sentences.append(f"{name}: {first} with the document's recipe, {verdict}; {second} with ours.")
    return " ".join(sentences)


def target_answer(theirs: Mapping[str, Runs], ours: Mapping[str, Runs]) -> str:
    said = []
    for name in FAMILIES:
        first, second = (holds_target(name, runs) for runs in (theirs, ours))
        by = [f"{count:,} by {whose} recipe" for count, whose in ((first, "its"), (second, "our")) if count]
        said.append(
            f"{name}: {', '.join(by) or 'none that was trained'} (the author: {size(name, FAMILIES[name][2]):,})."
        )
    return " ".join(said)


def ratio_answer() -> str:
    """All of it follows from the counts."""
    mlp_base, cnn_base = size("mlp1", 512), size("cnn1", 32)
    parts = []
    for name, base in (("mlp1", mlp_base), ("mlp2", mlp_base), ("cnn1", cnn_base), ("cnn2", cnn_base)):
        count = size(name, FAMILIES[name][2])
        parts.append(f"{name} {count:,}, 1/{base / count:.0f} of {base:,}")
    step = size("mlp2", 64) / size("cnn2", 2)
    return f"{'; '.join(parts)}; and cnn2 is {step:.1f}x below mlp2."


def layer_answer() -> str:
    answers = []
    for name, width in LAYERS_SHOWN:
        plans = [plan for plan in net(name, width).plan(SHAPE) if plan.parameters]
        largest = max(plans, key=lambda plan: plan.parameters)
        share = largest.parameters / size(name, width)
        answers.append(f"{title(name, width)}: '{largest.layer}' holds {largest.parameters:,}, {100 * share:.0f} %.")
    return " ".join(answers)


def teacher_answer(plain: Mapping[str, Runs], soft: Mapping[str, Runs]) -> str:
    gains = {key: 100 * (soft[key].mean - plain[key].mean) for key in plain if key in soft}
    if not gains:
        return NOTHING
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    better = sum(gain > 0 for gain in gains.values())
    return (
        f"It is better at {better} of {len(gains)} sizes, by {sum(gains.values()) / len(gains):+.2f} points on "
        f"average; most at {most} ({gains[most]:+.2f}, to {percent(soft[most].mean)} %), least at {least} "
        f"({gains[least]:+.2f})."
    )


# --- pictures --------------------------------------------------------------------------------------


def pictures(theirs: Mapping[str, Runs], plain: Mapping[str, Runs], soft: Mapping[str, Runs]) -> list[Picture]:
    frame = partial(curves, x_label="parameters", y_label="test accuracy, %", lowest=0.85)
    marks = [Mark(name, size(name, width), rate) for name, (_, _, width, rate) in FAMILIES.items()]
    documents = [series(name, theirs, name, place) for place, name in enumerate(FAMILIES)]
    both = [series(name, soft, f"{name}, distilled", place) for place, name in enumerate(FAMILIES)]
    both += [series(name, plain, f"{name}, labels", place, line="--") for place, name in enumerate(FAMILIES)]
    first, second = "The four sweeps by the document's recipes", "The same by ours, from a teacher and from labels"
    return [
        Picture("document.png", first, lambda path: frame(first, documents, marks, path)),
        Picture("ours.png", second, lambda path: frame(second, both, marks, path)),
    ]


def series(name: str, runs: Mapping[str, Runs], label: str, colour: int, line: str = "-") -> Series:
    points = tuple(
        (float(size(name, width)), runs[title(name, width)].rates)
        for width in FAMILIES[name][0]
        if title(name, width) in runs
    )
    return Series(label, points, line, colour)


DOCUMENT = Document("width-sweeps", "width-sweeps: four families over a width, on MNIST", ("mnist",), reproduce)
