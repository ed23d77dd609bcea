"""Where the labels of a picture go: each to the first of its places that covers no line, no dot and no other label.

All coordinates are pixels of the picture, y upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""

LINE_STEP_PIXELS = 2.0
"""Distance of the points that stand for a line; a label is higher than this."""

LINE_PIXELS, DOT_PIXELS = 9.0, 17.0
"""Distance of a label from its line, and from the centre of its dot."""

PADDING_PIXELS = 5.0
"""Distance that a label keeps from lines, dots and other labels."""


class PictureLabels:
    """Writes labels where they cover neither a line, nor a dot, nor one another."""

    def __init__(
        self,
        axes: Axes,
        lines: Sequence[Sequence[tuple[float, float]]],
        dots: tuple[Sequence[float], Sequence[float]],
        levels: Sequence[float] = (),
        uprights: Sequence[float] = (),
    ) -> None:
        """Collect what labels must not cover.

        Args:
            axes: Axes whose limits, ticks and title are final.
            lines: The corners of each line, as (size, rate).
            dots: The sizes and the rates of the dots.
            levels: Rates at which a level line crosses the frame.
            uprights: Sizes at which an upright line crosses it.
        """
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # the layout is known from here on
        self.axes = axes
        box = axes.get_window_extent()
        self.frame = (box.x0, box.y0, box.x1, box.y1)
        (left, right), (lowest, highest) = axes.get_xlim(), axes.get_ylim()
        crossing = [[(left, rate), (right, rate)] for rate in levels]
        crossing += [[(size, lowest), (size, highest)] for size in uprights]
        points = [along(self._pixels(corners)) for corners in (*lines, *crossing)]
        clipped = [(size, max(rate, lowest)) for size, rate in zip(*dots, strict=True)]
        self.obstacles = np.concatenate([*points, self._pixels(clipped)])

    def dot(self, text: str, at: tuple[float, float], colour: str) -> None:
        """Write the name of a large dot beside it."""
        ((x, y),) = self._pixels([at])
        own = np.hypot(*(self.obstacles - (x, y)).T) < 3
        self.obstacles = np.concatenate([self.obstacles[~own], box_points((x - 12, y - 12, x + 12, y + 12))])
        self._write(text, colour, lambda size: beside((x, y), size, DOT_PIXELS), fontsize=11, fontweight="bold")

    def level(self, text: str, rate: float, colour: str) -> None:
        """Write the name of a level line above or below it."""
        ((_, y),) = self._pixels([(self.axes.get_xlim()[0], rate)])
        self._write(text, colour, lambda size: on_level(y, size, LINE_PIXELS, self.frame))

    def upright(self, text: str, size: float, colour: str) -> None:
        """Write the name of an upright line beside it."""
        ((x, _),) = self._pixels([(size, self.axes.get_ylim()[0])])
        self._write(text, colour, lambda extent: on_upright(x, extent, 2 * LINE_PIXELS, self.frame))

    def _write(self, text: str, colour: str, places: Callable[[tuple[float, float]], list[Box]], **style: Any) -> None:
        """Write a text at the first of its free places, which becomes an obstacle for the next."""
        usual: dict[str, Any] = {"fontsize": 10.5, "zorder": 6, "va": "bottom", "parse_math": False}
        label = self.axes.text(0, 0, text, transform=None, color=colour, **usual | style)
        label.set_in_layout(False)
        box = label.get_window_extent()
        place = free_place(places((box.width, box.height)), self.obstacles, self.frame)
        label.set_position(place[:2])
        self.obstacles = np.concatenate([self.obstacles, box_points(place)])

    def _pixels(self, places: Sequence[tuple[float, float]]) -> npt.NDArray[np.float64]:
        """Convert (size, rate) to pixels: float64 [n, 2]."""
        return np.asarray(self.axes.transData.transform(np.array(places, np.float64).reshape(-1, 2)))


def along(corners: Sequence[Sequence[float]] | Floats) -> Floats:
    """Return points along the line that joins the corners: float64 [n, 2]."""
    pieces = [np.array(corners[:1], np.float64).reshape(-1, 2)]
    for (x0, y0), (x1, y1) in pairwise(corners):
        count = 1 + int(np.hypot(x1 - x0, y1 - y0) / LINE_STEP_PIXELS)
        pieces.append(np.linspace((x0, y0), (x1, y1), count + 1)[1:])
    return np.concatenate(pieces)


def box_points(box: Box) -> Floats:
    """Return points over the whole of a box, so that it can be an obstacle: float64 [n, 2]."""
    left, bottom, right, top = box
    rows = np.arange(bottom, top + LINE_STEP_PIXELS, LINE_STEP_PIXELS)
    return np.concatenate([along([(left, row), (right, row)]) for row in rows])


def free_place(places: Iterable[Box], obstacles: Floats, frame: Box) -> Box:
    """Return the first place within the frame that no obstacle touches; if all are touched, the least touched.

    Args:
        places: The places that a label may take, the best first.
        obstacles: Points of lines, dots and other labels: float64 [n, 2].
        frame: What a label must not leave.
    """
    inside = [place for place in places if _holds(frame, place)]
    touched = [_touching(place, obstacles) for place in inside]
    return inside[int(np.argmin(touched))]


def beside(at: tuple[float, float], size: tuple[float, float], distance: float) -> list[Box]:
    """Return places around a mark: above left, above, above right, left, right, and likewise below.

    Args:
        at: The centre of the mark.
        size: Width and height of the label.
        distance: From the centre of the mark to the label.
    """
    (x, y), (width, height) = at, size
    lefts = (x - distance - width, x - width / 2, x + distance)
    above = [(left, y + distance) for left in lefts]
    level = [(left, y - height / 2) for left in (lefts[0], lefts[2])]
    below = [(left, y - distance - height) for left in (lefts[2], lefts[1], lefts[0])]
    return [_box(corner, size) for corner in (*above, *level, *below)]


def on_level(y: float, size: tuple[float, float], distance: float, frame: Box, steps: int = 24) -> list[Box]:
    """Return places above, then below, a level line, from left to right within the frame."""
    left, _, right, _ = frame
    starts = np.linspace(left + distance, right - distance - size[0], steps)
    return [_box((start, bottom), size) for bottom in (y + distance, y - distance - size[1]) for start in starts]


def on_upright(x: float, size: tuple[float, float], distance: float, frame: Box, steps: int = 24) -> list[Box]:
    """Return places right, then left, of an upright line, from the bottom to the top of the frame."""
    _, bottom, _, top = frame
    starts = np.linspace(bottom + distance, top - distance - size[1], steps)
    return [_box((left, start), size) for start in starts for left in (x + distance, x - distance - size[0])]


def _box(corner: tuple[float, float], size: tuple[float, float]) -> Box:
    return float(corner[0]), float(corner[1]), float(corner[0] + size[0]), float(corner[1] + size[1])


def _holds(frame: Box, place: Box) -> bool:
    return frame[0] <= place[0] and frame[1] <= place[1] and place[2] <= frame[2] and place[3] <= frame[3]


def _touching(place: Box, obstacles: Floats) -> int:
    """Return how many points lie in a place or nearer to it than the padding."""
    low = np.array(place[:2]) - PADDING_PIXELS
    high = np.array(place[2:]) + PADDING_PIXELS
    return int(((obstacles >= low) & (obstacles <= high)).all(axis=1).sum())
