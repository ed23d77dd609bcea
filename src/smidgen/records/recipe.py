"""What is asked of a training and what came of it: frozen records, counts and not rates.

A `Trial` is the whole key of a training; an `Outcome` is a pure function of it. Nothing here
loads a framework, opens a file or draws a random number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.errors import RequestError


@dataclass(frozen=True)
class Optimizer:
    """An optimizer with its settings. `kind` is what the engines implement.

    Only the fields that its `kind` reads matter; `learning_rate` is what a recipe that names none gets.
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
    """How far each image is moved in each epoch: uniformly from minus to plus these, about its middle.

    shift: pixels, down and across; rotation: degrees; scale: a share of the size; shear: a share of the height.
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
    """How to train.

    loss: what is learned from (the functions stand in `smidgen.engine.losses`):
        "labels"               cross-entropy against the label;
        "kl"                   KL divergence to the teacher's softmax at `temperature`, times its square
                               (Hinton, Vinyals & Dean 2015, section 2);
        "logits"               squared error to the teacher's logits (Ba & Caruana 2014, section 2.2);
        "standardised-logits"  the same, each class divided by the standard deviation of the teacher's;
        "probabilities"        squared error between softmaxes.
    label_weight: the share of "labels" mixed into any other loss, 0 to 1.
    schedule: "one-cycle" warms up linearly from a tenth of `learning_rate` over the first fifth of the
        steps and falls to zero by a cosine; "constant" stays.
    patience: epochs without a lower selection loss after which the training ends, and the weights of its
        best epoch are kept; 0 trains all `epochs`.
    augment: how the images are moved, anew in each epoch; none unless asked for.
    average: the decay of an exponential moving average of the weights, 0 to 1, which is what is kept
        (Polyak & Juditsky 1992); after t steps at most (1 + t) / (10 + t). 0 keeps the last weights.
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
        for name in (
            "temperature",
            "label_weight",
            "learning_rate",
            "average",
        ):  # 1 and 1.0 are one recipe, and one key
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
        return self.loss != "labels"

    def steps(self, images: int) -> int:
        """Optimizer steps in an epoch over so many images; the last batch may be short."""
        return -(-images // self.batch_size)

    def learning_rates(self, images: int) -> npt.NDArray[np.float32]:
        """The rate of every step: float32 [epochs * steps]."""
        total = self.epochs * self.steps(images)
        if self.schedule == "constant":
            return np.full(total, self.learning_rate, np.float32)
        step = np.arange(total)
        warm = max(1, total // 5)
        rising = 0.1 + 0.9 * step / warm
        falling = 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, total - warm)))
        return (self.learning_rate * np.where(step < warm, rising, falling)).astype(np.float32)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RequestError(f"{name}='{value}' is not known; use one of {', '.join(known)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RequestError(f"{name}={value} must be at least {least}")
