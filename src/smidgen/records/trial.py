"""The key of one training (`Trial`) and its result (`Outcome`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import numpy.typing as npt

from smidgen.records.recipe import OPTIMIZERS, Recipe
from smidgen.records.score import Score
from smidgen.spec import NetSpec

Weights = npt.NDArray[np.float32]
"""All parameters of a network, flat float32: layer by layer, weights then biases (see `spec.LayerPlan`)."""


@dataclass(frozen=True)
class Trial:
    """The whole key of a training: the same trial gives the same outcome, bit for bit.

    data_digest: SHA-256 of the data set and its split
    engine_name: the engine and its arithmetic, for example "native-1-fused"
    teacher_key: the key of the teacher's trial, or "" where nothing is learned from a teacher
    start_digest: SHA-256 of the first weights and their constraints (`engine.Start.digest`), or "" for fresh weights
    """

    spec: NetSpec
    recipe: Recipe
    seed: int
    data_digest: str
    engine_name: str
    teacher_key: str = ""
    start_digest: str = ""

    @property
    def key(self) -> str:
        """A SHA-256 of everything that the outcome depends on, in hex."""
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
        return replace(self, seed=seed)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a trial.

    selection, confirmation: the two halves of the validation split. Everything is chosen by the first;
        the second takes no part in choosing and says whether the floor holds.
    losses: the mean training loss of each epoch.
    diverged_at: the epoch (from 1) in which the loss stopped being finite, or 0.
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
        return {"selection": self.selection, "confirmation": self.confirmation}

    @property
    def validation(self) -> Score:
        return self.selection + self.confirmation
