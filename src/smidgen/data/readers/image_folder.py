"""A folder of images for each class, read by Pillow: `folder/ant/1.png`, `folder/bee/1.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, Raw, ReadOptions, import_optional
from smidgen.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_GREY_MODES = ("1", "L", "LA")


def read_image_folder(folder: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read `folder/<class>/*.png`, or `folder/train/<class>` and `folder/test/<class>`; a class is named as its folder.

    Other folders beside `train` and `test` are ignored: the validation split is cut from `train`.

    Raises:
        DataError: A class has no images, or an image cannot be decoded or differs in size.
    """
    train, test = folder / "train", folder / "test"
    if not train.is_dir():
        return Contents(_read_classes(folder, options.resize))
    test_split = _read_classes(test, options.resize) if test.is_dir() else None
    return Contents(_read_classes(train, options.resize), test_split)


def _read_classes(folder: Path, resize: tuple[int, int] | None) -> Raw:
    files: list[Path] = []
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataError(
            f"{folder} has no folders in it; put the images of each class in a folder with the name of the class"
        )
    for path in classes:
        images = sorted(file for file in path.iterdir() if _is_image(file))
        if not images:
            raise DataError(
                f"{path} has no images ({', '.join(IMAGE_SUFFIXES)}), and each folder in {folder} is a class; "
                "give another folder, put images there, or move it elsewhere"
            )
        files += images
    return Raw(_read_images(files, resize), np.array([file.parent.name for file in files]))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _read_images(files: list[Path], resize: tuple[int, int] | None) -> Array:
    """uint8 [n, height, width] if every image is grey, else [n, 3, height, width]."""
    pillow = import_optional("PIL.Image", "pillow", files[0])
    images = [_decode(pillow, file, resize) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"{files[0]} is {_size_text(images[0])} pixels and {file} is {_size_text(image)}; "
                "resize all images to one size, for example with --resize 32x32"
            )
    if all(image.ndim == 2 for image in images):
        return np.stack(images)
    planes = [image.transpose(2, 0, 1) if image.ndim == 3 else np.stack([image] * 3) for image in images]
    return np.stack(planes)


def _decode(pillow: Any, file: Path, resize: tuple[int, int] | None) -> Array:
    try:
        with pillow.open(file) as image:
            if image.mode[0] in "IF":
                raise DataError(f"{file} has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits")
            converted = image.convert("L" if image.mode in _GREY_MODES else "RGB")
            if resize is not None and converted.size != resize[::-1]:
                # The box filter, as when an image is classified: each new pixel is the mean of what it covers.
                converted = converted.resize(resize[::-1], pillow.Resampling.BOX)
            return np.asarray(converted)
    # Pillow raises SyntaxError for broken PNG chunks.
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise DataError(f"cannot decode the image {file}: {error}; replace or remove it") from error


def _size_text(image: Array) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
