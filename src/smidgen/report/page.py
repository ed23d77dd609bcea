"""One run as one page: a self-contained HTML file that fetches nothing.

The template `report.html.j2` and its parts in `web/` read the result of the search, and a `PageView` of what the result
does not have as text. The script in `web/` makes the page alive.
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
from smidgen.report.measures import LABELS
from smidgen.report.page_script import page_json, program
from smidgen.report.png import data_uri
from smidgen.report.samples import is_made_as_mnist
from smidgen.report.view import MOST_WRONG_IMAGES, PageView


def write_page(view: PageView, path: Path) -> None:
    """Write the page. The file appears whole or not at all."""
    write_whole(path, render(view))


def render(view: PageView) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized,
        loader=FunctionLoader(_resource),
    )  # fmt: skip
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
    live = bool(view.networks)
    return environment.get_template("report.html.j2").render(
        view=view,
        result=view.result,
        chart=view.chart,
        how_chosen=how_chosen(view.result),
        wrong=view.wrong[:MOST_WRONG_IMAGES],
        version=smidgen.__version__,
        live=live,
        centred=live and is_made_as_mnist(view.result.data),
        labels=LABELS,
        page_json=page_json(view) if live else "",
        program=program() if live else "",
    )


def _resource(name: str) -> str:
    return files("smidgen.report").joinpath(*name.split("/")).read_text("utf-8")


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
