"""The losses of `smidgen.engine.losses`, for autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.records import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def batch_loss(
    recipe: Recipe, logits: Tensor, labels: Tensor, target_values: Tensor | None, inverse_std: Tensor
) -> Tensor:
    """The loss that `losses.loss_and_gradient` defines, for autograd: a tensor without axes."""
    from torch.nn import functional

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
        # Not functional.kl_div, which vmap would run copy by copy.
        return recipe.temperature**2 * (target_values.xlogy(target_values) - target_values * logs).sum(1).mean()
    if recipe.loss == "probabilities":
        return functional.mse_loss(functional.softmax(logits, dim=1), target_values)
    return ((logits - target_values) * inverse_std).square().mean()
