"""Texts of the command line -> numbers."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.errors import RequestError
from smidgen.text_forms import (
    MOST_CHARACTERS,
    accuracy,
    counted,
    points,
    points_text,
    shortened,
    whole_number,
    whole_numbers,
)


@pytest.mark.parametrize("value", [0.97, "0.97", "97%", " 97 % "])
def test_an_accuracy_is_a_share_or_percent(value: float | str) -> None:
    assert accuracy(value) == 0.97


@pytest.mark.parametrize("percent", [0.1, 0.7, 57.3, 98.5, 99.1, 99.99])
def test_percent_and_share_are_the_same_number(percent: float) -> None:
    assert accuracy(f"{percent}%") == float(f"{percent / 100:.6f}")


@pytest.mark.parametrize("value", ["x", "", "%", "97 percent", "sNaN"])
def test_what_is_no_number_is_no_accuracy(value: str) -> None:
    with pytest.raises(RequestError, match=r"floor=.* is not a number; give an accuracy, for example 0.97 or 97%"):
        accuracy(value)


@pytest.mark.parametrize("value", [0.005, "0.005", "0.5%"])
def test_points_are_a_share_or_percent(value: float | str) -> None:
    assert points(value) == 0.005


@pytest.mark.parametrize("value", [0.5, "0.5"])
def test_points_that_may_mean_two_things_are_refused(value: float | str) -> None:
    with pytest.raises(RequestError, match=r"within=0.5 would be 50 points; write 0.5% for 0.5 points"):
        points(value)
    assert points("50%") == 0.5


def test_whole_numbers_come_as_text_or_numbers() -> None:
    assert whole_numbers("8,4,2", "widths") == whole_numbers([8, 4, 2], "widths") == (8, 4, 2)
    assert whole_numbers("32x24", "resize", "x", 2) == whole_numbers((32, 24), "resize", "x", 2) == (32, 24)


@pytest.mark.parametrize("value", ["", ",", "4,0", "four", (), (4, 0), (4, 1.5), 0, 32])
def test_whole_numbers_are_at_least_one(value: str | tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"cannot be read; give whole numbers of at least 1, for example 8,4,2,1"):
        whole_numbers(value, "widths")


@pytest.mark.parametrize("value", ["28", "28x28x1", (28,)])
def test_a_size_has_two_numbers(value: str | tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"resize=.* cannot be read; give .* for example 28x28"):
        whole_numbers(value, "resize", "x", 2)


@pytest.mark.parametrize("value", [50, "50", np.int64(50)])
def test_a_whole_number_comes_as_text_or_number(value: object) -> None:
    assert whole_number(value, "params", "leave it out for no limit") == 50


@pytest.mark.parametrize("value", ["a", 12.5, True, None, [1]])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match=r"params=.* is not a whole number; give one, or leave it out for no limit"):
        whole_number(value, "params", "leave it out for no limit")


def test_a_whole_number_below_the_least_is_refused() -> None:
    with pytest.raises(RequestError, match="params=0 must be at least 1; leave it out for no limit"):
        whole_number(0, "params", "leave it out for no limit")
    assert whole_number(0, "seed", "leave it out for 0", least=0) == 0


def test_a_long_value_is_shortened_in_a_message() -> None:
    assert shortened("short") == "short"
    assert len(shortened(np.zeros((100, 8, 8)))) == MOST_CHARACTERS
    with pytest.raises(RequestError) as error:
        accuracy(np.zeros((100, 8, 8)))  # type: ignore[arg-type]
    assert len(str(error.value)) < 150


def test_one_of_a_thing_is_not_plural() -> None:
    assert (counted(1, "seed"), counted(0, "seed"), counted(1200, "seed")) == ("1 seed", "0 seeds", "1,200 seeds")
    assert (points_text(0.01), points_text(0.005), points_text(0.03)) == ("1 point", "0.5 points", "3 points")
