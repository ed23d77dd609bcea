"""Packages that only some uses need, and the extra of `pip install 'smidgen[EXTRA]'` that brings each."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {"matplotlib": "plots", "pandas": "frames", "pillow": "images", "pyarrow": "tables"}


def can_draw() -> bool:
    """Return whether matplotlib, which draws the pictures, is installed."""
    return find_spec("matplotlib") is not None


def install_line(package: str) -> str:
    """Return what to type to get a package."""
    return f"pip install 'smidgen[{EXTRAS[package]}]'"


NO_PICTURES = f"no pictures were drawn, because matplotlib is not installed; {install_line('matplotlib')}"
