"""Makes the text of a package's page from README.md: scikit-build-core asks for it when a package is built.

A package page has none of the repository's files, so a link to one of them would break. With SMIDGEN_HOME_URL set,
links and pictures get the address of the repository; without it, a link becomes its text and a picture is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

README = Path(__file__).parent.parent / "README.md"

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)\n*")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def dynamic_metadata(field: str, settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the readme of the package."""
    if field != "readme" or settings:
        raise RuntimeError(f"package_page makes the readme, without settings, and not {field}")
    text = page(README.read_text("utf-8"), os.environ.get("SMIDGEN_HOME_URL", ""))
    return {"content-type": "text/markdown", "text": text}


def page(text: str, home: str) -> str:
    """Return a README whose links and pictures lead to the repository at `home`, or nowhere if that is ""."""
    home = home.rstrip("/")

    def picture(found: re.Match[str]) -> str:
        if "://" in found[2]:
            return found[0]
        end = found[0][found[0].rindex(")") + 1 :]
        return f"![{found[1]}]({home}/raw/HEAD/{found[2]}){end}" if home else ""

    def link(found: re.Match[str]) -> str:
        if "://" in found[2]:
            return found[0]
        return f"[{found[1]}]({home}/blob/HEAD/{found[2]})" if home else found[1]

    return LINK.sub(link, PICTURE.sub(picture, text))
