"""What every engine takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.records import Weights
from smidgen.spec import Shape

Watch = Callable[[int, int], int | None]
"""Called as watch(steps done, steps in all) a few times a second; what it raises stops the training.

It may return how many threads there are now for this training: cores that have nothing else to do. An engine whose
result depends on that number does not listen.
"""


AfterEpoch = Callable[[int, Weights], bool]
"""Called as after_epoch(epoch from 0, the weights that would be kept now); True ends the training."""


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from.

    images: uint8 (read as value / 255) or float32 [n, channels, height, width]
    labels: int32 [n]
    teacher_logits: float32 [n, classes], row i for image i; None when the loss is on labels alone
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    teacher_logits: npt.NDArray[np.float32] | None = None

    @property
    def input_shape(self) -> Shape:
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class Training:
    """Trained weights, the mean loss of each epoch, and the epoch that diverged (from 1), or 0."""

    weights: Weights
    losses: tuple[float, ...]
    diverged_at: int = 0
