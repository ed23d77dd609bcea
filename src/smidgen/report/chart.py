"""The layout of the page's curve: every mark in the coordinates of the SVG that the template writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.report.axes import (
    TeacherMark,
    count_text,
    percent_text,
    rate_ticks,
    rate_window,
    short_percent_text,
    size_ticks,
    size_window,
)
from smidgen.search.frontier import Point, TurningPoint, pareto

WIDTH, HEIGHT = 720.0, 440.0
"""The size of the SVG, in its own units."""

LEFT, RIGHT, TOP, BOTTOM = 68.0, 704.0, 30.0, 386.0
"""The frame of the curve within it."""


@dataclass(frozen=True)
class Tick:
    """A tick at a coordinate, with its text; a narrow screen shows no text of minor ticks."""

    at: float
    text: str
    minor: bool


@dataclass(frozen=True)
class Dot:
    """A network. `kind` is "candidate", "front" or "winner"; `text` has one fact a line; `number` tells dots apart."""

    x: float
    y: float
    kind: str
    text: str
    number: int = -1
    is_brief: bool = False


@dataclass(frozen=True)
class Band:
    """The turning point `at` and its range from `low` to `high`, as x coordinates."""

    low: float
    high: float
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws.

    Attributes:
        x_ticks: Ticks of the sizes.
        y_ticks: Ticks of the accuracies.
        dots: The networks; the last one is drawn on top.
        front: The Pareto front as the data of an SVG path, a step line.
        floor_y: The y coordinate of the accuracy floor.
        floor_text: The label of the floor.
        rates: The lowest and the highest accuracy of the frame.
        teacher_y: The y coordinate of the teacher's accuracy; None without a teacher.
        teacher: The teacher's mark.
        band: The turning point; None if the curve has none.
        below_text: How many networks lie below the window, as a sentence; "" if none do.
        description: The picture in words, for readers who cannot see it.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    front: str
    floor_y: float
    floor_text: str
    band: Band | None
    below_text: str
    description: str
    rates: tuple[float, float]
    teacher_y: float | None = None
    teacher: TeacherMark | None = None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = RIGHT
    top: float = TOP
    bottom: float = BOTTOM


@dataclass(frozen=True)
class Scale:
    """Converts sizes (logarithmic) and rates to coordinates, which it clips to the frame."""

    sizes: tuple[float, float]
    rates: tuple[float, float]

    def x(self, size: float) -> float:
        low, high = self.sizes
        share = math.log(size / low) / math.log(high / low)
        return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share)), 1)

    def y(self, rate: float) -> float:
        low, high = self.rates
        share = (rate - low) / (high - low)
        return round(BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, share)), 1)


def lay_out(
    candidates: Sequence[tuple[Point, str]],
    winner: Point,
    floor: float,
    turning: TurningPoint | None,
    teacher: TeacherMark | None = None,
) -> Chart:
    """Lay out the chart of a search.

    Args:
        candidates: Every network with the stage that trained it. The winner may be among them; it is drawn once.
        winner: The network that was chosen, drawn last.
        floor: The accuracy floor.
        turning: The turning point; None if the curve has none.
        teacher: The teacher, drawn as a level line; None without one.
    """
    points = [point for point, _ in candidates]
    everyone = [*points, winner]
    scale = Scale(
        size_window([*(point.parameters for point in everyone), *_turning_sizes(turning)]),
        rate_window([point.score.rate for point in everyone], floor, levels=[teacher.rate] if teacher else []),
    )
    front = pareto(everyone)
    marked = {point for point in front if point.score.rate >= scale.rates[0]}
    dots = [
        _dot(scale, point, stage, "front" if point in marked else "candidate", number)
        for number, (point, stage) in enumerate(candidates)
        if not _same(point, winner)
    ]
    dots.sort(key=lambda dot: (dot.kind == "front", dot.x))
    return Chart(
        x_ticks=x_ticks(scale),
        y_ticks=tuple(Tick(scale.y(rate), short_percent_text(rate), False) for rate in rate_ticks(*scale.rates)),
        dots=(*dots, _dot(scale, winner, "the winner", "winner")),
        front=steps(scale, front),
        floor_y=scale.y(floor),
        floor_text=f"floor {short_percent_text(floor)}",
        band=None if turning is None else _band(scale, turning),
        below_text=_below_text(everyone, scale.rates[0]),
        description=_description(everyone, front, winner, floor, turning),
        rates=scale.rates,
        teacher_y=scale.y(teacher.rate) if teacher else None,
        teacher=teacher,
    )


def _turning_sizes(turning: TurningPoint | None) -> tuple[int, ...]:
    return (turning.low, turning.parameters, turning.high) if turning else ()


def _same(point: Point, winner: Point) -> bool:
    return (point.parameters, point.score) == (winner.parameters, winner.score)


def x_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return the ticks of the sizes."""
    sizes = size_ticks(*scale.sizes)
    crowded = len(sizes) > 4
    return tuple(Tick(scale.x(size), count_text(size), crowded and not math.log10(size).is_integer()) for size in sizes)


def _dot(scale: Scale, point: Point, stage: str, kind: str, number: int = -1) -> Dot:
    low, high = point.score.interval()
    text = (
        f"{count_text(point.parameters)} parameters\n"
        f"{percent_text(point.score.rate)} of {count_text(point.score.total)} validation examples"
        f" ({percent_text(low)} to {percent_text(high)})\n"
        f"{point.label}\n{stage}{', trained briefly' if point.is_brief else ''}"
    )
    return Dot(scale.x(point.parameters), scale.y(point.score.rate), kind, text, number, point.is_brief)


def steps(scale: Scale, front: Sequence[Point]) -> str:
    """Return the step line of the best rate at or below each size; it begins where the front enters the window."""
    inside = [point for point in front if point.score.rate >= scale.rates[0]]
    first = inside[0]
    start = BOTTOM if len(inside) < len(front) else scale.y(first.score.rate)
    moves = [f"M{scale.x(first.parameters)} {start}"]
    moves += [f"H{scale.x(point.parameters)}V{scale.y(point.score.rate)}" for point in inside]
    return "".join(moves) + f"H{RIGHT}"


def _band(scale: Scale, turning: TurningPoint) -> Band:
    text = f"turning point {count_text(turning.parameters)}"
    return Band(scale.x(turning.low), scale.x(turning.high), scale.x(turning.parameters), text)


def _below_text(points: Sequence[Point], lowest: float) -> str:
    below = sum(point.score.rate < lowest for point in points)
    if not below:
        return ""
    networks = "1 network lies" if below == 1 else f"{count_text(below)} networks lie"
    return f"{networks} below {percent_text(lowest, 1)}, drawn on the lower edge of the picture."


def _description(
    points: Sequence[Point], front: Sequence[Point], winner: Point, floor: float, turning: TurningPoint | None
) -> str:
    turn = "" if turning is None else f" The turning point is at {count_text(turning.parameters)} parameters."
    return (
        f"{count_text(len(points))} networks: accuracy on the validation split against parameters on a logarithmic "
        f"axis. {len(front)} of them are on the Pareto front. The winner has {count_text(winner.parameters)} "
        f"parameters and {percent_text(winner.score.rate)}; the floor is {short_percent_text(floor)}.{turn}"
    )
