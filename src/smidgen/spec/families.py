"""Network families: functions from a width n to a network. `FAMILIES` lists them.

These are the four families of the width-sweeps document (valid convolutions, stride 1). The parameter counts are for
MNIST (1x28x28, 10 classes).
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from smidgen.errors import RequestError
from smidgen.spec.layers import RELU, Conv, Dense, Dropout, MaxPool
from smidgen.spec.plan import NetSpec, outputs_for
from smidgen.spec.references import REFERENCES

Family = Callable[[int, int], NetSpec]
"""A function of (width, outputs)."""


def mlp1(width: int, outputs: int) -> NetSpec:
    """Two hidden layers of n units: n² + 796 n + 10 parameters."""
    return NetSpec((Dense(width, RELU), Dense(width, RELU), Dense(outputs)))


def mlp2(width: int, outputs: int) -> NetSpec:
    """A max-pool before mlp1: n² + 208 n + 10 parameters."""
    return NetSpec((MaxPool(2), *mlp1(width, outputs).layers))


def cnn1(width: int, outputs: int) -> NetSpec:
    """Two convolutions and a hidden layer: 1170 n² + 56 n + 10 parameters."""
    return NetSpec(
        (
            Conv(width, (3, 3), slope=RELU),
            Conv(2 * width, (3, 3), slope=RELU),
            MaxPool(2),
            Dropout(0.25),
            Dense(4 * width, RELU),
            Dropout(0.5),
            Dense(outputs),
        )
    )


def cnn2(width: int, outputs: int) -> NetSpec:
    """Four convolutions, two pools, no hidden layer: 63 n² + 335 n + 10 parameters."""
    return NetSpec(
        (
            Conv(width, (3, 3), slope=RELU),
            Conv(width, (3, 3), slope=RELU),
            MaxPool(2),
            Conv(2 * width, (3, 3), slope=RELU),
            Conv(2 * width, (3, 3), slope=RELU),
            MaxPool(2),
            Dense(outputs),
        )
    )


FAMILIES: dict[str, Family] = {"mlp1": mlp1, "mlp2": mlp2, "cnn1": cnn1, "cnn2": cnn2}
"""The families that a search tries."""

NAMES = (*FAMILIES, *REFERENCES)
"""Every name that stands for a network of a width."""

DEFAULT_WIDTH = 2


def family(name: str, width: int | None = None, classes: int = 10) -> NetSpec:
    """Return the network of a family, or a published one (`smidgen.spec.references`), at a width.

    Args:
        name: A key of `FAMILIES` or `REFERENCES`.
        width: The width, at least 1; None for 2, or for the published width.
        classes: How many classes there are. Families have one output for two of them, published networks two.

    Raises:
        RequestError: There is no such family, or the width is below 1.
    """
    if name not in NAMES:
        near = get_close_matches(str(name), NAMES, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise RequestError(f"no family '{name}'{hint}; known: {', '.join(NAMES)}")
    if width is not None and width < 1:
        raise RequestError(f"width={width} must be at least 1; give for example 2")
    if name in FAMILIES:
        return FAMILIES[name](width or DEFAULT_WIDTH, outputs_for(classes))
    return REFERENCES[name].build(width or REFERENCES[name].width, classes)
