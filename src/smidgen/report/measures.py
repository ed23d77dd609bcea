"""The curve over other sizes than parameters: multiply-accumulates, memory, bytes. The page's script moves to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.report.axes import count_text, percent_text, size_window
from smidgen.report.chart import Dot, Scale, Tick, steps, x_ticks
from smidgen.report.page_networks import sizes_of
from smidgen.search.byte_search import FileCandidate
from smidgen.search.frontier import Point, pareto
from smidgen.search.result import ShrinkResult, TrainedCandidate

LABELS = {
    "parameters": "parameters",
    "bytes": "bytes of the file",
    "macs": "multiply-accumulates for one input",
    "ram": "bytes of memory for values, as float32",
}
"""The measures in the order in which the page offers them, and what its axis says."""


@dataclass(frozen=True)
class Measure:
    """The curve over one size.

    Attributes:
        name: A key of `LABELS`.
        ticks: Ticks of the sizes.
        front: The Pareto front as the data of an SVG path.
        places: The x coordinate of each network, in the order that was given.
        fronts: Which of them are on the front, by their place in that order.
        scale: Converts a size to its coordinate.
    """

    name: str
    ticks: tuple[Tick, ...]
    front: str
    places: tuple[float, ...]
    fronts: tuple[int, ...]
    scale: Scale


def measure(name: str, points: Sequence[Point], rates: tuple[float, float]) -> Measure:
    """Lay the curve out over one size, which stands in place of the points' parameters."""
    scale = Scale(size_window(point.parameters for point in points), rates)
    front = pareto(points)
    inside = {point for point in front if point.score.rate >= rates[0]}
    return Measure(
        name,
        x_ticks(scale),
        steps(scale, front) if inside else "",
        tuple(scale.x(point.parameters) for point in points),
        tuple(number for number, point in enumerate(points) if point in inside),
        scale,
    )


def measures(
    result: ShrinkResult, candidates: Sequence[TrainedCandidate], rates: tuple[float, float]
) -> dict[str, Measure]:
    """Return the curve over each size, by its name. The winner comes last; over bytes the points are files."""
    shape = result.data.input_shape
    trained = [*candidates, TrainedCandidate(result.winner, result.outcome, "the winner")]
    sizes = [sizes_of(each.trial.spec, each.outcome.parameters, shape) for each in trained]
    found = {}
    for name in LABELS:
        if name != "bytes":
            points = [
                Point(max(1, size[name]), each.outcome.validation, str(number))
                for number, (each, size) in enumerate(zip(trained, sizes, strict=True))
            ]
            found[name] = measure(name, points, rates)
        elif result.file:
            files = (*result.file.candidates, result.file.winner)
            points = [Point(file.file_bytes, file.outcome.validation, str(at)) for at, file in enumerate(files)]
            found[name] = measure(name, points, rates)
    return found


def file_dots(result: ShrinkResult, over_bytes: Measure) -> tuple[Dot, ...]:
    """Return a dot for each file that was tried, the winner last."""
    assert result.file is not None, "there is a curve over bytes"
    files = (*result.file.candidates, result.file.winner)
    kinds = ["front" if number in over_bytes.fronts else "candidate" for number in range(len(files) - 1)]
    dots = [_file_dot(over_bytes, number, files[number], kind) for number, kind in enumerate([*kinds, "winner"])]
    winner = result.file.winner
    others = [dot for dot, file in zip(dots[:-1], files[:-1], strict=True) if file is not winner]
    return (*sorted(others, key=lambda dot: (dot.kind == "front", dot.x)), dots[-1])


def _file_dot(over_bytes: Measure, number: int, file: FileCandidate, kind: str) -> Dot:
    score = file.outcome.validation
    text = (
        f"{count_text(file.file_bytes)} bytes, {count_text(file.outcome.parameters)} parameters\n"
        f"{percent_text(score.rate)} of {count_text(score.total)} validation examples\n"
        f"{file.quantized.spec}\n{'the file' if kind == 'winner' else file.stage}"
    )
    return Dot(over_bytes.places[number], over_bytes.scale.y(score.rate), kind, text, number)
