"""Train one network and score it. Read this file first: the other modules explain its words.

A `Trial` names everything that its `Outcome` depends on, and `evaluate` computes the outcome of a trial. It trains on
the training split and scores both halves of the validation split. Candidates are never scored on the test split:
`score` is called with it once, for the network that is reported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.engine import DEFAULT_CONTROL, Examples, Start, TrainControl, choose, cross_entropy
from smidgen.model import Model
from smidgen.records import Outcome, Recipe, Score, Trial, Weights
from smidgen.spec import NetSpec
from smidgen.transforms import fold_input, parameters_with_input, without_constant_inputs


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What all candidates of a search share: the data, the engine, and a teacher's logits.

    Attributes:
        dataset: The data set with its splits.
        engine: "auto", "native" or "torch" (see `smidgen.engine.choose`).
        teacher_key: The key of the teacher's trial, or "" without a teacher.
        teacher_logits: float32 [n, classes], row i for image i of the training split; None without a teacher.
        starts: First weights and weight constraints by their digest, for trials that name one.
    """

    dataset: Dataset
    engine: str = "auto"
    teacher_key: str = ""
    teacher_logits: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    starts: Mapping[str, Start] = field(default_factory=dict, repr=False)

    def trial(self, spec: NetSpec, recipe: Recipe, seed: int, start: str = "") -> Trial:
        """Return the trial of a network on this data.

        Args:
            spec: The network.
            recipe: How to train it.
            seed: Seed of the training.
            start: The digest of an entry of `starts`, or "" to draw the first weights from the seed.

        Raises:
            SpecError: The network does not fit the data.
            EngineError: The engine is not installed.
        """
        spec.check_head(self.dataset.input_shape, self.dataset.classes)
        engine = choose(self.engine).name()
        teacher = self.teacher_key if recipe.needs_teacher else ""
        return Trial(spec, recipe, seed, self.dataset.digest, engine, teacher, start)

    def cost(self, trial: Trial) -> float:
        """Estimate the multiply-accumulates of a training: a backward pass costs twice a forward pass."""
        images = len(self.dataset.train) * trial.recipe.epochs
        return 3.0 * images * trial.spec.macs(self.dataset.input_shape)


def evaluate(context: TrainingContext, trial: Trial, control: TrainControl = DEFAULT_CONTROL) -> Outcome:
    """Train a network, then score it on both halves of the validation split.

    Args:
        context: The data, the engine and the teacher's logits.
        trial: The network, its recipe and its seed; made by `context.trial`.
        control: Threads and the progress callback. `after_epoch` is not used: early stopping takes its place.

    Returns:
        The outcome: a pure function of context and trial, except for `train_seconds`.

    Raises:
        EngineError: The engine cannot run the network.
    """
    engine, data = choose(context.engine), context.dataset
    teacher_logits = context.teacher_logits if trial.recipe.needs_teacher else None
    examples = Examples(data.train.images, data.train.labels, teacher_logits)
    start = context.starts[trial.start_digest] if trial.start_digest else None
    stopping = EarlyStopping(context, trial) if trial.recipe.patience else None
    began = time.perf_counter()
    trained = engine.train(
        trial.spec, trial.recipe, examples, trial.seed, start, replace(control, after_epoch=stopping)
    )
    seconds = time.perf_counter() - began
    weights = trained.weights if stopping is None or stopping.weights is None else stopping.weights
    return Outcome(
        parameters=parameters_with_input(trial.spec, data.input),
        selection=score_in_units(context, trial.spec, weights, data.selection),
        confirmation=score_in_units(context, trial.spec, weights, data.confirmation),
        losses=trained.losses,
        train_seconds=seconds,
        weights=weights,
        diverged_at=trained.diverged_at,
    )


class EarlyStopping:
    """Keeps the weights with the lowest selection loss, and ends a training that no longer improves.

    A training ends when the loss has not fallen for `Recipe.patience` epochs (early stopping; Prechelt 1998). Called
    after each epoch.

    Attributes:
        weights: The weights of the best epoch so far; None if no epoch had a finite loss.
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
    """Count the images of a split that the network classifies correctly."""
    classes = classify(context, spec, weights, split, threads).argmax(axis=1)
    return Score(int((classes == split.labels).sum()), len(split))


def shipped(data: Dataset, spec: NetSpec, weights: Weights) -> Model:
    """The network that a user gets: the input's offset and scale are folded into its weights, where these allow it.

    Weights that read a column which is constant in training are 0, because they never learned anything.
    """
    model = Model(spec, data.input_shape, data.class_names, weights, input=data.input)
    if not data.input.is_scaled:
        return model
    return fold_input(without_constant_inputs(model, data.train.images)[0])


def score_in_units(context: TrainingContext, spec: NetSpec, weights: Weights, split: Split, threads: int = 1) -> Score:
    """Count the images that the network classifies correctly once its weights have taken up the input's scale.

    That network is what a user gets; it reads the values in the user's units, where they allow it.
    """
    classes = classify_in_units(context, spec, weights, split, threads).argmax(axis=1)
    return Score(int((classes == split.labels).sum()), len(split))


def classify_in_units(
    context: TrainingContext, spec: NetSpec, weights: Weights, split: Split, threads: int = 1
) -> npt.NDArray[np.float32]:
    """Return the logits of the network that a user gets, as `score_in_units` counts it: float32 [n, classes]."""
    data = context.dataset
    model = shipped(data, spec, weights)
    if model.input != data.input:
        split = replace(split, images=model.input.to_network(data.input.to_units(split.images)))
    return classify(context, spec, model.weights, split, threads)


def classify(
    context: TrainingContext, spec: NetSpec, weights: Weights, split: Split, threads: int = 1
) -> npt.NDArray[np.float32]:
    """Return the network's logits for a split: float32 [n, classes]."""
    return choose(context.engine).predict(spec, weights, split.images, threads)
