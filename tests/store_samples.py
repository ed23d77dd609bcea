"""Fixtures and samples for the tests of the store: a store of each kind, a trial and its outcome.

A test module loads the fixtures with `pytest_plugins = ("store_samples",)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from services import Server
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

RECIPE = Recipe(loss="kl", temperature=3.0, learning_rate=0.1 + 0.2, epochs=3)
TRIAL = Trial(parse_spec("conv 2x3x3 leaky_relu(0.1), dense 10"), RECIPE, 7, "digest", "native-1-fma", "teacher key")
SEEDS = [TRIAL.with_seed(seed) for seed in range(6)]
WEIGHTS = np.array([0.1, -0.0, 1e-45, math.inf], np.float32)
OUTCOME = Outcome(4, Score(95, 100), Score(48, 50), (0.1 + 0.2, 0.25), 1.5, WEIGHTS)


def fields(outcome: Outcome) -> dict[str, object]:
    """Return everything but the weights, which are compared as bytes."""
    return {name: value for name, value in asdict(outcome).items() if name != "weights"}


def assert_same(left: Outcome | None, right: Outcome) -> None:
    assert left is not None
    assert fields(left) == fields(right)
    assert (left.weights.dtype.name, left.weights.tobytes()) == ("float32", right.weights.tobytes())


# --- fixtures --------------------------------------------------------------------------------

NUMBERS = count()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def file_store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


@pytest.fixture
def database(server: Server) -> str:
    """The URL of an empty database on PostgreSQL."""
    return server.create(f"test_{next(NUMBERS)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Where a store of each kind can be made: both have the same contract."""
    return str(request.getfixturevalue("path" if request.param == "sqlite" else "database"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


def rows(path: Path | str) -> list[tuple[object, ...]]:
    """All that a store has, less the seconds."""
    with Store(path) as store:
        trials = [trial for trial, _ in store.rows()]
        found = store.get_many(trials)
    return sorted(
        (key, o.parameters, o.selection.correct, o.confirmation.correct, o.losses, o.diverged_at, o.weights.tobytes())
        for key, o in found.items()
    )
