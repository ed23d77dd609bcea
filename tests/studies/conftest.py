"""All documents on drawings, trained once for all tests, and a bench of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drawings import TINY, drawings
from smidgen.studies import Report, run
from smidgen.studies.trainings import EFFORTS, Bench
from smidgen.trials.store import Store
from smidgen.trials.study import Study


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce") / "store.sqlite"


@pytest.fixture(scope="session")
def reports(tiny_store: Path) -> dict[str, Report]:
    """All documents on drawings."""
    with Store(tiny_store) as store:
        return {report.name: report for report in run("all", store=store, data=drawings, effort=TINY)}


@pytest.fixture
def bench(own_store: Path) -> Iterator[Bench]:
    with Store(own_store) as store:
        yield Bench(Study(store, workers=1), EFFORTS["full"])
