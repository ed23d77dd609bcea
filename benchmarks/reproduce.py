"""Reproduce the five documents from an empty store, in full and quickly, and write the results and their page.

    python benchmarks/reproduce.py --out results/2026-11-30-reproduce

Writes the folder (index.md and each document's table.csv, table.md and findings.md), everything below the heading
"Results" of docs/how-to/reproduce.md, and its pictures, which are not in the folder. With --store, trainings that it
has are not repeated, and the times are not stated. Time: more than an hour on two cores, most of it large networks.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evidence import COMMIT, ROOT, new_folder, write_readme
from smidgen import api
from smidgen.studies import Report, write_index
from smidgen.studies.output import page
from smidgen.studies.published import figures

PAGE = ROOT / "docs" / "how-to" / "reproduce.md"
SECTION = "## Results\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="a store to go on with")
    options = parser.parse_args()
    if (ROOT / "results") not in options.out.resolve().parents:
        parser.error(f"--out {options.out} is not a folder in {ROOT / 'results'}, which the page could name")
    out = new_folder(options.out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        reports, whole = timed(folder / "full", options.store or folder / "full.sqlite")
        _, again = timed(folder / "again", options.store or folder / "full.sqlite")
        _, quick = timed(folder / "quick", folder / "quick.sqlite", quick=True)
        keep(reports, folder / "full", out)
    times = f"It took {span(whole)} from an empty store, {span(again)} again, and {span(quick)} with `--quick`."
    if options.store:
        times = f"With a store that had trainings already; `--quick` takes {span(quick)}."
    write_readme(out, "The five documents", "the seeds in each cell, with the epochs", about(reports, times))
    write_page(reports, out, times)


def about(reports: Sequence[Report], times: str) -> str:
    """Say what the folder has, how long each document took, and the sizes that README.md compares files with."""
    each = "; ".join(f"{report.name} {span(report.seconds)}" for report in reports)
    sizes = " and ".join(figure.text for figure in figures("deep-compression") if figure.name == "size")
    return (
        "`index.md` has all tables and answers; `table.csv` of each document has a row for each training. The pictures "
        f"are in `docs/how-to/`.\n\n{times} {each}.\n\n"
        f"The paper's own files of the two networks of Deep Compression have {sizes} KB (its table 1)."
    )


def timed(folder: Path, store: Path, quick: bool = False) -> tuple[list[Report], float]:
    """Reproduce all documents into a folder, and return the reports and the seconds."""
    began = time.perf_counter()
    reports = list(api.reproduce("all", quick=quick, out=folder, store=store))
    return reports, time.perf_counter() - began


def keep(reports: Sequence[Report], folder: Path, out: Path) -> None:
    """Copy the texts into the results, and the pictures beside the page under the name of their document."""
    for old in PAGE.parent.glob("reproduce-*.png"):
        old.unlink()
    write_index([replace(report, pictures=()) for report in reports], out)
    for report in reports:
        (out / report.name).mkdir()
        for path in sorted((folder / report.name).iterdir()):
            picture = path.suffix == ".png"
            shutil.copy(path, PAGE.parent / f"{prefix(report)}{path.name}" if picture else out / report.name)


def prefix(report: Report) -> str:
    """What the names of a document's pictures begin with, beside the page."""
    return f"reproduce-{report.name}-"


def write_page(reports: Sequence[Report], out: Path, times: str) -> None:
    """Replace the section of results in the page by the reports."""
    head, _, _ = PAGE.read_text("utf-8").partition(SECTION)
    name = out.resolve().relative_to(ROOT)
    made = f"Written at commit `{COMMIT}` by `python benchmarks/reproduce.py --out {name}` (`{name}/`). {times}\n"
    sections = [page(report, prefix(report)).replace("## ", "### ", 1) for report in reports]
    PAGE.write_text("\n".join([f"{head}{SECTION}", made, *sections]), "utf-8")


def span(seconds: float) -> str:
    """Minutes and seconds: "29 minutes 54 seconds"."""
    return f"{int(seconds // 60)} minutes {seconds % 60:.0f} seconds"


if __name__ == "__main__":
    main()
