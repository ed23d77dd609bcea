"""The largest plan: limits that keep every index and size within 64 bits and a machine's memory.

They are checked before anything of that size is made, on numbers of any length.
"""

from __future__ import annotations

from collections.abc import Iterable

from smidgen.errors import SpecError
from smidgen.spec.layers import MAX_DEPTH, Layer, Repeat, inner_layers

MAX_LAYERS = 4096
"""Layers, with repeats and residuals written out."""

MAX_VALUES = 2**26
"""Values of one map: 64 channels of 1024 x 1024."""

MAX_PARAMETERS = 2**28
"""Trained parameters of one network."""

MAX_MACS = 2**48
"""Multiply-accumulates of one network for one input."""

_LONGEST = 2**64
"""Numbers from here on are named by their power of two."""


def check_layer_count(layers: tuple[Layer, ...]) -> None:
    """Check how many layers a plan would have and how deep brackets nest, before it is made.

    Raises:
        SpecError: There are more than `MAX_LAYERS`, or brackets nest deeper than `MAX_DEPTH`.
    """
    count = _written_out(layers, 0)
    if count > MAX_LAYERS:
        raise SpecError(
            f"the network has {count_text(count)} layers with repeats written out; the most are {MAX_LAYERS:,}: "
            "repeat fewer times or fewer layers"
        )


def _written_out(layers: Iterable[Layer], depth: int) -> int:
    if depth > MAX_DEPTH:
        raise SpecError(f"brackets nest deeper than {MAX_DEPTH}; write a repeat or a residual out")
    return sum(planned_count(layer, depth) for layer in layers)


def planned_count(layer: Layer, depth: int = 0) -> int:
    """Return how many layers a plan has for this one.

    Args:
        layer: The layer.
        depth: In how many brackets it stands.

    Raises:
        SpecError: Brackets nest deeper than `MAX_DEPTH`.
    """
    inner = inner_layers(layer)
    if not inner:
        return 1
    written_out = _written_out(inner, depth + 1)
    return layer.times * written_out if isinstance(layer, Repeat) else written_out + 1


def check_most(count: int, most: int, what: str, layer: object) -> None:
    """Check a count of a layer or of the network so far.

    Raises:
        SpecError: The count is above the limit.
    """
    if count > most:
        raise SpecError(
            f"'{cut(str(layer))}' takes {what} to {count_text(count)}, and the most are {most:,}; "
            "use fewer channels or units, a smaller map, or strides and pools before it"
        )


def count_text(count: int) -> str:
    """Return a count as a text; a number of many digits as a power of two."""
    return f"{count:,}" if count < _LONGEST else f"over 2^{count.bit_length() - 1}"


def cut(text: str, most: int = 100) -> str:
    """Return the text, its middle left out if it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 4 :]}"
