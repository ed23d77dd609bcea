"""Milliseconds to start: `import smidgen` and `smidgen --help`, each with and without what a bare Python takes.

    python benchmarks/startup.py

Medians of ten turns; in each turn everyone starts once. To reach: under 300 ms for the import, under 500 ms
for the help.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from training_speed import machine

STARTS: dict[str, tuple[str, ...]] = {
    "bare python": ("-c", "pass"),
    "import smidgen": ("-c", "import smidgen"),
    # What the installed command does.
    "smidgen --help": ("-c", "from smidgen.cli import main; main()", "--help"),
}


def seconds(arguments: tuple[str, ...]) -> float:
    """Of one start; what it prints is dropped."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a line each, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="PATH")
    wish = parser.parse_args()
    for arguments in STARTS.values():  # bytecode and the file cache, for nobody's time
        seconds(arguments)
    turns = [{name: seconds(arguments) for name, arguments in STARTS.items()} for _ in range(wish.rounds)]
    medians = {name: median(turn[name] for turn in turns) for name in STARTS}
    bare = medians["bare python"]
    for name, found in medians.items():
        print(f"{name:<15}{1000 * found:6.0f} ms{1000 * (found - bare):6.0f} ms above a bare Python")
    if wish.json:
        wish.json.write_text(json.dumps({"machine": machine(), "seconds": turns}, indent=1) + "\n")


if __name__ == "__main__":
    main()
