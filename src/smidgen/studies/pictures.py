"""The documents' plots: accuracy against a size, drawn by matplotlib without pyplot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.report import plots
from smidgen.studies.trainings import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_INCHES = 5.2
COLOURS = (plots.BLUE, plots.VERMILION, plots.GREEN, "#CC79A7", "#E69F00", "#56B4E9", plots.GREY)


Mark = tuple[str, float, float]
"""A published figure, drawn as a star with its name above it: (name, x, rate)."""


@dataclass(frozen=True)
class Series:
    """The mean rates of some runs as a line, "" for dots alone, and each seed as a faint dot.

    Attributes:
        points: (x, the rates of the seeds), in the order of the line.
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
class Picture:
    """A plot of test accuracy, 1280 x 832 pixels.

    Attributes:
        marked: What the stars are, in the legend.
        lowest: Rates below it are cut off, and the label of the x axis counts them.
        log: Whether the x axis is logarithmic.
    """

    file: str
    title: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    marked: str = "published"
    x_label: str = "parameters"
    lowest: float = 0.8
    log: bool = True

    def draw(self, path: Path) -> None:
        """Write the PNG file."""
        figure, axes = plots.plain_axes(HEIGHT_INCHES)
        plots.title(axes, self.title)
        axes.set_ylabel("test accuracy, %", color=plots.SOFT, fontsize=11)
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        for one in self.series:
            _draw_series(axes, one)
        _draw_marks(axes, self.marks, self.marked)
        hidden = self._limit(axes)
        axes.legend(frameon=False, fontsize=9.5, labelcolor=plots.INK, loc="best")
        x_label = f"{self.x_label} ({hidden} networks below the frame)" if hidden else self.x_label
        axes.set_xlabel(x_label, color=plots.SOFT, fontsize=11)
        plots.save(figure, path)

    def _limit(self, axes: Axes) -> int:
        """Set the limits of the y axis and return how many networks lie below them."""
        rates = [100 * rate for one in self.series for _, seeds in one.points for rate in seeds]
        rates += [100 * rate for _, _, rate in self.marks]
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


def _draw_marks(axes: Axes, marks: Sequence[Mark], label_of_all: str) -> None:
    for label, x, rate in marks:
        place = (x, 100 * rate)
        axes.scatter(*place, marker="*", s=150, c=plots.INK, zorder=5)
        axes.annotate(
            label, place, (6, 6), textcoords="offset points", fontsize=9, color=plots.INK, rotation=28,
            rotation_mode="anchor",
        )  # fmt: skip
    if marks:
        axes.scatter([], [], marker="*", s=110, c=plots.INK, label=label_of_all)
