"""The documents' plots, redrawn: one frame for all of them, by matplotlib without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.report.plots import BLUE, DOTS_PER_INCH, GREEN, GREY, INK, LINE, SOFT, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, HEIGHT_INCHES = 8.0, 5.2
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)


@dataclass(frozen=True)
class Series:
    """The means of some runs, with each seed as a faint dot.

    points: (x, the rates of the seeds), in the order of the line
    line: how they are joined: "-", "--", or "" for not at all
    """

    label: str
    points: tuple[tuple[float, tuple[float, ...]], ...]
    line: str = "-"
    colour: int = 0


@dataclass(frozen=True)
class Mark:
    """A published figure: a star, with its name above it."""

    label: str
    x: float
    rate: float


def curves(
    title: str, series: Sequence[Series], marks: Sequence[Mark], path: Path, *, x_label: str, y_label: str,
    lowest: float, log: bool = True,
) -> None:  # fmt: skip
    """Accuracy against a size: 1280 x 832 pixels. What lies below `lowest` is cut off and said so in the axis."""
    figure, axes = _frame(title, x_label, y_label)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    for one in series:
        _draw(axes, one)
    for mark in marks:
        axes.scatter([mark.x], [100 * mark.rate], marker="*", s=150, c=INK, zorder=5)
        axes.annotate(
            mark.label, (mark.x, 100 * mark.rate), (6, 6), textcoords="offset points", fontsize=9, color=INK,
            rotation=28, rotation_mode="anchor",
        )  # fmt: skip
    rates = [100 * rate for one in series for _, many in one.points for rate in many]
    rates += [100 * mark.rate for mark in marks]
    shown = [rate for rate in rates if rate >= 100 * lowest] or rates
    margin = 0.06 * max(max(shown) - min(shown), 0.5)
    axes.set_ylim(max(0.0, min(shown) - margin), max(shown) + (2.5 if marks else 1) * margin)
    if marks:
        axes.scatter([], [], marker="*", s=110, c=INK, label="published")
    axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="best")
    if len(shown) < len(rates):
        axes.set_xlabel(f"{x_label} ({len(rates) - len(shown)} networks below the frame)", color=SOFT, fontsize=11)
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def _draw(axes: Axes, one: Series) -> None:
    colour = COLOURS[one.colour % len(COLOURS)]
    xs = [x for x, _ in one.points]
    means = [100 * sum(rates) / len(rates) for _, rates in one.points]
    axes.plot(
        xs, means, color=colour, linewidth=1.7, marker="o", markersize=5, label=one.label,
        linestyle=one.line or "none",
    )  # fmt: skip
    seeds = [(x, 100 * rate) for x, rates in one.points if len(rates) > 1 for rate in rates]
    axes.scatter([x for x, _ in seeds], [rate for _, rate in seeds], s=10, c=colour, alpha=0.35, edgecolors="none")


def _frame(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (WIDTH_INCHES, HEIGHT_INCHES)
    figure = Figure(size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=14, fontweight="bold", pad=14)
    axes.set_xlabel(x_label, color=SOFT, fontsize=11)
    axes.set_ylabel(y_label, color=SOFT, fontsize=11)
    axes.tick_params(colors=SOFT, labelsize=10)
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(SOFT)
    return figure, axes
