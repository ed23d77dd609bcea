"""A network and the arithmetic of its layers: shapes, parameters, multiply-accumulates, memory."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.errors import SpecError
from smidgen.spec.layers import LINEAR, NO_CEILING, Add, CReLU, Layer, PReLU
from smidgen.spec.liveness import most_alive
from smidgen.spec.shapes import LayerPlan, Shape, shape_text
from smidgen.spec.writing_out import written_out

__all__ = ["LayerPlan", "NetSpec", "Shape", "classes_of", "outputs_for"]


@dataclass(frozen=True)
class NetSpec:
    """A network: a tuple of layers. Its shapes depend on the input shape, which every method takes."""

    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return ", ".join(str(layer) for layer in self.layers)

    def edited(self, index: int, *layers: str) -> NetSpec:
        """Return the network with other layers in the place of one; without any, that layer is left out.

            >>> str(parse_spec("conv 2x3x3 relu, dense 10").edited(0, "conv 3x5x5 relu", "maxpool 2"))
            'conv 3x5x5 relu, maxpool 2, dense 10'

        Args:
            index: The layer; -1 is the last.
            layers: The texts of the layers that take its place.

        Raises:
            SpecError: There is no such layer, or a text cannot be read.
        """
        from smidgen.spec.grammar import parse_spec

        if not -len(self.layers) <= index < len(self.layers):
            raise SpecError(f"the network has {len(self.layers)} layers and none at {index}; give 0 for the first")
        place = index % len(self.layers)
        texts = [*map(str, self.layers[:place]), *layers, *map(str, self.layers[place + 1 :])]
        return parse_spec(", ".join(texts))

    def plan(self, input_shape: Shape) -> tuple[LayerPlan, ...]:
        """Return the plan of every layer in the order of execution, repeats and residuals written out.

        Raises:
            SpecError: A layer does not fit its input, or the plan exceeds a limit of `smidgen.spec.limits`.
        """
        return written_out(self.layers, (input_shape[0], input_shape[1], input_shape[2]))

    def parameters(self, input_shape: Shape) -> int:
        """Return how many trained parameters the network has."""
        return sum(plan.parameters for plan in self.plan(input_shape))

    def macs(self, input_shape: Shape) -> int:
        """Return the multiply-accumulates of one forward pass of one image."""
        return sum(plan.macs for plan in self.plan(input_shape))

    def activation_count(self, input_shape: Shape) -> int:
        """Return the most values in memory at once in a forward pass, by `lifetimes`."""
        return most_alive(self.plan(input_shape), input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the last layer's output."""
        return self.plan(input_shape)[-1].output_shape

    def check_head(self, input_shape: Shape, classes: int | None = None) -> None:
        """Check that the network ends in one linear output per class; for two classes one output is enough.

        One output z stands for the logits (0, z): it says the second class if it is above zero.

        Args:
            input_shape: The shape of an image.
            classes: How many classes there are; None allows any number from two on.

        Raises:
            SpecError: The network has no such outputs, or nothing to train.
        """
        _check_outputs(self.output_shape(input_shape), classes)
        plans = self.plan(input_shape)
        if not any(plan.parameters for plan in plans):
            raise SpecError(f"the network '{self}' has no parameters to train; end it with {_head_text(classes)}")
        last = [plan.layer for plan in plans if plan.parameters or isinstance(plan.layer, Add | CReLU)][-1]
        if isinstance(last, PReLU | CReLU) or _is_activated(last):
            raise SpecError(f"the last layer '{last}' must give logits; leave its activation out")


def _check_outputs(outputs: Shape, classes: int | None) -> None:
    """Raise SpecError unless a network with these outputs tells the classes apart."""
    if outputs[1:] != (1, 1):
        raise SpecError(
            f"the network has no head: it ends in {shape_text(outputs)}; end it with {_head_text(classes)}, "
            "one unit per class"
        )
    classes = classes_of(outputs[0]) if classes is None else classes
    if classes < 2:
        raise SpecError(f"a network tells two or more classes apart and was given {classes}; give more classes")
    if outputs[0] not in (classes, outputs_for(classes)):
        stands = "; one output stands for two classes" if outputs[0] == 1 else ""
        raise SpecError(
            f"the network ends in {shape_text(outputs)} and the data has {classes} classes{stands}; "
            f"end it with {_head_text(classes)}"
        )


def _head_text(classes: int | None) -> str:
    return "'dense 1' or 'dense 2'" if classes == 2 else f"'dense {classes or 10}'"


def outputs_for(classes: int) -> int:
    """Return the fewest outputs that tell so many classes apart: one for two classes, else one for each."""
    return 1 if classes == 2 else classes


def classes_of(outputs: int) -> int:
    """Return how many classes a network with so many outputs tells apart."""
    return 2 if outputs == 1 else outputs


def _is_activated(layer: object) -> bool:
    return getattr(layer, "slope", LINEAR) != LINEAR or getattr(layer, "ceiling", NO_CEILING) != NO_CEILING
