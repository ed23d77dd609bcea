"""A folder of images for each class, read by Pillow: `folder/ant/1.png`, `folder/bee/1.png`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from smidgen.data.readers.base import NO_OPTIONS, Array, Contents, Raw, ReadOptions
from smidgen.data.readers.image_file import SUFFIXES, image_pixels, read_image
from smidgen.data.readers.limits import check_memory
from smidgen.errors import DataError

BYTES_PER_PIXEL = 6
"""A colour picture of bytes, which stands in memory twice while pictures are joined to one array."""


def read_image_folder(folder: Path, options: ReadOptions = NO_OPTIONS) -> Contents:
    """Read `folder/<class>/*.png`, or `folder/train/<class>` and `folder/test/<class>`; a class is named as its folder.

    `train` and `test` may be written in capitals. Other folders beside them are not read, because the validation split
    is cut from `train`, and this is said.

    Raises:
        DataError: A class has no images, or an image cannot be decoded or differs in size.
    """
    splits = _split_folders(folder)
    if "train" not in splits:
        return Contents(_read_classes(folder, options.resize))
    test = _read_classes(splits["test"], options.resize) if "test" in splits else None
    others = sorted(path.name for path in _folders(folder) if path not in splits.values())
    notes = [f"only train and test are read, and not {', '.join(others)}"] if others else []
    return Contents(_read_classes(splits["train"], options.resize), test, notes=tuple(notes))


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folders that are called train and test, in any case."""
    found: dict[str, Path] = {}
    for path in _folders(folder):
        name = path.name.lower()
        if name in found:
            raise DataError(f"{folder} has the folders {found[name].name} and {path.name}; leave one of them there")
        if name in ("train", "test"):
            found[name] = path
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read_classes(folder: Path, resize: tuple[int, int] | None) -> Raw:
    files: list[Path] = []
    classes = _folders(folder)
    if not classes:
        raise DataError(
            f"{folder} has no folders in it; put the images of each class in a folder with the name of the class"
        )
    for path in classes:
        _check_name(path)
        images = sorted(file for file in path.iterdir() if is_image(file))
        if not images:
            raise DataError(
                f"{path} has no images ({', '.join(SUFFIXES)}), and each folder in {folder} is a class; "
                "give another folder, put images there, or move it elsewhere"
            )
        files += images
    return Raw(_read_images(files, resize), np.array([file.parent.name for file in files]))


def _check_name(folder: Path) -> None:
    """Raise a DataError if a folder's name, which is to be the name of a class, is not text."""
    try:
        folder.name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the folder {os.fsencode(folder)!r} has a name that is not UTF-8; rename it") from error


def is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _read_images(files: list[Path], resize: tuple[int, int] | None) -> Array:
    """uint8 [n, height, width] if every image is grey, else [n, 3, height, width]; more bits keep their numbers."""
    pixels = len(files) * resize[0] * resize[1] if resize else sum(map(image_pixels, files))
    check_memory(
        pixels * BYTES_PER_PIXEL, f"the {len(files):,} images in {files[0].parent.parent}", "give --resize 32x32"
    )
    images = [read_image(file, resize) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"{files[0]} is {_size_text(images[0])} pixels and {file} is {_size_text(image)}; "
                "resize all images to one size, for example with --resize 32x32"
            )
        if image.dtype != images[0].dtype:
            raise DataError(
                f"{files[0]} has values of type {images[0].dtype} and {file} of type {image.dtype}; give all images "
                "the same number of bits"
            )
    if all(image.ndim == 2 for image in images):
        return np.stack(images)
    planes = [image.transpose(2, 0, 1) if image.ndim == 3 else np.stack([image] * 3) for image in images]
    return np.stack(planes)


def _size_text(image: Array) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
