"""A table in long form, one row for each moment, becomes windows of a signal.

Windows that overlap are never in two splits: those of one group stay together, and where the table names no groups, a
recording is cut into blocks, and windows that reach over the end of a block are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.data.readers.base import Array, ReadOptions
from smidgen.data.readers.limits import check_memory
from smidgen.errors import DataError
from smidgen.text_forms import counted

Indices = npt.NDArray[np.int64]

PAUSE_STEPS = 3
"""Windows do not reach over a pause of more than so many usual time steps."""
BLOCK_WINDOWS, BLOCKS_PER_CLASS = 8, 8
"""Most windows of a block, and how many blocks each class should have at least, where there are no groups."""
BLOCKS_NOTE = (
    "without --group-column, each block of windows is a group, and neighbouring blocks can be in two splits; {} "
    "between blocks left out"
)


@dataclass(frozen=True, eq=False)
class Recording:
    """The rows of a table in long form, as the file has them.

    Attributes:
        path: Where they are from, for errors.
        values: float64 [rows, channels].
        labels: [rows].
        groups: [rows], or None.
        times: [rows], numbers, dates or text with dates; None for the order of the file.
    """

    path: Path | str
    values: Array
    labels: Array
    groups: Array | None
    times: Array | None


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of a signal.

    Attributes:
        values: float64 [windows, time, channels].
        labels: [windows], the one label of all rows of a window.
        groups: int64 [windows].
        notes: What was cut and what was left out, one sentence each.
    """

    values: Array
    labels: Array
    groups: Indices
    notes: tuple[str, ...]


def cut_windows(recording: Recording, options: ReadOptions) -> Windows:
    """Cut windows of `options.window` rows, one at every `options.step` rows.

    Raises:
        DataError: No window has one label, or a group has one time twice.
    """
    window, step = options.window, options.step or options.window
    groups = _codes(recording.groups, len(recording.labels))
    order, begins, pauses = _in_order(recording, groups)
    labels = _codes(recording.labels, len(groups))[order]
    starts = _starts(begins, len(order), window, step)
    changes = np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])
    pure = starts[changes[starts] == changes[starts + window - 1]] if len(starts) else starts
    if not len(pure):
        raise DataError(
            f"{recording.path} has no window of {window} rows of one label and one group; give a smaller --window"
        )
    kept, numbers = pure, groups[order][pure]
    if recording.groups is None:
        kept, numbers = _blocks(pure, labels, window)
    check_memory(8 * len(kept) * window * recording.values.shape[1], recording.path, "give a larger --step")
    values = np.lib.stride_tricks.sliding_window_view(recording.values[order], window, axis=0)[kept]
    told = [f"{counted(len(kept), 'window')} of {window} rows, one at every {counted(step, 'row')}"]
    told += (
        [f"{counted(len(starts) - len(pure), 'window')} with two labels left out"] if len(pure) < len(starts) else []
    )
    told += [f"{counted(pauses, 'pause')} over which no window reaches"] if pauses else []
    told += [BLOCKS_NOTE.format(counted(len(pure) - len(kept), "window"))] if recording.groups is None else []
    return Windows(values.transpose(0, 2, 1), recording.labels[order][kept], numbers, tuple(told))


def _in_order(recording: Recording, groups: Indices) -> tuple[Indices, Indices, int]:
    """(the rows by group and time, where an unbroken stretch begins among them, the number of pauses)."""
    if recording.times is None:
        order = np.argsort(groups, kind="stable")
        follows = (np.diff(order) == 1) & (np.diff(groups[order]) == 0)
        return order, np.flatnonzero(np.concatenate([[True], ~follows])), 0
    times = _numbers_of(recording.path, recording.times)
    order = np.lexsort((times, groups))
    steps, same = np.diff(times[order]), np.diff(groups[order]) == 0
    twice = np.flatnonzero(same & (steps == 0))
    if len(twice):
        first = np.sort(order[twice[0] : twice[0] + 2]) + 1
        raise DataError(
            f"{recording.path}: rows {first[0]} and {first[1]} have one time in one group; name each recording in a "
            "column for --group-column, or leave out --time-column: rows are then taken as the file has them"
        )
    usual = float(np.median(steps[same])) if same.any() else 0.0
    paused = same & (steps > PAUSE_STEPS * usual)
    return order, np.flatnonzero(np.concatenate([[True], ~same | paused])), int(paused.sum())


def _starts(begins: Indices, rows: int, window: int, step: int) -> Indices:
    """The first rows of all windows that lie in one stretch."""
    ends = np.append(begins[1:], rows)
    return np.concatenate(
        [np.arange(begin, end - window + 1, step) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    )


def _blocks(starts: Indices, labels: Indices, window: int) -> tuple[Indices, Indices]:
    """(the starts that are kept, the block of each): a block has windows of one label that follow one another."""
    rarest = int(np.unique(labels[starts], return_counts=True)[1].min())
    most = max(1, min(BLOCK_WINDOWS, rarest // BLOCKS_PER_CLASS))
    kept: list[int] = []
    numbers: list[int] = []
    number, size, end = -1, most, 0  # the first window begins a block
    for start in starts.tolist():
        is_next = size < most and start <= end and labels[start] == labels[kept[-1]]
        if not is_next and start < end:
            continue
        number, size = (number, size + 1) if is_next else (number + 1, 1)
        kept.append(start)
        numbers.append(number)
        end = start + window
    return np.array(kept, np.int64), np.array(numbers, np.int64)


def _codes(values: Array | None, rows: int) -> Indices:
    if values is None:
        return np.zeros(rows, np.int64)
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _numbers_of(path: Path | str, times: Array) -> npt.NDArray[np.float64]:
    """Times as numbers; dates and text with dates in microseconds."""
    if times.dtype.kind == "U":
        try:
            times = times.astype("datetime64[us]")
        except ValueError as error:
            raise DataError(
                f"{path}: {error} in --time-column; write times as numbers or as 2026-01-31T12:00:00"
            ) from error
    numbers = times.astype("datetime64[us]").astype(np.int64) if times.dtype.kind == "M" else times
    found = numbers.astype(np.float64)
    if not np.isfinite(found).all():
        missing = int((~np.isfinite(found)).sum())
        raise DataError(
            f"{path}: {counted(missing, 'row')} without a time in --time-column; fill them or drop these rows"
        )
    return found
