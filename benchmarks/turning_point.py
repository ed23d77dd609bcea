"""How often is a known turning point found, and covered by its range? Simulated curves, and the published families.

    python benchmarks/turning_point.py --repeats 400 --json turning_point.json

A curve is a broken power law: the error is multiplied by a factor for each halving of the size, by a larger one below
the knee. A sweep has seeds of a spread of 0.1 in the logarithm of the error, scored on 10,000 images. A search has 250
networks of all sizes, each worse than the best of its size by an exponential factor, of which the Pareto front counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.records import Score
from smidgen.search.frontier import Point, TurningPoint
from smidgen.search.turning_point import turning_point, turning_point_of_front

IMAGES = 10_000
SEED_SPREAD, SCATTER = 0.1, 0.35
Curve = Callable[[np.ndarray], np.ndarray]


def broken(knees: tuple[float, ...], slopes: tuple[float, ...], error_at_1000: float = 0.01) -> Curve:
    """The error by size: slopes are in log2, from the largest sizes down; each knee begins the next."""

    def log_error(sizes: np.ndarray) -> np.ndarray:
        x = np.log2(sizes)
        y = np.log2(error_at_1000) - slopes[0] * (x - np.log2(1000))
        for knee, right, left in zip(knees, slopes, slopes[1:], strict=False):
            y += (left - right) * np.maximum(0.0, np.log2(knee) - x)
        return np.asarray(y)

    return lambda sizes: np.asarray(np.minimum(0.9, 2 ** log_error(sizes)))


def swept(curve: Curve, sizes: np.ndarray, seeds: int, random: np.random.Generator) -> TurningPoint | None:
    """The turning point of one simulated sweep."""
    errors = curve(sizes)[:, None] * np.exp(random.normal(0, SEED_SPREAD, (len(sizes), seeds)))
    right = random.binomial(IMAGES, 1 - np.clip(errors, 0, 1))
    return turning_point(
        {int(size): [Score(int(k), IMAGES) for k in row] for size, row in zip(sizes, right, strict=True)}
    )


def searched(curve: Curve, sizes: np.ndarray, random: np.random.Generator) -> TurningPoint | None:
    """The turning point of one simulated search, which is denser around 350 parameters."""
    tried = np.concatenate([random.permutation(sizes)[:120], np.exp(random.normal(np.log(350), 0.25, 130))]).round()
    errors = curve(tried) * np.exp(random.exponential(SCATTER, len(tried)))
    right = random.binomial(IMAGES, 1 - np.clip(errors, 0, 1))
    points = [Point(int(size), Score(int(k), IMAGES), "") for size, k in zip(tried, right, strict=True)]
    return turning_point_of_front(points, 0.027)


def counted(found: list[TurningPoint | None], knees: tuple[float, ...]) -> dict[str, float]:
    """How many of the repeats found a turning point, within a factor of 1.3 of a knee, and with a knee in the range."""
    points = [point for point in found if point]
    return {
        "repeats": len(found),
        "found": len(points),
        "near": sum(any(1 / 1.3 <= point.parameters / knee <= 1.3 for knee in knees) for point in points),
        "covered": sum(any(point.low <= knee <= point.high for knee in knees) for point in points),
        "median range": float(np.median([point.high / point.low for point in points])) if points else 0.0,
    }


CURVES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "sharp knee": ((300,), (0.8, 3.0)),
    "knee": ((300,), (0.8, 2.0)),
    "gentle knee": ((300,), (0.8, 1.5)),
    "flat, then a fall": ((400,), (0.15, 1.2)),
    "two knees": ((250, 1200), (0.1, 0.9, 3.0)),
    "none": ((), (1.0,)),
}
"""Knees, largest first in `broken`, and slopes from the largest sizes down."""

PUBLISHED = {
    "mlp1": ((669706, 269322, 118282, 55050, 26506, 13002), (98.47, 98.30, 97.90, 97.41, 96.63, 95.29), 26506),
    "mlp2": ((368650, 118794, 43018, 17418, 7690, 3594), (97.97, 97.66, 97.45, 96.87, 95.81, 94.00), 17418),
    "cnn1": ((1199882, 300426, 75338, 18954, 4802, 1236), (99.02, 98.73, 98.52, 98.22, 97.16, 90.77), 4802),
    "cnn2": ((75242, 21498, 6722, 2358, 932, 408), (99.16, 99.07, 98.68, 98.14, 96.63, 93.03), 932),
}
"""Sizes, test accuracies in % by the documents' recipe (docs/how-to/reproduce.md), and the author's turning point."""


def simulated(name: str, repeats: int) -> dict[str, Any]:
    """The counts for one curve, as sweeps of 6 and 10 sizes and as searches."""
    knees, slopes = CURVES[name]
    curve = broken(tuple(sorted(knees, reverse=True)), slopes)
    rows = {}
    for sizes, seeds in ((6, 1), (8, 3), (12, 3)):
        grid = np.exp(np.linspace(np.log(100), np.log(6400), sizes)).round()
        random = np.random.default_rng(seeds + 10 * sizes)
        rows[f"sweep of {sizes}, {seeds} seeds"] = counted(
            [swept(curve, grid, seeds, random) for _ in range(repeats)], knees
        )
    random, sizes_of_search = np.random.default_rng(0), np.exp(np.linspace(np.log(60), np.log(1600), 400))
    rows["search"] = counted([searched(curve, sizes_of_search, random) for _ in range(repeats)], knees)
    return rows


def published() -> dict[str, str]:
    """Our turning point of each published family, and the author's."""
    rows = {}
    for name, (sizes, rates, author) in PUBLISHED.items():
        scores = {size: [Score(round(100 * rate), IMAGES)] for size, rate in zip(sizes, rates, strict=True)}
        rows[name] = f"the author's {author:,}, ours {turning_point(scores)}"
    return rows


def main() -> None:
    """Print a line for each kind of curve, and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"published": published()}
    for name in CURVES:
        result[name] = simulated(name, options.repeats)
        for kind, row in result[name].items():
            print(f"{name:18s} {kind:20s} {row}", flush=True)
    print("\n".join(map(str, result["published"].items())))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
