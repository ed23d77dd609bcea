"""What every folder under `results/` states about how it was made: command, commit, date, machine, versions, n.

A script that measures takes `--out FOLDER`, makes the folder anew and calls `write_readme`. `tests/test_evidence.py`
asks these lines of every folder, and compares the figures in the documents with the folders that they name.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "torch", "keras", "tensorflow", "scikit-learn", "distributed")


def new_folder(out: Path) -> Path:
    """Empty the folder, or make it."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out


def asked_searches(doc: str | None) -> argparse.Namespace:
    """Read SET=FLOOR ..., --seeds and --out from the command line; `searches` has each (set, floor, seed)."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET=FLOOR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    pairs = [text.split("=") for text in given.sets]
    given.searches = [(name, float(floor), seed) for name, floor in pairs for seed in range(given.seeds)]
    return given


def asked_data_sets(doc: str | None, count: str, default: int) -> argparse.Namespace:
    """Read DATA ..., a number under the name `count`, and --out from the command line."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument(f"--{count}", type=int, default=default)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def collected(path: Path, heads: Sequence[str], rows: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Write rows to a CSV file as they come, print each, and return all; what a row lacks is empty."""
    found = []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, heads, restval="")
        writer.writeheader()
        for row in rows:
            found.append(row)
            writer.writerow(row)
            file.flush()
            print(row, flush=True)
    return found


def write_readme(out: Path, title: str, n: str, text: str, packages: Iterable[str] = ("numpy",)) -> None:
    """Write README.md: the title, how the folder was made, and the text with its figures."""
    lines = "\n".join(f"- {name}: {value}" for name, value in stated(n, packages).items())
    (out / "README.md").write_text(f"# {title}\n\n{lines}\n\n{text.strip()}\n")


def stated(n: str, packages: Iterable[str] = ("numpy",)) -> dict[str, str]:
    """Return how the figures are made, in the order in which a folder states it."""
    return {
        "command": f"`{command()}`",
        "commit": COMMIT,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        "versions": versions(packages),
        "n": n,
    }


def command() -> str:
    """Return the command line of this process, as one runs it in a checkout."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    return shlex.join(["python", str(name), *sys.argv[1:]])


def commit() -> str:
    """Return the commit that is checked out, and whether files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        found = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a checkout"
    return f"{found} with changes that are not committed" if changed else found


COMMIT = commit()
"""The commit when the script began. What is committed or written while it measures is not what it measured."""


def machine() -> str:
    """Return the processor, the cores and the system, and the load when this was asked."""
    name = platform.processor() or platform.machine()
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.1f}"


def versions(packages: Iterable[str]) -> str:
    """Return the versions of Python, of Smidgen and of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in ("smidgen", *packages):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def markdown(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as CSV under the names of the first."""
    rows = list(rows)
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"
