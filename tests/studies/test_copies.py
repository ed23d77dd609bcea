"""Trainings on copies of the images."""

from __future__ import annotations

import numpy as np

from drawings import drawings
from smidgen.data.augment import COPY_AUGMENTATION, transformed_copies
from smidgen.engine import Examples, torch_engine
from smidgen.engine.torch_engine.affine import warp
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps
from smidgen.studies.teachers import COPIES, on_copies
from smidgen.studies.trainings import Bench, Job
from smidgen.trials.evaluate import TrainingContext


def test_copies_are_moved_as_the_engines_move_them() -> None:
    import torch

    images = np.random.default_rng(0).integers(0, 256, (7, 2, 9, 6), np.uint8)
    found = transformed_copies(images, COPIES, workers=2)
    assert found.dtype == np.uint8
    assert found.shape == (COPIES * 7, 2, 9, 6)
    np.testing.assert_array_equal(found[:7], images)
    for copy in range(1, COPIES):
        maps = torch.from_numpy(affine_maps(COPY_AUGMENTATION, 7, (9, 6), 0, copy))
        expected = warp(torch.from_numpy(images).float(), maps).numpy()
        np.testing.assert_allclose(found[7 * copy : 7 * copy + 7], expected, atol=0.501)  # rounded to a byte


def test_a_student_on_copies_learns_what_the_teacher_says_to_each(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"), "torch")
    spec = parse_spec("dense 10")
    teacher = bench.train(context, {"teacher": Job(spec, Recipe(epochs=2), 1)})["teacher"]
    job = Job(spec, Recipe("kl", epochs=3, learning_rate=0.01, batch_size=32), 1)
    found = on_copies(bench, context, teacher, {"student": job}, "copies: ")["student"]
    images = transformed_copies(np.asarray(context.dataset.train.images, np.uint8), COPIES)
    logits = torch_engine.predict(spec, teacher.outcomes[0].weights, images)
    labels = np.tile(context.dataset.train.labels, COPIES)
    expected = torch_engine.train(spec, job.recipe, Examples(images, labels, logits), 0)
    np.testing.assert_array_equal(found.outcomes[0].weights, expected.weights)
    assert found.trials[0].data_digest != context.dataset.digest
