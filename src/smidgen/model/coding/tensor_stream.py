"""A `.smidgen` file's tensors: integer levels, and a grid that says which value each level stands for.

Decoding is exact: a value is float32(level) times a float32 step, rounded once, or an entry of a codebook.
A tensor that has the grid or the coder of the previous tensor says so in a fraction of a bit. There are two kinds of
tensors, weights and all others; the previous tensor is the last of the same kind, or the last of all for the first one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.model.coding.coders import CODERS, counts_by
from smidgen.model.coding.contexts import Counts, Levels, fresh_models, zero_counts
from smidgen.model.coding.layer_codes import FLAG_PROBABILITY, FLAG_SEEN
from smidgen.model.coding.range_coder import BitModels, Decoder, Encoder, unzigzag, zigzag
from smidgen.model.quantized import COARSE_STEPS, MAX_CODEBOOK_ENTRIES, Codebook, Grid, Tensor, Uniform

CHANGE_ORDER = 2
OTHER_CODER_BITS = 5
LARGE = 2**16
"""Tensors of more weights are coded by adaptive coders alone: tables and codes of whole bits are longer there."""

Floats = npt.NDArray[np.float32]


# --- what tensors share ----------------------------------------------------------------------

_SAME_GRID, _ONE_STEP, _SAME_CODER, _CONTINUES = 1, 2, 3, 4
"""Models of the flags; the likely value of each is 1."""


@dataclass
class CoderState:
    """How a tensor was coded, which the next tensor of its kind can refer to.

    Attributes:
        grid: what its levels stand for.
        coder: name of its coder; empty in full precision.
        models: the bit models after its last level.
        counts: what the models have seen.
    """

    grid: Grid | None
    coder: str
    models: BitModels
    counts: Counts


class TensorStream:
    """Writes or reads the tensors of one file in order, and remembers how the last of each kind was coded."""

    def __init__(self) -> None:
        self._states: dict[bool, CoderState] = {}
        self._last: CoderState | None = None
        self._flags = BitModels(_CONTINUES + 1)
        for flag in range(_SAME_GRID, _CONTINUES + 1):
            self._flags.probability[flag], self._flags.seen[flag] = FLAG_PROBABILITY, FLAG_SEEN

    def write(self, encoder: Encoder, name: str, tensor: Tensor) -> None:
        """Write a tensor that `check_tensor` accepts."""
        previous = self._previous(name)
        if previous is not None:
            encoder.write(self._flags, [_SAME_GRID], [_same_grid(previous.grid, tensor.grid)])
        if previous is None or not _same_grid(previous.grid, tensor.grid):
            self._write_grid(encoder, tensor.grid, None if previous is None else previous.grid)
        if tensor.grid is None:
            _write_bits(encoder, tensor.levels)
            return self._remember(name, CoderState(None, "", fresh_models(), zero_counts()))
        state, continues = _chosen(tensor, previous)
        if previous is not None:
            encoder.write(self._flags, [_SAME_CODER], [state.coder == previous.coder])
        if previous is None or state.coder != previous.coder:
            encoder.uint(list(CODERS).index(state.coder), 3)
        if _can_continue(state.coder, previous):
            encoder.write(self._flags, [_CONTINUES], [continues])
        CODERS[state.coder].write(encoder, tensor.levels, state.models)
        self._remember(name, state)

    def _write_grid(self, encoder: Encoder, grid: Grid | None, last: Grid | None) -> None:
        code = _code_of(grid)
        encoder.write(self._flags, [_ONE_STEP], [code is not None])
        if code is None:
            _write_grid(encoder, grid)
        else:
            _write_code(encoder, code, _code_of(last))

    def read_grid(self, decoder: Decoder, name: str, shape: tuple[int, ...]) -> Grid | None:
        """Read the grid of the next tensor."""
        previous = self._previous(name)
        if previous is not None and decoder.bit(self._flags, _SAME_GRID):
            return previous.grid
        last = None if previous is None else previous.grid
        if not decoder.bit(self._flags, _ONE_STEP):
            return _read_grid(decoder, shape)
        return Uniform(COARSE_STEPS[[_read_code(decoder, _code_of(last))]])

    def read_levels(self, decoder: Decoder, name: str, shape: tuple[int, ...], grid: Grid | None) -> Tensor:
        """Read the levels of a tensor whose grid `read_grid` returned."""
        rows = shape[0] if len(shape) > 1 else 1
        columns = math.prod(shape) // rows
        if grid is None:
            self._remember(name, CoderState(None, "", fresh_models(), zero_counts()))
            bits = np.array([decoder.uint(32) for _ in range(rows * columns)], np.uint32)
            return Tensor(bits.view(np.int32).reshape(shape), None)
        state = self._read_state(decoder, self._previous(name), grid)
        levels = CODERS[state.coder].read(decoder, rows, columns, state.models)
        self._remember(name, state)
        return Tensor(np.array(levels, np.int32).reshape(shape), grid, state.coder)

    def _read_state(self, decoder: Decoder, previous: CoderState | None, grid: Grid) -> CoderState:
        coder = self._read_coder(decoder, previous)
        if previous is not None and _can_continue(coder, previous) and decoder.bit(self._flags, _CONTINUES):
            return CoderState(grid, coder, previous.models, previous.counts)
        return CoderState(grid, coder, fresh_models(), zero_counts())

    def _read_coder(self, decoder: Decoder, previous: CoderState | None) -> str:
        if previous is not None and decoder.bit(self._flags, _SAME_CODER):
            if not previous.coder:
                raise decoder.error("refers to the coder of a tensor that has none")
            return previous.coder
        number = decoder.uint(3)
        if number >= len(CODERS):
            raise decoder.error(f"has a coder of number {number}; the last is {len(CODERS) - 1}")
        return list(CODERS)[number]

    def _previous(self, name: str) -> CoderState | None:
        return self._states.get(name.endswith(".weight"), self._last)

    def _remember(self, name: str, state: CoderState) -> None:
        self._states[name.endswith(".weight")] = self._last = state


def _can_continue(coder: str, previous: CoderState | None) -> bool:
    """Return whether the coder can continue with the models of the previous tensor."""
    return (
        previous is not None
        and bool(previous.coder)
        and CODERS[coder].is_adaptive
        and CODERS[previous.coder].is_adaptive
    )


def _chosen(tensor: Tensor, previous: CoderState | None) -> tuple[CoderState, bool]:
    """Return the state that codes the levels in the fewest bits, and whether it continues with earlier models."""
    names = [tensor.coder] if tensor.coder != "auto" else list(CODERS)
    if tensor.coder == "auto" and tensor.levels.size > LARGE:
        names = [name for name in names if CODERS[name].is_adaptive]
    states = [(CoderState(tensor.grid, name, fresh_models(), zero_counts()), False) for name in names]
    if previous is not None:
        continuing = [name for name in names if _can_continue(name, previous)]
        states = [
            (CoderState(tensor.grid, name, previous.models, previous.counts), True) for name in continuing
        ] + states

    def bits(state: CoderState) -> float:
        same_coder = previous is not None and state.coder == previous.coder
        return CODERS[state.coder].bits(tensor.levels, state.counts) + (0 if same_coder else OTHER_CODER_BITS)

    state, continues = min(states, key=lambda pair: bits(pair[0]))
    if CODERS[state.coder].is_adaptive:
        state.counts = state.counts + counts_by(state.coder, tensor.levels)
    return state, continues


# --- grids -----------------------------------------------------------------------------------


_STEP, _STEPS, _CODEBOOK, _FULL = range(4)
"""Numbers of the grids other than one coarse step: a step of 32 bits, a step per row, a codebook, full precision."""


def _code_of(grid: Grid | None) -> int | None:
    """Return the index of a grid's step in `COARSE_STEPS`; None if the grid is not one coarse step."""
    if not isinstance(grid, Uniform) or len(grid.steps) > 1:
        return None
    code = int(np.searchsorted(COARSE_STEPS, grid.steps[0]))
    return code if code < len(COARSE_STEPS) and COARSE_STEPS[code] == grid.steps[0] else None


def _write_code(encoder: Encoder, code: int, last: int | None) -> None:
    """Write an index as a byte, or as the difference from the previous one."""
    if last is None:
        encoder.uint(code, 8)
    else:
        encoder.exp_golomb(zigzag(code - last), CHANGE_ORDER)


def _read_code(decoder: Decoder, last: int | None) -> int:
    if last is None:
        return decoder.uint(8)
    code = last + unzigzag(decoder.exp_golomb(CHANGE_ORDER, 2 * len(COARSE_STEPS), "change of step"))
    if not 0 <= code < len(COARSE_STEPS):
        raise decoder.error(f"has a step of number {code}; the numbers are 0 to {len(COARSE_STEPS) - 1}")
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
            encoder.uint(_FULL, 2)
        case Codebook(entries, zero):
            encoder.uint(_CODEBOOK, 2)
            encoder.exp_golomb(len(entries) - 1, 3)
            encoder.exp_golomb(zero, 3)
            _write_entries(encoder, entries)
        case Uniform(steps):
            encoder.uint(_STEP if len(steps) == 1 else _STEPS, 2)
            if len(steps) == 1:
                _write_bits(encoder, steps.view(np.int32))
            else:
                _write_steps(encoder, steps)


def _write_entries(encoder: Encoder, entries: Floats) -> None:
    """Write 16 bits per entry if float16 stores all of them exactly, else 32."""
    with np.errstate(over="ignore"):
        halves = entries.astype(np.float16)
    short = halves.astype(np.float32).tobytes() == entries.tobytes()
    encoder.uint(short, 1)
    for bits in (halves.view(np.uint16) if short else entries.view(np.uint32)).tolist():
        encoder.uint(bits, 16 if short else 32)


def _write_steps(encoder: Encoder, steps: Floats) -> None:
    """Write a byte and then differences if all steps are coarse, else 32 bits per step."""
    codes = [_code_of(Uniform(step)) for step in steps.reshape(-1, 1)]
    encoder.uint(None not in codes, 1)
    if None in codes:
        return _write_bits(encoder, steps.view(np.int32))
    last = None
    for code in codes:
        assert code is not None
        _write_code(encoder, code, last)
        last = code


def _write_bits(encoder: Encoder, words: Levels) -> None:
    for word in words.ravel().view(np.uint32).tolist():
        encoder.uint(word, 32)


def _read_grid(decoder: Decoder, shape: tuple[int, ...]) -> Grid | None:
    kind = decoder.uint(2)
    if kind == _FULL:
        return None
    if kind == _CODEBOOK:
        return _read_codebook(decoder)
    if kind == _STEP:
        steps = np.array([decoder.uint(32)], np.uint32).view(np.float32)
        if _code_of(Uniform(steps)) is not None:
            raise decoder.error("has a step in 32 bits that fits in a byte")
    else:
        steps = _read_steps(decoder, shape[0] if len(shape) > 1 else 1)
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise decoder.error("has a step that is not a positive number")
    return Uniform(steps)


def _read_codebook(decoder: Decoder) -> Codebook:
    count = 1 + decoder.exp_golomb(3, MAX_CODEBOOK_ENTRIES - 1, "codebook")
    zero = decoder.exp_golomb(3, count - 1, "place of zero in the codebook")
    if decoder.uint(1):
        halves = np.array([decoder.uint(16) for _ in range(count)], np.uint16)
        entries = halves.view(np.float16).astype(np.float32)
    else:
        entries = np.array([decoder.uint(32) for _ in range(count)], np.uint32).view(np.float32)
    return Codebook(entries, zero)


def _read_steps(decoder: Decoder, count: int) -> Floats:
    if not decoder.uint(1):
        return np.array([decoder.uint(32) for _ in range(count)], np.uint32).view(np.float32)
    codes: list[int] = []
    for _ in range(count):
        codes.append(_read_code(decoder, codes[-1] if codes else None))
    return COARSE_STEPS[codes]
