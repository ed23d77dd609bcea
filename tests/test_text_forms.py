"""Texts of the command line -> numbers."""

from __future__ import annotations

import pytest

from smidgen.errors import RequestError
from smidgen.text_forms import accuracy, points, whole_numbers


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


@pytest.mark.parametrize("value", ["", ",", "4,0", "four", (), (4, 0)])
def test_whole_numbers_are_at_least_one(value: str | tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"cannot be read; give whole numbers of at least 1, for example 8,4,2,1"):
        whole_numbers(value, "widths")


@pytest.mark.parametrize("value", ["28", "28x28x1", (28,)])
def test_a_size_has_two_numbers(value: str | tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"resize=.* cannot be read; give .* for example 28x28"):
        whole_numbers(value, "resize", "x", 2)
