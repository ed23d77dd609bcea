"""The documents' plots: accuracy against a size, drawn by matplotlib without pyplot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.report.plots import BLUE, DOTS_PER_INCH, GREEN, GREY, INK, LINE, SOFT, VERMILION
from smidgen.studies.trainings import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, HEIGHT_INCHES = 8.0, 5.2
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)


@dataclass(frozen=True)
class Series:
    """The mean rates of some runs as a line, and each seed as a faint dot.

    Attributes:
        label: Its name in the legend.
        points: (x, the rates of the seeds), in the order of the line.
        line: The line style: "-", "--", or "" for dots alone.
        colour: An index into `COLOURS`.
    """

    label: str
    points: tuple[tuple[float, tuple[float, ...]], ...]
    line: str = "-"
    colour: int = 0


def series(label: str, runs: Iterable[tuple[float, Runs | None]], colour: int = 0, line: str = "-") -> Series:
    """Return the series of the runs that were trained, given as (x, runs)."""
    return Series(label, tuple((float(x), found.rates) for x, found in runs if found), line, colour)


@dataclass(frozen=True)
class Mark:
    """A published figure: a star with its name above it."""

    label: str
    x: float
    rate: float


@dataclass(frozen=True)
class Picture:
    """A plot of test accuracy, 1280 x 832 pixels.

    Attributes:
        file: The name of its PNG file.
        title: What it shows.
        series: The lines.
        marks: The published figures.
        x_label: The label of the x axis.
        lowest: Rates below it are cut off, and the label of the x axis counts them.
        log: Whether the x axis is logarithmic.
    """

    file: str
    title: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    x_label: str = "parameters"
    lowest: float = 0.8
    log: bool = True

    def draw(self, path: Path) -> None:
        """Write the PNG file."""
        figure, axes = _frame(self.title, self.x_label)
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        for one in self.series:
            _draw_series(axes, one)
        _draw_marks(axes, self.marks)
        hidden = self._limit(axes)
        axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="best")
        if hidden:
            axes.set_xlabel(f"{self.x_label} ({hidden} networks below the frame)", color=SOFT, fontsize=11)
        figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})

    def _limit(self, axes: Axes) -> int:
        """Set the limits of the y axis and return how many networks lie below them."""
        rates = [100 * rate for one in self.series for _, seeds in one.points for rate in seeds]
        rates += [100 * mark.rate for mark in self.marks]
        shown = [rate for rate in rates if rate >= 100 * self.lowest] or rates
        margin = 0.06 * max(max(shown) - min(shown), 0.5)
        axes.set_ylim(max(0.0, min(shown) - margin), max(shown) + (2.5 if self.marks else 1) * margin)
        return len(rates) - len(shown)


def _draw_series(axes: Axes, one: Series) -> None:
    colour = COLOURS[one.colour % len(COLOURS)]
    xs = [x for x, _ in one.points]
    means = [100 * sum(rates) / len(rates) for _, rates in one.points]
    style = one.line or "none"
    axes.plot(xs, means, color=colour, linewidth=1.7, marker="o", markersize=5, label=one.label, linestyle=style)
    seeds = [(x, 100 * rate) for x, rates in one.points if len(rates) > 1 for rate in rates]
    axes.scatter([x for x, _ in seeds], [rate for _, rate in seeds], s=10, c=colour, alpha=0.35, edgecolors="none")


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    for mark in marks:
        place = (mark.x, 100 * mark.rate)
        axes.scatter(*place, marker="*", s=150, c=INK, zorder=5)
        axes.annotate(
            mark.label, place, (6, 6), textcoords="offset points", fontsize=9, color=INK, rotation=28,
            rotation_mode="anchor",
        )  # fmt: skip
    if marks:
        axes.scatter([], [], marker="*", s=110, c=INK, label="published")


def _frame(title: str, x_label: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (WIDTH_INCHES, HEIGHT_INCHES)
    figure = Figure(size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=14, fontweight="bold", pad=14)
    axes.set_xlabel(x_label, color=SOFT, fontsize=11)
    axes.set_ylabel("test accuracy, %", color=SOFT, fontsize=11)
    axes.tick_params(colors=SOFT, labelsize=10)
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(SOFT)
    return figure, axes
