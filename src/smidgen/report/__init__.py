"""Outcomes -> pictures (`pictures`, PNG by matplotlib) and one self-contained page (`page`, HTML).

`axes` decides ticks, limits and number texts for both; `chart` lays out the page's curve; `png` writes
the page's small images. Nothing here trains, reads a store or loads a data set: what is shown is handed in.
"""

from smidgen.report.page import (
    Coded,
    Comparison,
    LayerRow,
    Run,
    RunReport,
    Teacher,
    Tried,
    Winner,
    WrongImage,
    write_page,
)

__all__ = [
    "Coded",
    "Comparison",
    "LayerRow",
    "Run",
    "RunReport",
    "Teacher",
    "Tried",
    "Winner",
    "WrongImage",
    "write_page",
]
