"""A network as a torch module, and its weights as one flat array in the order of `records.Weights`.

The rounds of a repeat use the same module object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING

import numpy as np

from smidgen.engine.torch_engine.layers import activation, own_layers, padding, torch_layer
from smidgen.errors import EngineError
from smidgen.records import Weights
from smidgen.spec import Add, BatchNorm, CReLU, Dense, Dropout, LayerPlan, NetSpec, PReLU, Shape
from smidgen.streams import initial_weights

if TYPE_CHECKING:
    from torch import Tensor, nn


def module_of(spec: NetSpec, input_shape: Shape, weights: Weights | None = None) -> nn.Sequential:
    """Build a network as a torch module on the CPU.

    The module maps float32 [n, channels, height, width] (bytes divided by 255) to its outputs: logits [n, classes], or
    [n, 1] of one output for two classes. Its dropout draws from torch's own generator; building the module draws
    nothing.

    Args:
        spec: The network.
        input_shape: (channels, height, width) of an image.
        weights: Flat float32; None for `streams.initial_weights` with seed 0.

    Raises:
        SpecError: A layer does not fit its input.
        EngineError: There are too many or too few weights.
    """
    import torch

    if weights is None:
        weights = initial_weights(spec, input_shape, seed=0)
    with torch.device("meta"):  # skip torch's own initialization
        module = _module(_steps(spec.plan(input_shape)))
    module = module.to_empty(device="cpu")
    tensors = _stored(module)
    sizes = [tensor.numel() for _, _, tensor in tensors]
    if sum(sizes) != weights.size:
        raise EngineError(f"'{spec}' has {sum(sizes)} weights and {weights.size} are given; give those of this network")
    with torch.no_grad():
        for (_, _, tensor), piece in zip(tensors, torch.split(torch.tensor(weights), sizes), strict=True):
            tensor.copy_(piece.view_as(tensor))
    return module


def flat_weights(module: nn.Module) -> Weights:
    """Return the weights of a module that `module_of` built: flat float32, shared weights once."""
    pieces = [tensor.detach().cpu().float().numpy().ravel() for _, _, tensor in _stored(module)]
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)


def logits_of(module: nn.Sequential, weights: Tensor, running_stats: Tensor, images: Tensor, key: Tensor) -> Tensor:
    """Return the logits of a module in training with given weights in place of its own.

    Args:
        module: A module that `module_of` built.
        weights: float32 [weights], flat; the trained parameters are read from here, and autograd can follow them.
        running_stats: float32 [weights], flat; the running statistics of batch norms are read from here and change in
            place.
        images: float32 [n, channels, height, width].
        key: int64 [], the key of the step's dropout masks.
    """
    from torch.func import functional_call

    given, dropout = _pieces(module, weights, running_stats), own_layers().dropout

    def apply(layer: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        if isinstance(layer, dropout):
            return layer(*inputs, key)  # type: ignore[no-any-return]
        output: Tensor = functional_call(layer, given[layer], inputs) if layer in given else layer(*inputs)
        return output

    if hasattr(module, "run"):
        return module.run(images, apply)  # type: ignore[no-any-return, operator]
    return reduce(lambda values, layer: apply(layer, (values,)), module, images)


def _stored(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """(module, name in it, tensor) of every stored tensor, in the order of the flat weights; shared ones once."""
    # `modules()` yields a module that occurs twice only once.
    return [
        (layer, name, tensor)
        for layer in module.modules()
        for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    ]


def _pieces(module: nn.Module, weights: Tensor, running_stats: Tensor) -> dict[nn.Module, dict[str, Tensor]]:
    """The tensors that replace each layer's own: views of the flat weights and of the running statistics."""
    import torch
    from torch import nn

    given: dict[nn.Module, dict[str, Tensor]] = {}
    stored = _stored(module)
    sizes = [tensor.numel() for _, _, tensor in stored]
    for (layer, name, own), weight, running_stat in zip(
        stored, torch.split(weights, sizes), torch.split(running_stats, sizes), strict=True
    ):
        piece = weight if isinstance(own, nn.Parameter) else running_stat
        given.setdefault(layer, {})[name] = piece.view(own.shape)
    return given


# --- the modules of a plan --------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """The modules of one planned layer, and the layers that it reads (-1 for the network's input)."""

    inputs: tuple[int, ...]
    modules: tuple[nn.Module, ...]


def _steps(plans: tuple[LayerPlan, ...]) -> list[_Step]:
    """The modules of all layers, with a flatten or unflatten wherever maps and vectors meet, and at the end."""
    from torch import nn

    steps: list[_Step] = []
    by_place: dict[int, nn.Module] = {}
    vectors: set[int] = set()
    for place, plan in enumerate(plans):
        by_place[place] = by_place[plan.source] if plan.source is not None else torch_layer(plan, place)
        is_vector = all(index in vectors for index in plan.inputs)
        before = _form(plan, is_vector)
        if isinstance(plan.layer, Dense) or (is_vector and not before):
            vectors.add(place)
        modules = (*before, *padding(plan), by_place[place], *activation(plan.layer))
        steps.append(_Step(plan.inputs, modules))
    return steps if len(plans) - 1 in vectors else [*steps, _Step((len(plans) - 1,), (nn.Flatten(),))]


def _form(plan: LayerPlan, is_vector: bool) -> list[nn.Module]:
    """What makes a layer's input a vector or a map, whichever the layer reads; many read both."""
    from torch import nn

    if isinstance(plan.layer, Dense):
        return [] if is_vector else [nn.Flatten()]
    if is_vector and not isinstance(plan.layer, BatchNorm | PReLU | CReLU | Dropout | Add):
        return [nn.Unflatten(1, plan.input_shape)]
    return []


_Apply = Callable[["nn.Module", tuple["Tensor", ...]], "Tensor"]
"""What runs a module on its inputs."""


def _module(steps: list[_Step]) -> nn.Sequential:
    """The module of a plan: torch's own class for a chain of layers, so that it can be pickled."""
    from torch import nn

    if any(len(step.inputs) > 1 for step in steps):
        graph: nn.Sequential = _graph_class()(steps)
        return graph
    return nn.Sequential(*(module for step in steps for module in step.modules))


@cache
def _graph_class() -> Callable[[list[_Step]], nn.Sequential]:
    """Define the module of a plan with adds. It inherits from torch's class, so this waits for torch."""
    from torch import nn

    class Graph(nn.Sequential):
        """The modules in the order of execution; an add reads two of the outputs before it."""

        def __init__(self, steps: list[_Step]) -> None:
            super().__init__(*(module for step in steps for module in step.modules))
            self.steps = steps
            self.last_use = {index: place for place, step in enumerate(steps) for index in step.inputs}

        def forward(self, images: Tensor) -> Tensor:
            return self.run(images, lambda module, inputs: module(*inputs))

        def run(self, images: Tensor, apply: _Apply) -> Tensor:
            """Return the logits; `apply` runs each module."""
            outputs = {-1: images}
            for place, step in enumerate(self.steps):
                inputs = tuple(outputs[index] for index in step.inputs)
                for index in step.inputs:
                    if self.last_use[index] == place:
                        outputs.pop(index, None)
                for module in step.modules:
                    inputs = (apply(module, inputs),)
                (outputs[place],) = inputs
            return outputs[len(self.steps) - 1]

    return Graph
