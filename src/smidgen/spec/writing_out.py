"""Writes a network's layers out as a flat plan: repeats round by round, residuals as block, shortcut and add."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from smidgen.errors import SpecError
from smidgen.spec.layers import Add, BatchNorm, Layer, PlannedLayer, Repeat, Residual
from smidgen.spec.limits import MAX_MACS, MAX_PARAMETERS, MAX_VALUES, check_layer_count, check_most, count_text
from smidgen.spec.placing import place
from smidgen.spec.shapes import LayerPlan, Shape, product, shape_text, sizes_text

_Value = tuple[int, Shape]
"""An output in the plan: the index of its layer, -1 for the network's input, and its shape."""


@lru_cache(maxsize=4096)
def written_out(layers: tuple[Layer, ...], input_shape: Shape) -> tuple[LayerPlan, ...]:
    """Return the plan of a network; `NetSpec.plan` is its public form.

    Raises:
        SpecError: A layer does not fit its input, or the plan exceeds a limit.
    """
    if not layers:
        raise SpecError("the network has no layers; end it with a dense layer, one unit per class")
    check_layer_count(layers)
    if min(input_shape) < 1 or product(input_shape) > MAX_VALUES:
        sizes = " x ".join(map(count_text, input_shape))
        raise SpecError(f"an input of {sizes} cannot be; each size is at least 1 and their product {MAX_VALUES:,}")
    writer = _Writer()
    writer.sequence(layers, (-1, input_shape))
    _check_totals(writer.plans)
    return tuple(writer.plans)


def _check_totals(plans: list[LayerPlan]) -> None:
    for total, most, what in (
        (sum(plan.parameters for plan in plans), MAX_PARAMETERS, "parameters"),
        (sum(plan.macs for plan in plans), MAX_MACS, "multiply-accumulates"),
    ):
        if total > most:
            raise SpecError(
                f"the network has {count_text(total)} {what}, and the most are {most:,}; use fewer channels or units"
            )


@dataclass
class _Writer:
    """The plan so far."""

    plans: list[LayerPlan] = field(default_factory=list)

    def sequence(self, layers: tuple[Layer, ...], value: _Value) -> _Value:
        """Append layers one after the other; return what the last puts out."""
        for layer in layers:
            match layer:
                case Repeat():
                    value = self._rounds(layer, value)
                case Residual():
                    value = self._residual(layer, value)
                case _:
                    value = self._append(layer, value)
        return value

    def _append(self, layer: PlannedLayer, value: _Value, *others: int) -> _Value:
        plan = place(layer, value[1], (value[0], *others))
        check_most(product(plan.output_shape), MAX_VALUES, "the values of one map", layer)
        check_most(plan.weight_count, MAX_PARAMETERS, "the parameters", layer)
        self.plans.append(plan)
        return len(self.plans) - 1, plan.output_shape

    def _residual(self, residual: Residual, value: _Value) -> _Value:
        if not residual.layers:
            raise SpecError("a residual has no layers; give it at least one, for example 'residual [conv 8x3x3 same]'")
        end, shape = self.sequence(residual.layers, value)
        other, other_shape = self.sequence(residual.shortcut, value)
        if shape != other_shape:
            raise SpecError(
                f"the residual adds {shape_text(shape)} of its layers to {shape_text(other_shape)} of its shortcut; "
                f"make them equal, for example by a shortcut '| pointwise {shape[0]} stride 2'"
            )
        return self._append(Add(residual.slope, residual.ceiling), (end, shape), other)

    def _rounds(self, repeat: Repeat, value: _Value) -> _Value:
        """Append all rounds of a repeat; later ones use the first round's weights."""
        first = len(self.plans)
        value = self.sequence(repeat.layers, value)
        length = len(self.plans) - first
        for _ in range(1, repeat.times if length else 1):
            start = len(self.plans)
            value = self.sequence(repeat.layers, value)
            for index in range(start, len(self.plans)):
                self.plans[index] = _sharing(self.plans[index], self.plans, first + index - start)
        return value


def _sharing(plan: LayerPlan, plans: list[LayerPlan], first: int) -> LayerPlan:
    """The plan with the weights of the layer at `first`, or of the one whose weights that uses."""
    if isinstance(plan.layer, BatchNorm) or not plan.weight_shape:
        return plan
    if plan.weight_shape != plans[first].weight_shape:
        raise SpecError(
            f"'{plan.layer}' is repeated with weights of shape {sizes_text(plans[first].weight_shape)} and then "
            f"{sizes_text(plan.weight_shape)}; repeat layers that keep their shape, as 'same' and equal channels do"
        )
    source = plans[first].source
    return replace(plan, source=first if source is None else source)
