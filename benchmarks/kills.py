"""Kill shrink, compress, sweep and export at random moments, and look at what they leave.

    OMP_NUM_THREADS=1 python benchmarks/kills.py --kills 200 --out results/<date>-kills

A kill comes at a random moment of the time that the command took last. After it, the command's files are of one run or
absent; then the same command runs to its end, gives the bytes of an undisturbed run, and leaves nothing else behind.
Seconds, which the report and the tables state, are not compared.
Commands run in forks of this process, so that a kill falls into the work and not into imports. Linux and macOS.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import matplotlib.backends.backend_agg
import numpy as np

import smidgen
import smidgen.studies
from smidgen import api
from smidgen.model import Model
from smidgen.report import plots
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS
from smidgen.search.effort import EFFORTS
from smidgen.spec import parse_spec

BYTES_EFFORT = replace(BYTE_SEARCH_EFFORTS["glance"], networks=1, children=2, steps=100)
QUICK = EFFORTS["quick"]
SHORTER = {name: steps // 16 for name, steps in asdict(QUICK).items() if name.endswith("_steps")}
EFFORT = replace(QUICK, first=8, generations=1, children=4, seeds=1, fresh_seeds=1, byte_search=BYTES_EFFORT, **SHORTER)
"""A search of seconds."""
FORGOTTEN = 3
"""Trainings that the store forgets before each kill, so that some kills fall into a training."""
ORDINARY = re.compile(r"<dt>Time</dt>.*|<dt>Command</dt>.*")


@dataclass(frozen=True)
class Command:
    """A command, the folder that it writes into, and whether that is a run folder."""

    name: str
    act: Callable[[], object]
    folder: Path
    is_run: bool


def commands(root: Path) -> list[Command]:
    store, runs, given = root / "store.sqlite", root / "runs", root / "given"
    shrink_to, sweep_to = runs / "shrunk", runs / "swept"
    winner = given / "winner.safetensors"
    bytes_to, export_to = root / "compressed", root / "exported"
    return [
        Command(
            "shrink", lambda: api.shrink("digits", 0.85, effort=EFFORT, out=shrink_to, store=store), shrink_to, True
        ),
        Command(
            "sweep",
            lambda: api.sweep("digits", family="mlp1", widths=(1, 2), seeds=2, epochs=1, out=sweep_to, store=store),
            sweep_to,
            True,
        ),
        Command(
            "compress",
            lambda: api.compress(
                winner, 0.8, data="digits", effort=BYTES_EFFORT, out=bytes_to / "n.smidgen", store=store
            ),
            bytes_to,
            False,
        ),
        Command("export", lambda: _export(given / "network.smidgen", export_to), export_to, False),
    ]


def _export(network: Path, folder: Path) -> None:
    api.export(network, to="c", out=folder / "n.c")
    api.export(network, to="onnx", out=folder / "n.onnx")


def in_child(act: Callable[[], object], kill_after_seconds: float | None = None) -> bool:
    """Run something in a fork; returns whether it was killed before it ended."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(f"the command failed: {error!r}", file=sys.stderr)
            os._exit(1)
    status = _status_before(child, kill_after_seconds) if kill_after_seconds is not None else None
    if status is None:
        if kill_after_seconds is not None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"a command ended with {status}")
    return status == signal.SIGKILL


def _status_before(child: int, seconds: float) -> int | None:
    """Wait until a process ends or time is up; returns its status if it ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    return None


def compared(folder: Path) -> dict[str, object]:
    """The content of a folder's files, without seconds; of run.json the run and the names."""
    found: dict[str, object] = {}
    for file in sorted(folder.iterdir()) if folder.exists() else []:
        if _is_left(file):
            continue
        content = file.read_bytes()
        if file.suffix == ".html":
            found[file.name] = ORDINARY.sub("", content.decode())
        elif file.suffix == ".csv":
            rows = list(csv.DictReader(content.decode().splitlines()))
            found[file.name] = [{key: value for key, value in row.items() if key != "train_seconds"} for row in rows]
        elif file.name == "run.json":
            manifest = json.loads(content)
            found[file.name] = (manifest["run"], sorted(manifest["files"]))
        else:
            found[file.name] = sha256(content).hexdigest()
    return found


def fault_after_kill(command: Command, before: dict[str, object], whole: dict[str, object]) -> str:
    """Say what is wrong with the files that a kill left; "" if they are of one run or absent."""
    found = compared(command.folder)
    if command.is_run:
        return "" if not command.folder.exists() or found in (before, whole) else f"mixed: {sorted(found)}"
    of_before = all(before.get(name) == content for name, content in found.items())
    of_whole = all(whole.get(name) == content for name, content in found.items())
    return "" if of_before or of_whole or command.name == "export" else f"mixed: {sorted(found)}"


def forget(store: Path, chance: Random) -> None:
    """Delete some trainings, so that the command trains them again."""
    with closing(sqlite3.connect(store)) as database:
        keys = [key for (key,) in database.execute("select key from trials order by key")]
        for key in chance.sample(keys, min(FORGOTTEN, len(keys))):
            database.execute("delete from trials where key = ?", (key,))
        database.commit()


def kill_once(
    command: Command, root: Path, seconds: float, whole: dict[str, object], chance: Random
) -> tuple[bool, str, float]:
    """Kill a command once and run it again; returns whether the kill came in time, what was wrong, and the seconds."""
    store, had_answer = root / "store.sqlite", chance.random() < 0.5
    shutil.copy(root / "full.sqlite", store)
    for leftover in ("store.sqlite-wal", "store.sqlite-shm"):
        (root / leftover).unlink(missing_ok=True)
    forget(store, chance)
    shutil.rmtree(command.folder, ignore_errors=True)
    if had_answer and command.is_run:
        shutil.copytree(root / "older" / command.name, command.folder)
    elif not command.is_run:
        command.folder.mkdir()
    before = compared(command.folder)
    killed = in_child(command.act, chance.uniform(0, seconds))
    fault = fault_after_kill(command, before, whole)
    began = time.monotonic()
    in_child(command.act)
    seconds = time.monotonic() - began
    if compared(command.folder) != whole:
        fault += " other bytes after the rerun"
    if left := [path.name for path in (*command.folder.iterdir(), *command.folder.parent.iterdir()) if _is_left(path)]:
        fault += f" left behind: {left}"
    return killed, fault, seconds


def _is_left(path: Path) -> bool:
    return path.name.startswith((".smidgen-", ".draft-"))


def prepare(root: Path, chosen: list[str]) -> dict[str, tuple[float, dict[str, object]]]:
    """Run every command undisturbed: its seconds with a full store, and its files; also an older answer of each run."""
    store, older = root / "store.sqlite", root / "older"
    (root / "compressed").mkdir()
    (root / "exported").mkdir()
    (root / "given").mkdir()
    network, shape = parse_spec("conv 4x3x3 relu, maxpool 2, dense 10"), (1, 8, 8)
    weights = np.random.default_rng(0).normal(size=network.parameters(shape)).astype(np.float32)
    api.save(Model(network, shape, tuple("0123456789"), weights), root / "given" / "network.smidgen")
    in_child(
        lambda: api.sweep("digits", family="mlp1", widths=(1,), seeds=1, epochs=1, out=older / "sweep", store=store)
    )
    if {"shrink", "compress"} & set(chosen):
        in_child(lambda: api.shrink("digits", 0.8, effort=EFFORT, seed=1, out=older / "shrink", store=store))
        shutil.copy(older / "shrink" / "winner.safetensors", root / "given")
    found = {}
    for command in (each for each in commands(root) if each.name in chosen):
        in_child(command.act)
        began = time.monotonic()
        in_child(command.act)
        found[command.name] = (time.monotonic() - began, compared(command.folder))
    with closing(sqlite3.connect(store)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    shutil.copy(store, root / "full.sqlite")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="that came before the end, of all commands together")
    parser.add_argument("--commands", default="shrink,sweep,compress,export")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop earlier after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for figures.json")
    options = parser.parse_args()
    chance, deadline = Random(options.seed), time.monotonic() + 60 * options.minutes
    chosen = options.commands.split(",")
    figures: dict[str, Any] = {name: {"kills": 0, "too_late": 0, "faults": []} for name in chosen}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        undisturbed = prepare(root, chosen)
        known = {command.name: command for command in commands(root)}
        turns = itertools.cycle(chosen)
        while sum(counts["kills"] for counts in figures.values()) < options.kills and time.monotonic() < deadline:
            command = known[next(turns)]
            seconds, whole = undisturbed[command.name]
            killed, fault, seconds = kill_once(command, root, seconds, whole, chance)
            undisturbed[command.name] = (seconds, whole)
            counts = figures[command.name]
            counts["kills" if killed else "too_late"] += 1
            counts["faults"] += [fault] if fault else []
            print(command.name, "killed" if killed else "ended before", fault, flush=True)
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        about = {"smidgen": smidgen.__version__, "python": platform.python_version(), "machine": platform.platform()}
        text = json.dumps({**about, "seed": options.seed, "commands": figures}, indent=1)
        (options.out / "figures.json").write_text(text + "\n")
    return int(any(counts["faults"] for counts in figures.values()))


assert plots and smidgen.studies and matplotlib.backends.backend_agg  # imported before the forks

if __name__ == "__main__":
    sys.exit(main())
