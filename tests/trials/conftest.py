"""A few short trainings, a Dask cluster, and a cache of each test's own: what tests of trials elsewhere share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services import Cluster, dask_cluster
from smidgen.data import Dataset
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials import remote
from smidgen.trials.evaluate import TrainingContext

TEXTS = ("maxpool 2, dense 10", "conv 2x3x3 relu, maxpool 2, dense 10")


@pytest.fixture
def context(digits: Dataset) -> TrainingContext:
    return TrainingContext(digits)


@pytest.fixture
def trials(context: TrainingContext) -> list[Trial]:
    return [context.trial(parse_spec(text), Recipe(epochs=1), seed) for seed in range(6) for text in TEXTS]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and three workers, each with a cache of its own."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=3) as running:
        yield running


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> Path:
    """Of the content that is sent; the digits are loaded by now."""
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_memory", type(remote._memory)())
    return tmp_path / "cache"
