"""Pictures as PNG files.

They are drawn by matplotlib without pyplot, which keeps no global state and halves the import time. The colours are
from the set of Okabe & Ito (2008), which readers with any colour vision can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import write_whole
from smidgen.errors import RequestError
from smidgen.extras import install_line
from smidgen.foreign_text import shown
from smidgen.records import Score
from smidgen.report.axes import (
    FLOOR_REACH,
    SWEEP_REACH,
    TeacherMark,
    count_text,
    percent_text,
    rate_ticks,
    rate_window,
    short_percent_text,
    size_ticks,
    size_window,
)
from smidgen.report.labels import PictureLabels
from smidgen.search.frontier import Point, TurningPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160
WIDTH_INCHES, HEIGHT_INCHES = 8.0, 5.0
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8c9aa8"
GREEN_INK = "#00684e"
INK, SOFT, LINE = "#17212b", "#54616e", "#e1e6eb"

IMAGES_PER_CLASS = 10
CELL_PIXELS, GAP_PIXELS = 64, 6
LETTER_PIXELS = 13
"""The width of a letter of a class name, at 9 points."""

Bytes = npt.NDArray[np.uint8]


def frontier_figure(
    points: Sequence[Point],
    frontier: Sequence[Point],
    floor: float,
    winner: Point,
    turning: TurningPoint | None,
    unit: str = "parameters",
    teacher: TeacherMark | None = None,
) -> Figure:
    """Draw accuracy against size: candidates, Pareto front, floor, winner and teacher.

    Args:
        points: The candidates.
        frontier: Those on the Pareto front.
        floor: The accuracy floor.
        winner: The network that was chosen.
        turning: The turning point; None if the curve has none.
        unit: What the points' sizes count, "parameters" or "bytes".
        teacher: The teacher, whose size lies past the right edge; None leaves it out.
    """
    everyone = [*points, winner]
    sizes, rates = _coordinates(everyone)
    sizes += [turning.low, turning.parameters, turning.high] if turning else []
    figure, axes = _curve_axes(sizes, rates, floor, FLOOR_REACH, [teacher.rate] if teacher else [])
    _draw_turning(axes, turning)
    axes.axhline(floor, color=SOFT, linewidth=1.2, dashes=(5, 4), zorder=1.5)
    if teacher:
        axes.axhline(teacher.rate, color=INK, linewidth=1.2, dashes=(1, 2), zorder=1.5)
    brief = [point for point in points if point.is_brief]
    _dots(axes, *_coordinates([point for point in points if not point.is_brief]), GREY, 14, 0.55)
    _dots(axes, *_coordinates(brief), GREY, 11, 0.9, hollow=True)
    front = _draw_front(axes, frontier)
    _dots(axes, *_coordinates([winner]), VERMILION, 130, 1.0)
    verb = "hold" if winner.score.rate >= floor else "miss"
    axes.set_xlabel(f"{unit} (ring: trained briefly)" if brief else unit, color=SOFT, fontsize=11, labelpad=7)
    title(axes, f"{count_text(winner.parameters)} {unit} {verb} {short_percent_text(floor)}")
    levels, uprights = [floor, *([teacher.rate] if teacher else [])], [turning.parameters] if turning else []
    labels = PictureLabels(axes, [front], _coordinates(everyone), levels, uprights)
    labels.dot(percent_text(winner.score.rate), (winner.parameters, winner.score.rate), VERMILION)
    labels.level(f"floor {short_percent_text(floor)}", floor, SOFT)
    if teacher:
        labels.level(teacher.text, teacher.rate, INK)
    _name_turning(labels, turning)
    return figure


def frontier_picture(
    points: Sequence[Point],
    frontier: Sequence[Point],
    floor: float,
    winner: Point,
    turning: TurningPoint | None,
    path: Path,
    unit: str = "parameters",
    teacher: TeacherMark | None = None,
) -> None:
    """Write what `frontier_figure` draws as a file of 1280 x 800 pixels."""
    save(frontier_figure(points, frontier, floor, winner, turning, unit, teacher), path)


def sweep_picture(groups: Mapping[str, tuple[int, Sequence[Score]]], turning: TurningPoint | None, path: Path) -> None:
    """Draw every seed of a sweep, the median of each size, and the turning point with its range; 1280 x 800 pixels.

    Args:
        groups: The parameters of each size and the scores of its seeds, by the name of the size ("width 2").
        turning: The turning point; None if the curve has none.
        path: The file to write.
    """
    sweep = sorted((size, name, [score.rate for score in scores]) for name, (size, scores) in groups.items())
    sizes = [size for size, _, _ in sweep]
    medians = [median(rates) for _, _, rates in sweep]
    seeds = [(size, rate) for size, _, rates in sweep for rate in rates]
    anchor = turning.rate if turning else median(medians)
    figure, axes = _curve_axes([size for size, _ in seeds], [rate for _, rate in seeds], anchor, SWEEP_REACH)
    _draw_turning(axes, turning)
    axes.plot(sizes, medians, color=BLUE, linewidth=1.8)
    _dots(axes, [size for size, _ in seeds], [rate for _, rate in seeds], BLUE, 16, 0.4)
    _dots(axes, sizes, medians, BLUE, 46, 1.0)
    for size, name, rates in sweep:
        _name_size(axes, size, median(rates), name)
    title(axes, _sweep_title(turning))
    dots = [size for size, _ in seeds], [rate for _, rate in seeds]
    labels = PictureLabels(axes, [list(zip(sizes, medians, strict=True))], dots)
    _name_turning(labels, turning)
    save(figure, path)


def contact_sheet(
    images: Bytes | npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw the first ten images of each class, one row a class, with its name at the left.

    Args:
        images: uint8 or float32 [n, channels, height, width], enlarged by a whole factor.
        labels: int [n], the index of each image's class in `class_names`.
        class_names: The name of each class.
        path: The file to write.
    """
    sheet = _mosaic(_displayable(images), np.asarray(labels), len(class_names))
    names = [shown(name) for name in class_names]
    left = 24 + LETTER_PIXELS * max(4, *map(len, names))
    height, width = sheet.shape[0], sheet.shape[1] + left
    figure = _new_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure.figimage(sheet, xo=left, yo=0, origin="upper")
    for row, name in enumerate(names):
        middle = 1 - (row + 0.5) / len(class_names)
        figure.text((left - 12) / width, middle, name, ha="right", va="center", color=INK, fontsize=9, parse_math=False)
    save(figure, path)


def _new_figure(width_inches: float, height_inches: float, layout: str = "none") -> Figure:
    """Return an empty figure that no window shows.

    Raises:
        RequestError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError(f"a picture needs matplotlib: {error}; {install_line('matplotlib')}") from error
    size = (width_inches, height_inches)
    figure = Figure(size, dpi=DOTS_PER_INCH, facecolor="white", layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


# --- the frame of a curve --------------------------------------------------------------------


def plain_axes(height_inches: float = HEIGHT_INCHES) -> tuple[Figure, Axes]:
    """Return axes without a frame, with a grid of the y axis, on a figure of 8 inches by `height_inches`."""
    figure = _new_figure(WIDTH_INCHES, height_inches, "constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=SOFT, labelsize=10)
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(SOFT)
    return figure, axes


def _curve_axes(
    sizes: Sequence[int], rates: Sequence[float], anchor: float, reach: float, levels: Sequence[float] = ()
) -> tuple[Figure, Axes]:
    """Return a figure with axes of accuracy against size: limits, ticks and grid."""
    figure, axes = plain_axes()
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    axes.set_xscale("log")
    axes.set_xlim(*size_window(sizes))
    axes.set_ylim(*rate_window(rates, anchor, reach, levels))
    _ticks(axes)
    axes.set_xlabel("parameters", color=SOFT, fontsize=11, labelpad=7)
    axes.set_ylabel("accuracy on the validation split", color=SOFT, fontsize=11, labelpad=9)
    return figure, axes


def _ticks(axes: Axes) -> None:
    sizes, rates = size_ticks(*axes.get_xlim()), rate_ticks(*axes.get_ylim())
    axes.set_xticks(sizes, [count_text(size) for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_yticks(rates, [short_percent_text(rate) for rate in rates])
    axes.tick_params(labelsize=10.5, length=4)
    axes.tick_params(axis="y", length=0)


# --- the marks in it -------------------------------------------------------------------------


def _coordinates(points: Sequence[Point]) -> tuple[list[int], list[float]]:
    return [point.parameters for point in points], [point.score.rate for point in points]


def _dots(
    axes: Axes,
    sizes: Sequence[int],
    rates: Sequence[float],
    colour: str,
    area: float,
    opacity: float,
    *,
    hollow: bool = False,
) -> None:
    """Draw dots, or rings; those below the window become triangles on its lower edge."""
    lowest = axes.get_ylim()[0]
    inside = [(size, rate) for size, rate in zip(sizes, rates, strict=True) if rate >= lowest]
    below = [(size, lowest) for size, rate in zip(sizes, rates, strict=True) if rate < lowest]
    for dots, marker in ((inside, "o"), (below, "v")):
        axes.scatter(
            [size for size, _ in dots], [rate for _, rate in dots], s=area, c="white" if hollow else colour,
            alpha=opacity, marker=marker, edgecolors=colour if hollow else "white" if opacity == 1.0 else "none",
            linewidths=0.8, clip_on=False, zorder=3,
        )  # fmt: skip


def _draw_front(axes: Axes, frontier: Sequence[Point]) -> list[tuple[float, float]]:
    """Draw the best rate at or below each size as a step line to the right edge; return its corners."""
    sizes, rates = _coordinates(sorted(frontier, key=lambda point: point.parameters))
    if not sizes:
        return []
    edge = axes.get_xlim()[1]
    axes.plot([*sizes, edge], [*rates, rates[-1]], drawstyle="steps-post", color=BLUE, linewidth=1.8, zorder=2.5)
    lowest = axes.get_ylim()[0]
    inside = [point for point in frontier if point.score.rate >= lowest]
    _dots(axes, *_coordinates([point for point in inside if not point.is_brief]), BLUE, 34, 1.0)
    _dots(axes, *_coordinates([point for point in inside if point.is_brief]), BLUE, 30, 1.0, hollow=True)
    ends = [*sizes[1:], edge]
    return [
        corner for size, end, rate in zip(sizes, ends, rates, strict=True) for corner in ((size, rate), (end, rate))
    ]


def _draw_turning(axes: Axes, turning: TurningPoint | None) -> None:
    """Draw a line at the turning point and a band over its range."""
    if turning is None:
        return
    axes.axvspan(turning.low / 1.012, turning.high * 1.012, color=GREEN, alpha=0.15, linewidth=0, zorder=1)
    axes.axvline(turning.parameters, color=GREEN, linewidth=1.4, zorder=1.2)


def _name_turning(labels: PictureLabels, turning: TurningPoint | None) -> None:
    if turning:
        labels.upright(f"turning point {count_text(turning.parameters)}", turning.parameters, GREEN_INK)


def _name_size(axes: Axes, size: int, rate: float, text: str) -> None:
    """Write the name of a size below and to the right of its dot, where a rising curve leaves space."""
    lowest, highest = axes.get_ylim()
    near_right, near_edge = _share_of_width(axes, size) > 0.85, (rate - lowest) / (highest - lowest) < 0.08
    axes.annotate(
        text, (size, max(rate, lowest)), (0 if near_right else 9, 7 if near_edge else -18 if near_right else -14),
        textcoords="offset points", ha="center" if near_right else "left", color=SOFT, fontsize=10.5,
        parse_math=False, zorder=6,
    )  # fmt: skip


def _share_of_width(axes: Axes, size: int) -> float:
    """Return where a size lies, from 0 at the left edge of the frame to 1 at the right."""
    low, high = axes.get_xlim()
    return math.log(size / low) / math.log(high / low)


def title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", color=INK, fontsize=14, fontweight="bold", pad=14)


def _sweep_title(turning: TurningPoint | None) -> str:
    if turning is None:
        return "No turning point among these sizes"
    return f"Turning point: {count_text(turning.parameters)} parameters, {percent_text(turning.rate)}"


# --- images ----------------------------------------------------------------------------------


def _displayable(images: Bytes | npt.NDArray[np.float32]) -> Bytes:
    """Return the images as uint8 [n, height, width, 3]; floats are scaled from their own range to 0 to 255."""
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        images = np.round(255 * (images - low) / ((high - low) or 1.0)).astype(np.uint8)
    if images.shape[1] != 3:
        images = images.mean(axis=1, keepdims=True).astype(np.uint8).repeat(3, axis=1)
    return np.asarray(images.transpose(0, 2, 3, 1), np.uint8)


def _mosaic(images: Bytes, labels: npt.NDArray[np.integer], classes: int) -> Bytes:
    """Return rows of ten images on white: uint8 [classes * cell height, 10 * cell width, 3]."""
    zoom = max(1, CELL_PIXELS // max(images.shape[1:3]))
    inner_height, inner_width = zoom * images.shape[1], zoom * images.shape[2]
    height, width = inner_height + GAP_PIXELS, inner_width + GAP_PIXELS
    sheet = np.full((classes * height, IMAGES_PER_CLASS * width, 3), 255, np.uint8)
    for row in range(classes):
        for column, index in enumerate(np.flatnonzero(labels == row)[:IMAGES_PER_CLASS]):
            top, left = row * height + GAP_PIXELS // 2, column * width
            large = images[index].repeat(zoom, axis=0).repeat(zoom, axis=1)
            sheet[top : top + inner_height, left : left + inner_width] = large
    return sheet


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, which appears whole or not at all."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_whole(path, content.getvalue())
