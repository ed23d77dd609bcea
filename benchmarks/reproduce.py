"""Reproduce the five documents from an empty store, in full and quickly, and write the results and their page.

    python benchmarks/reproduce.py --out results/2026-11-30-reproduce

Writes the folder (index.md and each document's table.csv, table.md and findings.md), the section "Results" of
docs/how-to/reproduce.md, and its pictures. With --store, trainings that it has are not repeated, and the times are not
stated. Time: an hour on two cores, most of it the large networks of mimic.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from evidence import ROOT, commit, new_folder, write_readme
from smidgen import api
from smidgen.studies import DOCUMENTS, Report
from smidgen.studies.output import page

PAGE = ROOT / "docs" / "how-to" / "reproduce.md"
SECTION = "## Results\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="a store to go on with")
    options = parser.parse_args()
    out = new_folder(options.out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        reports, whole = timed(folder / "full", options.store or folder / "full.sqlite")
        _, again = timed(folder / "again", options.store or folder / "full.sqlite")
        _, quick = timed(folder / "quick", folder / "quick.sqlite", quick=True)
        keep(folder / "full", out)
    times = f"It took {span(whole)} from an empty store, {span(again)} again, and {span(quick)} with `--quick`."
    if options.store:
        times = f"With a store that had trainings already; `--quick` takes {span(quick)}."
    each = "; ".join(f"{report.name} {span(report.seconds)}" for report in reports)
    what = "`index.md` has all tables and answers; `table.csv` of each document has a row for each training."
    text = f"{what}\n\n{times} {each}."
    write_readme(out, "The five documents", "the seeds in each cell, with the epochs", text)
    write_page(reports, out, times)


def timed(folder: Path, store: Path, quick: bool = False) -> tuple[list[Report], float]:
    """Reproduce all documents into a folder, and return the reports and the seconds."""
    began = time.perf_counter()
    reports = list(api.reproduce("all", quick=quick, out=folder, store=store))
    return reports, time.perf_counter() - began


def keep(folder: Path, out: Path) -> None:
    """Copy the texts into the results, and the pictures beside the page under the name of their document."""
    for old in PAGE.parent.glob("reproduce-*.png"):
        old.unlink()
    shutil.copy(folder / "index.md", out / "index.md")
    for document in DOCUMENTS:
        (out / document).mkdir()
        for path in sorted((folder / document).iterdir()):
            picture = path.suffix == ".png"
            shutil.copy(
                path, PAGE.parent / f"reproduce-{document}-{path.name}" if picture else out / document / path.name
            )


def write_page(reports: Sequence[Report], out: Path, times: str) -> None:
    """Replace the section of results in the page by the reports."""
    head, _, _ = PAGE.read_text("utf-8").partition(SECTION)
    name = out.resolve().relative_to(ROOT)
    made = f"Written at commit `{commit()}` by `python benchmarks/reproduce.py --out {name}` (`{name}/`). {times}\n"
    sections = [page(report, f"reproduce-{report.name}-").replace("## ", "### ", 1) for report in reports]
    PAGE.write_text("\n".join([f"{head}{SECTION}", made, *sections]), "utf-8")


def span(seconds: float) -> str:
    """Minutes and seconds: "29 minutes 54 seconds"."""
    return f"{int(seconds // 60)} minutes {seconds % 60:.0f} seconds"


if __name__ == "__main__":
    main()
