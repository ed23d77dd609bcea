"""Frozen records of what a training is asked and what came of it. They hold counts, not rates.

`Score` and `Floor` say how accurate a network is and must be, `Recipe` says how it is trained, and `Trial` and
`Outcome` are the key and the result of one training. Nothing here loads a framework, opens a file or draws a random
number."""

from __future__ import annotations

from smidgen.records.recipe import LOSSES, OPTIMIZERS, SCHEDULES, Augmentation, Optimizer, Recipe
from smidgen.records.score import RULES, Floor, Score
from smidgen.records.trial import Outcome, Trial, Weights

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "Augmentation",
    "Floor",
    "Optimizer",
    "Outcome",
    "Recipe",
    "Score",
    "Trial",
    "Weights",
]
