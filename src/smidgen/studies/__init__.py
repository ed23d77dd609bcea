"""Reproduce the five documents that raised the question, table by table, beside our recipes.

    for report in run("reduce-cnn", quick=True):
        write(report, Path("reproduced"))

Every training is a trial in the store: a second run takes seconds, and one that was killed goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from smidgen.data import Dataset, load
from smidgen.errors import RequestError
from smidgen.reporter import Reporter
from smidgen.studies import deep_compression, logit_regression, mimic, reduce_cnn, width_sweeps
from smidgen.studies.document import Document, Finding, Report, Table
from smidgen.studies.output import write, write_index
from smidgen.studies.trainings import EFFORTS, Bench, Effort
from smidgen.trials.store import Store, open_store
from smidgen.trials.study import Study

__all__ = ["DOCUMENTS", "Finding", "Report", "Table", "run", "wanted", "write", "write_index"]

DOCUMENTS: dict[str, Document[Any]] = {
    module.DOCUMENT.name: module.DOCUMENT
    for module in (logit_regression, width_sweeps, mimic, reduce_cnn, deep_compression)
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
    """Reproduce one document, or all of them, and yield each report when it is complete.

    Args:
        name: The document's name, or "all".
        quick: Train fewer epochs and seeds, and leave out the large networks; the report says so.
        store: Where trials are kept; the default store if None.
        workers: Threads; all cores if None.
        engine: "auto", "native" or "torch".
        reporter: Receives progress.
        data: Loads a data set by its name.
        effort: Limits of the cost, instead of those that `quick` chooses.

    Raises:
        RequestError: There is no such document.
    """
    names, load_once = wanted(name), cache(data)
    limits = effort or EFFORTS["quick" if quick else "full"]

    def reports() -> Iterator[Report]:
        with open_store(store) as opened:
            for document in map(DOCUMENTS.__getitem__, names):
                bench = Bench(Study(opened, workers, reporter), limits, engine, document.name)
                yield document.reproduce(bench, {each: load_once(each) for each in document.data})

    return reports()


def wanted(name: str) -> tuple[str, ...]:
    """Return the names of the documents that `name` means.

    Raises:
        RequestError: There is no such document.
    """
    if name == "all":
        return tuple(DOCUMENTS)
    if name not in DOCUMENTS:
        near = get_close_matches(str(name), DOCUMENTS, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise RequestError(f"no document '{name}'{hint}; use one of {', '.join(DOCUMENTS)}, or all")
    return (name,)
