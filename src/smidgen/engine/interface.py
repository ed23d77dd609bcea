"""The interface of an engine, and the records that it takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smidgen.engine.start import Start
from smidgen.records import Recipe, Weights
from smidgen.spec import NetSpec, Shape

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Images: uint8 (read as value / 255) or float32 [n, channels, height, width]."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with their labels, and a teacher's outputs for them.

    Attributes:
        images: uint8 (read as value / 255) or float32 [n, channels, height, width].
        labels: int32 [n], from 0.
        teacher_logits: float32 [n, classes], row i for image i; None if the loss uses labels alone.
    """

    images: Images
    labels: npt.NDArray[np.int32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def input_shape(self) -> Shape:
        """The shape of one image: (channels, height, width)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class TrainControl:
    """How a training runs and who follows it. Nothing here changes the trained weights of an epoch.

    Attributes:
        threads: Threads to begin with. The native engine gives the same bits for any number, the torch engine only
            for the same number.
        progress: Called as `progress(steps_done, steps_in_all)` a few times a second. An exception that it raises
            ends the training. It may return a new number of threads, which the native engine then uses, so that a
            training can take over idle cores; the torch engine ignores it.
        after_epoch: Called as `after_epoch(epoch, weights)` after each epoch (from 0), with the weights that would
            be kept if the training ended now. It returns True to end the training.
    """

    threads: int = 1
    progress: Callable[[int, int], int | None] | None = None
    after_epoch: Callable[[int, Weights], bool] | None = None


DEFAULT_CONTROL = TrainControl()
"""One thread, no callbacks."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of one training.

    Attributes:
        weights: The trained weights, flat float32; the first weights if the training diverged.
        losses: The mean loss of each finished epoch.
        diverged_at: The epoch (from 1) in which the loss or a weight stopped being finite, or 0.
    """

    weights: Weights
    losses: tuple[float, ...]
    diverged_at: int = 0


class Engine(Protocol):
    """Trains networks and runs them. Both engines are modules with these four functions."""

    def available(self) -> str:
        """Return "" if the engine can be used here, else what to install."""

    def name(self) -> str:
        """Return the engine and its arithmetic, for example "native-3-fused". It is part of a trial's key."""

    def train(
        self,
        spec: NetSpec,
        recipe: Recipe,
        examples: Examples,
        seed: int,
        start: Start | None = None,
        control: TrainControl = DEFAULT_CONTROL,
    ) -> Trained:
        """Train one network. The result is a pure function of all arguments but `control`.

        Args:
            spec: The network.
            recipe: How to train it. `recipe.patience` is not read here: `trials.evaluate` implements early stopping.
            examples: What the network learns from.
            seed: Seed of the first weights, the order of the images, augmentation and dropout.
            start: First weights and constraints on weights; None for `streams.initial_weights` and no constraints.
            control: Threads and callbacks.

        Returns:
            The trained weights and the loss of each epoch. A loss or weight that is not finite ends the training.

        Raises:
            RequestError: The recipe needs a teacher's logits and the examples have none.
            EngineError: The engine cannot run a layer or use the requested device, or `start` does not fit `spec`.
        """

    def predict(self, spec: NetSpec, weights: Weights, images: Images, threads: int = 1) -> npt.NDArray[np.float32]:
        """Run a network.

        Args:
            spec: The network.
            weights: Its weights, flat float32.
            images: uint8 or float32 [n, channels, height, width].
            threads: Threads to use; the native engine splits the images among them.

        Returns:
            The logits, float32 [n, classes]; those of one output z are (0, z). A network that ends in a map gives its
            values in the order channel, row, column.
        """
