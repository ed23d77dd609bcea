"""Limits, distances to the teacher, and goals that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from searches import before_confirmation, shrink_without_file
from smidgen.data import Dataset
from smidgen.errors import FloorNotMet, RequestError
from smidgen.exporters.program_cost import program_cost
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal, Limits, Target, ram_bytes
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.spec import NetSpec, parse_spec
from smidgen.trials.store import Store


def fits(answer: ShrinkResult, spec: NetSpec) -> bool:
    return answer.goal.satisfies(spec, answer.data.input_shape)


@pytest.mark.parametrize(
    "limits",
    [{"parameters": 300}, {"file_bytes": 160}, {"macs": 4_000}, {"ram_bytes": 700, "parameters": 500}],
    ids=lambda limits: " ".join(limits),
)
def test_the_best_within_limits(
    digits: Dataset, known_store: Path, small_effort: Effort, limits: dict[str, int]
) -> None:
    """No other candidate errs less on the selection half, and all candidates are within the limits."""
    goal, with_file = Goal(limits=Limits(**limits)), "file_bytes" in limits
    answer = shrink(digits, goal, effort=small_effort, store=Store(known_store), with_file=with_file)
    before = before_confirmation(answer)
    assert before and all(fits(answer, candidate.trial.spec) for candidate in before)
    assert answer.outcome.selection.rate == max(candidate.outcome.selection.rate for candidate in before)
    assert answer.rejected == ()
    spec, shape = answer.winner.spec, digits.input_shape
    costs = {
        "parameters": spec.parameters(shape),
        "file_bytes": answer.file.winner.file_bytes if answer.file else 0,
        "macs": spec.macs(shape),
        "ram_bytes": 4 * spec.activation_count(shape),
    }
    assert all(costs[name] <= limit for name, limit in limits.items())
    assert answer.floor.is_met_by(answer.outcome.validation)
    assert needed_rate(digits, answer.floor) <= min(answer.outcome.selection.rate, answer.outcome.confirmation.rate)


def test_a_larger_limit_is_no_worse_and_both_are_far_above_chance(
    digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    rates = [
        shrink(
            digits,
            Goal(limits=Limits(parameters=limit)),
            effort=small_effort,
            with_file=False,
            store=Store(known_store),
        ).outcome.selection.rate
        for limit in (120, 1_200)
    ]
    assert 0.4 < rates[0] < rates[1]


def test_a_floor_and_a_limit(digits: Dataset, known_store: Path, small_effort: Effort) -> None:
    target = Target(0.85, rule="rate")
    both = shrink_without_file(digits, Goal(target, Limits(ram_bytes=1_400)), small_effort, known_store)
    assert min(both.outcome.selection.rate, both.outcome.confirmation.rate) >= 0.85
    assert both.winner.spec.activation_count(digits.input_shape) <= 350
    with pytest.raises(FloorNotMet, match=r"no network of at most 40 parameters reached 85 % on digits"):
        shrink_without_file(digits, Goal(target, Limits(parameters=40)), small_effort, known_store)


def test_a_floor_that_only_the_plain_rate_reaches_says_so(
    digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    goal = Goal(Target(0.945), Limits(ram_bytes=1_400))
    with pytest.raises(FloorNotMet, match=r"or add data; with --rule rate [\d,]+ parameters reach it$"):
        shrink_without_file(digits, goal, small_effort, known_store)
    goal = replace(goal, target=Target(0.999, rule="rate"))
    with pytest.raises(FloorNotMet, match=r"or add data$"):
        shrink_without_file(digits, goal, small_effort, known_store)


NOTHING_SO_SMALL = (
    r"no candidate for digits has at most 3 parameters; raise --params \(least of \d+ drawn: \d+ parameters\)"
)


def test_a_limit_that_nothing_keeps_is_said(digits: Dataset, own_store: Path, small_effort: Effort) -> None:
    without_teacher = replace(small_effort, compares_recipes=False)
    with pytest.raises(FloorNotMet, match=NOTHING_SO_SMALL):
        shrink_without_file(digits, Goal(limits=Limits(parameters=3)), without_teacher, own_store)


def test_networks_that_a_form_cannot_hold_do_not_hide_what_the_limit_asks_for(
    digits: Dataset, own_store: Path, small_effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(spec: NetSpec, shape: tuple[int, int, int], form: str) -> object:
        if spec.parameters(shape) > 100:
            raise RequestError("the form integer cannot hold it; use levels")
        return program_cost(spec, shape, form)

    monkeypatch.setattr("smidgen.search.goal.program_cost", refused)
    goal = Goal(limits=Limits(flash_bytes=10, form="integer"))
    with pytest.raises(FloorNotMet, match=r"raise --flash \(least of \d+ drawn: [\d,]+ bytes of flash\)"):
        shrink_without_file(digits, goal, replace(small_effort, compares_recipes=False), own_store)


def test_within_a_share_of_the_teacher_that_is_trained_here(
    digits: Dataset, known_store: Path, small_effort: Effort
) -> None:
    answer = shrink_without_file(digits, Goal(Target(within=0.04, rule="rate")), small_effort, known_store)
    assert answer.teacher is not None and answer.teacher.trial is not None
    asked = answer.teacher.validation.rate - 0.04
    assert answer.outcome.validation.rate >= asked - 1e-6
    for half, score in answer.outcome.halves.items():  # a half on which the teacher errs more may be missed by as much
        assert score.rate >= min(asked, answer.teacher.halves[half].rate - 0.04) - 1e-6
    assert answer.floor.rule == "rate"


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal, "nothing is asked for"),
        (lambda: Goal(limits=Limits(parameters=0)), "parameters=0 must be at least 1"),
        (lambda: Goal(Target(within=0.5)), "within=0.5 must be at least 0 and below 0.5"),
        (lambda: Goal(limits=Limits(parameters=9), class_floor=1.0), "class_floor=1 must be at least 0 and below 1"),
        (lambda: Goal(limits=Limits(parameters=9), class_floor=0.8), "and none is given; add for example --floor 0.8"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goal: Callable[[], Goal], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        goal()


def test_limits_of_a_program_count_the_program() -> None:
    spec, shape = parse_spec("conv 4x3x3 relu, maxpool 2, dense 10"), (1, 8, 8)
    cost = program_cost(spec, shape, "integer")
    exact = Limits(
        ram_bytes=cost.ram_bytes,
        flash_bytes=cost.flash_bytes,
        instructions=cost.instructions["Cortex-M0+"],
        form="integer",
    )
    assert exact.satisfied_by(spec, shape)
    for name in ("ram_bytes", "flash_bytes", "instructions"):
        assert not replace(exact, **{name: exact.given[name] - 1}).satisfied_by(spec, shape), name
    assert cost.ram_bytes < ram_bytes(spec, shape), "without a form all values alive count, as float32"


def test_a_limit_of_flash_needs_a_form() -> None:
    with pytest.raises(RequestError, match="--flash 4096 limits a C program, whose form is not given; add --form"):
        Limits(flash_bytes=4096)
