"""Trials in other processes: the task that a coordinator sends, and what a worker does with it.

A task is a batch of trials and the names of what they need: the data, a teacher's logits, what trainings start from.
A name is the SHA-256 of the content. A worker looks for it in its memory, then in a folder of its cache, and only
then asks the scheduler, so content reaches a worker once. The test split is not sent: candidates take no part in it.

**The same key, the same bits.** A worker trains a trial only if it runs the coordinator's version and code of Smidgen
and its engine has the name in the trial, which says engine and arithmetic (`identity`). Otherwise it refuses the task.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from smidgen.engine import TrainControl
from smidgen.records import Outcome, Trial
from smidgen.trials import content
from smidgen.trials.dask_pool import content_of_scheduler, is_wanted
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.identity import code_digest, described, identity
from smidgen.trials.workers import Pool, default_workers

THINGS_IN_MEMORY = 16
"""Data sets, logits and starts that a worker keeps in memory, decoded."""


@dataclass(frozen=True)
class Task:
    """Trials of one run, and the SHA-256 of what they need.

    Attributes:
        trials: what to train, one after the other.
        data: name of the data set.
        teacher: name of the teacher's logits, or "".
        starts: (`Trial.start_digest`, name) of every start.
        engine: as in `TrainingContext.engine`.
        code: the digest of the coordinator's code (`identity.code_digest`).
        threads: threads of each training; 0 for every CPU of the worker, for a single large network.
    """

    trials: tuple[Trial, ...]
    data: str
    teacher: str
    starts: tuple[tuple[str, str], ...]
    engine: str
    code: str
    threads: int


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The outcomes of a task, the content that the worker did not find, or why it refuses the task.

    Attributes:
        worker: the worker's host, its process and what it runs.
        outcomes: one for each trial, in their order; empty if content is missing or the task is refused.
        missing: SHA-256 of the missing content, or "".
        refused: why the worker would not give the bits that the trials' keys stand for, or "".
    """

    worker: str
    outcomes: tuple[Outcome, ...] = ()
    missing: str = ""
    refused: str = ""


class TaskAbandoned(Exception):
    """Raised inside a training whose coordinator is gone or has stopped."""


# --- the coordinator's side ------------------------------------------------------------------


class TaskSender:
    """Makes tasks of trials, and sends the pool what they need before they start.

    Attributes:
        sent: SHA-256 by name of what was sent before; the caller keeps it from one stage to the next.
    """

    def __init__(self, pool: Pool, context: TrainingContext, threads: int, sent: dict[str, str]) -> None:
        self.offer = pool.offer or content.keep
        self.context, self.threads, self.sent = context, threads, sent

    def task(self, trials: Sequence[Trial]) -> Task:
        context, data = self.context, self.context.dataset
        logits = context.teacher_logits if any(trial.recipe.needs_teacher for trial in trials) else None
        name = f"logits of {context.teacher_key} on {data.digest}"
        return Task(
            trials=tuple(trials),
            data=self._send(data.digest, lambda: content.pack_dataset(data)),
            teacher="" if logits is None else self._send(name, lambda: content.pack_logits(logits)),
            starts=tuple(self._starts(trials)),
            engine=context.engine,
            code=code_digest(),
            threads=self.threads,
        )

    def _starts(self, trials: Sequence[Trial]) -> list[tuple[str, str]]:
        digests = sorted({trial.start_digest for trial in trials} - {""})
        starts = self.context.starts
        return [(digest, self._send(digest, partial(content.pack_start, starts[digest]))) for digest in digests]

    def _send(self, name: str, pack: Callable[[], bytes]) -> str:
        """Offer what `pack` makes, unless it was sent under this name before; return its SHA-256."""
        if name not in self.sent:
            packed = pack()
            digest = content.digest_of(packed)
            self.offer(digest, packed)
            self.sent[name] = digest
        return self.sent[name]


# --- the worker's side -----------------------------------------------------------------------


def run(task: Task) -> TaskResult:
    """Train a task's trials one after the other.

    Raises:
        EngineError: the engine is not installed.
        TaskAbandoned: the coordinator no longer waits for the task.
    """
    runs = identity(task.engine)
    worker = f"{socket.gethostname()} process {os.getpid()}, {runs}"
    for trial in task.trials:
        wanted = described(task.code, trial.engine_name)
        if runs != wanted:
            return TaskResult(worker, refused=_refusal(worker, wanted))
    try:
        context = _context(task)
    except _NotFound as missing:
        return TaskResult(worker, missing=str(missing))
    control = TrainControl(task.threads or default_workers(), _progress)
    return TaskResult(worker, tuple(evaluate(context, trial, control) for trial in task.trials))


def _refusal(worker: str, wanted: str) -> str:
    return (
        f"worker {worker}, may give other bits: this run needs {wanted}; install the same Smidgen everywhere and set "
        "the same SMIDGEN_INSTRUCTION_SET"
    )


def _progress(_done: int, _total: int) -> None:
    """End a training that nobody waits for."""
    if not is_wanted():
        raise TaskAbandoned


class _NotFound(Exception):
    """Content that is neither in memory, nor in the cache, nor on the scheduler; its SHA-256."""


_memory: OrderedDict[str, Any] = OrderedDict()
_memory_lock = threading.Lock()


def _context(task: Task) -> TrainingContext:
    # One thread of a process fetches, and the others find the content in memory.
    with _memory_lock:
        data = _thing(task.data, content.to_dataset)
        logits = _thing(task.teacher, content.to_logits) if task.teacher else None
        starts = {start: _thing(digest, content.to_start) for start, digest in task.starts}
    return TrainingContext(data, task.engine, teacher_logits=logits, starts=starts)


def _thing(digest: str, decode: Callable[[content.Arrays, content.Facts], Any]) -> Any:
    """Return what is behind a name: from memory, from the folder of the cache, or from the scheduler."""
    if digest not in _memory:
        found = content.kept(digest)
        if found is None:
            found = content_of_scheduler(digest)
            if found is None or content.digest_of(found) != digest:
                raise _NotFound(digest)
            content.keep(digest, found)
        _memory[digest] = decode(*content.unpack(found))
    _memory.move_to_end(digest)
    while len(_memory) > THINGS_IN_MEMORY:
        _memory.popitem(last=False)
    return _memory[digest]
