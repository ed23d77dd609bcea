"""One run as one page: a self-contained HTML file that fetches nothing.

The template `report.html.j2` reads the result of the search, and a `PageView` of what the result does not have as text.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from statistics import median

import smidgen
from smidgen.atomic_files import write_whole
from smidgen.foreign_text import shown
from smidgen.report.axes import count_text, interval_text, percent_text, short_percent_text
from smidgen.report.choice import how_chosen
from smidgen.report.png import data_uri
from smidgen.report.view import PageView

MOST_WRONG_IMAGES = 40


def write_page(view: PageView, path: Path) -> None:
    """Write the page. The file appears whole or not at all."""
    write_whole(path, render(view))


def render(view: PageView) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized
    )
    environment.filters |= {
        "count": count_text,
        "percent": percent_text,
        "short_percent": short_percent_text,
        "interval": interval_text,
        "unbroken": _unbroken,
        "bytes": _bytes_text,
        "seconds": _seconds_text,
        "median": median,
        "data_uri": data_uri,
    }
    template = environment.from_string(files("smidgen.report").joinpath("report.html.j2").read_text("utf-8"))
    return template.render(
        view=view,
        result=view.result,
        chart=view.chart,
        how_chosen=how_chosen(view.result),
        wrong=view.wrong[:MOST_WRONG_IMAGES],
        version=smidgen.__version__,
    )


def _finalized(value: object) -> object:
    """Escape characters without a shape in every text that the page shows."""
    return shown(value) if type(value) is str else value


def _unbroken(text: str) -> str:
    """Join every " %" to its number by a no-break space."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _bytes_text(size_bytes: int) -> str:
    return f"{size_bytes:,} bytes" if size_bytes < 10_000 else f"{size_bytes / 1000:,.1f} kB"


def _seconds_text(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
