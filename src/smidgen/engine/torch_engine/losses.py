"""The losses of `smidgen.engine.losses`, for autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.records import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def batch_loss(
    recipe: Recipe, logits: Tensor, labels: Tensor, target_values: Tensor | None, inverse_std: Tensor
) -> Tensor:
    """Return the mean loss of a batch, as `engine.losses.loss_and_gradient` defines it: float32 [].

    Args:
        recipe: Names the loss.
        logits: float32 [n, classes], the student's; or [n, 1], its one output for two classes.
        labels: int64 [n].
        target_values: float32 [n, classes], see `engine.losses.Targets`; None for the loss "labels".
        inverse_std: float32 [classes], see `engine.losses.Targets`.
    """
    from torch.nn import functional

    if logits.shape[1] == 1:
        logits = functional.pad(logits, (1, 0))
    if target_values is None:
        return functional.cross_entropy(logits, labels)
    soft = _soft_loss(recipe, logits, target_values, inverse_std)
    if not recipe.label_weight:
        return soft
    return (1 - recipe.label_weight) * soft + recipe.label_weight * functional.cross_entropy(logits, labels)


def _soft_loss(recipe: Recipe, logits: Tensor, target_values: Tensor, inverse_std: Tensor) -> Tensor:
    from torch.nn import functional

    if recipe.loss == "kl":
        logs = functional.log_softmax(logits / recipe.temperature, dim=1)
        return recipe.temperature**2 * (target_values.xlogy(target_values) - target_values * logs).sum(1).mean()
    if recipe.loss == "probabilities":
        return functional.mse_loss(functional.softmax(logits, dim=1), target_values)
    return ((logits - target_values) * inverse_std).square().mean()
