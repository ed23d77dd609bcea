"""The fewest bytes at a floor: how a file is chosen, that what is said of it is so, and the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from commands import is_quiet
from smidgen.data import Dataset
from smidgen.errors import FloorNotMet, RequestError
from smidgen.model import Model, decode, dequantize, encode, flat_weights, load_smidgen, save_safetensors
from smidgen.records import Floor, Recipe, Score
from smidgen.search.byte_plans import PRESSURE, RELIEF, _first_steps
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS, LAST_REACH, ByteSearch, FileCandidate
from smidgen.search.compress import CompressResult, _is_of, compress
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.judge import needed_rate
from smidgen.spec import parse_spec
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.store import Store
from smidgen.trials.study import Study

FLOOR = 0.9


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compressed") / "store.sqlite"


@pytest.fixture(scope="module")
def model(digits: Dataset, own: Path) -> Model:
    context = TrainingContext(digits)
    trial = context.trial(parse_spec("conv 6x3x3 relu, maxpool 2, dense 10"), Recipe(epochs=40), 0)
    with Store(own) as store:
        (outcome,) = Study(store).run(context, [trial], "a network")
    return Model(trial.spec, digits.input_shape, digits.class_names, outcome.weights, {"data": "digits"})


GLANCE = replace(BYTE_SEARCH_EFFORTS["glance"], networks=1, children=3, steps=400)
QUICK = replace(BYTE_SEARCH_EFFORTS["quick"], generations=1, children=4, steps=800)


@pytest.fixture(scope="module")
def found(digits: Dataset, model: Model, own: Path) -> CompressResult:
    return compress(model, digits, FLOOR, effort=QUICK, store=Store(own))


def test_what_is_said_of_each_file_is_so(found: CompressResult, digits: Dataset) -> None:
    for candidate in found.candidates:
        content = encode(candidate.quantized)
        decoded = dequantize(decode(content))
        assert candidate.file_bytes == len(content)
        for half in ("selection", "confirmation"):
            split = getattr(digits, half)
            right = (
                classify(TrainingContext(digits), decoded.spec, decoded.weights, split).argmax(axis=1) == split.labels
            )
            assert getattr(candidate.outcome, half) == Score(int(right.sum()), len(split))


def of(file_bytes: int, error: float) -> FileCandidate:
    trial = SimpleNamespace(key=f"{file_bytes} {error}")
    model = SimpleNamespace(weights=np.zeros(500))
    return cast(
        FileCandidate,
        SimpleNamespace(trial=trial, file_bytes=file_bytes, error=error, training_error=error, stage="first grids",
                        model=model, steps={"0.weight": 0.25}, price=64.0),
    )  # fmt: skip


def test_a_file_near_the_floor_has_children_before_shorter_ones_that_never_come_near() -> None:
    search = ByteSearch(cast(Study, None), cast(TrainingContext, None), GLANCE, allowed=0.026, seed=0)
    near, exact, far, accurate = of(223, 0.0262), of(250, 0.025), of(205, 0.034), of(500, 0.01)
    search.candidates = [far, accurate, exact, near]
    assert search._parents() == [near, exact, far, accurate]
    search.most_bytes = 240
    assert search._parents() == [near, exact, far, accurate]


def test_the_last_generation_makes_smaller_changes_than_the_first() -> None:
    effort = replace(GLANCE, generations=5, children=60)
    search = ByteSearch(cast(Study, None), cast(TrainingContext, None), effort, allowed=0.026, seed=0)
    search.candidates = [of(223, 0.0262), of(250, 0.025)]
    prices = [{plan.price for plan in search._children(generation)} for generation in (1, 5)]
    assert prices[0] == {64.0 * factor for factor in (*RELIEF, *PRESSURE)}
    assert prices[1] == {64.0 * factor**LAST_REACH for factor in (*RELIEF, *PRESSURE)}


def test_steps_that_are_nearly_equal_are_one_grid() -> None:
    spec = parse_spec("dense 4 relu, dense 4 relu, dense 2")
    kernels = [size * np.ones(shape, np.float32) for size, shape in ((1.0, (12, 1)), (0.8, (16, 1)), (0.1, (8, 1)))]
    biases = [np.full((count, 1), size, np.float32) for size, count in ((0.02, 4), (0.5, 4), (0.6, 2))]
    parts = [part.ravel() for pair in zip(kernels, biases, strict=True) for part in pair]
    steps = _first_steps(Model(spec, (3, 1, 1), ("a", "b"), np.concatenate(parts)), 1.0)
    first, second, third = (steps[f"{place}.weight"] for place in range(3))
    assert first == second > 2 * third
    assert steps["0.bias"] < steps["1.bias"] / 2
    assert steps["1.bias"] == steps["2.bias"] != first


def test_the_winner_holds_on_both_halves_and_those_before_it_did_not(found: CompressResult, digits: Dataset) -> None:
    needed = needed_rate(digits, Floor(FLOOR))
    outcome = found.winner.outcome
    assert min(outcome.selection.rate, outcome.confirmation.rate) >= needed
    for candidate in found.rejected:
        assert candidate.outcome.selection.rate >= needed > candidate.outcome.confirmation.rate
    assert found.winner.file_bytes < found.stages[0].file_bytes / 3
    right = classify(
        TrainingContext(digits), found.winner.quantized.spec, flat_weights(found.winner.quantized), digits.test
    ).argmax(axis=1)
    assert found.test == Score(int((right == digits.test.labels).sum()), len(digits.test))


def test_a_file_is_of_the_given_network_without_the_biases_that_the_search_removes() -> None:
    spec = parse_spec("conv 4x3x3, conv 4x3x3 same, batchnorm relu, dense 10")
    given = Model(spec, (1, 8, 8), tuple("0123456789"), np.ones(spec.parameters((1, 8, 8)) + 8, np.float32))
    for text, same in (("conv 4x3x3", True), ("conv 4x3x3 nobias", True), ("conv 4x3x3 relu", False)):
        assert _is_of(given, parse_spec(f"{text}, conv 4x3x3 same relu, dense 10")) == same


def test_the_stages_begin_at_float32_and_end_at_the_file(found: CompressResult) -> None:
    sizes = [stage.file_bytes for stage in found.stages]
    assert sizes[0] == max(sizes)
    assert sizes[-1] == found.winner.file_bytes == len(encode(found.winner.quantized))


def test_again_nothing_is_trained_and_the_workers_change_nothing(
    found: CompressResult, digits: Dataset, model: Model, own: Path, tmp_path: Path
) -> None:
    other = compress(model, digits, FLOOR, effort=QUICK, store=Store(tmp_path / "other.sqlite"), workers=3)
    again = compress(model, digits, FLOOR, effort=QUICK, store=Store(own))
    assert again.trained == 0
    assert encode(again.winner.quantized) == encode(found.winner.quantized) == encode(other.winner.quantized)
    assert [candidate.file_bytes for candidate in other.candidates] == [
        candidate.file_bytes for candidate in found.candidates
    ]


def test_the_best_file_of_at_most_so_many_bytes(digits: Dataset, model: Model, own: Path) -> None:
    small, large = (
        compress(model, digits, Goal(limits=Limits(file_bytes=most)), effort=GLANCE, store=Store(own))
        for most in (160, 400)
    )
    assert small.winner.file_bytes <= 160 < large.winner.file_bytes <= 400
    assert small.test.rate < large.test.rate


def test_within_a_share_of_what_was_given(digits: Dataset, model: Model, own: Path) -> None:
    found = compress(model, digits, Goal(Target(within=0.03)), effort=GLANCE, store=Store(own))
    given = [
        classify(TrainingContext(digits), model.spec, model.weights, half).argmax(axis=1) == half.labels
        for half in (digits.selection, digits.confirmation)
    ]
    rate = float(np.concatenate(given).mean())
    assert found.winner.outcome.validation.rate >= rate - 0.03


def test_each_half_is_measured_by_the_given_network_on_it(digits: Dataset, model: Model, own: Path) -> None:
    """The given network is within nothing of itself, though one half is harder than the other."""
    found = compress(model, digits, Goal(Target(within=0.0, rule="rate")), effort=GLANCE, store=Store(own))
    for half in ("selection", "confirmation"):
        split = getattr(digits, half)
        given = classify(TrainingContext(digits), model.spec, model.weights, split).argmax(axis=1) == split.labels
        assert getattr(found.winner.outcome, half).correct >= given.sum()


def test_a_floor_that_no_file_reaches_is_said(digits: Dataset, model: Model, own: Path) -> None:
    with pytest.raises(FloorNotMet, match=r"no file reached 98\.5 % \(needs 100\.00 %.*; best of 11"):
        compress(model, digits, 0.985, effort=GLANCE, store=Store(own))
    with pytest.raises(FloorNotMet, match=r"no file of at most 30 bytes was found; the shortest of"):
        compress(model, digits, Goal(limits=Limits(file_bytes=30)), effort=GLANCE, store=Store(own))


def test_a_network_of_other_data_is_refused(digits: Dataset, model: Model, own: Path) -> None:
    other = replace(model, class_names=("a", "b"))
    with pytest.raises(RequestError, match="knows 2 classes; digits has 1x8x8 and 10"):
        compress(other, digits, FLOOR, store=Store(own))
    with pytest.raises(RequestError, match="effort='much' is not known"):
        compress(model, digits, FLOOR, effort="much", store=Store(own))


# --- the command ----------------------------------------------------------------------------


def test_the_command_writes_the_file_its_curve_and_its_table(
    command: Callable[..., Any], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BYTE_SEARCH_EFFORTS, "glance", GLANCE)
    save_safetensors(model, tmp_path / "winner.safetensors")
    save_safetensors(model, tmp_path / "teacher.safetensors")
    said = command("compress", str(tmp_path / "winner.safetensors"), "--floor", "0.9", "--effort", "glance")
    assert said.code == 0
    assert is_quiet(said.err)
    quantized = load_smidgen(tmp_path / "winner-compressed.smidgen")
    content = (tmp_path / "winner-compressed.smidgen").read_bytes()
    size = len(content)
    assert f"{size:,} bytes hold 90 % on digits" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines() if not line.startswith("file "))
    assert str(quantized.spec) == "conv 6x3x3 relu, maxpool 2, dense 10"
    assert (tmp_path / "winner-compressed.png").read_bytes()[:4] == b"\x89PNG"
    rows = (tmp_path / "winner-compressed.csv").read_text().splitlines()
    assert rows[0].startswith("stage,spec,parameters,file_bytes")
    assert any(f",{size}," in row for row in rows[1:])
    assert {row.rpartition(",")[2] for row in rows} == {"run", sha256(content).hexdigest()[:16]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "nothing is asked for; give --floor 0.97, --within 0.5% or a limit (--bytes)"),
        ("--floor 0.9 --out x.bin", "--out x.bin must end in .smidgen"),
        ("--floor 0.9", "does not say which data it was trained on; give --data"),
        ("--floor 0.9 --data digits --effort much", "effort='much' is not known"),
    ],
)
def test_what_cannot_be_is_said(
    command: Callable[..., Any],
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_safetensors(replace(model, metadata={}), tmp_path / "w.safetensors")
    said = command("compress", "w.safetensors", *line.split())
    assert said.code == 2
    assert message in " ".join(said.err.replace("│", " ").split())
    assert not list(tmp_path.glob("*.smidgen"))
