"""Measure the start-up time of `import smidgen`, `smidgen --help` and `smidgen show`, in milliseconds.

    python benchmarks/startup.py

Prints medians of ten rounds, in each of which every program starts once, and the excess over a bare Python.
Targets: under 300 ms for the import, under 500 ms for the help.
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
    "smidgen --help": ("-m", "smidgen", "--help"),
    "smidgen show": ("-m", "smidgen", "show", "cnn2"),
}


def seconds(arguments: tuple[str, ...]) -> float:
    """Run Python with these arguments once and return the seconds that it took; its output is dropped."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a line for each program, and write the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    for arguments in STARTS.values():  # the first start also compiles bytecode and fills the file cache
        seconds(arguments)
    rounds = [{name: seconds(arguments) for name, arguments in STARTS.items()} for _ in range(options.rounds)]
    medians = {name: median(times[name] for times in rounds) for name in STARTS}
    bare = medians["bare python"]
    for name, found in medians.items():
        print(f"{name:<15}{1000 * found:6.0f} ms{1000 * (found - bare):6.0f} ms above a bare Python")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "seconds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
