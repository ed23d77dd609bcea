"""Arrays that do not fit a classifier are refused with the values and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from sample_data import GOOD_X, GOOD_Y, with_nan

from smidgen.data import from_arrays
from smidgen.errors import DataError


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (GOOD_X, GOOD_Y[:-1], r"there are 30 examples and 29 labels; give one"),
        (with_nan(np.nan), GOOD_Y, r"contain 2 values that are not finite in float32; the first is nan in example 4 "),
        (with_nan(np.inf), GOOD_Y, r"the first is inf in example 4 \(from 0\) at channel 0, row 1, column 2; replace"),
        (with_nan(1e39), GOOD_Y, r"contain 2 values that are not finite in float32"),
        (GOOD_X, GOOD_Y * 0, r"number of classes is 1 \(one is '0'\); a classifier needs 2 to 255"),
        (np.zeros((1280, 1)), np.arange(1280) // 5, r"number of classes is 256 "),
        (GOOD_X[:3], GOOD_Y[:3], r"class '0' has 1 of the 3 examples to train on; give at least 5"),
        (GOOD_X, [*GOOD_Y[:26], 7, 7, 7, 7], r"class '7' has 4 of the 30 examples"),
        (GOOD_X[:0], GOOD_Y[:0], r"examples have shape 0x2x3 and are empty"),
        (GOOD_X[:, :0], GOOD_Y, r"examples have shape 30x0x3 and are empty"),
        (GOOD_X.reshape(30, 2, 3, 1, 1), GOOD_Y, r"examples have shape 30x2x3x1x1; give \[n, features\]"),
        (np.zeros((30, 17, 5, 18)), GOOD_Y, r"examples have shape 30x17x5x18; give .* with 1 to 16 channels"),
        (np.zeros(30), GOOD_Y, r"examples have shape 30; give"),
        (GOOD_X.astype(str), GOOD_Y, r"examples are of type <U\d+; give an array of numbers"),
        (GOOD_X.astype(complex), GOOD_Y, r"examples are of type complex128"),
        (GOOD_X.astype(object), GOOD_Y, r"examples are of type object"),
        ([[1, 2], [3]], [0, 1], r"X is ragged: .*; give rows of one length"),
        (GOOD_X, GOOD_Y + 0.5, r"30 labels are not whole numbers; the first is 0.5 at example 0"),
        (
            GOOD_X,
            np.where(GOOD_Y == 2, np.nan, GOOD_Y),
            r"10 labels are not whole numbers; the first is nan at example 2",
        ),
        (
            GOOD_X,
            np.array([None, *GOOD_Y[1:]]),
            r"1 of 30 labels are missing \(the first is None at example 0\); fill them",
        ),
        (GOOD_X, np.array(["ant", *GOOD_Y[1:]], object), r"labels are of type object"),
        (GOOD_X, 5, r"labels have shape \(\)"),
    ],
)
def test_bad_arrays_are_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        from_arrays(X, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (GOOD_X[:, :1], GOOD_Y, r"training examples are 1x2x3 and test examples 1x1x3 \(channels, height, width\)"),
        (GOOD_X, GOOD_Y + 1, r"the test split has label '3', which no training example has"),
        (with_nan(np.nan), GOOD_Y, r"test examples contain 2 values that are not finite"),
        (GOOD_X, GOOD_Y[:4], r"there are 30 examples and 4 labels"),
    ],
)
def test_bad_test_split_is_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        from_arrays(GOOD_X, GOOD_Y, test=(X, y))


@pytest.mark.parametrize(
    "classes",
    [
        ("9007199254740992123", "9007199254740992124"),  # one float64 for both
        ("9" * 400, "8" * 400),  # both beyond float64
        ("9" * 300_000 + "x", "9" * 300_000 + "y"),  # a pattern that goes back over its digits takes hours
    ],
    ids=["19 digits", "400 digits", "300,000 digits"],
)
def test_long_numbers_stay_classes_of_their_own(classes):
    found = from_arrays(GOOD_X, np.array([classes[i % 2] for i in range(len(GOOD_X))])).class_names
    assert sorted(found) == sorted(classes)
