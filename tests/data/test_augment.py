"""Augmented copies of the training images: what is transformed, what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.arguments import dataset
from smidgen.data import Dataset, augment, from_arrays, usual_copies, with_copies
from smidgen.data.augment import COPY_AUGMENTATION, transformed
from smidgen.errors import RequestError
from smidgen.reporter import SilentReporter
from smidgen.search.effort import EFFORTS, epochs_of
from smidgen.search.teacher_stage import teacher_trial
from smidgen.streams import affine_maps
from smidgen.trials.evaluate import TrainingContext


class Heard(SilentReporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said = list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)


def test_the_first_copy_is_the_images_and_the_others_are_near_them(digits: Dataset) -> None:
    made = with_copies(digits, 3, workers=2)
    count = len(digits.train)
    assert made.train.images.shape == (3 * count, *digits.input_shape)
    np.testing.assert_array_equal(made.train.images[:count], digits.train.images)
    np.testing.assert_array_equal(made.train.labels, np.tile(digits.train.labels, 3))
    for copy in (1, 2):
        moved = made.train.images[copy * count : (copy + 1) * count].astype(np.int32)
        apart = np.abs(moved - digits.train.images).mean()
        others = np.abs(np.roll(digits.train.images, 1, axis=0).astype(np.int32) - digits.train.images).mean()
        assert 0 < apart < others


def test_all_other_splits_stay_and_the_digest_tells_them_apart(digits: Dataset) -> None:
    made = with_copies(digits, 2)
    assert made.selection is digits.selection and made.confirmation is digits.confirmation and made.test is digits.test
    assert len({digits.digest, made.digest, with_copies(digits, 3).digest}) == 3
    assert with_copies(digits, 1) is digits


def test_the_copies_are_made_when_they_are_first_read(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then their number, shape and digest are known, so that stored trainings are found without them."""
    made = with_copies(digits, 2)
    monkeypatch.setattr(augment, "transformed_copies", lambda *_: pytest.fail("the copies were made too early"))
    assert (len(made.train), made.train.shape) == (2 * len(digits.train), (2 * len(digits.train), 1, 8, 8))
    assert (made.input_shape, made.train.dtype, len(made.digest)) == ((1, 8, 8), np.uint8, 64)
    monkeypatch.undo()
    assert made.train.images.shape == made.train.shape
    assert made.train.images is made.train.images


@pytest.mark.parametrize("count", [0, -1, 65])
def test_a_number_of_copies_that_cannot_be_is_refused(digits: Dataset, count: int) -> None:
    with pytest.raises(RequestError, match=f"copies={count} must be from 1 to 64"):
        with_copies(digits, count)


def test_vectors_cannot_be_transformed() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    vectors = from_arrays(generator.normal(size=(60, 5)), labels, "vectors")
    with pytest.raises(RequestError, match="vectors has no images of at least 2x2 pixels to transform"):
        with_copies(vectors, 2)


@pytest.mark.parametrize("channels", [1, 2, 16])
def test_pictures_in_floats_of_any_channels_move_as_bytes_do_and_keep_their_range(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, channels, 9, 9)).astype(np.uint8)
    maps = affine_maps(COPY_AUGMENTATION, 12, (9, 9), 0, 1)
    floats = (pixels / 127.5 - 1).astype(np.float32)
    moved = transformed(floats, maps)
    inner = (slice(None), slice(None), slice(3, 6), slice(3, 6))
    np.testing.assert_allclose(moved[inner], transformed(pixels, maps)[inner] / 127.5 - 1, atol=0.5 / 127 + 1e-6)
    assert moved.dtype == np.float32 and np.abs(moved).max() <= 1 + 1e-6


def test_few_pictures_get_copies_unless_the_user_says_otherwise() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (60, 16, 20)).astype(np.uint8)
    labels = np.arange(60) % 3
    said = Heard()
    data = dataset((pictures, labels), copies=None, reporter=said)
    assert (len(data.train), data.copies) == (4 * 36, 4)
    assert "36 training images are few: 4 copies of each, moved a little; --copies 1 has none" in said.said
    assert len(dataset((pictures, labels), copies=1).train) == 36
    for others in (pictures[:, :8, :8], pictures.reshape(60, -1), np.repeat(pictures, 60, axis=0)):
        assert usual_copies(from_arrays(others, np.resize(labels, len(others)))) == 1


def test_copies_are_passed_as_often_less_and_the_teacher_is_sized_to_what_was_given(digits: Dataset) -> None:
    more = with_copies(digits, 4)
    quick = EFFORTS["quick"]
    steps = [epochs_of(quick, "long", len(data.train), data.copies) for data in (digits, more)]
    assert steps == [300, 75]
    teachers = [teacher_trial(TrainingContext(data), 0).spec for data in (digits, more)]
    assert teachers[0] == teachers[1]
