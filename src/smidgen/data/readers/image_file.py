"""One picture file becomes an array, in training and in prediction alike. Pillow decodes it, in the documented formats.

Pillow decides by content, so an EPS file that is called .png would reach Ghostscript; it may try these alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smidgen.data.readers.base import Array, decoding, import_optional
from smidgen.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
"""What Pillow may take a file for."""
REMEDY = "replace or remove it"
GREY_MODES = ("1", "L", "LA", "La")


def read_image(path: Path, resize: tuple[int, int] | None = None, channels: int | None = None) -> Array:
    """Read a picture: turned as its EXIF says, on white where it is transparent.

    Args:
        path: The file.
        resize: (height, width) in pixels; each new pixel is the mean of what it covers. None leaves it as it is.
        channels: 1 for grey, 3 for colour, None for what the picture has.

    Returns:
        uint8 [height, width] for grey and [height, width, 3] for colour; [height, width] in the file's own numbers for
        more than 8 bits of grey.

    Raises:
        DataError: The file is none of the formats, is damaged or too large, or shows nothing on white.
    """
    pillow, operations = (import_optional(f"PIL.{name}", "pillow", path) for name in ("Image", "ImageOps"))
    with _opened(path) as opened:
        turned = operations.exif_transpose(opened)  # a copy, so the file is decoded here
    image = _plain(turned, path)
    if channels is not None and image.mode in ("L", "RGB"):
        image = image.convert("L" if channels == 1 else "RGB")
    if resize is not None and image.size != resize[::-1]:
        image = image if image.mode in ("L", "RGB") else image.convert("F")
        image = image.resize(resize[::-1], pillow.Resampling.BOX)
    return np.array(image)


def image_pixels(path: Path) -> int:
    """Return the number of pixels that a picture's header states; nothing is decoded.

    Raises:
        DataError: The file is none of the formats, or states more pixels than Pillow reads.
    """
    with _opened(path) as image:
        width, height = image.size
        return int(width * height)


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    pillow = import_optional("PIL.Image", "pillow", path)
    if not path.is_file():
        raise DataError(f"{path} is no regular file; {REMEDY}")
    with decoding(path, REMEDY), warnings.catch_warnings():
        # Pillow warns of a picture that takes very much memory, and reads it; here it is refused.
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        with pillow.open(path, formats=FORMATS) as image:
            yield image


def _plain(image: Image, path: Path) -> Image:
    """The picture in mode L, RGB, or one of more than 8 bits: without palette and transparency."""
    if image.mode[0] in "IF":
        return image
    if image.has_transparency_data:
        flat = _on_white(image.convert("RGBA"), path)
    elif image.mode in (*GREY_MODES, "RGB"):
        return image.convert("L" if image.mode in GREY_MODES else "RGB")
    else:
        flat = image.convert("RGB")
    values = np.asarray(flat)
    return flat.convert("L") if (values == values[:, :, :1]).all() else flat


def _on_white(image: Image, path: Path) -> Image:
    """A transparent picture on white paper, as viewers show it."""
    pillow = import_optional("PIL.Image", "pillow", path)
    flat: Image = pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image).convert("RGB")
    values, alpha = np.asarray(flat), np.asarray(image.getchannel("A"))
    if (values == values[0, 0]).all() and (alpha != alpha[0, 0]).any():
        raise DataError(f"{path} is white on a transparent ground, which is read as white; save it on a dark ground")
    return flat
