"""Codes what an input means (`InputSpec`) in few bits; docs/reference/file-format.md has the tables.

A file keeps what a network reads: the kind, the axes of a signal, offsets and scales. Of the range in training it keeps
how far values lay from zero at most, in the units that the layers read, and for pictures the name of the range.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np

from smidgen.errors import SpecError
from smidgen.model.coding.range_coder import ONE, BitModels, Decoder, Encoder, unzigzag, zigzag
from smidgen.spec import UNSTATED, InputSpec, Shape
from smidgen.spec.input import BYTE_UNITS, IMAGE_BYTES, IMAGE_FLOATS, SIGNAL, SIGNAL_AXES, VECTOR

CODED_KINDS = (VECTOR, SIGNAL, IMAGE_FLOATS)
"""Kinds by their number; number 3 stands for a network that does not say."""

MAX_REACH, MAX_EXPONENT, MAX_STEPS = 2**40, 200, 2**40
"""Limits of a decoded number of deviations, exponent of a scale, and half inverse scales of an offset."""

_SAME_SCALE, _NO_OFFSET = 1, 2
"""Models of the flags of a channel; the likely value of each is 1."""


def coded_input(input: InputSpec) -> InputSpec:
    """The description without what a file does not keep: the axes of pictures, and numbers that change nothing."""
    count = max(len(input.offset), len(input.scale))
    offset, scale = (tuple(map(float, numbers[:count])) for numbers in (input.offsets, input.scales))
    return replace(
        input,
        offset=offset if any(offset) else (),
        scale=scale if any(number != 1 for number in scale) else (),
        axes=(input.axes or SIGNAL_AXES[1]) if input.kind == SIGNAL else "",
    )


def is_first_version(input: InputSpec) -> bool:
    """Whether a file of version 1, which says nothing of its input, is read right."""
    return not input.is_stated or input.kind == IMAGE_BYTES


# --- writing ---------------------------------------------------------------------------------


def write_input(encoder: Encoder, input: InputSpec) -> None:
    """Write what an input means."""
    is_bytes = input.is_stated and input.kind == IMAGE_BYTES
    encoder.uint(not is_bytes, 1)
    if is_bytes:
        return
    encoder.uint(CODED_KINDS.index(input.kind) if input.is_stated else len(CODED_KINDS), 2)
    if not input.is_stated:
        return
    input = coded_input(input)
    if input.kind == SIGNAL:
        encoder.uint(SIGNAL_AXES.index(input.axes), 1)
    _write_scales(encoder, input)
    if input.kind == IMAGE_FLOATS:
        encoder.uint(len(BYTE_UNITS) if input.byte_unit is None else BYTE_UNITS.index(input.byte_unit), 2)
    else:
        _write_reach(encoder, input)


def _write_scales(encoder: Encoder, input: InputSpec) -> None:
    encoder.uint(input.is_scaled, 1)
    if not input.is_scaled:
        return
    count = max(len(input.offset), len(input.scale))
    if input.shape[0] > 1:
        encoder.uint(count == 1, 1)
    models, before = _fresh_models(), 0
    for offset, scale in zip(input.offsets[:count].tolist(), input.scales[:count].tolist(), strict=True):
        exponent = _exponent(offset, scale)
        encoder.uint(exponent is None, 1)
        if exponent is None:
            for number in (offset, scale):
                encoder.uint(int.from_bytes(struct.pack(">f", number)), 32)
            continue
        encoder.write(models, [_SAME_SCALE], [exponent == before])
        if exponent != before:
            encoder.exp_golomb(zigzag(exponent - before) - 1, 1)
        steps = round(offset * 2 * scale)
        encoder.write(models, [_NO_OFFSET], [steps == 0])
        if steps:
            encoder.exp_golomb(zigzag(steps) - 1, 2)
        before = exponent


def _exponent(offset: float, scale: float) -> int | None:
    """The exponent of a scale that is a power of two, if the offset is a multiple of half its inverse; else None."""
    mantissa, exponent = math.frexp(scale)
    steps = offset * 2 * scale
    short = (
        mantissa == 0.5 and steps == round(steps) and abs(steps) < MAX_STEPS / 4 and abs(exponent) < MAX_EXPONENT / 4
    )
    return exponent - 1 if short else None


def _write_reach(encoder: Encoder, input: InputSpec) -> None:
    """Write how far from zero the layers' inputs lay in training, rounded up."""
    known = bool(input.low and input.high)
    encoder.uint(known, 1)
    if known:
        ends = [(np.array(end) - input.offsets.astype(np.float64)) * input.scales for end in (input.low, input.high)]
        encoder.exp_golomb(min(max(1, math.ceil(np.abs(ends).max())) - 1, MAX_REACH), 2)


# --- reading ---------------------------------------------------------------------------------


def read_input(decoder: Decoder, shape: Shape) -> InputSpec:
    """Read what `write_input` wrote.

    Raises:
        ModelFileError: It describes no input.
    """
    if not decoder.uint(1):
        return InputSpec(IMAGE_BYTES, shape)
    number = decoder.uint(2)
    if number == len(CODED_KINDS):
        return replace(UNSTATED, shape=shape)
    kind = CODED_KINDS[number]
    axes = SIGNAL_AXES[decoder.uint(1)] if kind == SIGNAL else ""
    try:
        described = InputSpec(kind, shape, *_read_scales(decoder, shape[0]), axes=axes)
        return _with_range(decoder, described)
    except SpecError as error:
        raise decoder.error(f"describes an input that cannot be ({error})") from error


def _read_scales(decoder: Decoder, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not decoder.uint(1):
        return (), ()
    count = 1 if channels == 1 or decoder.uint(1) else channels
    models, before = _fresh_models(), 0
    offsets, scales = [], []
    for _ in range(count):
        if decoder.uint(1):
            offset, scale = (struct.unpack(">f", decoder.uint(32).to_bytes(4))[0] for _ in range(2))
        else:
            before = _read_exponent(decoder, models, before)
            scale, offset = math.ldexp(1.0, before), math.ldexp(_read_steps(decoder, models) / 2, -before)
        offsets.append(offset)
        scales.append(scale)
    return tuple(offsets) if any(offsets) else (), tuple(scales) if any(s != 1 for s in scales) else ()


def _read_exponent(decoder: Decoder, models: BitModels, before: int) -> int:
    if decoder.bit(models, _SAME_SCALE):
        return before
    exponent = before + unzigzag(1 + decoder.exp_golomb(1, 2 * MAX_EXPONENT, "change of scale"))
    if abs(exponent) > MAX_EXPONENT:
        raise decoder.error(f"has a scale of 2^{exponent}")
    return exponent


def _read_steps(decoder: Decoder, models: BitModels) -> int:
    if decoder.bit(models, _NO_OFFSET):
        return 0
    return unzigzag(1 + decoder.exp_golomb(2, 2 * MAX_STEPS, "offset"))


def _with_range(decoder: Decoder, described: InputSpec) -> InputSpec:
    if described.kind == IMAGE_FLOATS:
        number = decoder.uint(2)
        if number == len(BYTE_UNITS):
            return described
        _, low, high = BYTE_UNITS[number]
        return replace(described, low=(low,), high=(high,))
    if not decoder.uint(1):
        return described
    reach = (1 + decoder.exp_golomb(2, MAX_REACH, "range")) / described.scales.astype(np.float64)
    offsets = described.offsets.astype(np.float64)
    return replace(described, low=tuple(map(float, offsets - reach)), high=tuple(map(float, offsets + reach)))


def _fresh_models() -> BitModels:
    models = BitModels(3)
    for index in (_SAME_SCALE, _NO_OFFSET):
        models.probability[index], models.seen[index] = ONE // 4 * 3, 2
    return models
