"""The page in a browser: drawn digits get Python's classes, the floor slides, and the keyboard alone suffices."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import browser
from hand_made_results import a_live_page
from smidgen.data import Dataset, from_arrays
from smidgen.engine import choose, softmax
from smidgen.model import flat_weights
from smidgen.report.answer import Answer
from smidgen.report.page import render
from smidgen.report.view import PageView
from smidgen.search.result import ShrinkResult

TIMEOUT_MS = 10_000
NOTHING = "\N{EN DASH}"
"""The answer before anything is drawn."""

SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifts += entry.value)))
  .observe({ type: "layout-shift", buffered: true });"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def view(answer: ShrinkResult, chromium: Any) -> PageView:
    """What the page of `answer` shows; it is made only where there is a browser."""
    return PageView.of(answer, 3000, "smidgen shrink digits --floor 0.9")


@pytest.fixture(scope="module")
def file(view: PageView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(view), "utf-8")
    return path


class Opened:
    """A page in the browser; `faults` has what it logged or fetched."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.extend([message.text] * (message.type == "error")))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._requested)
        self.page.add_init_script(SHIFTS)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready].whole", state="attached")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"fetched {request.url}")

    def text(self, name: str) -> str:
        return str(self.page.locator(f"#{name}").inner_text())

    def scores(self, who: str = "network") -> np.ndarray:
        found = self.page.locator(f'[data-who="{who}"] .score').all_inner_texts()
        return np.array([float(text.split()[0]) / 100 for text in found])


@pytest.fixture
def opened(chromium: Any, file: Path) -> Iterator[Opened]:
    opened = Opened(chromium, file)
    yield opened
    opened.context.close()
    assert opened.faults == []


def logits(view: PageView, number: int, values: np.ndarray) -> np.ndarray:
    """The logits of a network of the page, by Python."""
    quantized = view.networks[number].quantized
    inputs = quantized.input.to_network(values)
    return choose().predict(quantized.spec, flat_weights(quantized), np.ascontiguousarray(inputs))


# --- draw ------------------------------------------------------------------------------------


def drawn(opened: Opened) -> np.ndarray:
    """The pixels of the pad, which has one for each pixel of the network's input: uint8 [1, 1, 8, 8]."""
    script = """() => { const pad = document.getElementById("pad");
      const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
      return Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]); }"""
    return np.array(opened.page.evaluate(script), np.uint8).reshape(1, 1, 8, 8)


def draw(opened: Opened, image: np.ndarray) -> None:
    """Draw the bright runs of pixels of each row by the pointer."""
    opened.page.click("#clear")
    box = opened.page.locator("#pad").bounding_box()
    cell = box["width"] / image.shape[1]
    mouse = opened.page.mouse
    for y, row in enumerate(image > 110):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        for first, end in edges.reshape(-1, 2):
            mouse.move(box["x"] + (first + 0.5) * cell, box["y"] + (y + 0.5) * cell)
            mouse.down()
            mouse.move(box["x"] + (end - 0.5) * cell, box["y"] + (y + 0.5) * cell)
            mouse.up()


def test_drawn_test_digits_get_the_classes_that_python_gives(opened: Opened, view: PageView, digits: Dataset) -> None:
    for label in range(0, 10, 2):
        index = int(np.flatnonzero(digits.test.labels == label)[1])
        image = digits.test.images[index, 0]
        draw(opened, image)
        pixels = drawn(opened)
        assert np.corrcoef(pixels.ravel(), image.ravel())[0, 1] > 0.7, "the drawing is like its digit"
        assert (pixels > 200).sum() >= 8, "it was drawn"
        expected = logits(view, 0, pixels)
        assert opened.text("network-verdict") == digits.class_names[int(expected.argmax())]
        np.testing.assert_allclose(opened.scores(), softmax(expected)[0], atol=0.0006)
    opened.page.click("#clear")
    assert opened.text("network-verdict") == NOTHING


def test_test_samples_get_the_classes_that_python_gives(opened: Opened, view: PageView, digits: Dataset) -> None:
    assert view.page_teacher is not None
    for number, sample in enumerate(view.samples[:12]):
        opened.page.select_option("#sample", str(number))
        values = sample.values[None]
        np.testing.assert_array_equal(drawn(opened), values)
        expected = logits(view, 0, values)
        assert opened.text("network-verdict") == digits.class_names[int(expected.argmax())]
        np.testing.assert_allclose(opened.scores(), softmax(expected)[0], atol=0.0006)
        assert opened.text("sample-note") == f"True class: {digits.class_names[sample.label]}."
    quantized = view.page_teacher.quantized
    taught = softmax(choose().predict(quantized.spec, flat_weights(quantized), values))[0]
    best = digits.class_names[int(taught.argmax())]
    opened.page.wait_for_function(f"document.getElementById('teacher-verdict').textContent === '{best}'")
    np.testing.assert_allclose(opened.scores("teacher"), taught, atol=0.0006)


def test_a_wrong_image_goes_onto_the_pad(opened: Opened, view: PageView) -> None:
    opened.page.locator("[data-truth]").nth(2).click()
    np.testing.assert_array_equal(drawn(opened)[0], view.wrong[2].pixels)
    assert opened.text("network-verdict") == view.wrong[2].predicted


def test_wrong_images_fill_their_squares(opened: Opened) -> None:
    box = opened.page.locator(".wrongs img").first.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 60


def test_every_weight_is_shown_and_the_maps_light_up(opened: Opened, view: PageView) -> None:
    canvases = "[...document.querySelectorAll('#inside canvas')]"
    colours = f"{canvases}.map((c) => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
    lit = opened.page.evaluate(colours)
    opened.page.click("#clear")
    dark = opened.page.evaluate(colours)
    assert sum(lit[2::3]) > sum(dark[2::3]), "maps are the third canvas of each layer"
    assert lit[0::3] == dark[0::3]
    opened.page.click("#weights-count")
    opened.page.wait_for_function("document.getElementById('weights-text').textContent")
    numbers = [line for line in opened.text("weights-text").splitlines() if re.match(r"^-?\d", line)]
    assert len(" ".join(numbers).split()) == flat_weights(view.networks[0].quantized).size


# --- slide the floor -------------------------------------------------------------------------


def test_the_floor_slides_and_everything_changes_with_it(opened: Opened, view: PageView) -> None:
    own = opened.text("layers-own")
    opened.page.locator("#floor").scroll_into_view_if_needed()
    line = opened.page.locator("#floor .floor-grip").bounding_box()
    middle = line["x"] + line["width"] / 2, line["y"] + line["height"] / 2
    opened.page.mouse.move(*middle)
    opened.page.mouse.down()
    opened.page.mouse.move(middle[0] + 5, middle[1] + 130, steps=4)
    opened.page.mouse.up()
    floor = float(opened.page.get_attribute("#floor", "aria-valuenow") or 0) / 100
    assert floor < view.result.floor.accuracy - 0.005
    holding = [each for each in view.networks if not each.is_file and each.holds >= floor]
    smallest = min(holding, key=lambda each: (each.sizes["parameters"], -each.outcome.validation.correct))
    assert f"{smallest.sizes['parameters']:,} parameters" in opened.text("picked-text")
    assert smallest.sizes["parameters"] < view.result.outcome.parameters
    assert "Its test score is not shown" in opened.text("picked-note")
    assert str(smallest.quantized.spec) in opened.text("layers-other")
    assert f"right on {smallest.outcome.validation.correct:,} of" in opened.text("wrong-other")
    wrong = opened.page.locator("#wrong-other .confusion td.wrong").all_inner_texts()
    errors = smallest.confusion.sum() - np.trace(smallest.confusion)
    assert sum(map(int, wrong)) == errors == smallest.outcome.validation.total - smallest.outcome.validation.correct
    test_rate = f"{100 * view.result.test.rate:.2f}"
    assert test_rate not in opened.text("wrong-other") + opened.text("picked-text")
    opened.page.click("#back")
    assert opened.text("layers-own") == own and not opened.page.locator("#picked-note").is_visible()


def test_a_floor_that_nothing_holds_is_said(opened: Opened, view: PageView) -> None:
    opened.page.locator("#floor").focus()
    opened.page.keyboard.press("End")
    assert "No network here holds" in opened.text("picked-text")
    best = max(each.holds for each in view.networks if not each.is_file)
    assert f"{round(100 * best, 4):g}" in opened.text("picked-text")


def test_the_curve_is_drawn_over_other_sizes(opened: Opened, view: PageView) -> None:
    front = opened.page.get_attribute("#front", "d")
    for name in ("macs", "ram", "bytes"):
        opened.page.check(f"#measure-{name}")
        measure = view.measures[name]
        assert opened.page.get_attribute("#front", "d") == measure.front != front
        group = "file-dots" if name == "bytes" else "dots"
        winner = opened.page.locator(f"#{group} .winner")
        assert float(winner.get_attribute("cx")) == measure.places[-1]
    assert f"{view.result.file.winner.file_bytes:,} bytes" in opened.text("picked-text")
    opened.page.check("#measure-parameters")
    assert opened.page.get_attribute("#front", "d") == front


# --- for everyone ----------------------------------------------------------------------------


def tab_to(opened: Opened, name: str) -> None:
    for _ in range(200):
        if opened.page.evaluate("document.activeElement.id") == name:
            return
        opened.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach #{name}")


def test_the_keyboard_alone_suffices(opened: Opened) -> None:
    press = opened.page.keyboard.press
    tab_to(opened, "pad")
    tab_to(opened, "clear")
    press("Enter")
    press("Shift+Tab")
    press("Space")
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
        press(key)
    press("Space")
    assert (drawn(opened) > 200).sum() >= 3 and opened.text("network-verdict") != NOTHING
    assert opened.text("network-verdict") in opened.text("said")
    tab_to(opened, "sample-after")
    press("Enter")
    assert opened.text("sample-note").startswith("True class")
    tab_to(opened, "measure-parameters")
    press("ArrowRight")
    assert "bytes" in opened.text("picked-text")
    tab_to(opened, "floor")
    before = opened.text("picked-text")
    for _ in range(8):
        press("PageDown")
    assert opened.text("picked-text") != before
    tab_to(opened, "back")
    press("Enter")
    assert opened.text("picked-text").startswith("The winner")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_moves_while_it_loads_and_nothing_is_wider_than_the_screen(
    chromium: Any, file: Path, width: int
) -> None:
    opened = Opened(chromium, file, color_scheme="dark")
    opened.page.set_viewport_size({"width": width, "height": 844})
    opened.page.reload()
    opened.page.wait_for_selector("html[data-ready].whole", state="attached")
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.shifts") < 0.01
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", paper)[:3])) < 40, "dark mode is dark"
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#pad").is_visible()
    paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)", "paper is white"
    assert opened.faults == []
    opened.context.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program axe-core, from npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed; on Debian: apt-get install npm")
    folder = tmp_path_factory.mktemp("axe")
    line = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
    if subprocess.run(line, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("npm does not reach axe-core")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def test_axe_finds_no_serious_fault(opened: Opened, axe: str) -> None:
    opened.page.locator("#floor").focus()
    opened.page.keyboard.press("PageDown")
    opened.page.evaluate(axe)
    assert [*serious_faults(opened, "light"), *serious_faults(opened, "dark")] == []


def serious_faults(opened: Opened, scheme: str) -> list[str]:
    opened.page.emulate_media(color_scheme=scheme)
    found = opened.page.evaluate("axe.run().then(({ violations }) => violations)")
    faults = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{scheme}: {fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in faults]


# --- other inputs, other places ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vector", "signal", "colour"])
def test_samples_of_other_inputs_are_classified_as_by_python(chromium: Any, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(120) % 3
    X = {
        "vector": rng.normal(size=(120, 6)) * [1, 5, 2, 1, 1, 300] + labels[:, None],
        "signal": rng.normal(size=(120, 32, 2)) + labels[:, None, None],
        "colour": rng.integers(0, 256, (120, 6, 5, 3)).astype(np.uint8),
    }[kind]
    spec = {"vector": "dense 4 relu, dense 3", "signal": "conv 3x1x5 relu, globalavgpool, dense 3",
            "colour": "conv 2x3x3 relu, dense 3"}[kind]  # fmt: skip
    view = a_live_page(from_arrays(X, labels), spec)
    path = tmp_path / "page.html"
    path.write_text(render(view), "utf-8")
    opened = Opened(chromium, path)
    for number in (0, 4, 7):
        opened.page.select_option("#sample", str(number))
        expected = softmax(logits(view, 0, view.samples[number].values[None]))[0]
        np.testing.assert_allclose(opened.scores(), expected, atol=0.0006)
    before = opened.scores()
    box = opened.page.locator("#pad").bounding_box()
    opened.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.1 * box["height"])
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.1 * box["height"])
    opened.page.mouse.up()
    assert not np.array_equal(opened.scores(), before)
    opened.page.locator("#pad").focus()
    opened.page.keyboard.press("ArrowUp")
    assert opened.faults == []
    opened.context.close()


def test_an_answer_of_the_teacher_is_dropped_where_nothing_is_drawn_any_more(opened: Opened) -> None:
    opened.page.click("#sample-after")
    opened.page.wait_for_function(f"document.getElementById('teacher-verdict').textContent !== '{NOTHING}'")
    opened.page.evaluate("for (const name of ['sample-after', 'clear']) document.getElementById(name).click()")
    opened.page.wait_for_timeout(300)
    assert opened.text("teacher-verdict") == opened.text("network-verdict") == NOTHING


def test_a_notebook_shows_the_page_in_a_frame(chromium: Any, view: PageView, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(PageView, "of", lambda *arguments, **named: view)
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><html lang='en'>{Answer.of(view.result)._repr_html_()}", "utf-8")
    context = chromium.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(state="attached", timeout=TIMEOUT_MS)
    assert frame.locator("#network-verdict").inner_text() in view.result.data.class_names
    assert page.evaluate("typeof makeRuntime") == "undefined"
    context.close()


def test_without_samples_the_page_holds_none(chromium: Any, view: PageView, tmp_path: Path) -> None:
    bare = replace(view, has_samples=False)
    path = tmp_path / "page.html"
    path.write_text(render(bare), "utf-8")
    opened = Opened(chromium, path)
    assert json.loads(opened.page.locator("#page-data").inner_text())["samples"] == []
    assert opened.page.locator("img").count() == 0
    assert "This page holds none (--no-samples)." in opened.page.locator("main").inner_text()
    assert opened.text("network-verdict") == NOTHING
    assert opened.faults == []
    opened.context.close()
