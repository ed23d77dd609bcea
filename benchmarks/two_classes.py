"""How small are the answers for two classes? Searches of one or more checkouts, on a table and on windows of a signal.

    python benchmarks/two_classes.py --checkout before=../older --checkout after=. --out results/DATE-two-classes

Each search is `smidgen shrink DATA --floor 0.95 --rule rate --effort quick`, on an empty store, of a checkout that has
an environment in `.venv`. A search whose output lies in the work folder is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evidence import csv_text, markdown, new_folder, write_readme
from own_data_sets import SETS

NAMES = ("breast_cancer", "ItalyPowerDemand")
OPTIONS = ("--floor", "0.95", "--rule", "rate", "--effort", "quick", "--workers", "1", "--json")
HEADS = (
    "checkout",
    "set",
    "seed",
    "parameters",
    "network",
    "selection",
    "confirmation",
    "test",
    "bytes",
    "file's test",
)


def searched(checkout: Path, data: str, seed: int, kept: Path) -> dict[str, Any]:
    """Search, or read what an earlier search said."""
    if not kept.exists():
        with TemporaryDirectory() as folder:
            places = ["--store", f"{folder}/store.sqlite", "--out", f"{folder}/run"]
            line = [checkout / ".venv/bin/python", "-m", "smidgen", "shrink", data, *OPTIONS, *places, "--seed", seed]
            said = subprocess.run(list(map(str, line)), stdout=subprocess.PIPE, text=True, check=True).stdout
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(said)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def row_of(label: str, name: str, seed: int, found: dict[str, Any]) -> dict[str, object]:
    scores = [f"{found[half]['correct']}/{found[half]['total']}" for half in ("selection", "confirmation", "test")]
    file = found["file"]
    in_file = [file["bytes"], f"{file['test']['correct']}/{file['test']['total']}"]
    network = found["network"].replace(", ", "; ")
    values = [label, name, seed, found["parameters"], network, *scores, *in_file]
    return dict(zip(HEADS, values, strict=True))


def commit_of(checkout: Path) -> str:
    line = ["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", action="append", required=True, help="LABEL=FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("work/two-classes"), help="data and what searches said")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    files = {name: SETS[name].write(given.work / name) for name in NAMES}
    checkouts = {label: Path(folder) for label, _, folder in (each.partition("=") for each in given.checkout)}
    rows = [
        row_of(label, name, seed, searched(checkout, files[name], seed, given.work / label / f"{name}-{seed}.json"))
        for name in NAMES
        for label, checkout in checkouts.items()
        for seed in range(given.seeds)
    ]
    out = new_folder(given.out)
    (out / "searches.csv").write_text(csv_text(rows))
    made = "; ".join(f"{label}: commit {commit_of(checkout)}" for label, checkout in checkouts.items())
    write_readme(
        out,
        "The smallest answers for two classes",
        f"{given.seeds} seeds of each set and checkout; images in the columns",
        f"{made}. The floor is 95 % by plain rates, effort quick. Searches that lay in the work folder\n"
        f"were made before, by the same commands.\n\n{markdown(HEADS, (row.values() for row in rows))}",
        ("numpy", "scikit-learn"),
    )


if __name__ == "__main__":
    main()
