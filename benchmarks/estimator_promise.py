"""How often `SmallestClassifier` keeps what it says, on fresh samples of made data and in the worst case.

    python benchmarks/estimator_promise.py --problem centres --floors 0.92 0.94 --repeats 25 --out centres.csv
    python benchmarks/estimator_promise.py --worst-case

Each repeat draws 600 samples, fits with each rule at each floor, and scores 20,000 fresh samples. 600 samples leave 75
on the selection half and 75 on the confirmation half. Networks reach about 0.95 on both problems; near that, claims are
hardest. A fit claims the floor if `met_` is True. Time: about a second of processor time for a floor (3 rules).
"""

from __future__ import annotations

import argparse
import csv
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import smidgen
from smidgen.records import Floor, Score, look_confidence

SAMPLES, FRESH = 600, 20_000
RULES = ("rate", "wilson", "strict")


def centres(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Four classes around four centres in six dimensions: float64 [n, 6], int64 [n]. Bayes accuracy about 0.95."""
    y = generator.integers(0, 4, count)
    return 3.0 * np.eye(4, 6)[y] + generator.normal(0, 1.0, (count, 6)), y


def rings(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two classes on two rings in the plane, with noise: float64 [n, 2], int64 [n]."""
    y = generator.integers(0, 2, count)
    angle, radius = generator.uniform(0, 2 * np.pi, count), 1.0 + y + generator.normal(0, 0.28, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), y


PROBLEMS = {"centres": centres, "rings": rings}


def repeat(problem: str, number: int, floors: list[float], effort: str) -> list[dict[str, object]]:
    """Fit once with each rule at each floor; the rules share their trainings."""
    generator = np.random.default_rng(number)
    X, y = PROBLEMS[problem](SAMPLES, generator)
    fresh_X, fresh_y = PROBLEMS[problem](FRESH, generator)
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as folder:
        for floor in floors:
            for rule in RULES:
                fitted = smidgen.SmallestClassifier(
                    floor, rule=rule, effort=effort, random_state=number, store=f"{folder}/store.sqlite"
                ).fit(X, y)
                row = {"problem": problem, "repeat": number, "floor": floor, "rule": rule, "met": int(fitted.met_)}
                row |= {"promise": round(fitted.promise_, 4), "fresh": round(fitted.score(fresh_X, fresh_y), 4)}
                rows.append(row | {"parameters": fitted.n_parameters_, "validation": str(fitted.validation_score_)})
    return rows


def summarise(rows: list[dict[str, object]]) -> None:
    """Print, for each rule, how many fits claim the floor, how many of those miss it, and how many promises fail."""
    for rule in RULES:
        mine = [row for row in rows if row["rule"] == rule]
        claims = [row for row in mine if int(str(row["met"]))]
        missed = sum(float(str(row["fresh"])) < float(str(row["floor"])) for row in claims)
        broken = sum(float(str(row["fresh"])) < float(str(row["promise"])) for row in mine)
        print(
            f"{rule}: {len(mine)} fits, {len(claims)} claim their floor, {missed} of them miss it; "
            f"{broken} promises fail"
        )


def worst_case(floor: float, half: int, candidates: int, rule: str, runs: int = 2_000) -> float:
    """How often a claim is false if all candidates have an accuracy just below the floor and err independently."""
    generator = np.random.default_rng(half)
    selection, confirmation = generator.binomial(half, floor - 1e-9, (2, runs, candidates))
    needed = Floor(floor, rule).needed(half if rule == "strict" else 2 * half)
    if needed is None:
        return 0.0
    least = needed.rate * half
    false = 0
    for chosen, confirmed in zip(selection, confirmation, strict=True):
        for look, right in enumerate(confirmed[chosen >= least], start=1):
            bound = Score(int(right), half).lower_bound(look_confidence(look)) if rule == "strict" else floor
            if right >= least and bound >= floor:
                false += 1
                break
    return false / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, default="centres")
    parser.add_argument("--floors", type=float, nargs="+", default=[0.95])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--effort", default="glance")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--summary", type=Path, nargs="*", help="print the summary of these tables")
    parser.add_argument("--worst-case", action="store_true")
    options = parser.parse_args()
    if options.worst_case:
        for half in (75, 300, 5_000):
            for candidates in (1, 50):
                rates = {rule: worst_case(0.9, half, candidates, rule) for rule in RULES}
                shown = ", ".join(f"{rule} {100 * rate:.1f} %" for rule, rate in rates.items())
                print(f"halves of {half}, {candidates} candidates just below 90 %: false claims: {shown}", flush=True)
        return
    if options.summary:
        summarise([row for path in options.summary for row in csv.DictReader(path.open())])
        return
    warnings.simplefilter("ignore")
    rows = []
    for number in range(options.first, options.first + options.repeats):
        rows += repeat(options.problem, number, options.floors, options.effort)
        if options.out:
            with options.out.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
    summarise(rows)


if __name__ == "__main__":
    main()
