"""The page says the facts and fetches nothing; the pictures are whole PNG files of the size that is promised."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hand_made_results import NOTE, TURNING, a_page
from smidgen.records import Score
from smidgen.report.axes import percent_text, rate_ticks, rate_window, short_percent_text, size_ticks, size_window
from smidgen.report.chart import BOTTOM, LEFT, RIGHT, TOP, lay_out
from smidgen.report.choice import how_chosen
from smidgen.report.page import write_page
from smidgen.report.plots import contact_sheet, frontier_picture, sweep_picture
from smidgen.report.png import png_bytes
from smidgen.report.view import PageView
from smidgen.search.frontier import TurningPoint, pareto

VOID = {"meta", "link", "br", "img", "input", "hr"}


def _page(view: PageView, folder: Path) -> str:
    path = folder / "page.html"
    write_page(view, path)
    return path.read_text(encoding="utf-8")


class _Reader(HTMLParser):
    """Checks that elements nest, and keeps text, tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_says_the_facts(tmp_path: Path) -> None:
    view = a_page()
    words = " ".join(" ".join(_read(_page(view, tmp_path)).words).replace("\xa0", " ").split())
    for fact in (
        "403 parameters hold 97 % on mnist:",
        "97.60 % (9,760/10,000) on the test examples, 95 % interval 97.28 % to 97.88 %;",
        "; 2,977 times smaller than its teacher.",
        "512 bytes",
        "The turning point is at 932 parameters and 98.10 %",
        "800 to 1,200 parameters (found in 990 of 1,000 curves",
        "1 of 2 held the floor",
        "dog taken for cat (7), cat taken for dog (3), dog taken for owl (1).",
        *how_chosen(view.result),
        "The teacher was read from a file.",
        "96.20 %",  # the median of the three scores on labels
        "73.4 s for 412 trials",
        "smidgen shrink mnist --floor 97",
        "3f0c9a1b",
        NOTE,
    ):
        assert fact in words


def test_a_winner_that_learned_from_labels_is_not_compared_with_the_teacher() -> None:
    view = a_page()
    from_labels = replace(view.result, winner=replace(view.result.winner, teacher_key=""))
    assert "smaller than its teacher" in view.evidence
    assert "teacher" not in replace(view, result=from_labels).evidence


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    page = _page(a_page(), tmp_path)
    reader = _read(page)
    links = [value or "" for name, value in reader.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert links and all(link.startswith("data:") for link in links)
    assert "http" not in page and "@import" not in page and "url(" not in page


def test_the_page_shows_forty_images_and_every_network(tmp_path: Path) -> None:
    wrong = np.array([[90, 50, 0], [7, 80, 1], [0, 0, 99]])
    reader = _read(_page(a_page(confusion=wrong), tmp_path))
    assert reader.tags.count("img") == 40
    assert reader.tags.count("circle") == 31
    assert ("alt", "a test image of cat, taken for dog") in reader.attributes


def test_text_of_the_user_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>\"&"
    view = a_page(class_names=(evil, "dog", "owl"), data_name=evil)
    teacher = replace(view.result.teacher, notes=(evil,))
    reader = _read(_page(replace(view, command=evil, result=replace(view.result, teacher=teacher)), tmp_path))
    assert "script" not in reader.tags, "a page without networks has nothing to run"
    assert evil in "".join(reader.words)


def test_a_winner_below_the_floor_on_the_test_split_does_not_claim_to_hold(tmp_path: Path) -> None:
    view = a_page()
    result = replace(view.result, test=Score(9650, 10_000), teacher=None, turning_point=None)
    page = _page(replace(view, result=result), tmp_path)
    assert "403 parameters were chosen to hold" in page and "below the floor of 97 %" in page
    assert "The curve has no turning point" in page and "teacher" not in page[page.index("<body>") :]


def test_a_winner_that_misses_the_floor_on_the_validation_split_is_said_to(tmp_path: Path) -> None:
    view = a_page()
    page = _page(replace(view, result=replace(view.result, is_met=False)), tmp_path)
    assert "No network reached the floor of 97 %" in page and "was chosen instead" in page


def test_fresh_seeds_are_marked_by_the_rule_of_the_floor(tmp_path: Path) -> None:
    assert [is_met for _, is_met in a_page().fresh_seeds] == [True, False]
    page = _page(a_page(), tmp_path)
    assert "<li>97.60 %</li>" in page and '<li class="miss">96.80 % below</li>' in page


def test_the_front_begins_where_it_enters_the_picture() -> None:
    chart = a_page().chart
    assert re.match(rf"M([\d.]+) {BOTTOM}H\1V", chart.front)


def test_a_page_of_two_thousand_networks_stays_light_and_leaves_no_partial_file(tmp_path: Path) -> None:
    assert len(_page(a_page(2000), tmp_path).encode()) < 1_500_000
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_many_classes_give_pairs_and_no_table(tmp_path: Path) -> None:
    names = tuple(f"class {index}" for index in range(40))
    confusion = np.diag(np.full(40, 9))
    confusion[3, 5] = 4
    page = _page(a_page(class_names=names, confusion=confusion), tmp_path)
    assert "class 3 taken for class 5 (4)." in page and 'class="confusion"' not in page


def test_networks_that_were_trained_briefly_are_drawn_as_rings(tmp_path: Path) -> None:
    view = a_page(3)
    assert not any(point.is_brief for point in view.points)
    long, short, shrunk = (
        replace(one, trial=replace(one.trial, recipe=replace(one.trial.recipe, epochs=epochs), start_digest=digest))
        for one, epochs, digest in zip(view.result.candidates, (40, 9, 9), ("", "", "larger"), strict=True)
    )
    view = replace(view, result=replace(view.result, candidates=(long, short, shrunk)))
    assert [point.is_brief for point in view.points] == [False, True, False]
    page = _page(view, tmp_path)
    assert page.count(' brief"') == 1 and "trained briefly</li>" in page
    assert "trained briefly" not in _page(a_page(3), tmp_path)


def test_every_mark_lies_in_the_frame_and_the_winner_is_drawn_once() -> None:
    view = a_page()
    marks = [*((point, "finalists") for point in view.points), (view.winner, "finalists")]
    chart = lay_out(marks, view.winner, 0.97, TURNING)
    assert [dot.kind for dot in chart.dots].count("winner") == 1
    assert len(chart.dots) == len(marks)
    assert all(LEFT <= dot.x <= RIGHT and TOP <= dot.y <= BOTTOM for dot in chart.dots)
    assert chart.band is not None and chart.band.low <= chart.band.at <= chart.band.high
    below = sum(point.score.rate < 0.5 for point, _ in marks)
    assert below == 0 and re.match(r"\d+ networks lie below", chart.below_text)


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_size_ticks_are_few_and_inside(one: int, other: int) -> None:
    low, high = size_window([one, other])
    ticks = size_ticks(low, high)
    assert len(ticks) <= 8 and all(low <= tick <= high for tick in ticks)
    if high / low > 10:
        assert len(ticks) >= 1


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0, 1))
def test_the_rate_window_shows_the_best_and_the_anchor(rates: list[float], anchor: float) -> None:
    low, high = rate_window(rates, anchor)
    assert 0 <= low < high <= 1
    assert low <= anchor <= high and low <= max(rates) <= high
    ticks = rate_ticks(low, high)
    assert 2 <= len(ticks) <= 9 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_networks_at_chance_do_not_squash_the_view() -> None:
    low, _ = rate_window([0.1, 0.11, 0.97, 0.98, 0.99], 0.97)
    assert low > 0.85


@pytest.mark.parametrize(("rate", "text"), [(0.97, "97 %"), (0.975, "97.5 %"), (1.0, "100 %"), (0.1, "10 %")])
def test_floors_are_written_short(rate: float, text: str) -> None:
    assert short_percent_text(rate) == text


def test_rates_are_written_with_two_decimals() -> None:
    assert percent_text(0.976) == "97.60 %"


@pytest.mark.parametrize("shape", [(28, 28), (1, 5, 9), (3, 8, 4)])
def test_our_png_reads_back_equal(shape: tuple[int, ...]) -> None:
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    read = np.asarray(Image.open(io.BytesIO(png_bytes(image))))
    expected = image if len(shape) == 2 else image[0] if shape[0] == 1 else image.transpose(1, 2, 0)
    np.testing.assert_array_equal(read, expected)


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def _has_colour(pixels: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return bool((pixels == wanted).all(axis=2).any())


def test_the_frontier_picture_shows_front_winner_and_turning_point(tmp_path: Path) -> None:
    view, path = a_page(), tmp_path / "frontier.png"
    frontier_picture(view.points, pareto([*view.points, view.winner]), 0.97, view.winner, TURNING, path)
    pixels = _pixels(path)
    assert pixels.shape == (800, 1280, 3)
    assert all(_has_colour(pixels, colour) for colour in ("#0072B2", "#D55E00", "#009E73"))


@pytest.mark.parametrize("turning", [TURNING, None])
def test_the_sweep_picture_has_a_turning_point_or_says_none(tmp_path: Path, turning: TurningPoint | None) -> None:
    groups = {
        f"width {w}": (63 * w * w + 335 * w + 10, [Score(9900 - 900 // w, 10_000), Score(1000, 10_000)])
        for w in (1, 2, 4, 8)
    }
    sweep_picture(groups, turning, tmp_path / "sweep.png")
    pixels = _pixels(tmp_path / "sweep.png")
    assert pixels.shape == (800, 1280, 3)
    assert _has_colour(pixels, "#009E73") == (turning is not None)


def test_the_contact_sheet_shows_ten_images_a_class(tmp_path: Path) -> None:
    images = np.full((25, 1, 28, 28), 40, np.uint8)
    images[12:] = 200
    labels = np.array([0] * 12 + [1] * 13)
    contact_sheet(images, labels, ["cat", "$dog_$"], tmp_path / "sheet.png")
    pixels = _pixels(tmp_path / "sheet.png")
    # Two rows of 2 * 28 + 6 pixels; ten columns of the same beside 24 + 13 * 6 pixels for the names.
    assert pixels.shape == (124, 102 + 620, 3)
    assert (pixels == 40).all(axis=2).sum() == (pixels == 200).all(axis=2).sum() == 10 * 56 * 56


def test_the_contact_sheet_takes_colour_and_floats(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(6, 3, 32, 32)).astype(np.float32)
    contact_sheet(images, np.arange(6) % 2, ["a", "b"], tmp_path / "sheet.png")
    assert _pixels(tmp_path / "sheet.png").shape == (2 * 70, 76 + 700, 3)


def test_importing_the_report_loads_no_heavy_module() -> None:
    heavy = "{'matplotlib', 'jinja2', 'PIL', 'scipy'}"
    check = f"import sys, smidgen.report, smidgen.report.plots; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
