"""The documents that raised the question, reproduced: table by table, from their recipes, beside ours.

    for report in run("reduce-cnn", quick=True):
        write(report, Path("reproduced"))

Everything that is trained is a trial in the store, so a second run takes seconds and one that was killed goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from smidgen.atomic_files import draft_folder, write_whole
from smidgen.data import Dataset, load
from smidgen.errors import RequestError
from smidgen.reporter import Reporter
from smidgen.studies import deep_compression, logit_regression, mimic, reduce_cnn, width_sweeps
from smidgen.studies.table import NOTHING, Document, Finding, Report, Table, csv_text, findings_text, markdown, page
from smidgen.studies.trainings import EFFORTS, Bench, Effort
from smidgen.trials.store import Store, default_path
from smidgen.trials.study import Study

__all__ = ["DOCUMENTS", "Finding", "Report", "Table", "run", "write", "write_index"]

DOCUMENTS: dict[str, Document] = {
    "logit-regression": logit_regression.DOCUMENT,
    "width-sweeps": width_sweeps.DOCUMENT,
    "mimic": mimic.DOCUMENT,
    "reduce-cnn": reduce_cnn.DOCUMENT,
    "deep-compression": deep_compression.DOCUMENT,
}


def run(
    name: str,
    *,
    quick: bool = False,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
    data: Callable[[str], Dataset] = load,
    effort: Effort | None = None,
) -> Iterator[Report]:
    """Reproduce a document, or "all" of them; each report comes as soon as it is there.

    quick: fewer epochs and seeds, and the large networks left out; the report says so
    data: gives a data set by name; effort: instead of what `quick` says

    Raises:
        RequestError: no such document.
    """
    names = wanted(name)
    spend = effort or EFFORTS["quick" if quick else "full"]
    return _run(names, spend, store, workers, engine, reporter, data)


def wanted(name: str) -> tuple[str, ...]:
    """The documents that a name means.

    Raises:
        RequestError: no such document.
    """
    if name == "all":
        return tuple(DOCUMENTS)
    if name not in DOCUMENTS:
        near = get_close_matches(name, DOCUMENTS, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise RequestError(f"no document '{name}'{hint}; use one of {', '.join(DOCUMENTS)}, or all")
    return (name,)


def _run(
    names: Sequence[str],
    effort: Effort,
    store: Store | None,
    workers: int | None,
    engine: str,
    reporter: Reporter | None,
    data: Callable[[str], Dataset],
) -> Iterator[Report]:
    sets: dict[str, Dataset] = {}
    with store or Store(default_path()) as opened:
        for name in names:
            document = DOCUMENTS[name]
            sets |= {each: data(each) for each in document.data if each not in sets}
            yield _reproduce(document, Bench(Study(opened, workers, reporter), effort, engine), sets)


def _reproduce(document: Document, bench: Bench, sets: Mapping[str, Dataset]) -> Report:
    began = time.perf_counter()
    report = document.reproduce(bench, sets)
    return replace(
        report,
        notes=(*report.notes, *cut(bench)),
        findings=tuple(cautious(finding, bench.effort) for finding in report.findings),
        seconds=time.perf_counter() - began,
        trained=bench.study.trained,
        remembered=bench.study.remembered,
    )


def cautious(finding: Finding, effort: Effort) -> Finding:
    """The finding, and in its own words that epochs were cut, where it stands beside published figures."""
    if effort.whole or not finding.against_published or finding.answer == NOTHING:
        return finding
    share = f"{100 * effort.epoch_share:.0f} %"
    return replace(finding, answer=f"After {share} of the epochs, so no test of what was published. {finding.answer}")


def cut(bench: Bench) -> tuple[str, ...]:
    """What the effort left out, as a note; none for a full run that trained everything."""
    effort = bench.effort
    notes = []
    if not effort.whole:
        notes.append(
            f"Effort '{effort.name}': {100 * effort.epoch_share:.0f} % of the epochs, at most {effort.most_seeds} "
            f"seed{'s' if effort.most_seeds > 1 else ''}, nothing on the validation images too; these are not the "
            "figures to quote."
        )
    if bench.left_out:
        notes.append(f"Left out: {'; '.join(bench.left_out)}.")
    return tuple(notes)


# --- on disk -----------------------------------------------------------------------------------------


def write(report: Report, folder: Path) -> list[Path]:
    """Write table.csv, table.md, findings.md and the pictures into `folder` / the document's name.

    Raises:
        RequestError: the folder cannot be written to.
    """
    place = folder / report.name
    texts = {
        "table.csv": csv_text(report),
        "table.md": "\n".join(map(markdown, report.tables)),
        "findings.md": findings_text(report.findings),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        with draft_folder(place) as draft:
            for file, text in texts.items():
                (draft / file).write_text(text, encoding="utf-8")
            for picture in report.pictures:
                picture.draw(draft / picture.file)
    except OSError as error:
        raise RequestError(f"cannot write to {place}: {error.strerror or error}; give another --out") from error
    return [place / file for file in (*texts, *(picture.file for picture in report.pictures))]


def write_index(reports: Sequence[Report], folder: Path) -> Path:
    """Write index.md, everything on one page, beside the documents' folders."""
    path = folder / "index.md"
    pages = (page(report, f"{report.name}/") for report in reports)
    write_whole(path, "\n".join(["# Reproduced\n", *pages]))
    return path
