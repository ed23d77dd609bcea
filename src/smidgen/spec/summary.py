"""What a network costs: parameters, bytes, multiply-accumulates, memory."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.spec.input import UNSTATED, InputSpec
from smidgen.spec.plan import NetSpec, Shape


@dataclass(frozen=True)
class NetworkSummary:
    """The layers of a network and what they cost.

    Attributes:
        spec: the layers; `spec.plan(input_shape)` has the shapes and costs of each.
        input_shape: (channels, height, width) of one input.
        input: what the numbers of an input mean, as far as the file says.
    """

    spec: NetSpec
    input_shape: Shape
    input: InputSpec = UNSTATED

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return self.spec.parameters(self.input_shape)

    @property
    def running_stats(self) -> int:
        """The number of means and variances that batch normalization keeps; they are not trained."""
        return sum(plan.running_stats for plan in self.spec.plan(self.input_shape))

    @property
    def size_bytes(self) -> int:
        """Bytes of all parameters and running statistics as float32."""
        return 4 * (self.parameters + self.running_stats)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.spec.macs(self.input_shape)

    @property
    def activations(self) -> int:
        """The most values alive at once while one image is classified."""
        return self.spec.activation_count(self.input_shape)
