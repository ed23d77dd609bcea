"""How often a network below its floor passes both halves of the validation split, and by how much it is below.

    python benchmarks/promise_simulation.py --out results/2026-11-29-promise-simulation

A search looks at networks from the smallest on, of which each must pass the selection half and then the confirmation
half. The simulated networks differ in their true accuracy, which a search cannot know:

    one         one network, a hair below the floor
    edge        50 networks, all a hair below, which err independently of each other
    edge, hard  the same, but one image in twenty is hard, and all networks err mostly on the hard ones of each half
    ladder      50 networks, evenly from 1.5 points below the floor to 1.5 above it, the worst first; hard images too

Time: about a minute of processor time.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evidence import csv_text, markdown, new_folder, write_readme
from smidgen.records import RULES, Floor, Score, look_confidence

Doubles = npt.NDArray[np.float64]
SEARCHES, SEED = 2_000, 1
HARD_SHARE, ERRORS_ON_HARD = 0.05, 0.9
"""The share of hard images, and the share of all errors that are made on them."""
CASES = {
    "one": (1, 0.0, False),
    "edge": (50, 0.0, False),
    "edge, hard": (50, 0.0, True),
    "ladder": (50, 0.015, True),
}


def accuracies(floor: float, case: str) -> Doubles:
    """The true accuracy of each network, the smallest network first: float64 [networks]."""
    count, reach, _ = CASES[case]
    return np.linspace(floor - reach, floor + reach, count) - 1e-9


def draws(accuracy: Doubles, half: int, hard: bool, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """The images of one half that each network has right, for each search: int64 [searches, networks]."""
    if not hard:
        return generator.binomial(half, accuracy, (SEARCHES, len(accuracy)))
    errors = 1 - accuracy
    on_hard, on_easy = ERRORS_ON_HARD * errors / HARD_SHARE, (1 - ERRORS_ON_HARD) * errors / (1 - HARD_SHARE)
    count = generator.binomial(half, HARD_SHARE, (SEARCHES, 1))
    return generator.binomial(count, 1 - on_hard) + generator.binomial(half - count, 1 - on_easy)


def simulate(floor: float, half: int, case: str, rule: str) -> dict[str, object]:
    """Return how many searches confirm a network, how many of those networks are below the floor, and how far."""
    generator = np.random.default_rng(SEED)
    truth = accuracies(floor, case)
    halves = [draws(truth, half, CASES[case][2], generator) for _ in range(2)]
    needed = Floor(floor, rule).needed(half if rule == "strict" else 2 * half)
    assert needed is not None, "so many images can show this floor"
    least = needed.rate * half
    found = [confirmed(*pair, least, half, floor, rule) for pair in zip(halves[0], halves[1], strict=True)]
    true = np.array([truth[place] for place in found if place is not None])
    short = floor - true[true < floor]
    row = {"case": case, "half": half, "rule": rule, "searches": SEARCHES, "confirmed": len(true), "below": len(short)}
    row |= {"below_percent": f"{100 * len(short) / SEARCHES:.1f}"}
    furthest = np.quantile(short, 0.95) if len(short) else 0.0
    return row | {"points_below_95": f"{100 * furthest:.2f}"}


def confirmed(
    chosen: npt.NDArray[np.int64], other: npt.NDArray[np.int64], least: float, half: int, floor: float, rule: str
) -> int | None:
    """Return the place of the first network that passes both halves; None if none does."""
    for look, place in enumerate(np.flatnonzero(chosen >= least), start=1):
        right = int(other[place])
        if right >= least and (rule != "strict" or lower_bound(right, half, look) >= floor):
            return int(place)
    return None


@cache
def lower_bound(right: int, total: int, look: int) -> float:
    return Score(right, total).lower_bound(look_confidence(look))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floor", type=float, default=0.97)
    parser.add_argument("--halves", type=int, nargs="+", default=[300, 5_000])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = [simulate(options.floor, half, case, rule) for half in options.halves for case in CASES for rule in RULES]
    out = new_folder(options.out)
    (out / "simulation.csv").write_text(csv_text(rows))
    heads = ("images a half", "networks", "rule", "confirmed", "below the floor", "95 % of these are nearer than")
    shown = [
        (f"{row['half']:,}", row["case"], row["rule"], f"{row['confirmed']} of {SEARCHES}", f"{row['below_percent']} %",
         f"{row['points_below_95']} points")
        for row in rows
    ]  # fmt: skip
    text = f"{(__doc__ or '').split(chr(10) * 2, 2)[2].rsplit('Time:')[0].strip()}\n\n{markdown(heads, shown)}"
    title = f"What both halves promise together, simulated at a floor of {100 * options.floor:g} %"
    write_readme(out, title, f"{SEARCHES} searches a row, seed {SEED}", text)
    print((out / "README.md").read_text())


if __name__ == "__main__":
    main()
