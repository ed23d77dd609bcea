"""Layers that do nothing where they stand; a network with one is never proposed.

A network without the layer computes the same, or can learn to: such a network is at most as good as a smaller one, and
costs a training to find that out.
"""

from __future__ import annotations

from smidgen.errors import SpecError
from smidgen.spec import (
    LINEAR,
    RELU,
    AvgPool,
    CReLU,
    Dense,
    Depthwise,
    GlobalAvgPool,
    LayerPlan,
    MaxPool,
    NetSpec,
    Pointwise,
    PReLU,
    Shape,
    is_linear,
)


def has_idle_layer(spec: NetSpec, input_shape: Shape) -> bool:
    """Whether a layer of the network does nothing where it stands; False if the network does not fit its input."""
    try:
        plans = spec.plan(input_shape)
    except SpecError:
        return False
    any_idle = any(_is_idle(plan, _reads_no_negative_value(plans, place)) for place, plan in enumerate(plans))
    return any_idle or _is_factored_output(plans)


def _is_idle(plan: LayerPlan, reads_no_negative_value: bool) -> bool:
    """Whether one layer does nothing.

    A pool of one value is that value, a linear depthwise 1x1 convolution without a bias is a factor of the next
    layer's weights, and a rectifier has no effect on values that are not negative.
    """
    match plan.layer:
        case MaxPool() | AvgPool():
            return plan.layer.window == (1, 1)
        case GlobalAvgPool():
            return plan.input_shape[1:] == (1, 1)
        case Depthwise():
            return plan.layer.kernel == (1, 1) and plan.layer.slope == LINEAR and not plan.layer.bias
        case PReLU() | CReLU():
            return reads_no_negative_value
    return False


def _is_factored_output(plans: tuple[LayerPlan, ...]) -> bool:
    """Whether one output reads sums of all values without an activation between: it can add those values itself."""
    last = plans[-1]
    if not isinstance(last.layer, Dense) or last.layer.units > 1 or last.inputs[0] < 0:
        return False
    before = plans[last.inputs[0]]
    is_sum = isinstance(before.layer, Dense) or (
        isinstance(before.layer, Pointwise) and before.input_shape[1:] == (1, 1)
    )
    return is_sum and is_linear(before.layer)


def _reads_no_negative_value(plans: tuple[LayerPlan, ...], place: int) -> bool:
    """Whether a layer reads what a relu made, directly or through pools."""
    while len(plans[place].inputs) == 1 and plans[place].inputs[0] >= 0:
        place = plans[place].inputs[0]
        layer = plans[place].layer
        if isinstance(layer, CReLU) or getattr(layer, "slope", None) == RELU:
            return True
        if not isinstance(layer, MaxPool | AvgPool | GlobalAvgPool):
            return False
    return False
