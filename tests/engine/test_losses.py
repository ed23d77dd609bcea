"""The losses against torch's autograd in float64, from their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import softmax
from smidgen.engine.losses import Targets, loss_and_gradient, prepare
from smidgen.errors import RequestError
from smidgen.records import LOSSES, Recipe

IMAGES, CLASSES = 7, 5
SOFT = [loss for loss in LOSSES if loss != "labels"]


def batch(scale=3.0):
    """Logits of a student and of a teacher [7, 5], and labels [7]."""
    random = np.random.default_rng(5)
    logits = scale * random.standard_normal((IMAGES, CLASSES))
    teacher = (scale * random.standard_normal((IMAGES, CLASSES))).astype(np.float32)
    return logits, teacher, random.integers(0, CLASSES, IMAGES)


def torch_loss(torch, recipe, logits, teacher, labels):
    """The definitions of the module's docstring, from the teacher's logits in float64."""
    z, t = logits, torch.tensor(teacher).double()
    temperature, hard = recipe.temperature, torch.nn.functional.cross_entropy(z, torch.tensor(labels))
    wanted, logs = torch.softmax(t / temperature, 1), torch.log_softmax(z / temperature, 1)
    soft = {
        "labels": hard,
        "kl": temperature**2 * (wanted * (wanted.log() - logs)).sum(1).mean(),
        "logits": (z - t).square().mean(),
        "standardised-logits": ((z - t) / t.std(0, correction=0)).square().mean(),
        "probabilities": (torch.softmax(z, 1) - torch.softmax(t, 1)).square().mean(),
    }[recipe.loss]
    return (1 - recipe.label_weight) * soft + recipe.label_weight * hard


@pytest.mark.parametrize("label_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient_are_those_of_autograd(loss, temperature, label_weight):
    torch = pytest.importorskip("torch")
    recipe = Recipe(loss=loss, temperature=temperature, label_weight=label_weight)
    logits, teacher, labels = batch()
    wanted_logits = torch.tensor(logits, requires_grad=True)
    wanted = torch_loss(torch, recipe, wanted_logits, teacher, labels)
    wanted.backward()

    value, gradient = loss_and_gradient(recipe, logits, labels, prepare(recipe, teacher))

    # The targets are float32: 6e-8 of each.
    np.testing.assert_allclose(value, wanted.item(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, wanted_logits.grad.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("label_weight", [0.0, 0.3])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_output_has_the_loss_and_the_slope_of_two_logits(loss, label_weight):
    """Those of autograd at (0, z), a teacher's logits (t1, t2) being (0, t2 - t1)."""
    torch = pytest.importorskip("torch")
    recipe = Recipe(loss=loss, temperature=2.0, label_weight=label_weight)
    logits, teacher, labels = batch()
    given, teacher, labels = logits[:, 1:2], teacher[:, :2], labels % 2
    output = torch.tensor(given, requires_grad=True)
    pair = torch.nn.functional.pad(output, (1, 0))
    wanted = torch_loss(torch, recipe, pair, teacher, labels)
    if loss.endswith("logits"):  # the first logit is always right
        difference = torch.tensor(teacher[:, 1].astype(np.float64) - teacher[:, 0])
        spread = difference.std(correction=0) if loss == "standardised-logits" else 1
        soft = ((output[:, 0] - difference) / spread).square().mean() / 2
        hard = torch.nn.functional.cross_entropy(pair, torch.tensor(labels))
        wanted = (1 - label_weight) * soft + label_weight * hard
    value, gradient = loss_and_gradient(recipe, given, labels, prepare(recipe, teacher, outputs=1))
    wanted.backward()
    assert gradient.shape == (IMAGES, 1)
    np.testing.assert_allclose(value, wanted.item(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, output.grad.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_slope_of_the_value(loss):
    recipe = Recipe(loss=loss, temperature=2.0, label_weight=0.2)
    logits, teacher, labels = batch()
    targets = prepare(recipe, teacher)
    _, gradient = loss_and_gradient(recipe, logits, labels, targets)
    step = 1e-5 * np.random.default_rng(1).standard_normal(logits.shape)
    above, _ = loss_and_gradient(recipe, logits + step, labels, targets)
    below, _ = loss_and_gradient(recipe, logits - step, labels, targets)
    assert above - below == pytest.approx(2 * (gradient * step).sum(), rel=1e-5)


@pytest.mark.parametrize("loss", SOFT)
def test_a_student_equal_to_its_teacher_has_zero_loss_and_gradient(loss):
    recipe = Recipe(loss=loss, temperature=3.0)
    _, teacher, labels = batch()
    value, gradient = loss_and_gradient(recipe, teacher.astype(np.float64), labels, prepare(recipe, teacher))
    assert value == pytest.approx(0, abs=1e-6)
    assert np.abs(gradient).max() < 1e-6


def test_pinned_values_of_one_image():
    student, teacher, labels = np.array([[0.0, np.log(3)]]), np.float32([[0, 0]]), np.array([1])

    def value(**fields):
        recipe = Recipe(**fields)
        return loss_and_gradient(recipe, student, labels, prepare(recipe, teacher))[0]

    assert value(loss="labels") == pytest.approx(np.log(4 / 3))
    assert value(loss="kl") == pytest.approx(0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75))
    assert value(loss="logits") == pytest.approx(np.log(3) ** 2 / 2)
    assert value(loss="probabilities") == pytest.approx(1 / 16)
    assert value(loss="probabilities", label_weight=0.25) == pytest.approx(0.75 / 16 + 0.25 * np.log(4 / 3))


def test_standardised_logits_divide_each_class_by_the_spread_of_the_teacher():
    _, teacher, _ = batch()
    teacher[:, 2] = 4.0  # never moves
    targets = prepare(Recipe(loss="standardised-logits"), teacher)
    moving = [0, 1, 3, 4]
    np.testing.assert_allclose(targets.inverse_std[moving], 1 / teacher[:, moving].std(0), rtol=1e-5)
    assert targets.inverse_std[2] == np.float32(1e6)


@pytest.mark.parametrize("loss", SOFT)
def test_targets_are_float32_and_only_standardised_logits_are_scaled(loss):
    _, teacher, _ = batch()
    targets = prepare(Recipe(loss=loss), teacher)
    assert targets.values.dtype == targets.inverse_std.dtype == np.float32
    assert targets.values.shape == teacher.shape and targets.inverse_std.shape == (CLASSES,)
    assert (targets.inverse_std == 1).all() == (loss != "standardised-logits")


def test_labels_alone_need_no_teacher():
    assert prepare(Recipe(), None).values is None


def test_large_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0], [-1e4, 0.0]])
    np.testing.assert_array_equal(softmax(logits), [[1, 0], [0, 1]])
    teacher = logits[:, ::-1].astype(np.float32)
    for loss in LOSSES:
        recipe = Recipe(loss=loss)
        value, gradient = loss_and_gradient(recipe, logits, np.array([1, 0]), prepare(recipe, teacher))
        assert np.isfinite(value) and np.isfinite(gradient).all(), loss


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad):
    _, teacher, _ = batch()
    teacher[3, 1] = bad
    with pytest.raises(RequestError, match="not finite for 1 of 7 examples"):
        prepare(Recipe(loss="kl"), teacher)


@pytest.mark.parametrize("loss", SOFT)
def test_a_missing_teacher_is_refused(loss):
    with pytest.raises(RequestError, match=f"loss='{loss}' needs a teacher"):
        prepare(Recipe(loss=loss), None)
    logits, _, labels = batch()
    with pytest.raises(RequestError, match="no teacher's values"):
        loss_and_gradient(Recipe(loss=loss), logits, labels, Targets(None, np.ones(0, np.float32)))
