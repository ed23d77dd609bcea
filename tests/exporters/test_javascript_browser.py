"""JavaScript exports in a browser: Chromium gives every test image the decoded network's class."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import browser
from smidgen.data import Dataset
from smidgen.engine import choose
from smidgen.exporters import export_html
from smidgen.exporters.javascript import js_module
from smidgen.model import QuantizedModel, flat_weights

_CLASSES = """async ({ module, images, size }) => {
  const { classify } = await import(URL.createObjectURL(new Blob([module], { type: "text/javascript" })));
  const bytes = Uint8Array.from(atob(images), (c) => c.charCodeAt(0));
  const one = (_, at) => classify(bytes.subarray(at * size, (at + 1) * size)).index;
  return Array.from({ length: bytes.length / size }, one);
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


def test_chromium_gives_every_test_image_the_decoded_networks_class(
    chromium: Any, trained: QuantizedModel, digits: Dataset
) -> None:
    images = digits.test.images
    page = chromium.new_page()
    page.goto("about:blank")
    text = base64.b64encode(images.tobytes()).decode()
    found = page.evaluate(_CLASSES, {"module": js_module(trained), "images": text, "size": images[0].size})
    expected = choose().predict(trained.spec, flat_weights(trained), images).argmax(axis=1)
    assert found == expected.tolist()
    page.close()


def test_the_exported_page_answers_what_is_drawn(chromium: Any, trained: QuantizedModel, tmp_path: Path) -> None:
    export_html(trained, tmp_path / "page.html")
    page, faults = chromium.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    box = page.locator("#draw").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=5)
    page.mouse.up()
    shares = page.locator("#answer li span:last-child").all_inner_texts()
    assert np.isclose(sum(float(share.split()[0]) for share in shares), 100, atol=0.6)
    assert page.locator("#answer li.best").count() == 1 and faults == []
    page.close()
