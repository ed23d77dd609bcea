"""One network from start to score. Read this file first: the rest is where its words are explained.

    train -> score

A `Trial` says everything that its `Outcome` depends on; `evaluate` is the function between the two. It
sees the training split, and scores both halves of the validation split. The test split is not for
candidates: `score` is called with it once, for the network that is reported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.engine import DEFAULT_CONTROL, Examples, Start, TrainControl, choose, cross_entropy
from smidgen.records import Outcome, Recipe, Score, Trial, Weights
from smidgen.spec import NetSpec


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What candidates learn from: the data, and a teacher's logits where there is one.

    engine: "auto", "native" or "torch", see `smidgen.engine.choose`
    teacher_key: the key of the teacher's trial
    teacher_logits: float32 [n, classes], row i for image i of the training split
    starts: by its digest, what a trial that names it starts from
    """

    dataset: Dataset
    engine: str = "auto"
    teacher_key: str = ""
    teacher_logits: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    starts: Mapping[str, Start] = field(default_factory=dict, repr=False)

    def trial(self, spec: NetSpec, recipe: Recipe, seed: int, start: str = "") -> Trial:
        """The key of a training on this data.

        Raises:
            SpecError: the network does not fit the data. EngineError: nothing installed can train it.
        """
        spec.check_head(self.dataset.input_shape, self.dataset.classes)
        engine = choose(self.engine).name()
        teacher = self.teacher_key if recipe.needs_teacher else ""
        return Trial(spec, recipe, seed, self.dataset.digest, engine, teacher, start)

    def cost(self, trial: Trial) -> float:
        """Multiply-accumulates of the training, about: forward once, backward twice."""
        images = len(self.dataset.train) * trial.recipe.epochs
        return 3.0 * images * trial.spec.macs(self.dataset.input_shape)


def evaluate(context: TrainingContext, trial: Trial, control: TrainControl = DEFAULT_CONTROL) -> Outcome:
    """Train, then score on both halves of the validation split; pure but for `train_seconds`."""
    engine, data = choose(context.engine), context.dataset
    teacher_logits = context.teacher_logits if trial.recipe.needs_teacher else None
    examples = Examples(data.train.images, data.train.labels, teacher_logits)
    start = context.starts[trial.start_digest] if trial.start_digest else None
    best = _Best(context, trial) if trial.recipe.patience else None
    began = time.perf_counter()
    training = engine.train(trial.spec, trial.recipe, examples, trial.seed, start, replace(control, after_epoch=best))
    seconds = time.perf_counter() - began
    weights = training.weights if best is None or best.weights is None else best.weights
    return Outcome(
        parameters=trial.spec.parameters(data.input_shape),
        selection=score(context, trial.spec, weights, data.selection),
        confirmation=score(context, trial.spec, weights, data.confirmation),
        losses=training.losses,
        train_seconds=seconds,
        weights=weights,
        diverged_at=training.diverged_at,
    )


class _Best:
    """After each epoch: keeps the weights with the lowest selection loss, and ends the training once it has
    not fallen for `patience` epochs (early stopping; Prechelt 1998).
    """

    def __init__(self, context: TrainingContext, trial: Trial) -> None:
        self.context, self.trial = context, trial
        self.weights: Weights | None = None
        self.loss, self.epoch = float("inf"), 0

    def __call__(self, epoch: int, weights: Weights) -> bool:
        selection = self.context.dataset.selection
        loss = cross_entropy(classify(self.context, self.trial.spec, weights, selection), selection.labels)
        if loss < self.loss:
            self.weights, self.loss, self.epoch = weights.copy(), loss, epoch
        return epoch - self.epoch >= self.trial.recipe.patience


def score(context: TrainingContext, spec: NetSpec, weights: Weights, split: Split, threads: int = 1) -> Score:
    """How many of the split's images the network classifies right."""
    classes = classify(context, spec, weights, split, threads).argmax(axis=1)
    return Score(int((classes == split.labels).sum()), len(split))


def classify(
    context: TrainingContext, spec: NetSpec, weights: Weights, split: Split, threads: int = 1
) -> npt.NDArray[np.float32]:
    """The network's logits for the split: float32 [n, classes]."""
    return choose(context.engine).predict(spec, weights, split.images, threads)
