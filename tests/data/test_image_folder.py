"""Folders with one folder of images for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_data import four, paint

from smidgen.data import facts_of, load
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
        with pytest.raises(DataError, match=r"cannot read .*1\.png: .*; replace or remove it"):
            load(tmp_path)


def save_classes(folder: Path, save: Callable[[Path, int], None], suffix: str = ".png") -> Path:
    """Save six pictures of each of two classes."""
    for number in range(12):
        path = folder / "ab"[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, number)
    return folder


def test_sixteen_bits_keep_their_numbers(tmp_path):
    values = np.arange(12 * 12, dtype=np.uint16).reshape(12, 3, 4) * 400
    save_classes(tmp_path, lambda path, number: Image.fromarray(values[number]).save(path))
    train = load(tmp_path).train
    order = [*range(0, 12, 2), *range(1, 12, 2)]  # class after class
    assert train.dtype == np.float32
    assert load(tmp_path).input_shape == (1, 3, 4)
    raw = load(tmp_path).input.to_units(train.images)[:, 0]
    np.testing.assert_allclose(raw, values[sorted(order, key=lambda n: (n % 2, str(n)))][train.rows], rtol=1e-5)
    paint(tmp_path / "a" / "8bit.png", 3)
    with pytest.raises(DataError, match=r"0\.png has values of type uint16 and .*8bit\.png of type uint8; give all"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tif", ".tiff", ".TIF"])
def test_formats_without_loss(tmp_path, suffix):
    pictures = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), np.uint8)
    how = {"lossless": True} if suffix == ".webp" else {}
    save_classes(tmp_path, lambda path, number: Image.fromarray(pictures[number]).save(path, **how), suffix)
    found = {image.tobytes() for split in four(load(tmp_path)) for image in split.images}
    assert found == {picture.transpose(2, 0, 1).tobytes() for picture in pictures}


def test_ink_in_alpha_alone_is_read_as_on_white_paper(tmp_path):
    alpha = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)

    def save(path: Path, number: int) -> None:
        ink = np.zeros((4, 4, 4), np.uint8)
        ink[:, :, 3] = alpha[number]
        Image.fromarray(ink, "RGBA" if number % 3 else None).save(path)

    data = load(save_classes(tmp_path, save))
    assert data.input_shape == (1, 4, 4)
    found = sorted(image.tobytes() for split in four(data) for image in split.images)
    assert found == sorted((255 - each).tobytes() for each in alpha)
    white = np.full((4, 4, 4), 255, np.uint8)
    white[:, :, 3] = alpha[0]
    Image.fromarray(white).save(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match=r"a.0\.png is white on a transparent ground.*save it on a dark ground"):
        load(tmp_path)


def test_a_palette_is_grey_or_colour_as_its_colours_are(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)
    save_classes(tmp_path / "grey", lambda path, n: Image.fromarray(values[n]).convert("P").save(path))
    assert load(tmp_path / "grey").input_shape == (1, 4, 4)
    red = np.stack([values, values * 0, values * 0], axis=3) // 64 * 64
    save_classes(tmp_path / "red", lambda path, n: Image.fromarray(red[n]).quantize(8).save(path))
    assert load(tmp_path / "red").input_shape == (3, 4, 4)


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    lying = np.random.default_rng(0).integers(0, 256, (12, 4, 6), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    data = load(save_classes(tmp_path, lambda path, n: Image.fromarray(lying[n]).save(path, exif=turned)))
    assert data.input_shape == (1, 6, 4)
    found = {image.tobytes() for split in four(data) for image in split.images}
    assert found == {np.rot90(each, -1).tobytes() for each in lying}


def test_train_and_test_in_capitals_and_what_is_not_read(tmp_path):
    for split in ("Train", "TEST", "valid"):
        save_classes(tmp_path / split, lambda path, n: paint(path, 20 * n))
    data = load(tmp_path)
    assert len(data.test) == 12
    assert "only train and test are read, and not valid" in facts_of(data)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="has the folders Train and train; leave one of them there"):
        load(tmp_path)


def test_classes_named_by_numbers_are_in_numerical_order(tmp_path):
    for number in range(11):
        for image in range(5):
            paint(tmp_path / str(number) / f"{image}.png", number)
    data = load(tmp_path)
    assert data.class_names == tuple(map(str, range(11)))
    assert (data.test.images[:, 0, 0, 0] == data.test.labels).all()


def test_another_format_behind_the_name_of_a_picture_is_not_decoded(tmp_path):
    paint(tmp_path / "a" / "0.png", 1)
    Image.new("L", (4, 3)).save(tmp_path / "a" / "1.eps", "EPS")
    (tmp_path / "a" / "1.eps").rename(tmp_path / "a" / "1.png")
    with pytest.raises(DataError, match=r"cannot read .*1\.png: cannot identify image file"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_regular_file_does_not_hang(tmp_path):
    paint(tmp_path / "a" / "0.png", 1)
    os.mkfifo(tmp_path / "a" / "1.png")
    with pytest.raises(DataError, match=r"1\.png is no regular file; replace or remove it"):
        load(tmp_path)
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"x\.csv is neither a file nor a folder"):
        load(tmp_path / "x.csv")


def test_a_folder_whose_name_is_not_text(tmp_path):
    paint(tmp_path / "a" / "0.png", 1)
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("the file system takes only UTF-8")
    with pytest.raises(DataError, match=r"the folder b'.*caf\\xe9' has a name that is not UTF-8; rename it"):
        load(tmp_path)


def test_images_larger_than_memory_are_refused_by_their_headers(tmp_path, monkeypatch):
    save_classes(tmp_path, lambda path, n: paint(path, 20 * n, size=(300, 200)))
    monkeypatch.setenv("SMIDGEN_MEMORY", "4300kB")
    message = r"the 12 images in .* needs? about 4\.3 MB of memory and at most 4\.3 MB are allowed; give --resize 32x32"
    with pytest.raises(DataError, match=message):
        load(tmp_path)
    assert load(tmp_path, resize=(8, 8)).input_shape == (1, 8, 8)


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
