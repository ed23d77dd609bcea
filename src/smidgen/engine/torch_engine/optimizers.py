"""One step of each optimizer in `records.OPTIMIZERS`, which cites their papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smidgen.records import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


def update(
    optimizer: Optimizer, weights: Tensor, gradient: Tensor, state: tuple[Tensor, Tensor], rate: float, step: int
) -> None:
    """Make one step of an optimizer. A weight whose gradients have all been zero does not change.

    Args:
        optimizer: The optimizer and its settings.
        weights: float32, any shape; changes in place.
        gradient: The gradient, in the same shape.
        state: Two running means in the same shape, zero at first; they change in place.
        rate: The learning rate.
        step: The number of the step, from 1.
    """
    _UPDATES[optimizer.kind](optimizer, weights, gradient, state, rate, step)


def _adam(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, step: int) -> None:
    mean, square = state
    mean.mul_(o.momentum).add_(g, alpha=1 - o.momentum)
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    root = (square / (1 - o.beta2**step)).sqrt_().add_(o.epsilon)
    weights.addcdiv_(mean, root, value=-rate / (1 - o.momentum**step))


def _sgd(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    velocity, _ = state
    velocity.mul_(o.momentum).add_(g)
    weights.sub_(velocity, alpha=rate)


def _nesterov(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    velocity, _ = state
    velocity.mul_(o.momentum).add_(g)
    weights.sub_(g.add(velocity, alpha=o.momentum), alpha=rate)


def _rmsprop(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    _, square = state
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    # Keras adds epsilon under the root, torch.optim beside it.
    weights.addcdiv_(g, (square + o.epsilon).sqrt_(), value=-rate)


def _adadelta(o: Optimizer, weights: Tensor, g: Tensor, state: tuple[Tensor, Tensor], rate: float, _step: int) -> None:
    moves, square = state
    square.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    move = g * ((moves + o.epsilon) / (square + o.epsilon)).sqrt_()
    moves.mul_(o.beta2).addcmul_(move, move, value=1 - o.beta2)
    weights.sub_(move, alpha=rate)


_Update = Callable[["Optimizer", "Tensor", "Tensor", "tuple[Tensor, Tensor]", float, int], None]
_UPDATES: dict[str, _Update] = {
    "adam": _adam,
    "sgd": _sgd,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adadelta": _adadelta,
}
