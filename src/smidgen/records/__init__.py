"""Frozen records of trainings and their results. Scores are counts, not rates.

`Score` is how accurate a network is and `Floor` how accurate it must be, `Recipe` is how it is trained, and `Trial` and
`Outcome` are the key and the result of one training. Nothing here loads a framework, opens a file or draws a random
number.
"""

from __future__ import annotations

from smidgen.records.recipe import LOSSES, OPTIMIZERS, SCHEDULES, Augmentation, Optimizer, Recipe
from smidgen.records.score import RULES, Floor, Score, look_confidence
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
    "look_confidence",
]
