"""The key of one training (`Trial`) and its result (`Outcome`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smidgen.records.recipe import OPTIMIZERS, Recipe
from smidgen.records.score import Score
from smidgen.spec import NetSpec

Weights = npt.NDArray[np.float32]
"""All stored numbers of a network, flat float32: layer by layer, weights, then biases, then a batch norm's running
means and variances. A layer that shares another's weights has none of its own (see `spec.LayerPlan`)."""


@dataclass(frozen=True)
class Trial:
    """Everything that the outcome of a training depends on. The same trial gives the same outcome, bit for bit.

    Attributes:
        spec: The network.
        recipe: How it is trained.
        seed: Seed of the first weights, the order of the images, augmentation and dropout.
        data_digest: SHA-256 of the data set and its split.
        engine_name: The engine and its arithmetic, for example "native-3-fused".
        teacher_key: The key of the teacher's trial, or "" if the recipe uses no teacher.
        start_digest: SHA-256 of given first weights and their constraints (`engine.Start.digest`), or "" if the first
            weights are drawn from the seed.
    """

    spec: NetSpec
    recipe: Recipe
    seed: int
    data_digest: str
    engine_name: str
    teacher_key: str = ""
    start_digest: str = ""

    @cached_property
    def key(self) -> str:
        """The name of the trial in a store: SHA-256 of all fields and the optimizer's settings, in hex."""
        fields = {
            "spec": str(self.spec),
            "recipe": asdict(self.recipe),
            "optimizer": asdict(OPTIMIZERS[self.recipe.optimizer]),
            "seed": int(self.seed),
            "data": self.data_digest,
            "engine": self.engine_name,
            "teacher": self.teacher_key,
            "start": self.start_digest,
        }
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def with_seed(self, seed: int) -> Trial:
        """Return the same trial with another seed."""
        return replace(self, seed=seed)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a trial.

    Attributes:
        parameters: How many trained parameters the network has.
        selection: The score on the first half of the validation split, by which networks are chosen.
        confirmation: The score on the second half, which takes no part in choosing and confirms the floor.
        losses: The mean training loss of each epoch.
        train_seconds: Wall-clock seconds of the training.
        weights: The trained weights, flat float32.
        diverged_at: The epoch (from 1) in which the loss stopped being finite, or 0.
    """

    parameters: int
    selection: Score
    confirmation: Score
    losses: tuple[float, ...]
    train_seconds: float
    weights: Weights = field(repr=False)
    diverged_at: int = 0

    @property
    def halves(self) -> dict[str, Score]:
        """The scores on both halves of the validation split, by name."""
        return {"selection": self.selection, "confirmation": self.confirmation}

    @property
    def validation(self) -> Score:
        """The score on the whole validation split."""
        return self.selection + self.confirmation
