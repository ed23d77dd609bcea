"""Measures the report page: its size, its time to interactive, and microseconds of a classification.

    python benchmarks/report_page.py RUN --out results/2026-11-28-report-page [--browser chromium]

RUN is the folder of `smidgen shrink mnist --floor 0.97`. Playwright, a Chromium, and Node are needed; Node classifies
the whole test set. Time to interactive is from the start of the navigation until the page's script has run and shown
its first answer (`html[data-ready]`), each time in a new profile, from disk; in turns, the same is measured of a page
without content. A classification is one `classify` on a test image: in Chromium rounds over the first 1,000 test
images; in Python one image at a time, and all at once.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

import smidgen
from smidgen.data import load as load_data
from smidgen.engine import choose
from smidgen.exporters.javascript import js_module, runtime
from smidgen.model import QuantizedModel, as_quantized, flat_weights, load_safetensors, load_smidgen

ROUNDS = 5
NODE_TIMES = {
    "whole": "seconds of the process",
    "classifications": "seconds of the classifications",
    "processor": "seconds of processor time of the process",
}
SOME_IMAGES = 1_000
Images = npt.NDArray[np.uint8]

_TIMED = """async ({ module, images, rounds, size }) => {
  const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  const { classify } = await import(address);
  const bytes = Uint8Array.from(atob(images), (c) => c.charCodeAt(0));
  const found = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    for (let at = 0; at < bytes.length; at += size) classify(bytes.subarray(at, at + size));
    found.push((1000 * (performance.now() - began)) / (bytes.length / size));
  }
  return found;
}"""

_EMPTY = """<!doctype html><html lang="en"><meta charset="utf-8"><title>empty</title><p>nothing
<script type="module">document.documentElement.dataset.ready = "";</script></html>"""

_NODE = """import { readFileSync, writeFileSync } from "node:fs";
import { classify } from "./network.mjs";
const bytes = readFileSync("images"), size = Number(process.argv[2]);
const began = performance.now();
const classes = new Uint8Array(bytes.length / size);
for (let i = 0; i < classes.length; i++) classes[i] = classify(bytes.subarray(i * size, (i + 1) * size)).index;
const seconds = (performance.now() - began) / 1000;
writeFileSync("classes", classes);
console.log(seconds, process.cpuUsage().user / 1e6);
"""


def in_python(quantized: QuantizedModel, images: Images) -> dict[str, list[float]]:
    """Microseconds a classification: one image at a time, and all at once on one thread."""
    engine, weights = choose("native"), flat_weights(quantized)

    def one_by_one() -> int:
        for image in images[:SOME_IMAGES]:
            engine.predict(quantized.spec, weights, image[None])
        return SOME_IMAGES

    def at_once() -> int:
        engine.predict(quantized.spec, weights, images)
        return len(images)

    return {"python, one image": _timed(one_by_one), "python, all at once": _timed(at_once)}


def _timed(work: Callable[[], int]) -> list[float]:
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        count = work()
        found.append(1e6 * (time.perf_counter() - began) / count)
    return found


def in_node(quantized: QuantizedModel, images: Images) -> tuple[dict[str, list[float]], int]:
    """Seconds of the process, of its classifications and of its processor time, and how many classes are Python's."""
    expected = choose("native").predict(quantized.spec, flat_weights(quantized), images).argmax(axis=1)
    found: dict[str, list[float]] = {"whole": [], "classifications": [], "processor": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "network.mjs").write_text(js_module(quantized), "utf-8")
        (folder / "main.mjs").write_text(_NODE, "utf-8")
        (folder / "images").write_bytes(images.tobytes())
        for _ in range(ROUNDS):
            began = time.perf_counter()
            line = ["node", "main.mjs", str(images[0].size)]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
            inner, processor = map(float, done.stdout.split())
            for name, value in zip(found, (time.perf_counter() - began, inner, processor), strict=True):
                found[name].append(value)
        same = int((np.frombuffer((folder / "classes").read_bytes(), np.uint8) == expected).sum())
    return found, same


def in_browser(path: Path, program: str, quantized: QuantizedModel, images: Images) -> dict[str, Any]:
    """Time to interactive and microseconds a classification, in Chromium."""
    from playwright.sync_api import sync_playwright  # type: ignore[import-not-found, unused-ignore]

    text = base64.b64encode(images[:SOME_IMAGES].tobytes()).decode()
    given = {"module": js_module(quantized), "images": text, "rounds": ROUNDS, "size": images[0].size}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        empty = path.with_name("empty.html")
        empty.write_text(_EMPTY, "utf-8")
        both = [[_time_to_interactive(browser, each) for each in (empty, path)] for _ in range(ROUNDS)]
        empty.unlink()
        page = browser.new_page()
        page.goto(path.absolute().as_uri())
        found = {"version": browser.version, "micros": page.evaluate(_TIMED, given)}
        found |= {"empty": [first for first, _ in both], "ready": [second for _, second in both]}
        browser.close()
    return found


def _time_to_interactive(browser: Any, path: Path) -> float:
    """Milliseconds from the navigation's start to the first answer."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "new MutationObserver(() => { if ('ready' in (document.documentElement?.dataset ?? {})) "
        "window.readyAt ??= performance.now(); }).observe(document, { subtree: true, attributes: true });"
    )
    page.goto(path.absolute().as_uri())
    page.wait_for_function("window.readyAt !== undefined")
    found = float(page.evaluate("window.readyAt"))
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    page, images = given.run / "report.html", load_data("mnist").test.images.astype(np.uint8, copy=False)
    networks = {
        "winner.safetensors": as_quantized(load_safetensors(given.run / "winner.safetensors")),
        "winner.smidgen": load_smidgen(given.run / "winner.smidgen"),
    }
    rows: list[tuple[str, str, str, float]] = [
        ("page", "bytes", "", page.stat().st_size),
        ("page", "bytes, gzipped", "", len(gzip.compress(page.read_bytes(), 9))),
        ("runtime", "bytes, gzipped", "", len(gzip.compress(runtime().encode(), 9))),
    ]
    for name, quantized in networks.items():
        browser = in_browser(page, given.browser, quantized, images)
        node, same = in_node(quantized, images)
        rows += [(name, "chromium, microseconds", "", value) for value in browser["micros"]]
        rows += [(name, "page ready, milliseconds", browser["version"], value) for value in browser["ready"]]
        rows += [(name, "empty page ready, milliseconds", browser["version"], value) for value in browser["empty"]]
        for what, values in node.items():
            rows += [(name, f"node, whole test set, {NODE_TIMES[what]}", "", value) for value in values]
        rows += [(name, "node, classes as Python's", f"of {len(images)}", same)]
        for what, values in in_python(quantized, images).items():
            rows += [(name, f"{what}, microseconds", "", value) for value in values]
    _write(given.out, rows)


def _write(folder: Path, rows: list[tuple[str, str, str, float]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("of", "what", "note", "value"))
        writer.writerows((*row[:3], f"{row[3]:.6g}") for row in rows)
    groups: dict[tuple[str, str], list[float]] = {}
    for of, what, _, value in rows:
        groups.setdefault((of, what), []).append(value)
    summary = {
        f"{of}: {what}": {"median": median(values), "least": min(values), "most": max(values), "n": len(values)}
        for (of, what), values in groups.items()
    }
    versions = {
        "smidgen": smidgen.__version__,
        "python": platform.python_version(),
        "node": subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "load": os.getloadavg()[0],
        "cpus": os.cpu_count(),
    }
    (folder / "summary.json").write_text(json.dumps({"versions": versions, **summary}, indent=1) + "\n", "utf-8")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
