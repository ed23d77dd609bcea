"""All documents on drawings, trained once for all tests, and a bench of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drawings import SMALL, TINY, drawings, small_document
from smidgen.studies import DOCUMENTS, Report, run
from smidgen.studies.trainings import EFFORTS, Bench
from smidgen.trials.store import Store
from smidgen.trials.study import Study


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce") / "store.sqlite"


@pytest.fixture(scope="session")
def reports(tiny_store: Path) -> Iterator[dict[str, Report]]:
    """All documents on drawings, deep-compression with one small network; `run` sees the same documents."""
    with pytest.MonkeyPatch.context() as patch, Store(tiny_store) as store:
        patch.setitem(DOCUMENTS, "deep-compression", small_document(SMALL))
        yield {report.name: report for report in run("all", store=store, data=drawings, effort=TINY)}


@pytest.fixture
def bench(own_store: Path) -> Iterator[Bench]:
    with Store(own_store) as store:
        yield Bench(Study(store, workers=1), EFFORTS["full"])
