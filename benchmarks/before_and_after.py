"""The same search by two commits, in turns: parameters, bytes, accuracy on test, and time.

    python benchmarks/before_and_after.py 6d4b0b8 HEAD --seeds 3 --out results/DATE-before-and-after
    python benchmarks/before_and_after.py 6d4b0b8 HEAD --asked "digits --floor 0.93" "fashion-mnist --floor 0.88" ...

Each commit is checked out, built, and asked with an empty store: the question of the demo, or those of --asked. Nothing
else should run meanwhile. Time: five minutes a run of the demo. What each run printed is kept in --runs, and a run that
is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from evidence import ROOT, collected, markdown, new_folder, write_readme

SHOWN = ("parameters", "test", "holding", "file_bytes", "file_test", "seconds", "processor_seconds")
HEADS = ("asked", "commit", "seed", *SHOWN, "fresh_seeds", "file_parameters", "network", "file_network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs=2)
    parser.add_argument("--asked", nargs="+", default=["mnist --floor 0.97"], help="what `smidgen shrink` is given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("build/before-and-after"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out = new_folder(given.out)
    given.runs.mkdir(parents=True, exist_ok=True)
    commits = [git("rev-parse", "--short=7", commit) for commit in given.commits]
    with TemporaryDirectory() as scratch:
        rows = collected(out / "rows.csv", HEADS, in_turns(commits, given, Path(scratch)))
    title = f"The same questions by {' and '.join(commits)}"
    write_readme(out, title, f"{given.seeds} seeds of each", table(rows))


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()


def in_turns(commits: list[str], given: argparse.Namespace, scratch: Path) -> Iterator[dict[str, object]]:
    """Yield a row a run: of each question and seed first the one commit, then the other."""
    for asked, seed, commit in product(given.asked, range(given.seeds), commits):
        question = re.sub(r"\W+", "-", asked)
        kept = given.runs / f"{commit}-{question}-{seed}.json"
        if not kept.exists():
            kept.write_text(json.dumps(run(built(commit, scratch), asked, seed, scratch)))
        yield {"asked": asked, "commit": commit, "seed": seed, **row(json.loads(kept.read_text()))}


def built(commit: str, scratch: Path) -> Path:
    """Install a commit into a folder of its own, once."""
    folder, source = scratch / commit, scratch / f"{commit}-source"
    if not folder.exists():
        git("worktree", "add", "--detach", str(source), commit)
        pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--target", str(folder), str(source)]
        subprocess.run(pip, check=True, env=os.environ | {"SMIDGEN_REQUIRE_NATIVE": "1"})
        git("worktree", "remove", "--force", str(source))
    return folder


def run(package: Path, asked: str, seed: int, scratch: Path) -> dict[str, Any]:
    """Run the question with an empty store, and return its answer in JSON with what it took."""
    words = f"shrink {asked} --seed {seed} --json --store {scratch}/{time.time_ns()}.sqlite".split()
    began, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "smidgen", *words, "--out", str(scratch / "run")],
        stdout=subprocess.PIPE, check=True, env=os.environ | {"PYTHONPATH": str(package)},
    )  # fmt: skip
    took = {"seconds": time.perf_counter() - began, "processor_seconds": processor_seconds() - used}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer | {"took": took}


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(answer: dict[str, Any]) -> dict[str, object]:
    """The figures of one answer."""
    file, fresh = answer["file"], answer["fresh_seeds"]
    return {
        "parameters": answer["parameters"],
        "test": answer["test"]["correct"],
        "holding": sum(seed["holds"] for seed in fresh),
        "file_bytes": file["bytes"],
        "file_test": file["test"]["correct"],
        **{name: round(value, 1) for name, value in answer["took"].items()},
        "fresh_seeds": len(fresh),
        "file_parameters": file["parameters"],
        "network": answer["network"],
        "file_network": file["network"],
    }


def shares_of_time(runs: list[Any]) -> Iterator[list[object]]:
    """Yield, of each seed and of the median seed, what the second commit takes as a share of the first's time."""
    times = ("seconds", "processor_seconds")
    pairs = [
        [after[name] / before[name] for name in times] for before, after in zip(runs[::2], runs[1::2], strict=True)
    ]
    middle = [median(column) for column in zip(*pairs, strict=True)]
    for name, pair in [*((run["seed"], pair) for run, pair in zip(runs[::2], pairs, strict=True)), ("median", middle)]:
        yield [f"{name}, share", *[""] * (len(SHOWN) - len(times)), *(f"{share:.2f}" for share in pair)]


def table(rows: list[Any]) -> str:
    """All runs and, of each question, the medians of each commit and the second commit's share of the first's time."""
    lines = []
    for asked, some in groupby(rows, lambda row: row["asked"]):
        runs = list(some)
        lines += [[asked, row["commit"], row["seed"], *(row[name] for name in SHOWN)] for row in runs]
        for commit in dict.fromkeys(row["commit"] for row in runs):
            own = [row for row in runs if row["commit"] == commit]
            lines.append([asked, commit, "median", *(f"{median(row[name] for row in own):g}" for name in SHOWN)])
        lines += [[asked, "both", *shares] for shares in shares_of_time(runs)]
    heads = ("asked", "commit", "seed", "parameters", "right on test", "fresh seeds that hold", "bytes",
             "its right on test", "seconds", "processor seconds")  # fmt: skip
    return markdown(heads, lines)


if __name__ == "__main__":
    main()
