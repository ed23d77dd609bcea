"""The default teacher fits every input; its logits are computed once and belong to their images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smidgen.data import Dataset, load
from smidgen.records import Outcome, Recipe, Trial
from smidgen.spec import Conv, Dense, parse_spec
from smidgen.teacher import context_with_teacher, default_recipe, default_spec, trained
from smidgen.teacher.trained import LAST_SIDE, LEAST_EPOCHS, LEAST_SIDE, MIN_STEPS, PARAMETERS_AN_IMAGE
from smidgen.trials.evaluate import TrainingContext, classify, evaluate
from smidgen.trials.store import Store

SPEC = parse_spec("conv 4x3x3 relu, maxpool 2, dense 10")


@pytest.fixture
def context(digits: Dataset) -> TrainingContext:
    return TrainingContext(digits)


@pytest.fixture
def teacher(context: TrainingContext) -> tuple[Trial, Outcome]:
    """A small teacher."""
    trial = context.trial(SPEC, Recipe(epochs=1), 0)
    return trial, evaluate(context, trial)


# --- the network ------------------------------------------------------------------------------


def test_on_mnist_it_is_small_and_sees_moved_pictures() -> None:
    assert 20_000 <= default_spec((1, 28, 28), 10, 50_000).parameters((1, 28, 28)) <= 60_000
    recipe = default_recipe(50_000, (1, 28, 28))
    assert recipe.augment.shift == 1 and recipe.average > 0.9
    assert not default_recipe(1_000, (3, 1, 128)).augment, "a signal is no picture"


@pytest.mark.parametrize("shape", [(3, 40, 32), (1, 8, 8), (6, 1, 1), (3, 1, 128)])
def test_on_fewer_images_it_is_smaller(shape: tuple[int, int, int]) -> None:
    sizes = [default_spec(shape, 3, images).parameters(shape) for images in (100, 1_000, 50_000)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert sizes[0] <= 100 * PARAMETERS_AN_IMAGE


def test_a_signal_and_a_picture_get_convolutions_and_a_vector_none() -> None:
    kernels = {
        shape: [layer.kernel for layer in default_spec(shape, 4, 5_000).layers if isinstance(layer, Conv)]
        for shape in ((3, 1, 128), (1, 28, 28), (40, 1, 1))
    }
    assert set(kernels[3, 1, 128]) == {(1, 5)} and set(kernels[1, 28, 28]) == {(3, 3)} and not kernels[40, 1, 1]


@given(
    channels=st.sampled_from((1, 3, 5)),
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    classes=st.integers(2, 30),
    images=st.sampled_from((10, 1_000, 50_000)),
)
@example(channels=1, height=6, width=300, classes=2, images=1_000)
@example(channels=3, height=224, width=224, classes=255, images=1_000)
@example(channels=1, height=1, width=5_000, classes=2, images=1_000)
@example(channels=784, height=1, width=1, classes=10, images=1_000)
def test_it_fits_every_input(channels: int, height: int, width: int, classes: int, images: int) -> None:
    shape = (channels, height, width)
    spec = default_spec(shape, classes, images)
    spec.check_head(shape, classes)
    first_dense = next(plan for plan in spec.plan(shape) if isinstance(plan.layer, Dense))
    if min(height, width) >= LEAST_SIDE:
        assert max(first_dense.input_shape[1:]) <= LAST_SIDE, "large maps are halved until a dense layer can take them"


@given(st.integers(1, 1_000_000))
def test_small_data_is_seen_more_often(images: int) -> None:
    recipe = default_recipe(images, (1, 28, 28))
    assert recipe.epochs * recipe.steps(images) >= MIN_STEPS
    assert recipe.epochs >= default_recipe(2 * images, (1, 28, 28)).epochs >= LEAST_EPOCHS
    assert not recipe.needs_teacher


# --- its logits -------------------------------------------------------------------------------


def test_each_image_has_its_own_logits(
    context: TrainingContext, teacher: tuple[Trial, Outcome], own_store: Path
) -> None:
    trial, outcome = teacher
    with Store(own_store) as store:
        with_teacher = context_with_teacher(store, context, trial, outcome)
    assert with_teacher.teacher_key == trial.key
    assert with_teacher.teacher_logits is not None
    assert with_teacher.teacher_logits.shape == (len(context.dataset.train), 10)
    train = context.dataset.train
    for image in (0, 17, len(train) - 1):
        alone = replace(train, images=train.images[image : image + 1], labels=train.labels[image : image + 1])
        expected = classify(context, trial.spec, outcome.weights, alone)[0]
        np.testing.assert_allclose(with_teacher.teacher_logits[image], expected, rtol=1e-4, atol=1e-5)


def test_they_are_computed_once_for_a_teacher_and_a_data_set(
    context: TrainingContext, teacher: tuple[Trial, Outcome], own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, outcome = teacher
    calls: list[str] = []

    def counted(context: TrainingContext, *rest: object) -> np.ndarray:
        calls.append(context.dataset.digest)
        return classify(context, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(trained, "classify", counted)
    other = TrainingContext(load("digits", split_seed=1))
    with Store(own_store) as store:
        first = context_with_teacher(store, context, trial, outcome).teacher_logits
        second = context_with_teacher(store, context, trial, outcome).teacher_logits
        assert calls == [context.dataset.digest]
        assert first is not None and second is not None
        assert first.tobytes() == second.tobytes()
        elsewhere = context_with_teacher(store, other, trial, outcome).teacher_logits
        assert calls == [context.dataset.digest, other.dataset.digest]
    assert elsewhere is not None
    assert elsewhere.tobytes() != first.tobytes()


def test_a_student_comes_to_agree_with_its_teacher(context: TrainingContext, own_store: Path) -> None:
    """Also where the teacher is wrong: labels that mean nothing take no part in a loss of logits alone."""
    trial = context.trial(parse_spec("dense 16 relu, dense 10"), Recipe(epochs=20), 0)
    outcome = evaluate(context, trial)
    with Store(own_store) as store:
        with_teacher = context_with_teacher(store, context, trial, outcome)
    data = context.dataset
    blank = replace(data, train=replace(data.train, labels=np.zeros_like(data.train.labels)))
    student = evaluate(replace(with_teacher, dataset=blank), with_teacher.trial(SPEC, Recipe(loss="kl", epochs=20), 1))
    assert student.validation.rate > 0.8
