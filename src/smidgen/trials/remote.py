"""Trials in other processes: what travels to a worker, and what the worker does.

A task is a batch of trials and the names of what they need: the data, the teacher's logits, what trainings start
from. A name is the SHA-256 of the content, so a worker looks in its memory, then in a folder of its cache, and only
then asks for it; it reaches a worker once. The test split is not sent: candidates take no part in it.

**The same key, the same bits.** A worker trains a trial only if it runs the coordinator's version of Smidgen and its
engine has the name that stands in the trial, which says engine and arithmetic; else it refuses, and says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import smidgen
from smidgen import environment
from smidgen.data import Dataset, Split
from smidgen.engine import Projection, Start, TrainControl, choose
from smidgen.errors import EngineError
from smidgen.records import Outcome, Trial
from smidgen.trials.dask_pool import content_of_scheduler, is_wanted
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.workers import Pool, default_workers

Arrays = dict[str, npt.NDArray[Any]]

THINGS_IN_MEMORY = 16
CACHE_BYTES = 2_000_000_000
"""Of the folder on a worker: the newest are kept, and always the last one."""

_SPLITS = ("train", "selection", "confirmation")


@dataclass(frozen=True)
class Task:
    """Trials of one run, and by SHA-256 what they need.

    data, teacher: of the data, and of the teacher's logits or ""; starts: (`Trial.start`, SHA-256)
    engine: as in `candidate.Lessons`; version: of the coordinator
    threads: of each training; 0 is every CPU of the worker, for one large network alone
    """

    trials: tuple[Trial, ...]
    data: str
    teacher: str
    starts: tuple[tuple[str, str], ...]
    engine: str
    version: str
    threads: int


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What came of a task: the outcomes of its trials in their order, or the content that was not to be found.

    place: the worker's host and process, its version, its engines
    """

    place: str
    outcomes: tuple[Outcome, ...] = ()
    missing: str = ""


class TaskAbandoned(Exception):
    """Raised inside a training whose coordinator is gone or has stopped."""


# --- the coordinator's side ------------------------------------------------------------------


class TaskSender:
    """Makes tasks of trials, and sends ahead what they need.

    sent: the SHA-256 of what was sent before, by its name; the caller keeps it from one stage to the next.
    """

    def __init__(self, pool: Pool, context: TrainingContext, threads: int, sent: dict[str, str]) -> None:
        self.offer = pool.offer or keep
        self.context, self.threads, self.sent = context, threads, sent

    def task(self, trials: Sequence[Trial]) -> Task:
        context, data = self.context, self.context.dataset
        teacher = context.teacher_logits if any(trial.recipe.needs_teacher for trial in trials) else None
        taught = f"logits of {context.teacher_key} on {data.digest}"
        starts = sorted({trial.start_digest for trial in trials} - {""})
        return Task(
            tuple(trials),
            self._send(data.digest, lambda: _of_dataset(data)),
            "" if teacher is None else self._send(taught, lambda: _packed({"logits": teacher}, {})),
            tuple((start, self._send(start, lambda start=start: _of_start(context.starts[start]))) for start in starts),
            context.engine,
            smidgen.__version__,
            self.threads,
        )

    def _send(self, name: str, pack: Any) -> str:
        """The SHA-256 of what `pack` makes, which is offered when it is first asked for."""
        if name not in self.sent:
            content = pack()
            digest = hashlib.sha256(content).hexdigest()
            self.offer(digest, content)
            self.sent[name] = digest
        return self.sent[name]


# --- the worker's side -----------------------------------------------------------------------


def run(task: Task) -> TaskResult:
    """Train a task's trials one after the other.

    Raises:
        EngineError: this worker would not give the bits that the trials' keys stand for.
        TaskAbandoned: nobody waits for it any more.
    """
    place = f"{socket.gethostname()} process {os.getpid()}"
    if task.version != smidgen.__version__:
        raise EngineError(
            f"worker {place} runs Smidgen {smidgen.__version__} and this run {task.version}, which may give other "
            "bits; install the same version on both"
        )
    names = {_checked_engine(place, task.engine, trial) for trial in task.trials}
    place = f"{place}, Smidgen {smidgen.__version__}, {', '.join(sorted(names))}"
    try:
        context = _context(task)
    except _NotFound as missing:
        return TaskResult(place, missing=str(missing))
    control = TrainControl(task.threads or default_workers(), _end_if_abandoned)
    return TaskResult(place, tuple(evaluate(context, trial, control) for trial in task.trials))


def _checked_engine(place: str, wanted: str, trial: Trial) -> str:
    name = choose(wanted).name()
    if name != trial.engine_name:
        raise EngineError(
            f"worker {place} computes with {name} and this run with {trial.engine_name}, which gives other bits; "
            "use workers of one kind, or set the same SMIDGEN_INSTRUCTION_SET on all machines"
        )
    return name


def _end_if_abandoned(_done: int, _total: int) -> None:
    if not is_wanted():
        raise TaskAbandoned


class _NotFound(Exception):
    """A content that is nowhere to be found; its SHA-256."""


_memory: OrderedDict[str, Any] = OrderedDict()
_memory_lock = threading.Lock()


def _context(task: Task) -> TrainingContext:
    # One thread of a process fetches, and the others find it in memory.
    with _memory_lock:
        data = _thing(task.data, _to_dataset)
        logits = _thing(task.teacher, lambda arrays, _: arrays["logits"]) if task.teacher else None
        starts = {start: _thing(digest, _to_start) for start, digest in task.starts}
    return TrainingContext(data, task.engine, teacher_logits=logits, starts=starts)


def _thing(digest: str, unpack: Any) -> Any:
    """From this process's memory, from its cache's folder, or from the scheduler."""
    if digest not in _memory:
        content = _kept(digest)
        if content is None:
            content = content_of_scheduler(digest)
            if content is None or hashlib.sha256(content).hexdigest() != digest:
                raise _NotFound(digest)
            keep(digest, content)
        _memory[digest] = unpack(*_unpacked(content))
    _memory.move_to_end(digest)
    while len(_memory) > THINGS_IN_MEMORY:
        _memory.popitem(last=False)
    return _memory[digest]


# --- the folder ------------------------------------------------------------------------------


def keep(digest: str, content: bytes) -> None:
    """Put content into the cache's folder; a folder that cannot be written to keeps nothing."""
    folder = _folder()
    path = folder / f"{digest}.safetensors"
    part = folder / f"{digest}.{secrets.token_hex(4)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
        _drop_oldest(folder)
    except OSError:
        part.unlink(missing_ok=True)


def _drop_oldest(folder: Path) -> None:
    sizes = {file: file.stat() for file in folder.iterdir()}
    total = 0
    for place, file in enumerate(sorted(sizes, key=lambda file: sizes[file].st_mtime, reverse=True)):
        total += sizes[file].st_size
        if place and total > CACHE_BYTES:
            file.unlink(missing_ok=True)


def _kept(digest: str) -> bytes | None:
    """Content from the folder, if it is whole."""
    try:
        content = (_folder() / f"{digest}.safetensors").read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None


def _folder() -> Path:
    return environment.cache_directory() / "content"


# --- things <-> bytes ------------------------------------------------------------------------


def _packed(arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    """One safetensors file; the same things give the same bytes."""
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(save(whole, {"facts": json.dumps(facts, sort_keys=True)}))


def _unpacked(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    from safetensors.numpy import load

    length = int.from_bytes(content[:8], "little")
    facts: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])
    return load(content), facts


def _of_dataset(data: Dataset) -> bytes:
    splits = {name: getattr(data, name) for name in _SPLITS}
    images = {f"{name} images": split.images for name, split in splits.items()}
    labels = {f"{name} labels": split.labels for name, split in splits.items()}
    facts = {"name": data.name, "classes": data.class_names, "split_seed": data.split_seed, "digest": data.digest}
    return _packed(images | labels, facts)


def _to_dataset(arrays: Arrays, facts: dict[str, Any]) -> Dataset:
    train, selection, confirmation = (Split(arrays[f"{name} images"], arrays[f"{name} labels"]) for name in _SPLITS)
    no_test = Split(train.images[:0], train.labels[:0])
    names = tuple(facts["classes"])
    return Dataset(facts["name"], names, train, selection, confirmation, no_test, facts["split_seed"], facts["digest"])


def _of_start(start: Start) -> bytes:
    arrays: Arrays = {"weights": start.weights}
    arrays |= {name: array for name in ("fixed", "tied") if (array := getattr(start, name)) is not None}
    if held := start.projection:
        arrays["codebook"] = held.codebook
        arrays |= {f"levels {place}": levels for place, levels in enumerate(held.levels)}
        arrays |= {f"costs {place}": costs for place, costs in enumerate(held.costs or ())}
    facts = {"books": len(held.levels), "costs": held.costs is not None} if held else {}
    return _packed(arrays, facts)


def _to_start(arrays: Arrays, facts: dict[str, Any]) -> Start:
    held = None
    if facts:
        levels, costs = (
            tuple(arrays[f"{what} {book}"] for book in range(facts["books"]) if f"{what} {book}" in arrays)
            for what in ("levels", "costs")
        )
        held = Projection(arrays["codebook"], levels, costs if facts["costs"] else None)
    return Start(arrays["weights"], arrays.get("fixed"), arrays.get("tied"), held)
