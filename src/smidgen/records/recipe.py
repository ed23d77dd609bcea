"""How a network is trained: the loss, the optimizer, the schedule and the augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.elementary import cosine
from smidgen.errors import RequestError


@dataclass(frozen=True)
class Optimizer:
    """An optimizer with its settings. Each kind reads some of them and ignores the others.

    Attributes:
        kind: The algorithm, as both engines implement it.
        learning_rate: The usual learning rate of this optimizer.
        momentum: The decay of the mean of past gradients (Adam's first beta).
        beta2: The decay of the mean of past squared gradients.
        epsilon: The term that keeps denominators above zero.
    """

    kind: str
    learning_rate: float
    momentum: float = 0.0
    beta2: float = 0.0
    epsilon: float = 0.0


OPTIMIZERS: dict[str, Optimizer] = {
    # Kingma & Ba 2015, algorithm 1.
    "adam": Optimizer("adam", 0.001, momentum=0.9, beta2=0.999, epsilon=1e-8),
    # Keras's own epsilon.
    "adam-keras": Optimizer("adam", 0.001, momentum=0.9, beta2=0.999, epsilon=1e-7),
    # Heavy ball, as the mimic document uses it.
    "sgd": Optimizer("sgd", 0.01, momentum=0.9),
    # Sutskever et al. 2013, in the form of Keras and torch.
    "nesterov": Optimizer("nesterov", 0.01, momentum=0.9),
    # Tieleman & Hinton 2012, with Keras's defaults.
    "rmsprop": Optimizer("rmsprop", 0.001, beta2=0.9, epsilon=1e-7),
    # Zeiler 2012, with Keras's defaults and the rate of 1.0 that the paper's formula has.
    "adadelta": Optimizer("adadelta", 1.0, beta2=0.95, epsilon=1e-7),
}

LOSSES = ("labels", "kl", "logits", "standardised-logits", "probabilities")
SCHEDULES = ("one-cycle", "constant")


@dataclass(frozen=True)
class Augmentation:
    """Random affine maps of the training images, drawn anew for each image in each epoch.

    Each quantity is drawn uniformly between minus and plus the given value. Rotation, scale and shear are about the
    middle of the image.

    Attributes:
        shift: Pixels, vertically and horizontally; 0 to 64.
        rotation: Degrees, 0 to 180.
        scale: A fraction of the size, 0 to 0.9.
        shear: A fraction of the height, 0 to 0.9.

    Raises:
        RequestError: A value is out of its range.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("shift", 64.0), ("rotation", 180.0), ("scale", 0.9), ("shear", 0.9)):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            if not 0 <= value <= most:
                raise RequestError(f"{name}={value:g} must be from 0 to {most:g}; leave it out for none")

    def __bool__(self) -> bool:
        return any((self.shift, self.rotation, self.scale, self.shear))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        loss: The loss function (defined in `smidgen.engine.losses`):
            "labels" is cross-entropy with the label;
            "kl" is the KL divergence to the teacher's softmax at `temperature`, times the temperature squared
            (Hinton, Vinyals & Dean 2015, section 2);
            "logits" is the squared error to the teacher's logits (Ba & Caruana 2014, section 2.2), of one output for
            two classes to their difference;
            "standardised-logits" is the same after each class is divided by the standard deviation of its logits;
            "probabilities" is the squared error between softmaxes.
        temperature: The temperature of "kl", above 0.
        label_weight: The weight of "labels" mixed into any other loss, 0 to 1.
        optimizer: A key of `OPTIMIZERS`.
        learning_rate: The peak learning rate, above 0.
        schedule: "one-cycle" rises linearly from a tenth of `learning_rate` over the first fifth of the steps and then
            falls to zero by a cosine; "constant" keeps it.
        epochs: Passes over the training images.
        batch_size: Images in a step.
        patience: Early stopping: end after this many epochs without a lower selection loss, and keep the weights of the
            best epoch. 0 trains all epochs.
        augment: Random affine maps of the images; none by default.
        average: Decay of an exponential moving average of the weights, 0 to below 1; the average is kept in place of
            the last weights (Polyak & Juditsky 1992). After t steps the decay is at most (1 + t) / (10 + t). 0 keeps
            the last weights.

    Raises:
        RequestError: A value is not known or out of its range.
    """

    loss: str = "labels"
    temperature: float = 1.0
    label_weight: float = 0.0
    optimizer: str = "adam"
    learning_rate: float = 0.02
    schedule: str = "one-cycle"
    epochs: int = 2
    batch_size: int = 128
    patience: int = 0
    augment: Augmentation = Augmentation()
    average: float = 0.0

    def __post_init__(self) -> None:
        # The integer 1 and the float 1.0 must give one key.
        for name in ("temperature", "label_weight", "learning_rate", "average"):
            object.__setattr__(self, name, float(getattr(self, name)))
        _one_of("loss", self.loss, LOSSES)
        _one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        _one_of("schedule", self.schedule, SCHEDULES)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("patience", self.patience, 0)
        if not 0 <= self.average < 1:
            raise RequestError(f"average={self.average:g} must be at least 0 and below 1; 0.99 is common")
        if not (self.temperature > 0 and self.learning_rate > 0 and 0 <= self.label_weight <= 1):
            raise RequestError(
                f"temperature={self.temperature} and learning_rate={self.learning_rate} must be above 0, "
                f"label_weight={self.label_weight} from 0 to 1"
            )

    @property
    def needs_teacher(self) -> bool:
        """Whether the loss compares with a teacher's logits."""
        return self.loss != "labels"

    def steps(self, images: int) -> int:
        """Return the optimizer steps of an epoch over `images` images; the last batch may be smaller."""
        return -(-images // self.batch_size)

    def learning_rates(self, images: int) -> npt.NDArray[np.float32]:
        """Return the learning rate of every step: float32 [epochs * steps]."""
        total = self.epochs * self.steps(images)
        if self.schedule == "constant":
            return np.full(total, self.learning_rate, np.float32)
        step = np.arange(total)
        warm = max(1, total // 5)
        rising = 0.1 + 0.9 * step / warm
        falling = 0.5 * (1 + cosine(np.pi * (step - warm) / max(1, total - warm)))
        return (self.learning_rate * np.where(step < warm, rising, falling)).astype(np.float32)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RequestError(f"{name}='{value}' is not known; use one of {', '.join(known)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RequestError(f"{name}={value} must be at least {least}")
