"""A PNG writer for the page's small images, so that the page needs no image library (PNG, 2nd edition, W3C 2003)."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR = 0, 2
"""Colour types of the format."""


def png_bytes(image: npt.NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file.

    Args:
        image: uint8 [height, width] or [channels, height, width]. Of 2 or more than 3 channels, the mean is shown.
    """
    pixels = image[None] if image.ndim == 2 else image
    channels, height, width = pixels.shape
    if channels not in (1, 3):
        pixels, channels = pixels.mean(axis=0, keepdims=True).astype(np.uint8), 1
    rows = np.ascontiguousarray(pixels.transpose(1, 2, 0)).reshape(height, width * channels)
    # Each row begins with its filter type; 0 is no filter.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows.astype(np.uint8)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, GREY if channels == 1 else COLOUR, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def with_text(png: bytes, keyword: str, text: str) -> bytes:
    """Return a PNG file with one more text chunk (tEXt, section 11.3.4.3) before its end; both texts are Latin-1."""
    end = len(png) - len(_chunk(b"IEND", b""))
    return png[:end] + _chunk(b"tEXt", f"{keyword}\0{text}".encode("latin-1")) + png[end:]


def data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return an image as a data URI, for the `src` of an HTML image."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
