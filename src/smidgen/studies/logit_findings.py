"""What logit-regression's numbers say: its tables beside the main one, and its questions answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, log2

from smidgen.search.frontier import Point, smallest_holding
from smidgen.studies.border import Border
from smidgen.studies.statistics import fit, p_text, paired
from smidgen.studies.table import NOTHING, Finding, Row, Table, beaten, met, percent
from smidgen.studies.trainings import Runs
from smidgen.trials.evaluate import TrainingContext

FLOORS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99)
HELD = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured.

    These are the main rows, all frozen students, the other ways, the losses with the one chosen at each h, and the
    border.
    """

    rows: list[Row]
    frozen: Mapping[str, Runs]
    ways: Mapping[str, Runs]
    losses: Mapping[str, Runs]
    chosen: Mapping[int, str]
    border: Border | None
    context: TrainingContext = field(repr=False)

    @property
    def students(self) -> list[Row]:
        """The rows with a student by the document's recipe, largest first; not the teacher."""
        return [row for row in self.rows[1:] if row.theirs]


# --- tables ------------------------------------------------------------------------------------------


def floor_table(rows: Sequence[Row]) -> Table:
    """s(f): the fewest parameters whose mean validation rate is at least f."""
    lines = tuple((f"{100 * floor:g} %", _held(rows, floor, "theirs"), _held(rows, floor, "ours")) for floor in FLOORS)
    title = "s(f): the fewest parameters that hold f on the validation split"
    return Table(title, (">f", ">its recipe", ">ours"), lines)


def _held(rows: Sequence[Row], floor: float, whose: str) -> str:
    point = smallest_holding(points(rows, whose), floor)
    return f"{point.parameters:,} ({point.label})" if point else "none"


def points(rows: Sequence[Row], whose: str) -> list[Point]:
    """Each size with its middle seed's validation score."""
    pairs = ((row, getattr(row, whose)) for row in rows)
    return [Point(row.parameters, runs.validation[runs.middle], row.name) for row, runs in pairs if runs]


def loss_table(losses: Mapping[str, Runs], hidden: Sequence[int], names: Sequence[str]) -> Table:
    """Mean test accuracy of every loss at every h."""
    rows = tuple(
        (f"{h}", *(percent(losses[k].mean) if (k := f"{name}, h = {h}") in losses else "" for name in names))
        for h in hidden
    )
    heads = (">h", *(f">{name.replace('logits (MSE)', 'MSE').replace('KL, ', '')}" for name in names))
    return Table("What is learned from, test accuracy in %: labels, squared error on logits, KL at T", heads, rows)


def way_table(measured: Measured, hidden: Sequence[int]) -> Table:
    """Frozen, fine-tuned and anew, and the dropouts."""
    both = {**measured.frozen, **measured.ways}
    ways = ("frozen", "fine-tuned", "anew")
    rows = tuple((f"h = {h}", *(str(both.get(f"{way}, h = {h}", "")) for way in ways)) for h in hidden)
    return Table("The convolutions frozen, fine-tuned and trained anew: test accuracy in %", ("", *ways), rows)


# --- findings ------------------------------------------------------------------------------------------


def findings(measured: Measured) -> list[Finding]:
    return [
        met(measured.rows),
        beaten(measured.rows),
        Finding(f"What is the smallest size that holds {HELD:.0%}?", smallest_answer(measured.rows)),
        Finding("Is s(f1) < s(f2) strict for f1 < f2?", strict_answer(measured)),
        Finding("Does accuracy fall linearly and size exponentially?", shape_answer(measured.students)),
        Finding("Is squared error on logits the best to learn from?", loss_answer(measured)),
        Finding("Frozen, fine-tuned or anew?", way_answer(measured)),
        Finding("What does the dropout do?", dropout_answer(measured.frozen)),
        Finding("What are the border's weights worth?", border_answer(measured.border)),
    ]


def smallest_answer(rows: Sequence[Row]) -> str:
    largest = rows[0].parameters
    answers = []
    for whose, name in (("theirs", "the document's recipe"), ("ours", "our recipe")):
        point = smallest_holding(points(rows, whose), HELD)
        if point:
            times = largest / point.parameters
            answers.append(f"By {name} {point.label}, {point.parameters:,} parameters, {times:.1f}x below the teacher.")
    return " ".join(answers) if answers else f"None that was trained holds {HELD:.0%}."


def strict_answer(measured: Measured) -> str:
    """Neighbours in size, on the same test images: where the smaller is as good or better, s(f) has a step."""
    labels = measured.context.dataset.test.labels
    breaks, certain = [], 0
    neighbours = list(pairwise(measured.students))
    for large, small in neighbours:
        assert large.theirs and small.theirs
        pair = paired(
            large.theirs.answers[large.theirs.middle], small.theirs.answers[small.theirs.middle], labels
        )  # fmt: skip
        certain += pair.difference > 0 and pair.p_value < SIGNIFICANT
        if pair.difference <= 0:
            breaks.append(
                f"{small.name} against {large.name} ({100 * (0 - pair.difference):+.2f}, {p_text(pair.p_value)})"
            )
    if not neighbours:
        return NOTHING
    told = f"The larger of two neighbours is better with p < {SIGNIFICANT} in {certain} of {len(neighbours)} pairs"
    if breaks:
        return f"No. The smaller is as good or better in {len(breaks)}: {'; '.join(breaks)}. {told}."
    return f"Among these sizes it holds: each smaller one is worse. {told} (McNemar's exact test, the middle seeds)."


def shape_answer(students: Sequence[Row]) -> str:
    if len(students) < 3:
        return NOTHING
    hidden = [float(row.name.removeprefix("h = ")) for row in students]
    rates = [row.theirs.mean for row in students if row.theirs]
    sizes = [float(row.parameters) for row in students]
    halvings = [log2(h) for h in hidden]
    linear, by_halving = fit(hidden, rates).r_squared, fit(halvings, rates).r_squared
    exponential = fit(halvings, [log(size) for size in sizes]).r_squared
    exponential_in_h = fit(hidden, [log(size) for size in sizes]).r_squared
    size_linear = fit(hidden, sizes)
    return (
        f"In h itself, accuracy is linear with R² = {linear:.3f}, the logarithm of the size with R² = "
        f"{exponential_in_h:.3f}, and the size with R² = {size_linear.r_squared:.3f} (it is {size_linear.slope:,.0f} h "
        f"+ {size_linear.intercept:,.0f} by its formula, so not exponential). Against halvings of h, as they were "
        f"tried: accuracy R² = {by_halving:.3f}, the logarithm of the size R² = {exponential:.3f}."
    )


def loss_answer(measured: Measured) -> str:
    answers = []
    for h, loss in measured.chosen.items():
        best, squares = measured.losses.get(f"{loss}, h = {h}"), measured.losses.get(f"logits (MSE), h = {h}")
        if best and squares:
            answers.append(f"h = {h}: {loss}, {100 * (best.mean - squares.mean):+.2f} points to it")
    if not answers:
        return NOTHING
    first = sum(loss == "logits (MSE)" for loss in measured.chosen.values())
    said = "; ".join(answers)
    return f"It is the best on the selection half at {first} of {len(answers)} sizes. The best at each: {said}."


def way_answer(measured: Measured) -> str:
    answers = []
    for key, frozen in measured.frozen.items():
        if key.startswith("frozen, "):
            h = key.removeprefix("frozen, ")
            others = {way: measured.ways[k] for way in ("fine-tuned", "anew") if (k := f"{way}, {h}") in measured.ways}
            labels = measured.context.dataset.test.labels
            said = [f"{way} {paired(runs.answers[0], frozen.answers[0], labels)}" for way, runs in others.items()]
            answers += [f"{h}, against frozen: {'; '.join(said)}."] if said else []
    return " ".join(answers) or NOTHING


def dropout_answer(frozen: Mapping[str, Runs]) -> str:
    swept = {key: runs for key, runs in frozen.items() if key.startswith("dropout ")}
    if not swept:
        return NOTHING
    best = max(swept, key=lambda key: swept[key].selection)
    values = ", ".join(f"{key.removeprefix('dropout ')}: {runs.text}" for key, runs in swept.items())
    return f"At h = 6 by the document's recipe, by rate: {values}. The selection half prefers {best}."


def border_answer(border: Border | None) -> str:
    if border is None:
        return NOTHING
    share = border.constant_pixels / border.pixels
    cost = border.after.correct - border.before.correct
    return (
        f"{border.constant_pixels} of {border.pixels} pixels ({100 * share:.1f} %) are the same in every training "
        "image: so many of a dense first layer's weights see only them, and none of a convolution's, which are shared "
        f"by all places. After the convolutions {border.constant_features:,} of {border.features:,} features are "
        f"constant. In the student of h = 6, {border.blind:,} of {border.weights:,} hidden weights see nothing else: "
        f"with their sums in the biases and themselves zero it scores {border.after} on test against {border.before} "
        f"({cost:+d} images), and {border.parameters - border.blind:,} of {border.parameters:,} parameters are left "
        f"({100 * border.blind / border.parameters:.1f} % saved)."
    )
