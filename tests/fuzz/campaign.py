"""Read changed files with every reader, and count what is neither read nor refused.

    PYTHONPATH=tests python -m fuzz.campaign --minutes 30 --keep build/fuzz

Each reader runs in a process of its own with a limit on its memory, and each input has a limit on its time. An input is
kept if its reader crashes (any exception but a SmidgenError, or a signal), takes too long, or takes too much memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from fuzz.mutations import mutated, sealed
from fuzz.readers import CORPUS, READERS
from smidgen.errors import SmidgenError

INPUT_SECONDS = 10
MEMORY_BYTES = 2**30
"""Address space that a reader may ask for beyond what it has after its imports; it gets MemoryError for more."""
RESIDENT_BYTES = 2**28
"""Memory that a reader may take in fact: more is a fault."""


@dataclass
class Figures:
    """What happened to one reader's inputs."""

    reader: str
    tried: int = 0
    read: int = 0
    refused: int = 0
    crashes: int = 0
    hangs: int = 0
    wanted_memory: int = 0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    faults: list[str] = field(default_factory=list)


class _Late(BaseException):
    """No `except Exception` of a reader stops it."""


def fuzz(name: str, seconds: float, seed: int, keep: Path | None = None) -> Figures:
    """Read changed files with one reader in a process of its own, for some seconds."""
    context = multiprocessing.get_context("fork")
    figures, deadline = Figures(name), time.monotonic() + seconds
    while not figures.tried or time.monotonic() < deadline:
        with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
            ours, theirs = context.Pipe(duplex=False)
            settings = (name, max(0.1, deadline - time.monotonic()), seed + figures.tried, Path(folder))
            child = context.Process(target=_read_many, args=(*settings, theirs))
            child.start()
            theirs.close()
            _collect(figures, ours, child, Path(folder) / "input" / READERS[name].name, keep)
    return figures


def _fast_folder() -> str | None:
    """A folder in memory, where there is one: a database flushes each write to the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _collect(figures: Figures, ours, child, file: Path, keep: Path | None) -> None:
    """Add what the child reports; it ends early if it crashes."""
    try:
        while (told := ours.recv()) is not None:
            kind, took_seconds, peak_bytes, fault, content = told
            figures.tried += 1
            if peak_bytes > max(RESIDENT_BYTES, figures.peak_bytes) and not fault:
                kind, fault = "crashes", f"took {peak_bytes / 2**20:.0f} MB"
            setattr(figures, kind, getattr(figures, kind) + 1)
            figures.slowest_seconds = max(figures.slowest_seconds, took_seconds)
            figures.peak_bytes = max(figures.peak_bytes, peak_bytes)
            if fault:
                _note(figures, fault, content, keep)
    except EOFError:
        child.join()
        figures.tried += 1
        figures.crashes += 1
        content = file.read_bytes() if file.exists() else b""
        _note(figures, f"the process ended with {child.exitcode}", content, keep)
    child.join()


def _note(figures: Figures, fault: str, content: bytes, keep: Path | None) -> None:
    if fault.splitlines()[-1] not in [known.splitlines()[-1] for known in figures.faults]:
        figures.faults.append(fault)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{figures.reader}-{len(figures.faults)}").write_bytes(content)
            (keep / f"{figures.reader}-{len(figures.faults)}.txt").write_text(fault, encoding="utf-8")


# --- the process that reads -------------------------------------------------------------------


def _read_many(name: str, seconds: float, seed: int, folder: Path, told) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # libraries print what they refuse
    os.dup2(nowhere, 2)
    os.environ |= {"SMIDGEN_CACHE": str(folder / "cache"), "SMIDGEN_MEMORY": "64MB"}
    chance = Random(seed)
    seeds = [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]
    for content in seeds:  # imports what the reader needs
        _read_one(name, content, folder)
    base_bytes, deadline = _limit_memory(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        content = mutated(chance.choice(seeds), seeds, chance)
        content = sealed(content) if name == "smidgen" and chance.random() < 0.8 else content
        began = time.monotonic()
        kind, fault = _read_one(name, content, folder)
        peak_bytes = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base_bytes)
        told.send((kind, time.monotonic() - began, peak_bytes, fault, content if fault else b""))
    told.send(None)


def _limit_memory() -> int:
    """Limit the address space, and return the memory that the process has so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_one(name: str, content: bytes, folder: Path) -> tuple[str, str]:
    """Read one input; returns how it ended, and a fault as text or ""."""
    place = folder / "input"
    place.mkdir(exist_ok=True)
    file = place / READERS[name].name
    file.write_bytes(content)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(INPUT_SECONDS)
    try:
        READERS[name].read(file)
        return "read", ""
    except SmidgenError as error:
        return "wanted_memory" if _wants_memory(error) else "refused", ""
    except _Late:
        return "hangs", f"longer than {INPUT_SECONDS} s\n{_traceback(4)}"
    except Exception:
        return "crashes", _traceback(6)
    finally:
        signal.alarm(0)


def _traceback(calls: int) -> str:
    """The last calls before an exception; files are named from src/, tests/ or site-packages/ on, as on any machine."""
    return re.sub(r'(?<=File ")[^"]*/(?=(?:src|tests|site-packages)/)', "", traceback.format_exc(limit=-calls))


def _stop(*_: object) -> None:
    raise _Late


def _wants_memory(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, MemoryError) or _wants_memory(error.__cause__))


# --- the command ------------------------------------------------------------------------------


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=1.0, help="of all readers together")
    arguments.add_argument("--readers", default=",".join(READERS), help="names, separated by commas")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--keep", type=Path, help="a folder for inputs that crash, hang or take too much memory")
    arguments.add_argument("--json", type=Path, help="a file for the figures")
    options = arguments.parse_args()
    names = options.readers.split(",")
    heads = f"{'tried':>8} {'read':>8} {'refused':>8} {'no room':>7} {'crashes':>8} {'hangs':>6} {'slowest':>8}"
    print(f"{'reader':12} {heads} {'peak':>9}")
    found = []
    for name in names:
        figures = fuzz(name, 60 * options.minutes / len(names), options.seed, options.keep)
        found.append(figures)
        counts = f"{figures.tried:8,} {figures.read:8,} {figures.refused:8,} {figures.wanted_memory:7,}"
        counts += f" {figures.crashes:8,} {figures.hangs:6,}"
        print(f"{name:12} {counts} {figures.slowest_seconds:6.2f} s {figures.peak_bytes / 2**20:6.0f} MB", flush=True)
        for fault in figures.faults:
            print("\n".join(f"    {line}" for line in fault.splitlines()[-7:]), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(figures) for figures in found], indent=1) + "\n")
    return int(any(figures.crashes or figures.hangs for figures in found))


if __name__ == "__main__":
    sys.exit(main())
