"""The parser of network texts. The docstring of `smidgen.spec` defines the grammar."""

from __future__ import annotations

import re
from difflib import get_close_matches

from smidgen.errors import SpecError
from smidgen.spec.layers import (
    LINEAR,
    MAX_DEPTH,
    MAX_REPEATS,
    NO_CEILING,
    RELU,
    RELU6_CEILING,
    AvgPool,
    BatchNorm,
    Conv,
    CReLU,
    Dense,
    Depthwise,
    Dropout,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Pair,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
)
from smidgen.spec.limits import MAX_VALUES, cut
from smidgen.spec.placing import check_kernel, check_stride
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
    _check_brackets(text)
    return NetSpec(_parse_layers(text))


# --- a list of layers -------------------------------------------------------------------------


def _check_brackets(text: str) -> None:
    depth, deepest = 0, 0
    for character in text:
        depth += (character == "[") - (character == "]")
        deepest = max(deepest, depth)
        if depth < 0:
            break
    if depth:
        raise SpecError(f"'{cut(text)}' has unbalanced brackets; close each [ with a ]")
    if deepest > MAX_DEPTH:
        raise SpecError(f"'{cut(text)}' has brackets {deepest} deep; nest at most {MAX_DEPTH}")


def _parse_layers(text: str) -> tuple[Layer, ...]:
    return tuple(_parse_layer(piece) for piece in _pieces(text, ",") if piece != "flatten")


def _pieces(text: str, separator: str) -> list[str]:
    """Split the text at the separators outside brackets."""
    pieces, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == separator and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    return [piece.strip() for piece in (*pieces, text[start:])]


# --- one layer --------------------------------------------------------------------------------

_NUMBER = r"(\d+)"
_SIDES = r"(\d+)x(\d+)"
_SQUARE = r"(\d+(?:x\d+)?)"
_STRIDE = rf"(?: stride {_SQUARE})?"
_SAME = r"(?: (same|valid))?"
_NOBIAS = r"(?: (nobias))?"
_ACT = r"(?: (relu6?|linear|leaky_relu\([0-9.e-]+\)))?"

_GRAMMAR = {
    "conv": (rf"conv {_NUMBER}x{_SIDES}{_STRIDE}{_SAME}{_NOBIAS}{_ACT}", "conv 2x3x3 relu"),
    "depthwise": (rf"depthwise {_SIDES}(?: shared {_NUMBER})?{_STRIDE}{_SAME}{_NOBIAS}{_ACT}", "depthwise 3x3 relu"),
    "pointwise": (rf"pointwise {_NUMBER}{_STRIDE}{_NOBIAS}{_ACT}", "pointwise 4 relu"),
    "maxpool": (rf"maxpool {_SQUARE}{_STRIDE}", "maxpool 2"),
    "avgpool": (rf"avgpool {_SQUARE}{_STRIDE}", "avgpool 2"),
    "globalavgpool": (r"globalavgpool", "globalavgpool"),
    "dense": (rf"dense {_NUMBER}{_NOBIAS}{_ACT}", "dense 10"),
    "batchnorm": (rf"batchnorm{_ACT}", "batchnorm"),
    "prelu": (r"prelu", "prelu"),
    "crelu": (r"crelu", "crelu"),
    "dropout": (r"dropout ([0-9.e-]+)", "dropout 0.25"),
    "repeat": (rf"repeat {_NUMBER} ?\[(.*)\]", "repeat 2 [depthwise 3x3 same, pointwise 8 relu]"),
    "residual": (rf"residual ?\[(.*)\]{_ACT}", "residual [conv 8x3x3 same relu, conv 8x3x3 same] relu"),
}


def _parse_layer(piece: str) -> Layer:
    words = piece.split()
    kind = words[0].partition("[")[0] if words else ""
    if kind not in _GRAMMAR:
        raise SpecError(f"unknown layer '{cut(piece)}'; known: {', '.join(_GRAMMAR)}{_near(kind)}")
    pattern, example = _GRAMMAR[kind]
    match = re.fullmatch(pattern, " ".join(words))
    if match is None:
        raise SpecError(f"cannot read layer '{cut(piece)}'; write it like '{example}'")
    return _build(kind, match.groups(), cut(piece))


def _build(kind: str, groups: tuple[str | None, ...], piece: str) -> Layer:
    match kind, groups:
        case "conv", (channels, ky, kx, stride, same, nobias, act):
            width, kernel = _positive(channels, piece), _kernel(ky, kx, piece)
            slope, ceiling = _activation(act, piece)
            return Conv(width, kernel, same == "same", slope, nobias is None, _stride(stride, piece), ceiling)
        case "depthwise", (ky, kx, shared, stride, same, nobias, act):
            kernels = 0 if shared is None else _positive(shared, piece)
            kernel, (slope, ceiling) = _kernel(ky, kx, piece), _activation(act, piece)
            return Depthwise(kernel, same == "same", slope, nobias is None, _stride(stride, piece), ceiling, kernels)
        case "pointwise", (channels, stride, nobias, act):
            width, (slope, ceiling) = _positive(channels, piece), _activation(act, piece)
            return Pointwise(width, slope, nobias is None, _stride(stride, piece), ceiling)
        case "dense", (units, nobias, act):
            width, (slope, ceiling) = _positive(units, piece), _activation(act, piece)
            return Dense(width, slope, nobias is None, ceiling)
    return _build_unweighted(kind, groups, piece)


def _build_unweighted(kind: str, groups: tuple[str | None, ...], piece: str) -> Layer:
    match kind, groups:
        case "maxpool", (window, stride):
            return MaxPool(*_windows(window, stride, piece))
        case "avgpool", (window, stride):
            return AvgPool(*_windows(window, stride, piece))
        case "batchnorm", (act,):
            return BatchNorm(*_activation(act, piece))
        case "dropout", (rate,):
            return Dropout(_fraction(rate or "", piece))
        case "repeat", (times, layers):
            return Repeat(_repeats(times, piece), _parse_layers(layers or ""))
        case "residual", (layers, act):
            return _residual(layers or "", act, piece)
        case "prelu", _:
            return PReLU()
        case "crelu", _:
            return CReLU()
    return GlobalAvgPool()


def _residual(layers: str, act: str | None, piece: str) -> Residual:
    block, *shortcuts = _pieces(layers, "|")
    if len(shortcuts) > 1:
        raise SpecError(f"'{piece}' has {len(shortcuts)} bars; give at most one, before the layers of the shortcut")
    parts = [_parse_layers(part) for part in (block, *shortcuts)]
    if not all(parts):
        raise SpecError(f"'{piece}' has no layers beside a bar or bracket; write layers there, or leave the bar out")
    return Residual(parts[0], parts[1] if shortcuts else (), *_activation(act, piece))


# --- parts of a layer -------------------------------------------------------------------------


def _positive(text: str | None, piece: str) -> int:
    digits = (text or "0").lstrip("0") or "0"
    if len(digits) > len(str(MAX_VALUES)) or int(digits) > MAX_VALUES:
        size = digits if len(digits) <= 20 else f"a number of {len(digits):,} digits"
        raise SpecError(f"'{piece}' has a size of {size}; give at most {MAX_VALUES:,}")
    if digits == "0":
        raise SpecError(f"'{piece}' has a size of 0; give at least 1")
    return int(digits)


def _repeats(text: str | None, piece: str) -> int:
    value = _positive(text, piece)
    if value > MAX_REPEATS:
        raise SpecError(f"'{piece}' repeats {value} times; give at most {MAX_REPEATS}")
    return value


def _square(text: str | None, piece: str) -> Pair:
    """The sizes of '2' or '1x2'."""
    height, _, width = (text or "").partition("x")
    return _positive(height, piece), _positive(width or height, piece)


def _windows(window: str | None, stride: str | None, piece: str) -> tuple[Pair, Pair]:
    """The window and the stride of a pool."""
    return _square(window, piece), _square(window if stride is None else stride, piece)


def _kernel(ky: str | None, kx: str | None, piece: str) -> Pair:
    kernel = (_positive(ky, piece), _positive(kx, piece))
    check_kernel(kernel, piece)
    return kernel


def _stride(text: str | None, piece: str) -> Pair:
    stride = (1, 1) if text is None else _square(text, piece)
    check_stride(stride, piece)
    return stride


def _activation(act: str | None, piece: str) -> tuple[float, float]:
    """The slope and the ceiling of an activation."""
    named = {None: LINEAR, "linear": LINEAR, "relu": RELU, "relu6": RELU}
    slope = named[act] if act in named else _fraction((act or "")[len("leaky_relu(") : -1], piece)
    return slope, RELU6_CEILING if act == "relu6" else NO_CEILING


def _fraction(text: str, piece: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise SpecError(
            f"'{piece}' has '{cut(text)}' where a number from 0 to below 1 is needed; give for example 0.25"
        )
    return value


def _near(kind: str) -> str:
    near = get_close_matches(kind[:20], _GRAMMAR, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
