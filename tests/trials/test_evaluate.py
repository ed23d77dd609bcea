"""From a trial to its outcome: what the engine is given, which weights are kept, and when a training ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from smidgen.data import Dataset, Split
from smidgen.engine import DEFAULT_CONTROL, Start, TrainControl, Trained, cross_entropy
from smidgen.records import Outcome, Recipe, Score
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights
from smidgen.trials import evaluate as candidate
from smidgen.trials.evaluate import TrainingContext, evaluate

SPEC = parse_spec("dense 3")
CLASSES = 3


def split(images: int) -> Split:
    """Images of one pixel, which is their class."""
    labels = (np.arange(images) % CLASSES).astype(np.int32)
    return Split(labels.reshape(-1, 1, 1, 1).astype(np.float32), labels, np.arange(images))


LESSONS = TrainingContext(Dataset("pixels", ("a", "b", "c"), split(9), split(30), split(12), split(6), 0, "digest"))


class Script:
    """An engine that learns by heart: after each epoch its one weight is the next of `gains`.

    A gain is the logit of the right class, the others' are 0: the larger the gain, the lower the loss. One that is
    below zero classifies everything wrong.
    """

    def __init__(self, gains: Sequence[float], diverged_at: int = 0) -> None:
        self.gains, self.diverged_at = gains, diverged_at
        self.given: dict[str, Any] = {}

    def train(self, spec, recipe, examples, seed, start=None, control=DEFAULT_CONTROL):
        self.given = {"examples": examples, "start": start, "after_epoch": control.after_epoch, "seed": seed}
        weights, epoch = np.zeros(1, np.float32), -1
        for epoch, gain in enumerate(self.gains):
            weights[:] = gain  # one array for all epochs: who wants to keep it copies it
            if control.after_epoch is not None and control.after_epoch(epoch, weights):
                break
        return Trained(weights, (0.5,) * (epoch + 1), self.diverged_at)

    def predict(self, spec, weights, images, threads=1):
        return weights[0] * np.eye(CLASSES, dtype=np.float32)[images.ravel().astype(int)]


def outcome_of(
    script: Script, monkeypatch: pytest.MonkeyPatch, context: TrainingContext = LESSONS, **fields: Any
) -> Outcome:
    monkeypatch.setattr(
        candidate,
        "choose",
        lambda engine: SimpleNamespace(train=script.train, predict=script.predict, name=lambda: "script"),
    )
    start = fields.pop("start", "")
    return evaluate(context, context.trial(SPEC, Recipe(epochs=50, **fields), 7, start))


# --- early stopping ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "patience", "kept", "epochs"),
    [
        ([1, 2, 3, 2, 2, 9], 2, 3, 5),
        ([1, 2, 3, 2, 2, 9], 3, 9, 6),
        ([3, 1, 1, 1, 1, 1], 1, 3, 2),
        ([1, 2, 2, 2, 9], 2, 2, 4),  # as low is not lower
        ([1, 3, 2, 4, 3, 5, 4], 2, 5, 7),
        ([1, 2, 3], 5, 3, 3),
        ([3, 2, 1], 5, 3, 3),
        ([2, float("nan"), 3, 1, 1, 1], 2, 3, 5),
    ],
)
def test_a_training_ends_when_patience_does_and_its_best_epoch_is_kept(gains, patience, kept, epochs, monkeypatch):
    outcome = outcome_of(Script(gains), monkeypatch, patience=patience)
    assert outcome.weights.tolist() == [kept]
    assert len(outcome.losses) == epochs
    assert outcome.selection == Score(30, 30) and outcome.confirmation == Score(12, 12)


def test_the_best_is_the_lowest_loss_and_not_the_most_images(monkeypatch):
    """An epoch that gets everything wrong, but mildly, comes first here; scores are those of what is kept."""
    outcome = outcome_of(Script([-0.1, -3, -3]), monkeypatch, patience=2)
    assert outcome.weights.tolist() == [np.float32(-0.1)]
    assert outcome.selection == Score(0, 30)


def test_without_patience_all_epochs_are_trained_and_the_last_is_kept(monkeypatch):
    script = Script([3, 1, 1, 1])
    outcome = outcome_of(script, monkeypatch)
    assert outcome.weights.tolist() == [1] and len(outcome.losses) == 4
    assert script.given["after_epoch"] is None


def test_a_training_that_no_epoch_of_is_finite_keeps_what_the_engine_gives(monkeypatch):
    outcome = outcome_of(Script([float("nan")] * 9), monkeypatch, patience=3)
    assert len(outcome.losses) == 4 and np.isnan(outcome.weights).all()


def test_a_training_that_diverges_has_its_best_epoch_still(monkeypatch):
    outcome = outcome_of(Script([1, 2, 1], diverged_at=4), monkeypatch, patience=9)
    assert outcome.weights.tolist() == [2] and outcome.diverged_at == 4


# --- what the engine is given -----------------------------------------------------------------


def test_a_start_is_found_by_its_digest(monkeypatch):
    start = Start(np.ones(6, np.float32))
    script, context = Script([1]), replace(LESSONS, starts={start.digest: start})
    outcome_of(script, monkeypatch, context, start=start.digest)
    assert script.given["start"] is start
    outcome_of(script, monkeypatch, context)
    assert script.given["start"] is None


def test_only_the_training_split_is_learned_from_and_the_teacher_where_the_loss_asks(monkeypatch):
    script, context = Script([1]), replace(LESSONS, teacher_logits=np.zeros((9, 3), np.float32))
    outcome_of(script, monkeypatch, context, loss="kl")
    examples = script.given["examples"]
    assert examples.images is LESSONS.dataset.train.images and examples.labels is LESSONS.dataset.train.labels
    assert examples.teacher_logits is context.teacher_logits
    outcome_of(script, monkeypatch, context)
    assert script.given["examples"].teacher_logits is None


# --- with an engine ---------------------------------------------------------------------------


def test_early_stopping_on_the_digits(digits: Dataset):
    """The kept weights have the lowest selection loss of all epochs that the same training went through."""
    from smidgen.engine import torch_engine

    if torch_engine.available():
        pytest.skip("torch is not installed")
    context = TrainingContext(digits, engine="torch")
    spec = parse_spec("dense 30 relu, dense 10")
    recipe = Recipe(learning_rate=0.05, schedule="constant", epochs=40, patience=2)
    outcome = evaluate(context, context.trial(spec, recipe, 1))

    losses, seen = [], []
    start = Start(initial_weights(spec, digits.input_shape, 1))
    context = replace(context, starts={start.digest: start})

    def after_epoch(epoch, weights):
        logits = torch_engine.predict(spec, weights, digits.selection.images)
        losses.append(cross_entropy(logits, digits.selection.labels))
        seen.append(weights)
        return epoch + 1 == len(outcome.losses)

    examples = candidate.Examples(digits.train.images, digits.train.labels)
    torch_engine.train(spec, recipe, examples, 1, start=start, control=TrainControl(after_epoch=after_epoch))
    best = int(np.argmin(losses))
    assert 3 < len(losses) < 40 and best == len(losses) - 3
    np.testing.assert_array_equal(outcome.weights, seen[best])
    assert (
        evaluate(context, context.trial(spec, recipe, 1, start.digest)).weights.tobytes() == outcome.weights.tobytes()
    )
