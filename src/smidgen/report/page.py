"""One run as one page: a self-contained HTML file, with nothing fetched from anywhere.

`RunReport` is everything that the page says; `write_page` renders `report.html.j2` with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import write_whole
from smidgen.records import Score
from smidgen.report.axes import count_text, percent_text, short_percent_text
from smidgen.report.chart import Chart, lay_out
from smidgen.report.png import data_uri
from smidgen.search.compress import CompressionStage
from smidgen.search.frontier import Point, TurningPoint

MOST_WRONG_IMAGES = 40
MOST_CLASSES_IN_TABLE = 30
MOST_PAIRS = 5


@dataclass(frozen=True)
class LayerRow:
    """One layer of the winner, as text and counts."""

    layer: str
    output_shape: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Winner:
    """The network that was chosen, as its file decodes.

    selection chose it, confirmation took no part in choosing, test was scored once.
    """

    spec: str
    layers: tuple[LayerRow, ...]
    parameters: int
    file_bytes: int
    macs: int
    selection: Score
    confirmation: Score
    test: Score

    @property
    def point(self) -> Point:
        return Point(self.parameters, self.selection + self.confirmation, self.spec)


@dataclass(frozen=True)
class Coded:
    """The network in the fewest bytes that were found; `selection` and the others are of what the file decodes to."""

    spec: str
    parameters: int
    file_bytes: int
    selection: Score
    confirmation: Score
    test: Score
    stages: tuple[CompressionStage, ...]


@dataclass(frozen=True)
class Teacher:
    """The big network that was imitated."""

    spec: str
    parameters: int
    test: Score


@dataclass(frozen=True)
class Tried:
    """A network that was tried, scored on the validation split, and the stage that tried it."""

    point: Point
    stage: str


@dataclass(frozen=True)
class Comparison:
    """What one way to train reached: validation scores of the same network, one a seed."""

    way: str
    parameters: int
    scores: tuple[Score, ...]

    @property
    def rates(self) -> list[float]:
        return sorted(score.rate for score in self.scores)

    @property
    def median_rate(self) -> float:
        return median(self.rates)


@dataclass(frozen=True, eq=False)
class WrongImage:
    """A test image that the winner gets wrong.

    image: uint8 [height, width] or [channels, height, width]
    margin: the predicted class's logit minus the true one's
    """

    image: npt.NDArray[np.uint8]
    truth: str
    predicted: str
    margin: float

    @property
    def uri(self) -> str:
        return data_uri(self.image)


@dataclass(frozen=True)
class Run:
    """Where the figures come from: what someone needs to get them again."""

    seconds: float
    trials: int
    version: str
    engine: str
    data_digest: str
    seeds: tuple[int, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class StageRow:
    """A stage of the search, summed up."""

    stage: str
    networks: int
    smallest: int
    largest: int
    best: Score


@dataclass(frozen=True, eq=False)
class RunReport:
    """Everything that the page says.

    floor: the rate asked for, for example 0.97.
    tried: scores on the validation split. fresh_seeds: validation scores of the winner trained again with
        seeds that chose nothing, of which `fresh_held` held the floor.
    how_chosen: sentences, one a step. learned_from: rows that compare ways to train one network.
    confusion: int [classes, classes] on the test split, row: the true class, column: the predicted one.
    wrong: images of the test split, the worst first; the page shows the first 40.
    coded: the .smidgen file, where there is one.
    """

    title: str
    data_name: str
    question: str
    floor: float
    winner: Winner
    teacher: Teacher | None
    tried: tuple[Tried, ...]
    turning: TurningPoint | None
    how_chosen: tuple[str, ...]
    confusion: npt.NDArray[np.integer]
    class_names: tuple[str, ...]
    wrong: tuple[WrongImage, ...]
    run: Run
    fresh_seeds: tuple[Score, ...] = ()
    fresh_held: int = 0
    learned_from: tuple[Comparison, ...] = ()
    coded: Coded | None = None

    @property
    def answer(self) -> str:
        """The whole run in one sentence."""
        return f"{self.headline}: {self.evidence}."

    @property
    def headline(self) -> str:
        verb = "hold" if self.test_holds else "were chosen to hold"
        size, floor = count_text(self.winner.parameters), short_percent_text(self.floor)
        return f"{size} parameters {verb} {floor} on {self.data_name}"

    @property
    def evidence(self) -> str:
        test = self.winner.test
        smaller = f"; {self.times_smaller} times smaller than its teacher" if self.teacher else ""
        return (
            f"{percent_text(test.rate)} ({count_text(test.correct)}/{count_text(test.total)}) on the test images, "
            f"95 % interval {_interval_text(test)}{smaller}"
        )

    @property
    def test_holds(self) -> bool:
        return self.winner.test.rate >= self.floor

    @property
    def times_smaller(self) -> str:
        """How many times the teacher's parameters exceed the winner's, as text."""
        if self.teacher is None:
            return ""
        ratio = self.teacher.parameters / self.winner.parameters
        return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"

    @cached_property
    def chart(self) -> Chart:
        tried = [(entry.point, entry.stage) for entry in self.tried]
        return lay_out(tried, self.winner.point, self.floor, self.turning)

    @property
    def stages(self) -> list[StageRow]:
        """One row a stage, in the order in which the stages were first used."""
        order = list(dict.fromkeys(entry.stage for entry in self.tried))
        ranked = sorted(self.tried, key=lambda entry: order.index(entry.stage))
        return [_stage_row(stage, list(entries)) for stage, entries in groupby(ranked, key=lambda entry: entry.stage)]

    @property
    def confused_pairs(self) -> list[tuple[str, str, int]]:
        """The most frequent errors: (true class, predicted class, images), at most five."""
        errors = self.errors
        flat = np.argsort(-errors, axis=None, kind="stable")[:MOST_PAIRS]
        pairs = [divmod(int(index), len(self.class_names)) for index in flat]
        return [(self.class_names[i], self.class_names[j], int(errors[i, j])) for i, j in pairs if errors[i, j]]

    @property
    def errors(self) -> npt.NDArray[np.integer]:
        """The confusion matrix without its diagonal."""
        errors = self.confusion.copy()
        np.fill_diagonal(errors, 0)
        return errors


def write_page(report: RunReport, path: Path) -> None:
    """Write the page. The file appears whole or not at all."""
    write_whole(path, render(report))


def render(report: RunReport) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": count_text,
        "percent": percent_text,
        "short_percent": short_percent_text,
        "interval": _interval_text,
        "unbroken": _unbroken,
        "bytes": _bytes_text,
        "seconds": _seconds_text,
    }
    template = environment.from_string(files("smidgen.report").joinpath("report.html.j2").read_text("utf-8"))
    table = _heat_table(report) if len(report.class_names) <= MOST_CLASSES_IN_TABLE else []
    return template.render(report=report, chart=report.chart, table=table, wrong=report.wrong[:MOST_WRONG_IMAGES])


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix; `heat` is 0 to 1 among cells of its kind."""

    images: int
    right: bool
    heat: float
    title: str


def _heat_table(report: RunReport) -> list[tuple[str, list[Cell], Score]]:
    """Each true class with its cells and its own score."""
    names, worst = report.class_names, max(1, int(report.errors.max()))
    rows = []
    for i, name in enumerate(names):
        counts = [int(count) for count in report.confusion[i]]
        own = Score(counts[i], sum(counts))
        cells = [
            Cell(count, i == j, own.rate if i == j else count / worst, f"{name} taken for {names[j]}: {count}")
            for j, count in enumerate(counts)
        ]
        rows.append((name, cells, own))
    return rows


def _stage_row(stage: str, entries: Sequence[Tried]) -> StageRow:
    sizes = [entry.point.parameters for entry in entries]
    best = max((entry.point.score for entry in entries), key=lambda score: score.rate)
    return StageRow(stage, len(entries), min(sizes), max(sizes), best)


def _interval_text(score: Score) -> str:
    low, high = score.interval()
    return f"{percent_text(low)} to {percent_text(high)}"


def _unbroken(text: str) -> str:
    """The text with every " %" held to its number by a no-break space."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _bytes_text(size_bytes: int) -> str:
    return f"{size_bytes:,} bytes" if size_bytes < 10_000 else f"{size_bytes / 1000:,.1f} kB"


def _seconds_text(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
