"""Labels of a picture cover no line, no dot and no other label where a place is free."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text

from smidgen.records import Score
from smidgen.report import plots
from smidgen.report.axes import TeacherMark, rate_window
from smidgen.report.labels import along, beside, box_points, free_place, on_level, on_upright
from smidgen.search.frontier import Point, TurningPoint, pareto

FRAME = (0.0, 0.0, 400.0, 200.0)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_points_along_a_line_leave_no_gap_that_a_label_fits_in() -> None:
    points = along([(0, 0), (100, 0), (100, 37)])
    assert np.hypot(*np.diff(points, axis=0).T).max() <= 2
    assert len(along([])) == 0


def test_the_first_free_place_is_taken_and_else_the_one_that_covers_least() -> None:
    places = [(0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0), (390.0, 0.0, 410.0, 10.0)]
    assert free_place(places, np.zeros((0, 2)), FRAME) == places[0]
    assert free_place(places, box_points(places[0]), FRAME) == places[1]
    crowded = np.concatenate([box_points(places[0]), box_points(places[1])[:3]])
    assert free_place(places, crowded, FRAME) == places[1], "the third leaves the frame"


def test_places_lie_around_their_mark() -> None:
    for place in beside((100, 100), (40, 12), 17):
        assert not overlap(place, (100 - 8, 100 - 8, 100 + 8, 100 + 8))
    for place in on_level(100, (40, 12), 9, FRAME):
        assert not overlap(place, (0, 99, 400, 101)) and place[0] >= 0 and place[2] <= 400
    for place in on_upright(100, (40, 12), 9, FRAME):
        assert not overlap(place, (99, 0, 101, 200))


def test_the_teacher_widens_the_picture_upwards_only() -> None:
    low, high = rate_window([0.92, 0.95, 0.978], 0.97)
    assert rate_window([0.92, 0.95, 0.978], 0.97, levels=[0.992])[0] == pytest.approx(low, abs=0.002)
    assert high < 0.992 < rate_window([0.92, 0.95, 0.978], 0.97, levels=[0.992])[1]


@pytest.mark.parametrize("winner", [0, 3, 6])
@pytest.mark.parametrize("turning", [200, 309, 700])
def test_labels_of_a_crowded_curve_do_not_cross_it(winner: int, turning: int, tmp_path, monkeypatch) -> None:
    """The file curve of MNIST at 97 %, whose labels once crossed the front; any point may be the winner."""
    sizes = [238, 252, 260, 270, 273, 302, 309, 333, 363, 669]
    rates = [0.9613, 0.967, 0.9672, 0.9686, 0.9719, 0.9746, 0.9762, 0.978, 0.9788, 0.9791]
    points = [Point(size, Score(round(10_000 * rate), 10_000), "") for size, rate in zip(sizes, rates, strict=True)]
    kept = []
    monkeypatch.setattr(plots, "save", lambda figure, path: kept.append(figure))
    mark, band = (
        TeacherMark(0.99, ", 1,199,882 parameters"),
        TurningPoint(turning, 0.97, turning, turning, ""),
    )
    plots.frontier_picture(points, pareto(points), 0.97, points[winner], band, tmp_path / "a.png", "bytes", mark)
    axes = kept[0].axes[0]
    texts = [text for text in axes.texts if isinstance(text, Text)]
    assert len(texts) == 4
    boxes = [text.get_window_extent().extents for text in texts]
    assert not any(overlap(one, other) for i, one in enumerate(boxes) for other in boxes[:i])
    corners = [(size, rate) for size, rate in zip(sizes, rates, strict=True)]
    steps = [at for (size, rate), (end, _) in pairwise(corners) for at in ((size, rate), (end, rate))]
    line = along([tuple(at) for at in axes.transData.transform(steps)])
    frame = axes.get_window_extent().extents
    for box in boxes:
        assert not ((line >= box[:2]) & (line <= box[2:])).all(axis=1).any()
        assert frame[0] <= box[0] and box[2] <= frame[2] and frame[1] <= box[1] and box[3] <= frame[3]
