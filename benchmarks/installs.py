"""Install wheels into clean environments of every Python, and run a small search there without a compiler.

    python benchmarks/installs.py dist/*.whl --python python3.10 --python python3.11 --json installs.json

For each Python it prints how long `pip install` took, the megabytes of what was installed beside pip, what `pip check`
says, and the network that `smidgen shrink digits --effort glance` finds with an empty folder as the path. A Python that
no wheel fits must be refused. `--extras plots,images` installs extras too. Needs pip's network or its cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True)
class Row:
    """One Python: what an installation took and does; `refused` is pip's reason where no wheel fits."""

    python: str
    wheel: str
    seconds: float
    megabytes: float
    check: str
    found: str
    refused: str = ""


def install(wheels: Sequence[Path], python: str, extras: str, folder: Path) -> Row:
    """Install the wheel that fits into a new environment in `folder`, and use it."""
    version = run([python, "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]).strip()
    run([python, "-m", "venv", str(folder / "venv")])
    inside = str(folder / "venv" / "bin" / "python")
    before = megabytes(folder)
    began = time.perf_counter()
    wanted = f"smidgen[{extras}]" if extras else "smidgen"
    pip = [inside, "-m", "pip", "--disable-pip-version-check"]
    links = [argument for wheel in wheels for argument in ("--find-links", str(wheel.parent))]
    done = subprocess.run([*pip, "install", wanted, "--only-binary", "smidgen", *links], capture_output=True, text=True)
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        line = next((line for line in done.stderr.splitlines() if "ERROR" in line), done.stderr[-200:])
        return Row(version, "", seconds, 0, "", "", line)
    wheel = next(line for line in done.stdout.splitlines() if "smidgen-" in line).split()[-1].rpartition("/")[2]
    return Row(
        version, wheel, seconds, round(megabytes(folder) - before, 1), run([*pip, "check"]).strip(), search(folder)
    )


def search(folder: Path) -> str:
    """Search in a small table, with nothing on the path, and return the headline and the compiler of the core."""
    empty = folder / "empty"
    empty.mkdir()
    rows = "".join(f"{n % 7},{(n * n) % 5},{n % 3},{'abc'[n % 3]}\n" for n in range(600))
    (empty / "t.csv").write_text("x,y,z,label\n" + rows)
    command = [str(folder / "venv" / "bin" / "smidgen"), "shrink", "t.csv", "--floor", "0.9", "--effort", "glance"]
    environment = {"PATH": str(empty), "HOME": str(empty), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--json"], cwd=empty, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        return f"FAILED: {done.stderr.strip()[-300:]}"
    found = json.loads(done.stdout)
    return f"{found['headline']}; {found['engine']}"


def megabytes(folder: Path) -> float:
    """The megabytes of all files below a folder; a file with several names counts once."""
    files = {each.stat().st_ino: each.stat().st_size for each in folder.rglob("*") if each.is_file()}
    return sum(files.values()) / 1e6


def run(command: Sequence[str]) -> str:
    """Run a command and return its standard output."""
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ}).stdout


def main() -> None:
    """Install into every Python, print a table, and write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--python", action="append", default=[], help="an interpreter; repeatable")
    parser.add_argument("--extras", default="")
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    rows = []
    print("| Python | wheel | seconds | MB | pip check | a search without a compiler |\n|---|---|---|---|---|---|")
    for python in options.python or [sys.executable]:
        with TemporaryDirectory() as folder:
            row = install(options.wheels, python, options.extras, Path(folder))
        cells = (row.python, row.wheel or row.refused, row.seconds, row.megabytes, row.check, row.found)
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        rows.append(row)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
