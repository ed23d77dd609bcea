"""The confirmation half and the test split take no part in choosing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searches import before_confirmation
from smidgen.data import Dataset, Split
from smidgen.errors import FloorNotMet
from smidgen.records import Floor, Outcome, Trial
from smidgen.search.confirm import confirm
from smidgen.search.effort import Effort
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials import evaluate as evaluate_module
from smidgen.trials.evaluate import TrainingContext, classify
from smidgen.trials.store import Store

FLOOR = 0.9


class CountingStore(Store):
    """A store that lists the keys of the trainings that it is given, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.trained: list[str] = []

    def put_many(self, pairs: Sequence[tuple[Trial, Outcome]]) -> None:
        self.trained += [trial.key for trial, _ in pairs]
        super().put_many(pairs)


def test_the_first_that_passes_both_halves_is_confirmed() -> None:
    passes = {"selection": (2, 3, 5, 7), "confirmation": (1, 5, 7)}
    confirmed = confirm(range(9), lambda number, half: number in passes[half])
    assert (confirmed.candidate, confirmed.rejected) == (5, (2, 3))


def test_where_none_passes_both_halves_none_is_confirmed() -> None:
    confirmed = confirm(range(4), lambda number, half: half == "selection")
    assert (confirmed.candidate, confirmed.rejected) == (None, (0, 1, 2, 3))


def test_the_rejected_passed_the_half_that_chose_and_not_the_other(answer: ShrinkResult, digits: Dataset) -> None:
    needed = needed_rate(digits, answer.floor)
    sizes = [candidate.outcome.parameters for candidate in answer.rejected]
    assert sizes == sorted(sizes)
    for candidate in answer.rejected:
        assert candidate.outcome.parameters <= answer.outcome.parameters
        assert candidate.outcome.selection.rate >= needed > candidate.outcome.confirmation.rate


def test_the_confirmation_half_takes_no_part_in_choosing(
    answer: ShrinkResult, digits: Dataset, own_store: Path, small_effort: Effort
) -> None:
    """With its labels turned wrong nothing can be confirmed: the same is trained, and after that only wider designs."""
    wrong = (digits.confirmation.labels + 1) % 10
    blind = replace(digits, confirmation=Split(digits.confirmation.images, wrong.astype(np.int32)))
    store = CountingStore(own_store)
    with pytest.raises(FloorNotMet):
        shrink(blind, FLOOR, effort=small_effort, with_file=False, store=store, workers=1)
    chosen_from = {answer.teacher.trial.key, *(candidate.trial.key for candidate in before_confirmation(answer))}
    assert set(store.trained[: len(chosen_from)]) == chosen_from
    assert len(set(store.trained)) == len(store.trained)


def test_the_order_of_confirmation_is_by_size_and_by_the_half_that_chose(
    digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    """With every fifth label wrong on the other half, many are refused before one is confirmed."""
    labels = digits.confirmation.labels.copy()
    labels[::5] = (labels[::5] + 1) % 10
    bent = replace(digits, confirmation=Split(digits.confirmation.images, labels))
    answer = shrink(bent, Floor(0.7, "rate"), effort=small_effort, with_file=False, store=Store(known_store))
    met = [t for t in before_confirmation(answer) if t.outcome.selection.rate >= needed_rate(bent, answer.floor)]
    met.sort(key=lambda t: (t.outcome.parameters, -t.outcome.selection.correct))
    assert len(answer.rejected) > 0
    rejected_then_winner = [*(t.trial.key for t in answer.rejected), answer.winner.key]
    assert [t.trial.key for t in met[: len(rejected_then_winner)]] == rejected_then_winner


def test_the_test_split_is_seen_once_by_the_winner_its_teacher_and_its_file(
    digits: Dataset, known_store: Path, small_effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_test: list[str] = []

    def counted(context: TrainingContext, spec: object, weights: object, split: Split, threads: int = 1) -> np.ndarray:
        if split is digits.test:
            on_test.append(str(spec))
        return classify(context, spec, weights, split, threads)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate_module, "classify", counted)
    found = shrink(digits, FLOOR, effort=small_effort, store=Store(known_store))
    filed = str(found.file.winner.quantized.spec)
    assert sorted(on_test) == sorted([str(found.winner.spec), str(found.teacher.trial.spec), filed])
