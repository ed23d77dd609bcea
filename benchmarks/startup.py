"""Measure the start-up time of `import smidgen`, `smidgen --help` and `smidgen show`, in milliseconds.

    python benchmarks/startup.py

Prints medians of ten rounds, in each of which every program starts once, and the excess over a bare Python. Processor
time (user and system) is measured too: other work on the machine changes it little.
Targets: under 100 ms for the import, under 300 ms for the help.
"""

from __future__ import annotations

import argparse
import json
import os
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


def seconds(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Run Python with these arguments once; return the seconds that it took, on the clock and on the processor."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - start, used


def main() -> None:
    """Measure, print a line for each program, and write the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    for arguments in STARTS.values():  # the first start also compiles bytecode and fills the file cache
        seconds(arguments)
    rounds = [{name: seconds(arguments) for name, arguments in STARTS.items()} for _ in range(options.rounds)]
    for place, what in enumerate(("clock", "processor")):
        medians = {name: median(times[name][place] for times in rounds) for name in STARTS}
        bare = medians["bare python"]
        for name, found in medians.items():
            print(f"{name:<15}{1000 * found:6.0f} ms{1000 * (found - bare):6.0f} ms above a bare Python ({what})")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "seconds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
