"""Images a second of training, in one run: this core, eager torch, and Keras `fit` on TensorFlow.

    python benchmarks/training_speed.py                       a quarter of an hour; --quick for a look
    python benchmarks/training_speed.py --nets "cnn2(2),mlp1(32)" --rounds 9 --json speed.json

What is counted is the full step (forward, backward, Adam) at batch 128 with the data in memory, on two
threads in all. Each contestant lives in processes of its own (`contestants.py`); for each network the
fastest of its settings is found first. Then come the rounds: everyone trains once a round, a second and
a half each, in an order that turns round every round, so that a slow moment of the machine hits all alike.
Medians are printed; ratios are those of the same round, as median and (least-most).

Peak is the share of the processor's own multiply-adds a second, measured in the same rounds. A training
step counts three multiply-accumulates for each of the forward pass, and two in the first layer that has
weights: nobody needs the gradient of the images.

Nothing is compiled, loaded or warmed up in a timed part. Needs the package; what else is not installed
is left out (`make bench` installs all).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from contestants import (
    INPUT_SHAPE,
    REQUIRED_MODULE,
    RESIDENT_BATCHES,
    VARIANTS,
    processes_of,
)
from smidgen.spec import NetSpec, parse_spec
from smidgen.spec.families import family

# The shape of the 697-parameter net that is known for 99 % on MNIST (valid separable convolutions 5-9-10-8).
SEPARABLE = (
    "conv 6x3x3 same leaky_relu(0.2), maxpool 2, "
    "depthwise 3x3, pointwise 5 leaky_relu(0.2), depthwise 3x3, pointwise 9 leaky_relu(0.2), "
    "depthwise 3x3, pointwise 10 leaky_relu(0.2), depthwise 3x3, pointwise 8 leaky_relu(0.2), "
    "globalavgpool, dense 10"
)

NETS: dict[str, NetSpec] = {
    **{f"cnn2({width})": family("cnn2", width) for width in (1, 2, 4, 8, 16, 32)},
    "cnn1(32)": family("cnn1", 32),
    "mlp1(32)": family("mlp1", 32),
    "mimic-8k": parse_spec("dense 20, dense 8000 relu, dense 10"),
    "separable": parse_spec(SEPARABLE),
}

OLDER = "older"
"""The contestant that is another checkout of this project."""

QUIET_LOAD = 0.5
SETTLE_SECONDS = 0.2
"""Idle threads of the last contestant spin for a while before they sleep."""
LEAST_SECONDS = 0.1
STEP_OF_BATCHES = 10
"""Keras runs up to ten batches an execution; a count that they do not divide would be compiled anew."""


@dataclass(frozen=True)
class Series:
    """What one contestant did on one network: images a second of each round, and of the settings that were tried."""

    variant: str
    batches: int
    rates: tuple[float, ...]
    tried: dict[str, float]

    @property
    def rate(self) -> float:
        return median(self.rates)


@dataclass(frozen=True)
class Result:
    """One network, everyone's series, and the peak of every round in multiply-adds a second."""

    name: str
    net: str
    parameters: int
    training_macs: int
    series: dict[str, Series]
    peaks: tuple[float, ...]

    def ratios(self, name: str) -> tuple[float, ...]:
        """How many times as fast as another this core was, round by round."""
        ours, theirs = self.series["smidgen"].rates, self.series[name].rates
        return tuple(a / b for a, b in zip(ours, theirs, strict=True))

    @property
    def peak_share(self) -> float:
        return self.series["smidgen"].rate * self.training_macs / median(self.peaks)


class Process:
    """A contestant's process: one line of JSON in, one out."""

    def __init__(self, name: str, script: str = "contestants.py", checkout: Path | None = None) -> None:
        self.name = name
        python = sys.executable if checkout is None else str(checkout / ".venv/bin/python")
        folder = Path(__file__).parent if checkout is None else checkout / "benchmarks"
        self.said = TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [python, str(folder / script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        )
        self.versions = str(self.answer()["versions"])

    def ask(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.said.seek(0)
            sys.exit(f"{self.said.read()}\n{self.name} ended with exit status {status}; its last words stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.said.close()


Processes = dict[str, tuple[Process, ...]]


def start(names: Sequence[str], older: Path | None, stack: ExitStack) -> Processes:
    """As many processes for each contestant as one of its settings wants."""
    processes: Processes = {}
    for name in names:
        count = max(map(processes_of, variants_of(name)))
        if name == OLDER:
            processes[name] = tuple(Process("smidgen", checkout=older) for _ in range(count))
        else:
            processes[name] = tuple(Process(name) for _ in range(count))
        for process in processes[name]:
            stack.callback(process.close)
        print(f"{name}: {processes[name][0].versions}", flush=True)
    return processes


def variants_of(contestant: str) -> tuple[str, ...]:
    return VARIANTS["smidgen" if contestant == OLDER else contestant]


# --- measuring --------------------------------------------------------------------------------


def measure(name: str, processes: Processes, rounds: int, round_seconds: float) -> Result:
    """Find everyone's best setting on one network, then let them take turns."""
    spec = NETS[name]
    found = {contestant: best_variant(contestant, name, processes, round_seconds) for contestant in processes}
    rates: dict[str, list[float]] = {contestant: [] for contestant in processes}
    peaks: list[float] = []
    for turn in range(rounds):
        for contestant in list(processes)[:: 1 if turn % 2 == 0 else -1]:
            variant, batches, _ = found[contestant]
            rates[contestant].append(one_round(processes[contestant], spec, variant, batches)[0])
        peaks.append(peak(processes["smidgen"][0]))
    series = {
        contestant: Series(variant, batches, tuple(rates[contestant]), tried)
        for contestant, (variant, batches, tried) in found.items()
    }
    return Result(name, str(spec), spec.parameters(INPUT_SHAPE), training_macs(spec), series, tuple(peaks))


def best_variant(
    contestant: str, name: str, processes: Processes, round_seconds: float
) -> tuple[str, int, dict[str, float]]:
    """The fastest setting, how many batches fill a round with it, and the rate of every setting."""
    tried: dict[str, float] = {}
    batches: dict[str, int] = {}
    for variant in variants_of(contestant):
        batches[variant] = warm_up(processes[contestant], NETS[name], variant, round_seconds)
        tried[variant], _ = one_round(processes[contestant], NETS[name], variant, batches[variant])
    best = max(tried, key=tried.__getitem__)
    return best, batches[best], tried


def warm_up(processes: Sequence[Process], spec: NetSpec, variant: str, round_seconds: float) -> int:
    """Prepare, compile and warm up; the number of batches that take about a round."""
    batches = STEP_OF_BATCHES
    one_round(processes, spec, variant, batches)
    while (seconds := one_round(processes, spec, variant, batches)[1]) < LEAST_SECONDS:
        batches *= 4
    return whole_steps(batches * round_seconds / seconds)


def whole_steps(batches: float) -> int:
    """A number of batches that all can run without a remainder: in one epoch, or in whole epochs."""
    step = STEP_OF_BATCHES if batches < RESIDENT_BATCHES else RESIDENT_BATCHES
    return step * max(1, round(batches / step))


def one_round(processes: Sequence[Process], spec: NetSpec, variant: str, batches: int) -> tuple[float, float]:
    """(images a second, seconds); of two processes at once, until the slower has ended."""
    time.sleep(SETTLE_SECONDS)
    at_work = processes[: processes_of(variant)]
    for process in at_work:
        process.ask({"net": str(spec), "variant": variant, "batches": batches})
    answers = [process.answer() for process in at_work]
    seconds = max(answer["seconds"] for answer in answers)
    return sum(answer["images"] for answer in answers) / seconds, seconds


def peak(process: Process) -> float:
    time.sleep(SETTLE_SECONDS)
    process.ask({"peak": True})
    return float(process.answer()["peak"])


def training_macs(spec: NetSpec) -> int:
    """Multiply-accumulates of one image's training step: see the module's docstring."""
    forward = [plan.macs for plan in spec.plan(INPUT_SHAPE) if plan.weight_count]
    return 3 * sum(forward) - forward[0]


# --- telling ----------------------------------------------------------------------------------

COLUMNS = "{:<10}{:>10}{:>9}{:>7}{:>7}{:>14}{:>14}{:>6}"


def header(others: Sequence[str]) -> str:
    torch, keras = (name if name in others else "" for name in ("torch", "keras"))
    return COLUMNS.format(
        "network", "params", "smidgen", torch, keras, torch and "x torch", keras and "x keras", "peak"
    ) + (f"{'x older':>18}" if OLDER in others else "")


def row(result: Result) -> str:
    cells = [result.name, f"{result.parameters:,}", short(result.series["smidgen"].rate)]
    cells += [short(result.series[n].rate) if n in result.series else "" for n in ("torch", "keras")]
    cells += [ratio_text(result.ratios(n)) if n in result.series else "" for n in ("torch", "keras")]
    older = f"{ratio_text(result.ratios(OLDER), 2):>18}" if OLDER in result.series else ""
    return COLUMNS.format(*cells, f"{100 * result.peak_share:.0f} %") + older


def ratio_text(ratios: Sequence[float], digits: int | None = None) -> str:
    if digits is None:
        digits = 1 if median(ratios) < 10 else 0
    return f"{median(ratios):.{digits}f} ({min(ratios):.{digits}f}-{max(ratios):.{digits}f})"


def short(rate: float) -> str:
    """1,234,567 -> 1.23M: three digits and a unit."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit}"
    return f"{rate:.3g}"


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "processor": processor(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def load_average() -> float:
    """Of the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


# --- the command ------------------------------------------------------------------------------


def main() -> None:
    wish = parse_arguments()
    load_before = load_average()
    if load_before > QUIET_LOAD:
        print(f"the machine is busy: load {load_before:.2f}, above {QUIET_LOAD}; the figures are not worth keeping")
    names = [name for name, module in REQUIRED_MODULE.items() if name in wish.contestants and is_here(name, module)]
    with ExitStack() as stack:
        processes = start([*names, *([OLDER] if wish.older else [])], wish.older, stack)
        print(f"\nimages a second, batch 128, {wish.rounds} rounds\n{header(list(processes))}", flush=True)
        results = []
        for name in wish.nets:
            results.append(measure(name, processes, wish.rounds, wish.round_seconds))
            print(row(results[-1]), flush=True)
    if wish.json:
        versions = {name: members[0].versions for name, members in processes.items()}
        write_json(wish, versions, load_before, results)


def is_here(name: str, module: str) -> bool:
    here = find_spec(module) is not None
    if not here and name == "smidgen":
        from smidgen.engine import native

        sys.exit(native.available())
    if not here:
        print(f"{name}: not installed, left out; `make bench` installs it")
    return here


def write_json(wish: argparse.Namespace, versions: dict[str, str], load_before: float, results: list[Result]) -> None:
    """Everything, round by round."""
    record = {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "load_before": load_before,
        "rounds": wish.rounds,
        "round_seconds": wish.round_seconds,
        "results": [asdict(result) | {"peak_share": result.peak_share} for result in results],
    }
    wish.json.parent.mkdir(parents=True, exist_ok=True)
    wish.json.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwritten: {wish.json}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images a second of training: this core, torch and Keras.")
    parser.add_argument("--quick", action="store_true", help="short rounds and fewer networks, for a look")
    parser.add_argument("--nets", type=nets, help=f"of {', '.join(NETS)}")
    parser.add_argument("--rounds", type=int, help="default 7; 5 with --quick")
    parser.add_argument("--older", type=Path, metavar="DIR", help="a checkout with a .venv of its own, to compare with")
    parser.add_argument(
        "--contestants",
        type=lambda text: text.split(","),
        default=list(REQUIRED_MODULE),
        help=f"of {', '.join(REQUIRED_MODULE)}; smidgen is one always",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything there, round by round")
    wish = parser.parse_args()
    wish.contestants = {"smidgen", *wish.contestants}
    wish.nets = wish.nets or (["cnn2(2)", "cnn2(16)", "mlp1(32)"] if wish.quick else list(NETS))
    wish.rounds = wish.rounds or (5 if wish.quick else 7)
    wish.round_seconds = 0.3 if wish.quick else 1.5
    return wish


def nets(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in NETS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown network {', '.join(unknown)}; known: {', '.join(NETS)}")
    return names


if __name__ == "__main__":
    main()
