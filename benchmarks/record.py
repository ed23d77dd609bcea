"""Run the commands behind a folder of results, and write the folder anew with everything that they print.

    python benchmarks/record.py floor-promise --out results/2026-11-30-floor-promise

What is known: each record's commands stand in `RECORDS`; `{out}` is the folder and `{scratch}` a folder that is deleted
afterwards, unless --scratch names one: then a recording that was stopped goes on from its stores. A command that fails
ends the recording; its output is in the folder.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from evidence import ROOT, new_folder, write_readme

SHOWN_LINES, PROGRESS = 60, " of this stage left"
"""Last lines of an output that README.md shows, and the end of lines of progress, which it does not show."""


@dataclass(frozen=True)
class Record:
    """A folder of results: what it shows, how often each thing is measured, and the commands."""

    title: str
    n: str
    commands: tuple[str, ...]
    packages: tuple[str, ...] = ("numpy",)


SHRINK = "smidgen shrink {asked} --store {{scratch}}/store.sqlite --out {{out}}/run"
COMPRESS = (
    "smidgen compress {out}/networks/%s --teacher {out}/networks/strong.safetensors --store {scratch}/store.sqlite"
)
FAULT_TESTS = "tests/trials/test_faults.py tests/trials/test_cluster_faults.py"
RECORDS = {
    "demo": Record(
        "The question of the demo",
        "one run, seed 0",
        (SHRINK.format(asked="mnist --floor 0.97"),),
    ),
    "fashion-mnist-88": Record(
        "Fashion-MNIST at 88 %",
        "one run, seed 0",
        (SHRINK.format(asked="fashion-mnist --floor 0.88"),),
    ),
    "floor-promise": Record(
        "Is the floor kept on the test images?",
        "10 runs, each with a split and a seed of its own",
        ("python benchmarks/floor_promise.py --runs 10 --json {out}/promise.json --stores {scratch}",),
    ),
    "bytes": Record(
        "The shortest files",
        "one run a file, seed 0",
        (
            "python benchmarks/byte_networks.py --out {out}/networks",
            COMPRESS % "a.safetensors {out}/networks/b.safetensors"
            + " --floor 0.97 --effort normal --out {out}/mnist-97.smidgen",
            COMPRESS % "c.safetensors" + " --floor 0.99 --copies 4 --effort normal --out {out}/mnist-99.smidgen",
            COMPRESS % "d.safetensors"
            + " --floor 0.992 --rule rate --copies 4 --effort normal --out {out}/lenet-5.smidgen",
        ),
    ),
    "faults": Record(
        "Faults at random moments",
        "in the output, a line a test",
        (
            f"env SMIDGEN_FAULTS=100 python -m pytest -p no:xdist -m slow {FAULT_TESTS} -s",
            f"python -m pytest -p no:xdist {FAULT_TESTS} -s",
        ),
        ("numpy", "distributed"),
    ),
    "training-core": Record(
        "The training core",
        "5 rounds of speed; 16 seeds of the time to 97 %, 3 of Keras; 5 seeds of the sweep; 10,000 trainings in a row",
        (
            "python benchmarks/training_speed.py --rounds 5 --json {out}/speed.json",
            "python benchmarks/time_to_accuracy.py --keras-seeds 3 --json {out}/time_to_accuracy.json",
            "python benchmarks/sweep_time.py --json {out}/sweep_time.json",
            "python benchmarks/endurance.py --json {out}/endurance.json",
        ),
        ("numpy", "torch", "keras", "tensorflow"),
    ),
    "cluster": Record(
        "What a cluster's parts can carry",
        "3 rounds a cell of the executors; one stage a cell of the cluster",
        (
            "python benchmarks/cluster_model.py --json {out}/cluster.json",
            "python benchmarks/executors.py --json {out}/executors.json",
        ),
        ("numpy", "distributed"),
    ),
}

LONG = {"mnist": (0.97, 0.98, 0.99), "fashion-mnist": (0.88, 0.9, 0.91)}
RECORDS |= {
    f"thorough-{data}-{100 * floor:.0f}": Record(
        f"{data} at {100 * floor:.0f} %, effort thorough",
        "one run, seed 0",
        (SHRINK.format(asked=f"{data} --floor {floor} --effort thorough"),),
    )
    for data, floors in LONG.items()
    for floor in floors
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", choices=RECORDS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    record, out = RECORDS[options.record], new_folder(options.out)
    with tempfile.TemporaryDirectory() as temporary:
        scratch, texts = options.scratch or Path(temporary), []
        scratch.mkdir(parents=True, exist_ok=True)
        for number, command in enumerate(record.commands, start=1):
            text, code = run(command.format(out=options.out, scratch=scratch), out / f"output-{number}.txt")
            texts.append(text)
            if code:
                sys.exit(f"ended with {code}: {command}; {out}/output-{number}.txt has its output")
    for picture in (*out.rglob("report.html"), *out.rglob("*.png")):
        picture.unlink()  # large, and drawn anew from the rest
    write_readme(out, record.title, record.n, "\n\n".join(texts), record.packages)


def run(command: str, output: Path) -> tuple[str, int]:
    """Run a command, keep what it prints in a file, and return it for README.md, and its exit code."""
    words = shlex.split(command)
    folder = Path(sys.executable).parent
    programs = {"python": sys.executable, "smidgen": str(folder / "smidgen")}
    began = time.perf_counter()
    with output.open("w") as file:
        code = subprocess.run(
            [programs.get(word, word) for word in words], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "120"}, check=False,
        ).returncode  # fmt: skip
    lines = [line for line in output.read_text().rstrip().splitlines() if not line.endswith(PROGRESS)][-SHOWN_LINES:]
    seconds = time.perf_counter() - began
    shown = "\n".join(line.rstrip() for line in lines)
    return f"`{command}` took {seconds:,.0f} s; `{output.name}` has all of:\n\n```\n{shown}\n```", code


if __name__ == "__main__":
    main()
