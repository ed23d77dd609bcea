"""First weights with constraints: their digests, and which of them fit a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smidgen.engine import Projection, Start, check_start
from smidgen.engine.start import is_running_stat
from smidgen.errors import EngineError
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

FULL_START = Start(
    np.arange(9, dtype=np.float32),
    np.arange(9) % 2 == 0,
    np.arange(9, dtype=np.int32) % 3,
    Projection(np.full(9, -1, np.int32), (np.zeros(1, np.float32),), (np.ones(1, np.float32),)),
)


def test_a_digest_depends_on_every_field():
    book = FULL_START.projection
    others = [
        Start(FULL_START.weights),
        Start(FULL_START.weights, fixed=FULL_START.fixed),
        Start(FULL_START.weights, tied=FULL_START.tied),
        Start(FULL_START.weights, projection=book),
        Start(FULL_START.weights, tied=FULL_START.weights.view(np.int32)),
        replace(FULL_START, weights=FULL_START.weights + 1),
        replace(FULL_START, weights=FULL_START.weights.reshape(3, 3)),
        replace(FULL_START, fixed=~FULL_START.fixed),
        replace(FULL_START, tied=FULL_START.tied + 1),
        replace(FULL_START, projection=None),
        replace(FULL_START, projection=replace(book, codebook=book.codebook + 1)),
        replace(FULL_START, projection=replace(book, levels=(np.ones(1, np.float32),))),
        replace(FULL_START, projection=replace(book, levels=(*book.levels, *book.levels), costs=())),
        replace(FULL_START, projection=replace(book, costs=None)),
        replace(FULL_START, projection=replace(book, costs=(np.zeros(1, np.float32),))),
    ]
    assert len({start.digest for start in [FULL_START, *others]}) == len(others) + 1


def test_a_digest_does_not_depend_on_the_memory_layout():
    apart = np.zeros((9, 2), np.float32)
    apart[:, 1] = FULL_START.weights
    assert not apart[:, 1].flags.c_contiguous
    again = Start(apart[:, 1], FULL_START.fixed.copy(), FULL_START.tied[::-1].copy()[::-1], FULL_START.projection)
    assert again.digest == FULL_START.digest
    assert FULL_START.digest[:16] == "ba996ca60a8f4f39"


NORMS = parse_spec("dense 2 nobias, batchnorm, dense 1 nobias")


def test_running_statistics_follow_the_trained_parameters_of_their_batch_norm():
    assert np.flatnonzero(is_running_stat(NORMS, (1, 1, 1))).tolist() == [6, 7, 8, 9]
    assert is_running_stat(NORMS, (1, 1, 1)).size == initial_weights(NORMS, (1, 1, 1), 0).size == 12
    assert is_running_stat(parse_spec("maxpool 2"), (1, 28, 28)).size == 0


def floats(*values):
    return np.array(values, np.float32)


def numbers(*places, of=12, number=0):
    """int32 [of]: `number` at these places, -1 elsewhere."""
    found = np.full(of, -1, np.int32)
    found[list(places)] = number
    return found


STARTS_THAT_FIT = [
    {},
    {"fixed": np.ones(12, np.bool_)},
    {"tied": numbers(0, 1, 11, number=11)},
    {"projection": Projection(numbers(), ())},
    {"projection": Projection(numbers(0, 1, 11), (floats(-1, 2),), (floats(2, 2),))},
    {"fixed": np.ones(12, np.bool_), "projection": Projection(numbers(0, 11), (floats(0, 3),))},
]


@pytest.mark.parametrize("fields", STARTS_THAT_FIT)
def test_starts_that_fit(fields):
    check_start(NORMS, (1, 1, 1), Start(np.zeros(12, np.float32), **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"weights": floats(1)},
            r"the start's weights is float32 \[1\]; 'dense 2 .*' needs float32 \[12\], a value for",
        ),
        ({"weights": np.zeros(12)}, r"weights is float64 \[12\]; .* needs float32 \[12\]"),
        ({"weights": np.full(12, np.nan, np.float32)}, "weights has 12 of 12 values that are not finite; give numbers"),
        ({"fixed": np.zeros(11, np.bool_)}, r"fixed is bool \[11\]; .* needs bool \[12\]"),
        ({"fixed": np.zeros(12, np.int8)}, r"fixed is int8 \[12\]; .* needs bool \[12\]"),
        ({"tied": numbers(of=13)}, r"tied is int32 \[13\]"),
        ({"tied": numbers(2, number=12)}, "tied has the number 12; give -1 for none, or 0 to 11"),
        ({"tied": numbers(2, number=-2)}, "tied has the number -2; give -1 for none"),
        (
            {"tied": numbers(6)},
            "tied constrains running statistics of a batch norm, which follow the data; give them -1",
        ),
        ({"projection": Projection(np.zeros(12), ())}, r"codebook is float64 \[12\]; .* needs int32"),
        ({"projection": Projection(numbers(0), ())}, "codebook has the number 0; give -1 for none"),
        (
            {"projection": Projection(numbers(9), (floats(0),))},
            "codebook constrains running statistics of a batch norm",
        ),
        ({"projection": Projection(numbers(), (floats(0),), ())}, "there are 1 codebooks and 0 lists of costs"),
        ({"projection": Projection(numbers(), (floats(),))}, r"levels of codebook 0 are float32 \[0\]; give float32"),
        ({"projection": Projection(numbers(), (np.zeros(2),))}, r"levels of codebook 0 are float64 \[2\]"),
        ({"projection": Projection(numbers(), (floats([0]),))}, r"levels of codebook 0 are float32 \[1, 1\]"),
        (
            {"projection": Projection(numbers(), (floats(0),), (floats(0, 1),))},
            r"costs of codebook 0 are float32 \[2\]",
        ),
        (
            {"projection": Projection(numbers(), (floats(0, np.inf),))},
            "levels of codebook 0 has 1 of 2 values that are",
        ),
        ({"projection": Projection(numbers(), (floats(0), floats(1, 1)))}, "levels of codebook 1 do not ascend; sort"),
        (
            {"fixed": np.ones(12, np.bool_), "projection": Projection(numbers(11), (floats(1, 2),))},
            "a weight is fixed at 0, which is no level of its codebook 0; give it codebook -1",
        ),
    ],
)
def test_a_start_that_does_not_fit_is_refused(fields, message):
    start = Start(**{"weights": np.zeros(12, np.float32), **fields})
    with pytest.raises(EngineError, match=message):
        check_start(NORMS, (1, 1, 1), start)
