"""The result of a search as a notebook shows it: with its page inline."""

from __future__ import annotations

import html
from dataclasses import dataclass, fields

from smidgen.report.folder import float_file_bytes
from smidgen.report.page import render
from smidgen.report.view import PageView
from smidgen.search.result import ShrinkResult

FRAME = (
    '<iframe srcdoc="{page}" title="{title}" sandbox="allow-scripts" loading="lazy" '
    'style="width:100%;height:900px;border:1px solid #8888;border-radius:8px"></iframe>'
)
"""The page in a frame of its own: neither its style nor its script reaches the notebook."""


@dataclass(frozen=True, eq=False)
class Answer(ShrinkResult):
    """The result of a search, with a rich display.

    Attributes:
        samples: Whether the display may hold test samples.
        command: The command line that the display shows; "" for none.
    """

    samples: bool = True
    command: str = ""

    @classmethod
    def of(cls, result: ShrinkResult, *, samples: bool = True, command: str = "") -> Answer:
        """Return a result with a rich display."""
        known = {field.name: getattr(result, field.name) for field in fields(result)}
        return cls(**known, samples=samples, command=command)

    def _repr_html_(self) -> str:
        """Return the page in a frame, for a notebook."""
        view = PageView.of(self, float_file_bytes(self), self.command, samples=self.samples)
        return FRAME.format(page=html.escape(render(view)), title=html.escape(self.headline))
