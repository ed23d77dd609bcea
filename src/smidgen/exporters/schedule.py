"""Decides in which order the rows of all maps are made, how many rows of each are kept, and where they lie.

Rows are made when the rows that they need are there, so that a map is mostly a window of few rows. The exported program
follows the same rules, so the order is simulated here and stored nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as combinations

from smidgen.exporters.arena import Lifetime, placed
from smidgen.exporters.stages import TOTAL_BYTES, Options, Stage, stages_of
from smidgen.spec import LayerPlan, Shape

MAX_SIMULATED_ROWS = 20_000
"""Above so many rows in all maps only the options of a stream are simulated, which takes a second for 40,000 rows."""


@dataclass(frozen=True)
class Buffer:
    """The rows of a stage's map that are kept.

    Attributes:
        top: Rows of padding above the map.
        left: Columns of padding left of it.
        rows: Rows that are made, those of padding and those of a `Stage.lag` included.
        row: Values of a row, padding included.
        kept: Rows that are in memory at once.
        slide: Rows that are dropped when a row is made and all kept are taken.
        offset: Where the first row begins in memory, in bytes.
    """

    top: int
    left: int
    rows: int
    row: int
    kept: int = 0
    slide: int = 1
    offset: int = 0


@dataclass(frozen=True)
class Schedule:
    """The stages of a program and its memory.

    Attributes:
        stages: As `stages_of` returns them.
        buffers: For each stage.
        waits: For each stage the rows of its input that must be there before its first; 0 for those of a window.
        following: For each stage the one that is looked at after it has made a row: its reader, or of several the last
            stage of all, from which what is missing is found again.
        totals: The place of the sums of stages that gather, and of the logits of integer programs, in bytes.
        bytes: The length of the memory.
        transposed: Whether rows and columns of the network have changed places.
    """

    stages: tuple[Stage, ...]
    buffers: tuple[Buffer, ...]
    waits: tuple[int, ...]
    following: tuple[int, ...]
    totals: dict[int, int]
    bytes: int
    transposed: bool


def schedule_of(
    plans: Sequence[LayerPlan], input_shape: Shape, item_bytes: int, *, logits_apart: bool = False
) -> Schedule:
    """Search the schedule that takes the least memory.

    Args:
        plans: The network.
        input_shape: (channels, height, width) of its input.
        item_bytes: The length of a value of a map: 1 or 4.
        logits_apart: Whether the logits are sums of four bytes beside a map.
    """
    flips = (input_shape[1] == 1,) if 1 in input_shape[1:] else (False, True)
    flips = (False,) if _is_symmetric(plans, input_shape) else flips
    found: Schedule | None = None
    for transposed, fuses, means in combinations(flips, (True, False), (False, True)):
        if means and not fuses:
            continue
        stages = stages_of(plans, input_shape, Options(transposed, fuses, means), item_bytes)
        rows = sum(stage.shape[1] for stage in stages)
        firsts = range(len(stages), 0, -1) if rows * len(stages) < MAX_SIMULATED_ROWS else (len(stages),)
        for first in firsts:
            made = _scheduled(stages, first, item_bytes, logits_apart, transposed)
            found = made if found is None or made.bytes < found.bytes else found
    assert found is not None
    return found


def _is_symmetric(plans: Sequence[LayerPlan], input_shape: Shape) -> bool:
    """Return whether nothing changes where rows and columns change places."""
    pairs: list[Sequence[int]] = [input_shape[1:]]
    for plan in plans:
        pairs += [plan.output_shape[1:], plan.weight_shape[2:]]
        pairs += [getattr(plan.layer, name, ()) for name in ("window", "stride")]
    return all(len(set(pair)) < 2 for pair in pairs)


def _scheduled(stages: tuple[Stage, ...], first: int, item_bytes: int, apart: bool, transposed: bool) -> Schedule:
    """Schedule stages, of which all from `first` on wait for the whole of their inputs."""
    buffers = [_buffer(stages, index) for index in range(len(stages))]
    waits = tuple(
        buffers[stage.inputs[0]].rows if index >= first and stage.inputs else 0 for index, stage in enumerate(stages)
    )
    run = _Run(stages, buffers, waits)
    run.simulate()
    buffers = [run.sized(index) for index in range(len(stages))]
    spans = []
    for index, buffer in enumerate(buffers):
        spans.append(Lifetime(index, *run.lives[index], buffer.kept * buffer.row * item_bytes))
    sums = [index for index, stage in enumerate(stages) if stage.gathers or (apart and index == len(stages) - 1)]
    spans += [Lifetime(len(stages) + index, *run.lives[index], stages[index].shape[0] * TOTAL_BYTES) for index in sums]
    places = placed(spans, TOTAL_BYTES)
    ready = tuple(_moved(buffer, places[index]) for index, buffer in enumerate(buffers))
    size = max(places[span.layer] + span.values for span in spans)
    totals = {index: places[len(stages) + index] for index in sums}
    return Schedule(stages, ready, waits, run.following, totals, size, transposed)


def _moved(buffer: Buffer, offset: int) -> Buffer:
    return Buffer(buffer.top, buffer.left, buffer.rows, buffer.row, buffer.kept, buffer.slide, offset)


def _buffer(stages: tuple[Stage, ...], index: int) -> Buffer:
    """Return the extent of a stage's map with the padding that its readers need."""
    stage = stages[index]
    channels, height, width = stage.shape
    readers = [other for other in stages if index in other.inputs]
    top = max((other.pads[0] for other in readers), default=0)
    left = max((other.pads[1] for other in readers), default=0)
    bottom = right = 0
    for other in readers:
        down = (_outputs(other) - 1) * other.hop[0] + other.reach[0] - other.pads[0]
        across = (other.shape[2] - 1) * other.hop[1] + other.reach[1] - other.pads[1]
        bottom, right = max(bottom, down), max(right, across)
    rows = stage.lag + (bottom if readers else height)
    return Buffer(top, left, top + rows, (left + max(width, right)) * channels)


def _outputs(stage: Stage) -> int:
    """Return how often a stage is computed."""
    return stage.lag + stage.shape[1]


class _Run:
    """The order in which a program makes its rows.

    Attributes:
        lives: For each stage the first step that writes its map and the last that writes or reads it.
        following: As `Schedule.following`.
    """

    def __init__(self, stages: tuple[Stage, ...], buffers: list[Buffer], waits: tuple[int, ...]) -> None:
        self.stages, self.buffers, self.waits = stages, buffers, waits
        self.readers = [[r for r, other in enumerate(stages) if index in other.inputs] for index in range(len(stages))]
        self.following = tuple(readers[0] if len(readers) == 1 else len(stages) - 1 for readers in self.readers)
        self.made = [buffer.top for buffer in buffers]
        self.lives: dict[int, tuple[int, int]] = {}
        self._needs: list[list[tuple[int, int]]] = [[] for _ in stages]

    def simulate(self) -> None:
        """Make all rows, as the program does."""
        last, at, step = len(self.stages) - 1, len(self.stages) - 1, 0
        while self.made[last] < self.buffers[last].rows:
            missing = self._missing(at)
            if missing is None:
                self._make(at, step)
                at, step = self.following[at], step + 1
            else:
                at = missing

    def _missing(self, at: int) -> int | None:
        """Return a stage whose rows the next row of another needs."""
        stage, y = self.stages[at], self.made[at] - self.buffers[at].top
        if y >= _outputs(stage):
            return None
        for source in stage.inputs:
            if self.made[source] < max(
                self.waits[at] if source == stage.inputs[0] else 0, self._first(at, source, y) + stage.reach[0]
            ):
                return source
        return None

    def _first(self, at: int, source: int, y: int) -> int:
        """Return the first row of a source's buffer that output row y of a stage needs."""
        stage, base = self.stages[at], self.buffers[source].top + self.stages[source].lag
        return y * stage.hop[0] + base - stage.pads[0]

    def _make(self, at: int, step: int) -> None:
        row = self.made[at]
        self._needs[at].append((row, min(row, self._oldest(at))))
        y = row - self.buffers[at].top
        for used in (at, *(self.stages[at].inputs if y < _outputs(self.stages[at]) else ())):
            self.lives[used] = (self.lives.get(used, (step, step))[0], step)
        self.made[at] += 1

    def _oldest(self, index: int) -> int:
        """Return the first row of a map that a reader still needs."""
        found = self.made[index]
        for reader in self.readers[index]:
            y = self.made[reader] - self.buffers[reader].top
            if y < _outputs(self.stages[reader]):
                found = min(found, self._first(reader, index, y))
        return found

    def sized(self, index: int) -> Buffer:
        """Return a buffer with the fewest rows in which no row is dropped that is still needed."""
        buffer, needs = self.buffers[index], self._needs[index]
        least = max(row + 1 - oldest for row, oldest in needs)
        most = max((self.stages[reader].hop[0] for reader in self.readers[index]), default=1)
        for kept in range(max(least, buffer.top + 1), buffer.rows):
            for slide in range(min(most, kept), 0, -1):
                if _fits(needs, kept, slide):
                    return Buffer(buffer.top, buffer.left, buffer.rows, buffer.row, kept, slide)
        return Buffer(buffer.top, buffer.left, buffer.rows, buffer.row, buffer.rows, 1)


def _fits(needs: list[tuple[int, int]], kept: int, slide: int) -> bool:
    first = 0
    for row, oldest in needs:
        if row - first == kept:
            first += slide
            if first > oldest:
                return False
    return True
