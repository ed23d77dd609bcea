"""One tensor in the file: whole numbers, and a grid that says what they stand for.

What is decoded is exact: a value is float32(level) times a float32 step, rounded once, or an entry of a codebook.
A tensor that has the grid or the coder of the one before it says so in a fraction of a bit: the weights of a layer
look to the last weights, biases and the rest to the last of theirs, the first of a kind to whatever came last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.coders import CODERS, counts_by
from smidgen.model.coding.contexts import Counts, Levels, fresh_models, no_counts
from smidgen.model.coding.range_coder import BitModels, Decoder, Encoder, signed, unsigned
from smidgen.model.coding.spec_coding import USUAL, USUAL_SEEN
from smidgen.model.quantized import _COARSE, MOST_ENTRIES, Codebook, Grid, Tensor, Uniform

CHANGE_ORDER = 2
OTHER_CODER_BITS = 5
LARGE = 2**16
"""Tensors of more weights are not tried with the coders that a table or a whole bit a weight makes longer there."""

Floats = npt.NDArray[np.float32]


# --- what tensors share ----------------------------------------------------------------------

_SAME_GRID, _ONE_STEP, _SAME_CODER, _GOES_ON = 1, 2, 3, 4
"""The models of the questions; the usual answer is 1."""


@dataclass
class CoderState:
    """How a tensor was stored: what the next of its kind may go on with."""

    grid: Grid | None
    coder: str
    models: BitModels
    counts: Counts


class TensorStream:
    """Writes or reads the tensors of one file in turn, and remembers how each kind was stored."""

    def __init__(self) -> None:
        self._ways: dict[bool, CoderState] = {}
        self._last: CoderState | None = None
        self._flags = BitModels(_GOES_ON + 1)
        for flag in range(_SAME_GRID, _GOES_ON + 1):
            self._flags.probability[flag], self._flags.seen[flag] = USUAL, USUAL_SEEN

    def write(self, encoder: Encoder, name: str, tensor: Tensor) -> None:
        """A tensor that `check_tensor` lets pass."""
        before = self._before(name)
        if before is not None:
            encoder.write(self._flags, [_SAME_GRID], [_same_grid(before.grid, tensor.grid)])
        if before is None or not _same_grid(before.grid, tensor.grid):
            self._write_grid(encoder, tensor.grid, None if before is None else before.grid)
        if tensor.grid is None:
            _write_bits(encoder, tensor.levels)
            return self._remember(name, CoderState(None, "", fresh_models(), no_counts()))
        way, goes_on = _chosen(tensor, before)
        if before is not None:
            encoder.write(self._flags, [_SAME_CODER], [way.coder == before.coder])
        if before is None or way.coder != before.coder:
            encoder.number(list(CODERS).index(way.coder), 3)
        if _can_go_on(way.coder, before):
            encoder.write(self._flags, [_GOES_ON], [goes_on])
        CODERS[way.coder].write(encoder, tensor.levels, way.models)
        self._remember(name, way)

    def _write_grid(self, encoder: Encoder, grid: Grid | None, last: Grid | None) -> None:
        code = _code_of(grid)
        encoder.write(self._flags, [_ONE_STEP], [code is not None])
        if code is None:
            _write_grid(encoder, grid)
        else:
            _write_code(encoder, code, _code_of(last))

    def read_grid(self, decoder: Decoder, name: str, shape: tuple[int, ...]) -> Grid | None:
        """What its levels will stand for."""
        before = self._before(name)
        if before is not None and decoder.bit(self._flags, _SAME_GRID):
            return before.grid
        last = None if before is None else before.grid
        if not decoder.bit(self._flags, _ONE_STEP):
            return _read_grid(decoder, shape)
        return Uniform(_COARSE[[_read_code(decoder, _code_of(last))]])

    def read_levels(self, decoder: Decoder, name: str, shape: tuple[int, ...], grid: Grid | None) -> Tensor:
        """The rest of the tensor."""
        rows = shape[0] if len(shape) > 1 else 1
        columns = math.prod(shape) // rows
        if grid is None:
            self._remember(name, CoderState(None, "", fresh_models(), no_counts()))
            bits = np.array([decoder.number(32) for _ in range(rows * columns)], np.uint32)
            return Tensor(bits.view(np.int32).reshape(shape), None)
        way = self._read_way(decoder, self._before(name), grid)
        levels = CODERS[way.coder].read(decoder, rows, columns, way.models)
        self._remember(name, way)
        return Tensor(np.array(levels, np.int32).reshape(shape), grid, way.coder)

    def _read_way(self, decoder: Decoder, before: CoderState | None, grid: Grid) -> CoderState:
        coder = self._read_coder(decoder, before)
        if before is not None and _can_go_on(coder, before) and decoder.bit(self._flags, _GOES_ON):
            return CoderState(grid, coder, before.models, before.counts)
        return CoderState(grid, coder, fresh_models(), no_counts())

    def _read_coder(self, decoder: Decoder, before: CoderState | None) -> str:
        if before is not None and decoder.bit(self._flags, _SAME_CODER):
            if not before.coder:
                raise decoder.error("has the coder of a tensor that has none")
            return before.coder
        number = decoder.number(3)
        if number >= len(CODERS):
            raise decoder.error(f"has a coder of number {number}; the last is {len(CODERS) - 1}")
        return list(CODERS)[number]

    def _before(self, name: str) -> CoderState | None:
        return self._ways.get(name.endswith(".weight"), self._last)

    def _remember(self, name: str, way: CoderState) -> None:
        self._ways[name.endswith(".weight")] = self._last = way


def _can_go_on(coder: str, before: CoderState | None) -> bool:
    """Whether there are models that the coder can go on with."""
    return before is not None and bool(before.coder) and CODERS[coder].learns and CODERS[before.coder].learns


def _chosen(tensor: Tensor, before: CoderState | None) -> tuple[CoderState, bool]:
    """The shortest way to store the levels, and whether it goes on with the models before it."""
    names = [tensor.coder] if tensor.coder != "auto" else list(CODERS)
    if tensor.coder == "auto" and tensor.levels.size > LARGE:
        names = [name for name in names if CODERS[name].learns]
    ways = [(CoderState(tensor.grid, name, fresh_models(), no_counts()), False) for name in names]
    if before is not None:
        on = [name for name in names if _can_go_on(name, before)]
        ways = [(CoderState(tensor.grid, name, before.models, before.counts), True) for name in on] + ways

    def bits(way: CoderState) -> float:
        same = before is not None and way.coder == before.coder
        return CODERS[way.coder].bits(tensor.levels, way.counts) + (0 if same else OTHER_CODER_BITS)

    way, goes_on = min(ways, key=lambda way: bits(way[0]))
    if CODERS[way.coder].learns:
        way.counts = way.counts + counts_by(way.coder, tensor.levels)
    return way, goes_on


# --- grids -----------------------------------------------------------------------------------


_STEP, _STEPS, _CODEBOOK, _FULL = range(4)
"""Grids other than one coarse step: one step in 32 bits, a step a row, a codebook, full precision."""


def _code_of(grid: Grid | None) -> int | None:
    """The number of a grid of one coarse step, else None."""
    if not isinstance(grid, Uniform) or len(grid.steps) > 1:
        return None
    code = int(np.searchsorted(_COARSE, grid.steps[0]))
    return code if code < len(_COARSE) and _COARSE[code] == grid.steps[0] else None


def _write_code(encoder: Encoder, code: int, last: int | None) -> None:
    """A byte, or the difference to the step before it."""
    if last is None:
        encoder.number(code, 8)
    else:
        encoder.growing(unsigned(code - last), CHANGE_ORDER)


def _read_code(decoder: Decoder, last: int | None) -> int:
    if last is None:
        return decoder.number(8)
    code = last + signed(decoder.growing(CHANGE_ORDER, 2 * len(_COARSE), "change of step"))
    if not 0 <= code < len(_COARSE):
        raise decoder.error(f"has a step of number {code}; from 0 to {len(_COARSE) - 1} can be")
    return code


def _same_grid(a: Grid | None, b: Grid | None) -> bool:
    match a, b:
        case None, None:
            return True
        case Uniform(steps), Uniform(others):
            return len(steps) == 1 and steps.tobytes() == others.tobytes()
        case Codebook(entries, zero), Codebook(others, other_zero):
            return zero == other_zero and entries.tobytes() == others.tobytes()
    return False


def _write_grid(encoder: Encoder, grid: Grid | None) -> None:
    match grid:
        case None:
            encoder.number(_FULL, 2)
        case Codebook(entries, zero):
            encoder.number(_CODEBOOK, 2)
            encoder.growing(len(entries) - 1, 3)
            encoder.growing(zero, 3)
            _write_entries(encoder, entries)
        case Uniform(steps):
            encoder.number(_STEP if len(steps) == 1 else _STEPS, 2)
            if len(steps) == 1:
                _write_bits(encoder, steps.view(np.int32))
            else:
                _write_steps(encoder, steps)


def _write_entries(encoder: Encoder, entries: Floats) -> None:
    """Sixteen bits each where no entry loses by it, else 32."""
    with np.errstate(over="ignore"):
        halves = entries.astype(np.float16)
    short = halves.astype(np.float32).tobytes() == entries.tobytes()
    encoder.number(short, 1)
    for bits in (halves.view(np.uint16) if short else entries.view(np.uint32)).tolist():
        encoder.number(bits, 16 if short else 32)


def _write_steps(encoder: Encoder, steps: Floats) -> None:
    """Where all are coarse, a byte and then differences; else 32 bits each."""
    codes = [_code_of(Uniform(step)) for step in steps.reshape(-1, 1)]
    encoder.number(None not in codes, 1)
    if None in codes:
        return _write_bits(encoder, steps.view(np.int32))
    last = None
    for code in codes:
        assert code is not None
        _write_code(encoder, code, last)
        last = code


def _write_bits(encoder: Encoder, words: Levels) -> None:
    for word in words.ravel().view(np.uint32).tolist():
        encoder.number(word, 32)


def _read_grid(decoder: Decoder, shape: tuple[int, ...]) -> Grid | None:
    kind = decoder.number(2)
    if kind == _FULL:
        return None
    if kind == _CODEBOOK:
        return _read_codebook(decoder)
    if kind == _STEP:
        steps = np.array([decoder.number(32)], np.uint32).view(np.float32)
        if _code_of(Uniform(steps)) is not None:
            raise decoder.error("has a step in 32 bits that takes a byte")
    else:
        steps = _read_steps(decoder, shape[0] if len(shape) > 1 else 1)
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise decoder.error("has a step that is no number above 0")
    return Uniform(steps)


def _read_codebook(decoder: Decoder) -> Codebook:
    count = 1 + decoder.growing(3, MOST_ENTRIES - 1, "codebook")
    zero = decoder.growing(3, count - 1, "place of zero in the codebook")
    if decoder.number(1):
        halves = np.array([decoder.number(16) for _ in range(count)], np.uint16)
        entries = halves.view(np.float16).astype(np.float32)
    else:
        entries = np.array([decoder.number(32) for _ in range(count)], np.uint32).view(np.float32)
    return Codebook(entries, zero)


def _read_steps(decoder: Decoder, count: int) -> Floats:
    if not decoder.number(1):
        return np.array([decoder.number(32) for _ in range(count)], np.uint32).view(np.float32)
    codes: list[int] = []
    for _ in range(count):
        codes.append(_read_code(decoder, codes[-1] if codes else None))
    return _COARSE[codes]
