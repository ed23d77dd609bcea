"""The headline of a result says what its number means."""

from __future__ import annotations

from dataclasses import replace

from hand_made_results import a_page
from smidgen.records import Floor
from smidgen.search.goal import Goal, Target
from smidgen.search.result import ShrinkResult


def a_result(goal: Goal, floor: float) -> ShrinkResult:
    return replace(a_page().result, goal=goal, floor=Floor(floor))


def test_the_headline_says_that_the_floor_is_a_distance_to_the_teacher() -> None:
    result = a_result(Goal(Target(within=0.01)), 0.9716666)
    assert result.headline == "403 parameters hold 97.17 % on mnist, within 1 point of its teacher"


def test_the_headline_names_no_distance_where_the_floor_is_stricter() -> None:
    assert a_result(Goal(Target(0.97, within=0.02)), 0.97).headline == "403 parameters hold 97 % on mnist"


def test_the_headline_says_that_accuracy_is_balanced() -> None:
    result = a_result(Goal(Target(0.97), balanced=True), 0.97)
    assert result.headline == "403 parameters hold 97 % balanced accuracy on mnist"
