"""Steps to layers: a value that is read twice and added again is a residual, and an activation joins a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from smidgen.errors import RequestError
from smidgen.importers.steps import Activation, Floats, Step, Steps, Sum
from smidgen.spec import (
    LINEAR,
    NO_CEILING,
    Add,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    Layer,
    NetSpec,
    Pointwise,
    Residual,
)


@dataclass
class _List:
    """Layers in a row and their weights; `end` is the sum that they lead to, or None at the network's end."""

    layers: list[Layer] = field(default_factory=list)
    arrays: list[Floats] = field(default_factory=list)
    end: Step | None = None
    last: str = ""


def assembled(steps: Steps, output: str) -> tuple[NetSpec, Floats]:
    """Return the network that the steps from the input to `output` compute, and its flat weights.

    Raises:
        RequestError: the steps are no chain of layers and residuals; the message names one.
    """
    readers: dict[str, list[Step]] = {}
    for step in steps.steps:
        for value in step.inputs:
            readers.setdefault(value, []).append(step)
    made = _Assembler(readers, steps.real(output)).sequence(steps.input_name)
    if made.last != steps.real(output):
        raise RequestError(f"the network's output does not come from {made.last}; give a network with one output")
    weights = np.concatenate([np.zeros(0, np.float32), *(array.ravel() for array in made.arrays)], dtype=np.float32)
    return NetSpec(tuple(made.layers)), weights


class _Assembler:
    def __init__(self, readers: dict[str, list[Step]], output: str) -> None:
        self._readers, self._output = readers, output

    def sequence(self, value: str, first: Step | None = None) -> _List:
        """Follow a value to the network's end or to a sum; `first` is the reader to begin with, of several."""
        made = _List(last=value)
        readers = [first] if first else self._readers.get(value, [])
        while readers:
            if len(readers) > 1:
                step = self._residual(made, readers)
            elif isinstance(readers[0].action, Sum):
                made.end = readers[0]
                return made
            else:
                step = readers[0]
                _append(made, step)
            made.last = step.output
            readers = [] if step.output == self._output else self._readers.get(step.output, [])
        return made

    def _residual(self, made: _List, readers: list[Step]) -> Step:
        """Append the residual whose two branches begin with these readers; return its sum."""
        if len(readers) > 2:
            raise RequestError(f"{made.last} is read by {', '.join(_names(readers))}; a residual has two branches")
        branches = [self._branch(made.last, reader) for reader in readers]
        block, shortcut = sorted(branches, key=lambda branch: -len(branch.layers))
        if block.end is None or block.end is not shortcut.end or not block.layers:
            raise RequestError(
                f"the branches that begin with {' and '.join(_names(readers))} do not meet in one sum; "
                "such a network cannot be imported"
            )
        made.layers.append(Residual(tuple(block.layers), tuple(shortcut.layers)))
        made.arrays += block.arrays + shortcut.arrays
        return block.end

    def _branch(self, value: str, reader: Step) -> _List:
        if isinstance(reader.action, Sum):
            return _List(end=reader, last=value)
        return self.sequence(value, reader)


def _names(steps: list[Step]) -> Iterator[str]:
    return (step.name for step in steps)


def _append(made: _List, step: Step) -> None:
    action = step.action
    if isinstance(action, Activation):
        _activate(made, step, action)
    elif isinstance(action, Sum | Add):
        raise RequestError(f"{step.name} adds two values that do not come from one; it cannot be imported")
    elif action != Dropout(0.0):
        made.layers.append(action)
        made.arrays += step.arrays


def _activate(made: _List, step: Step, activation: Activation) -> None:
    """Let the layer before have the activation."""
    last = made.layers[-1] if made.layers else None
    is_free = getattr(last, "slope", None) == LINEAR and getattr(last, "ceiling", None) == NO_CEILING
    if isinstance(last, Conv | Depthwise | Pointwise | Dense | BatchNorm | Residual) and is_free:
        made.layers[-1] = replace(last, slope=activation.slope, ceiling=activation.ceiling)
        return
    raise RequestError(
        f"{step.name} is an activation after '{last or 'the input'}', which cannot have it; put it behind a "
        "convolution, a dense layer, a batch norm or a sum"
    )
