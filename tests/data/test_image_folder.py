"""Folders with one folder of images for each class."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sample_data import four, paint

from smidgen.data import load
from smidgen.errors import DataError


def test_class_folders(tmp_path):
    for index in range(6):
        paint(tmp_path / "ant" / f"{index}.png", 10 + index)
        paint(tmp_path / "bee" / f"{index}.PNG", 20 + index)
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    dataset = load(tmp_path)
    assert dataset.class_names == ("ant", "bee")
    assert dataset.input_shape == (1, 3, 4)
    for split in four(dataset):
        assert (split.images[:, 0, 0, 0] // 10 - 1).tolist() == split.labels.tolist()


def test_class_folders_with_colour_and_a_test_split(tmp_path):
    for index in range(6):
        paint(tmp_path / "train" / "ant" / f"{index}.png", (1, 2, 3), mode="RGB")
        paint(tmp_path / "train" / "bee" / f"{index}.png", 9)
    paint(tmp_path / "test" / "bee" / "0.png", (4, 5, 6), mode="RGB")
    dataset = load(tmp_path)
    assert dataset.input_shape == (3, 3, 4)
    assert dataset.test.images[0, :, 0, 0].tolist() == [4, 5, 6]
    assert dataset.test.labels.tolist() == [1]
    assert {tuple(image[:, 0, 0]) for image in dataset.train.images} == {(1, 2, 3), (9, 9, 9)}


def test_jpeg_is_decoded(tmp_path):
    for name, grey in (("ant", 0), ("bee", 255)):
        for index in range(5):
            paint(tmp_path / name / f"{index}.jpg", grey)
    assert set(load(tmp_path).train.images.reshape(-1).tolist()) == {0, 255}


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"has no folders in it; put the images of each class in a folder"):
        load(tmp_path)


def test_folder_with_one_class(tmp_path):
    for index in range(6):
        paint(tmp_path / "ant" / f"{index}.png", index)
    with pytest.raises(DataError, match=r"number of classes is 1 \(one is 'ant'\)"):
        load(tmp_path)


def test_class_without_images(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1)
    (tmp_path / "bee").mkdir()
    with pytest.raises(DataError, match=r"bee has no images \(\.png, .*\), and each folder in .* move it elsewhere"):
        load(tmp_path)


def test_images_of_two_sizes(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1)
    paint(tmp_path / "bee" / "0.png", 1, size=(8, 9))
    with pytest.raises(DataError, match=r"0\.png is 4x3 pixels and .*bee.*0\.png is 8x9; resize all images"):
        load(tmp_path)


def test_image_that_cannot_be_decoded(tmp_path):
    paint(tmp_path / "ant" / "0.png", 1, size=(90, 90))
    content = (tmp_path / "ant" / "0.png").read_bytes()
    for broken in (b"junk", content[:60], b""):
        (tmp_path / "ant" / "1.png").write_bytes(broken)
        with pytest.raises(DataError, match=r"cannot decode the image .*1\.png: .*; replace or remove it"):
            load(tmp_path)


def test_image_of_sixteen_bits(tmp_path):
    paint(tmp_path / "ant" / "0.png", 40_000, mode="I;16")
    with pytest.raises(DataError, match=r"0\.png has more than 8 bits a channel \(mode I;16\); convert it to 8 bits"):
        load(tmp_path)


def test_pictures_are_brought_to_one_size(tmp_path):
    for number in range(6):
        paint(tmp_path / "ant" / f"{number}.png", 10 * number, size=(8 + number, 12))
        paint(tmp_path / "bee" / f"{number}.png", 200, size=(4, 6))
    data = load(tmp_path, resize=(6, 4))
    assert data.input_shape == (1, 6, 4)
    with pytest.raises(DataError, match="--resize 32x32"):
        load(tmp_path)


def test_a_picture_that_is_made_smaller_is_the_mean_of_what_it_was(tmp_path):
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    data = load(tmp_path, resize=(4, 4))
    means = picture.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(data.train.images[0, 0], means, atol=1)
