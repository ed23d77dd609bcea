"""The parser of network texts. The docstring of `smidgen.spec` defines the grammar."""

from __future__ import annotations

import re

from smidgen.errors import SpecError
from smidgen.spec.layers import (
    LINEAR,
    MAX_KERNEL,
    MAX_REPEATS,
    RELU,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Pointwise,
    PReLU,
    Repeat,
)
from smidgen.spec.plan import NetSpec


def parse_spec(text: str) -> NetSpec:
    """Parse a network text, as the docstring of `smidgen.spec` defines it.

    Args:
        text: For example "conv 2x3x3 relu, maxpool 2, dense 10".

    Raises:
        SpecError: A layer is not valid; the message names it and shows a valid one.
    """
    if not text.replace(",", "").strip():
        raise SpecError("the network text is empty; give for example 'conv 2x3x3 relu, maxpool 2, dense 10'")
    return NetSpec(_parse_layers(text))


# --- one layer -------------------------------------------------------------------------------

_NUMBER = r"(\d+)"
_KERNEL = r"(\d+)x(\d+)"
_SAME = r"(?: (same|valid))?"
_NOBIAS = r"(?: (nobias))?"
_ACT = r"(?: (relu|linear|leaky_relu\([0-9.e-]+\)))?"

_GRAMMAR = {
    "conv": (rf"conv {_NUMBER}x{_KERNEL}{_SAME}{_NOBIAS}{_ACT}", "conv 2x3x3 relu"),
    "depthwise": (rf"depthwise {_KERNEL}{_SAME}{_NOBIAS}{_ACT}", "depthwise 3x3 relu"),
    "pointwise": (rf"pointwise {_NUMBER}{_NOBIAS}{_ACT}", "pointwise 4 relu"),
    "maxpool": (rf"maxpool {_NUMBER}", "maxpool 2"),
    "avgpool": (rf"avgpool {_NUMBER}", "avgpool 2"),
    "globalavgpool": (r"globalavgpool", "globalavgpool"),
    "dense": (rf"dense {_NUMBER}{_NOBIAS}{_ACT}", "dense 10"),
    "batchnorm": (rf"batchnorm{_ACT}", "batchnorm"),
    "prelu": (r"prelu", "prelu"),
    "dropout": (r"dropout ([0-9.e-]+)", "dropout 0.25"),
    "repeat": (rf"repeat {_NUMBER} ?\[(.*)\]", "repeat 2 [depthwise 3x3 same, pointwise 8 relu]"),
}


def _parse_layers(text: str) -> tuple[Layer, ...]:
    return tuple(_parse_layer(piece) for piece in _pieces(text) if piece != "flatten")


def _pieces(text: str) -> list[str]:
    """Split the text at the commas outside brackets."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if not 0 <= depth <= 1:
            break
        if character == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    if depth:
        raise SpecError(
            f"'{text}' has unbalanced brackets or a repeat inside a repeat; close each [ and nest no repeats"
        )
    return [piece.strip() for piece in pieces]


def _parse_layer(piece: str) -> Layer:
    words = piece.split()
    kind = words[0] if words else ""
    if kind not in _GRAMMAR:
        raise SpecError(f"unknown layer '{piece}'; known: {', '.join(_GRAMMAR)}{_near(kind)}")
    pattern, example = _GRAMMAR[kind]
    match = re.fullmatch(pattern, " ".join(words))
    if match is None:
        raise SpecError(f"cannot read layer '{piece}'; write it like '{example}'")
    return _build(kind, match.groups(), piece)


def _build(kind: str, groups: tuple[str | None, ...], piece: str) -> Layer:
    match kind, groups:
        case "conv", (channels, ky, kx, same, nobias, act):
            kernel = _kernel(ky, kx, piece)
            return Conv(_positive(channels, piece), kernel, same == "same", _slope(act, piece), nobias is None)
        case "depthwise", (ky, kx, same, nobias, act):
            return Depthwise(_kernel(ky, kx, piece), same == "same", _slope(act, piece), nobias is None)
        case "pointwise", (channels, nobias, act):
            return Pointwise(_positive(channels, piece), _slope(act, piece), nobias is None)
        case "maxpool", (size,):
            return MaxPool(_positive(size, piece))
        case "avgpool", (size,):
            return AvgPool(_positive(size, piece))
        case "dense", (units, nobias, act):
            return Dense(_positive(units, piece), _slope(act, piece), nobias is None)
        case "batchnorm", (act,):
            return BatchNorm(_slope(act, piece))
        case "dropout", (rate,):
            return Dropout(_rate(rate, piece))
        case "repeat", (times, layers):
            return Repeat(_repeats(times, piece), _parse_layers(layers or ""))
    return PReLU() if kind == "prelu" else GlobalAvgPool()


def _positive(text: str | None, piece: str) -> int:
    value = int(text or 0)
    if value < 1:
        raise SpecError(f"'{piece}' has a size of {value}; give at least 1")
    return value


def _repeats(text: str | None, piece: str) -> int:
    value = _positive(text, piece)
    if value > MAX_REPEATS:
        raise SpecError(f"'{piece}' repeats {value} times; give at most {MAX_REPEATS}")
    return value


def _kernel(ky: str | None, kx: str | None, piece: str) -> tuple[int, int]:
    kernel = (_positive(ky, piece), _positive(kx, piece))
    if max(kernel) > MAX_KERNEL:
        raise SpecError(f"'{piece}' has a kernel of {max(kernel)}; give at most {MAX_KERNEL}")
    return kernel


def _slope(act: str | None, piece: str) -> float:
    if act in (None, "linear"):
        return LINEAR
    if act == "relu":
        return RELU
    return _fraction(act[len("leaky_relu(") : -1], piece)


def _rate(text: str | None, piece: str) -> float:
    return _fraction(text or "", piece)


def _fraction(text: str, piece: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise SpecError(f"'{piece}' has '{text}' where a number from 0 to below 1 is needed; give for example 0.25")
    return value


def _near(kind: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(kind, _GRAMMAR, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
