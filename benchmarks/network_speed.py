"""Training speed on the networks that people put on small devices, in one run: this core and torch.

    python benchmarks/network_speed.py             about ten minutes; --quick for two
    python benchmarks/network_speed.py --json networks.json

Three tables. The first holds this core against torch on five networks (`torch_networks.py`), on two threads in all and
batches of 128: each with the fastest of its settings, in turns, so that a slow moment of the machine hits both. Ratios
are those of the same round, as median and (least-most). The second trains stacks of one kind of layer: its
multiply-accumulates as a share of the processor's own peak, and for depthwise layers, which memory limits, bytes as a
share of the speed at which a copy runs in the second-level cache. The third trains one network on growing images:
nanoseconds a multiply-accumulate.

A training step counts three multiply-accumulates for each of the forward pass, and two in the first layer. In 3x3
convolutions of 16 channels and more the core does fewer (Winograd's algorithm), so that a share can exceed 100 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from contestants import processes_of
from network_contestants import RESIDENT_BATCHES, VARIANTS
from smidgen.spec import Depthwise, parse_spec
from torch_networks import NETWORKS
from training_speed import QUIET_LOAD, SETTLE_SECONDS, Process, load_average, machine, ratio_text, short

Shape = tuple[int, int, int]

KINDS: dict[str, tuple[str, Shape]] = {
    "conv 8x3x3": ("repeat 6 [conv 8x3x3 same relu]", (8, 24, 24)),
    "conv 16x3x3": ("repeat 6 [conv 16x3x3 same relu]", (16, 16, 16)),
    "conv 32x3x3 stride 2": ("conv 16x3x3 stride 2 same relu, conv 32x3x3 stride 2 same relu", (16, 32, 32)),
    "conv 16x1x9": ("repeat 6 [conv 16x1x9 same relu]", (16, 1, 128)),
    "pointwise 8": ("repeat 6 [pointwise 8 relu]", (8, 24, 24)),
    "pointwise 64": ("repeat 6 [pointwise 64 relu]", (64, 8, 8)),
    "dense 256": ("repeat 6 [dense 256 relu]", (256, 1, 1)),
    "depthwise 3x3": ("repeat 6 [depthwise 3x3 same relu]", (16, 16, 16)),
    "depthwise 3x3 stride 2": ("repeat 3 [depthwise 3x3 stride 2 same relu]", (32, 32, 32)),
}
"""Stacks of one kind of layer, each with its input."""

GROWTH = (
    "conv 8x3x3 stride 2 same relu, depthwise 3x3 same, pointwise 16 relu, conv 16x3x3 stride 2 same relu, "
    "globalavgpool, dense 4"
)
SIDES = (16, 32, 64, 96, 128)


@dataclass(frozen=True)
class Task:
    """One network to train: `name` is torch's too, for one of `torch_networks.py`."""

    name: str
    net: str
    shape: Shape
    classes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image's training step."""
        forward = [plan.macs for plan in parse_spec(self.net).plan(self.shape) if plan.weight_count]
        return 3 * sum(forward) - forward[0]

    @property
    def depthwise_bytes(self) -> int:
        """What depthwise layers read and write in one image's training step.

        Each of its three passes reads two maps, and two of them write one; the first layer's input has no gradient.
        """
        total = 0
        for index, plan in enumerate(parse_spec(self.net).plan(self.shape)):
            if isinstance(plan.layer, Depthwise):
                inputs, outputs = (
                    4 * shape[0] * shape[1] * shape[2] for shape in (plan.input_shape, plan.output_shape)
                )
                total += (2 if index == 0 else 4) * inputs + (2 if index == 0 else 3) * outputs
        return total


@dataclass(frozen=True)
class Series:
    """Images a second of each round with one contestant's fastest setting."""

    variant: str
    rates: tuple[float, ...]


class Bench:
    """The processes at work, and how long they train."""

    def __init__(self, stack: ExitStack, rounds: int, round_seconds: float) -> None:
        self.rounds, self.round_seconds = rounds, round_seconds
        self.processes = {name: self._start(name, stack) for name in VARIANTS}

    @staticmethod
    def _start(name: str, stack: ExitStack) -> tuple[Process, ...]:
        processes = tuple(
            Process(name, "network_contestants.py") for _ in range(max(map(processes_of, VARIANTS[name])))
        )
        for process in processes:
            stack.callback(process.close)
        return processes

    def compare(self, task: Task, names: Sequence[str]) -> dict[str, Series]:
        """Find everyone's fastest setting, then let them take turns."""
        found = {name: self._best_variant(task, name) for name in names}
        rates: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(self.rounds):
            for name in list(names)[:: 1 if turn % 2 == 0 else -1]:
                rates[name].append(self._round(name, task, *found[name])[0])
        return {name: Series(found[name][0], tuple(rates[name])) for name in names}

    def machine_peaks(self) -> dict[str, float]:
        """Multiply-adds a second, and bytes a second of a copy in the second-level cache."""
        time.sleep(SETTLE_SECONDS)
        return self._ask(self.processes["smidgen"][:1], {"peak": True})[0]

    def _best_variant(self, task: Task, name: str) -> tuple[str, int]:
        tried = {}
        for variant in VARIANTS[name]:
            self._round(name, task, variant, RESIDENT_BATCHES)  # the first steps allocate
            rate, seconds = self._round(name, task, variant, RESIDENT_BATCHES)
            passes = max(1, round(self.round_seconds / seconds))
            tried[variant] = rate, passes * RESIDENT_BATCHES
        best = max(tried, key=lambda variant: tried[variant][0])
        return best, tried[best][1]

    def _round(self, name: str, task: Task, variant: str, batches: int) -> tuple[float, float]:
        time.sleep(SETTLE_SECONDS)
        request = {"name": task.name, "net": task.net, "shape": task.shape, "classes": task.classes, "variant": variant}
        answers = self._ask(self.processes[name][: processes_of(variant)], request | {"batches": batches})
        seconds = max(answer["seconds"] for answer in answers)
        return sum(answer["images"] for answer in answers) / seconds, seconds

    @staticmethod
    def _ask(processes: Iterable[Process], request: dict[str, Any]) -> list[dict[str, Any]]:
        asked = list(processes)
        for process in asked:
            process.ask(request)
        return [process.answer() for process in asked]


# --- the tables -------------------------------------------------------------------------------


def compare_networks(bench: Bench, names: Sequence[str]) -> list[dict[str, Any]]:
    line = "{:<16}{:>9}{:>10}{:>9}{:>16}{:>7}"
    print("\nimages a second\n" + line.format("network", "params", "smidgen", "torch", "x torch", "peak"), flush=True)
    records = []
    for name in names:
        network = NETWORKS[name]
        task = Task(name, network.text, network.shape, network.classes)
        series, peaks = bench.compare(task, tuple(VARIANTS)), bench.machine_peaks()
        ours, theirs = series["smidgen"].rates, series["torch"].rates
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        share = median(ours) * task.macs / peaks["peak"]
        parameters = parse_spec(task.net).parameters(task.shape)
        row = (name, f"{parameters:,}", short(median(ours)), short(median(theirs)), ratio_text(ratios), f"{share:.0%}")
        print(line.format(*row), flush=True)
        records.append(
            {"name": name, "net": task.net, "parameters": parameters, "ratios": ratios, "peak_share": share}
            | {f"{who}_rates": s.rates for who, s in series.items()}
            | {f"{who}_variant": s.variant for who, s in series.items()}
        )
    return records


def measure_kinds(bench: Bench) -> list[dict[str, Any]]:
    line = "{:<26}{:>10}{:>8}{:>12}"
    print("\nlayers\n" + line.format("kind", "smidgen", "peak", "L2 copy"), flush=True)
    records = []
    for kind, (net, shape) in KINDS.items():
        task = Task(kind, net, shape, parse_spec(net).output_shape(shape)[0])
        rate, peaks = median(bench.compare(task, ("smidgen",))["smidgen"].rates), bench.machine_peaks()
        share, copy_share = rate * task.macs / peaks["peak"], rate * task.depthwise_bytes / peaks["copy"]
        print(line.format(kind, short(rate), f"{share:.0%}", f"{copy_share:.0%}" if copy_share else ""), flush=True)
        records.append({"kind": kind, "rate": rate, "peak_share": share, "copy_share": copy_share} | peaks)
    return records


def measure_growth(bench: Bench) -> list[dict[str, Any]]:
    rates, cost = {}, {}
    for side in SIDES:
        task = Task(f"{side} pixels", GROWTH, (3, side, side), 4)
        rates[side] = median(bench.compare(task, ("smidgen",))["smidgen"].rates)
        cost[side] = 1e12 / rates[side] / task.macs
    line, least = "{:<10}{:>10}{:>16}{:>14}", min(cost.values())
    print("\ngrowth\n" + line.format("pixels", "smidgen", "ns / 1000 MAC", "x the least"))
    for side in SIDES:
        row = line.format(f"{side}x{side}", short(rates[side]), f"{cost[side]:.1f}", f"{cost[side] / least:.2f}")
        print(row, flush=True)
    return [{"side": side, "rate": rates[side], "ns_per_1000_macs": cost[side]} for side in SIDES]


def main() -> None:
    wish = parse_arguments()
    load_before = load_average()
    if load_before > QUIET_LOAD:
        print(f"the machine is busy: load {load_before:.2f}, above {QUIET_LOAD}; the figures are not worth keeping")
    with ExitStack() as stack:
        bench = Bench(stack, wish.rounds, wish.round_seconds)
        record = {
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "load_before": load_before,
            "rounds": wish.rounds,
            "networks": compare_networks(bench, wish.nets),
            "kinds": measure_kinds(bench),
            "growth": measure_growth(bench),
        }
    if wish.json:
        wish.json.parent.mkdir(parents=True, exist_ok=True)
        wish.json.write_text(json.dumps(record, indent=1) + "\n")
        print(f"\nwritten: {wish.json}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images a second of training on real networks: this core and torch.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a look")
    parser.add_argument(
        "--nets", type=lambda text: text.split(","), default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}"
    )
    parser.add_argument("--rounds", type=int, help="default 7; 3 with --quick")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything there, round by round")
    wish = parser.parse_args()
    wish.rounds = wish.rounds or (3 if wish.quick else 7)
    wish.round_seconds = 0.3 if wish.quick else 1.0
    return wish


if __name__ == "__main__":
    main()
